//! `network create`: writes a charter with this organisation as founder and gives it to the node.

use fingerpost_proto::limits::{ENVELOPE_BYTES_MAX, LEASE_DAYS_MAX};
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use prost::Message;
use serde_json::json;

use crate::args::NetworkCreateArgs;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::{Identity, keep_charter, load_charter};
use crate::keys::{self, KeyFileError, KeyPurpose};
use crate::output::moment::now_ms;
use crate::publish::check_clocks;
use crate::session::Session;
use crate::statements::{acceptance_version, card_version};

/// Records that one organisation may have in a network made here.
const RECORDS_MAX: u32 = 100_000;

pub(super) async fn create(session: &Session, args: NetworkCreateArgs) -> Result<Exit, Failure> {
    let identity = Identity::load(&session.home)?;
    if let Some(charter) = load_charter(&session.home)? {
        return Err(Failure::new(Exit::Conflict, format!("this organisation is in {:?} already", charter.text.name))
            .hint("a second network needs a second home: fingerpost --home DIR init …"));
    }
    let root = keys::load(&session.home, KeyPurpose::Root)?;
    let node = session.node().await?;
    let status = node.status().await?;
    let now = now_ms();
    check_clocks(now, status.clock_ms)?;
    if !status.network.is_empty() {
        return Err(in_a_network(session, &identity, &status.charter));
    }
    let mut nonce = vec![0; 16];
    getrandom::fill(&mut nonce).map_err(|_| KeyFileError::Randomness)?;
    let bytes = v1::Charter {
        name: args.name.trim().to_owned(),
        purpose: args.purpose.trim().to_owned(),
        principles: args.principle,
        founders: vec![identity.org().0.to_vec()],
        vouches_needed: args.vouches_needed,
        objections_needed: args.objections_needed,
        lease_days_default: args.lease_days,
        lease_days_max: LEASE_DAYS_MAX,
        version_bytes_max: ENVELOPE_BYTES_MAX as u32,
        records_max: RECORDS_MAX,
        protocol_level_min: fingerpost_proto::PROTOCOL_LEVEL,
        licence_url: args.licence.unwrap_or_default(),
        nonce,
    }
    .encode_to_vec();
    let charter = Charter::read(&bytes)
        .map_err(|error| Failure::new(Exit::Usage, "this network cannot be founded").caused_by(&error))?;
    let unsigned =
        |error: &dyn std::error::Error| Failure::new(Exit::Invalid, "the charter cannot be signed").caused_by(error);
    let first = Hlc::default().next(now);
    let card = card_version(&root, &identity, charter.network, first).map_err(|error| unsigned(&error))?;
    let acceptance =
        acceptance_version(&identity, charter.network, first.next(now), None).map_err(|error| unsigned(&error))?;
    let envelopes = vec![card.envelope().to_vec(), acceptance.envelope().to_vec()];
    node.create_network(v1::CreateNetworkRequest { charter: bytes.clone(), envelopes }).await?;
    keep_charter(&session.home, &bytes)?;

    session.printer.object(
        "network-create/1",
        json!({
            "network": charter.network.to_string(),
            "name": charter.text.name,
            "founder": identity.org().to_string(),
        }),
    )?;
    session.printer.line(&format!("Founded       {}", charter.text.name))?;
    session.printer.line(&format!("Network       {}", charter.network))?;
    session.printer.line("Members       1 (yours)")?;
    session.printer.next("fingerpost invite; and publish what you have: fingerpost import FILE");
    Ok(Exit::Done)
}

/// The node has a network. When this organisation founded it and a crash lost our note of that, the note is made again.
fn in_a_network(session: &Session, identity: &Identity, charter: &[u8]) -> Failure {
    match Charter::read(charter) {
        Ok(read) if read.founders.contains(&identity.org()) => match keep_charter(&session.home, charter) {
            Ok(()) => {
                Failure::new(Exit::Conflict, format!("this organisation has founded {:?} already", read.text.name))
                    .hint("it is noted now; go on with: fingerpost invite")
            }
            Err(failure) => failure,
        },
        Ok(read) => Failure::new(Exit::Conflict, format!("the node is in {:?} already", read.text.name))
            .hint("join it with an invite: fingerpost join CODE; a node is in one network only"),
        Err(error) => Failure::new(Exit::Conflict, "the node is in a network already").caused_by(&error),
    }
}
