//! `invite` and `host code`: vouches in advance for whoever holds a one-time key, and prints it as one line.

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::network::invite::InviteCode;
use fingerpost_proto::time::UnixHour;
use fingerpost_proto::v1;
use prost::Message;
use serde_json::json;

use super::vouch;
use crate::args::InviteArgs;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::agreed_network;
use crate::keys::{Signer, fresh_seed};
use crate::output::moment::{date_time, now_ms, rfc3339};
use crate::publish::check_clocks;
use crate::session::Session;
use crate::statements::invitation;

/// Makes invites; those that carry are codes of a host.
pub(super) async fn run(session: &Session, args: InviteArgs, carries: bool) -> Result<Exit, Failure> {
    vouch::settle_where_possible(session).await;
    let (identity, node) = session.identity().await?;
    let status = node.status().await?;
    let charter = agreed_network(&session.home, &status.network)?;
    let now = now_ms();
    check_clocks(now, status.clock_ms)?;
    let expires = UnixHour::containing(now).plus_days(args.expires_days);
    let mut codes = Vec::new();
    for _ in 0..args.count {
        let seed = fresh_seed()?;
        let unfit = |error| {
            Failure::new(Exit::Permission, "the one-time key is unfit; run the command again").caused_by(&error)
        };
        let one_time = Signer::from_seed(&seed).map_err(unfit)?;
        let invitation = invitation(&identity, &charter.network, &one_time, expires);
        let request = v1::RegisterInviteRequest {
            network: charter.network.0.to_vec(),
            invitation: invitation.message().encode_to_vec(),
            carries,
        };
        let reply = node.register_invite(request).await?;
        let node_key = PublicKey::from_bytes(&reply.node_key)
            .map_err(|error| Failure::new(Exit::Invalid, "the node has no usable key").caused_by(&error))?;
        let addresses = if args.address.is_empty() { reply.addresses } else { args.address.clone() };
        if addresses.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                "the invite would lead nowhere: the node knows no address of its own",
            )
            .hint("say where others reach it: fingerpost invite --address HOST:PORT"));
        }
        let code = InviteCode {
            network: charter.network,
            invitation,
            one_time_seed: seed.clone(),
            node_key,
            addresses,
            inviter_name: identity.card.name.clone(),
            network_name: charter.text.name.clone(),
            carries,
        };
        // A code that the joiner's side would not read is worse than an error here.
        InviteCode::decode(&code.encode())
            .map_err(|error| Failure::new(Exit::Usage, "the invite cannot be made").caused_by(&error))?;
        codes.push(code);
    }
    print(session, &codes, carries)
}

fn print(session: &Session, codes: &[InviteCode], carries: bool) -> Result<Exit, Failure> {
    // The invite is valid until the end of its last hour.
    let ends = |code: &InviteCode| UnixHour(code.invitation.expires.0.saturating_add(1)).start_ms();
    let invites: Vec<_> = codes
        .iter()
        .map(|code| {
            json!({
                "code": code.encode(),
                "check_words": code.check_words(),
                "expires": rfc3339(ends(code)),
                "addresses": code.addresses,
            })
        })
        .collect();
    session.printer.object(if carries { "host-code/1" } else { "invite/1" }, json!({ "invites": invites }))?;
    for (at, code) in codes.iter().enumerate() {
        if at > 0 {
            session.printer.line("")?;
        }
        session.printer.line(&code.encode())?;
        session.printer.line(&format!("Check words   {}", code.check_words().join(" · ")))?;
        session.printer.line(&format!("Valid until   {}, for one organisation", date_time(ends(code))))?;
    }
    session
        .printer
        .note("Send each line to one organisation only, and compare the words by phone: who holds the line can join.");
    session.printer.next(if carries {
        "they run: fingerpost join fph1:… (or, with another host now: fingerpost move fph1:…); then see them: fingerpost host list"
    } else {
        "they run: fingerpost join fp1:…; then see them: fingerpost members"
    });
    Ok(Exit::Done)
}
