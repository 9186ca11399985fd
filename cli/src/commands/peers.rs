//! `peers`: which nodes this node talks to, and why not to others.

use fingerpost_proto::id::OrgId;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::moment::{difference, now_ms, relative, rfc3339};
use crate::session::Session;

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    let peers = session.node().await?.peers().await?;
    let now = now_ms();
    let objects: Vec<_> = peers
        .iter()
        .map(|peer| {
            json!({
                "node_key": hex(&peer.node_key),
                "organisation": hex(&peer.organisation),
                "name": peer.name,
                "address": peer.address,
                "state": peer.state,
                "reason": peer.reason,
                "outbound": peer.outbound,
                "since": rfc3339(peer.since_ms),
                "last_seen": rfc3339(peer.last_seen_ms),
                "clock_ahead_ms": peer.clock_ahead_ms,
                "in_sync": peer.in_sync,
                "received_versions": peer.received_versions,
                "sent_versions": peer.sent_versions,
                "round_trip_us": peer.round_trip_us,
            })
        })
        .collect();
    session.printer.object("peers/1", json!({ "peers": objects }))?;
    if peers.is_empty() {
        session.printer.note("This node talks to nobody yet.");
        session.printer.next("fingerpost members; fingerpost invite");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let is_linked = peer.state == "linked";
            let name = match OrgId::from_slice(&peer.organisation) {
                _ if !peer.name.is_empty() => peer.name.clone(),
                Some(org) => org.short(),
                None => hex(&peer.node_key).chars().take(16).collect(),
            };
            vec![
                name,
                if peer.reason.is_empty() { peer.state.clone() } else { format!("{}: {}", peer.state, peer.reason) },
                if is_linked { yes(peer.in_sync, "in sync", "catching up") } else { "-".to_owned() },
                if peer.last_seen_ms == 0 { "never".to_owned() } else { relative(peer.last_seen_ms, now) },
                if is_linked { difference(peer.clock_ahead_ms) } else { "-".to_owned() },
                if is_linked { format!("{:.1} ms", peer.round_trip_us as f64 / 1_000.0) } else { "-".to_owned() },
                peer.address.clone(),
            ]
        })
        .collect();
    session.printer.table(&["peer", "state", "records", "seen", "clock", "away", "address"], &rows)?;
    Ok(Exit::Done)
}

fn yes(is: bool, yes: &str, no: &str) -> String {
    if is { yes } else { no }.to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
