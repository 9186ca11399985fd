//! `status`: ten lines in plain words, warnings first, the next command last.

use fingerpost_proto::id::NetworkId;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1;
use serde_json::json;

use super::record::{DUE_DAYS, Record};
use crate::client::{Admin, NodeClient};
use crate::failure::{Exit, Failure};
use crate::host::HostClient;
use crate::identity::load_card;
use crate::output::escape::shown;
use crate::output::moment::{bytes, count, difference, now_ms, rfc3339, span};
use crate::publish::CLOCK_DIFFERENCE_MS_MAX;
use crate::session::Session;

/// Difference from the peers' clocks that is worth a warning, in milliseconds.
const CLOCK_AHEAD_MS_WARNING: u64 = 30_000;
/// Free space below which it is worth a warning, in bytes.
const DISK_FREE_BYTES_WARNING: u64 = 512 * 1024 * 1024;

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    let node = session.node().await?;
    let status = node.status().await?;
    let now = now_ms();
    let own = Own::fetch(session, &node, now).await?;
    let mut warnings = warnings(&status, &own, now);
    let host = node.host();
    if session.printer.is_json() {
        // Where people read, they were told when the line was made.
        warnings.extend(host.into_iter().flat_map(HostClient::complaints));
    }
    let sets: Vec<_> = status
        .sets
        .iter()
        .map(|set| {
            json!({
                "audience": audience(set.audience),
                "fingerprint": set.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
                "count": set.count, "live": set.live, "withdrawn": set.withdrawn, "lapsed": set.lapsed,
            })
        })
        .collect();
    let charter = Charter::read(&status.charter).ok();
    let network = NetworkId::from_slice(&status.network);
    session.printer.object(
        "status/1",
        json!({
            "software": status.software,
            "protocol_level": status.protocol_level,
            "node_key": status.node_key.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "started": rfc3339(status.started_ms),
            "clock": rfc3339(status.clock_ms),
            "clock_ahead_ms": status.clock_ahead_ms,
            "network": network.map(|network| network.to_string()),
            "network_name": charter.as_ref().map(|charter| charter.text.name.clone()),
            "members": status.members,
            "links": status.links,
            "mirror": status.mirror,
            "sets": sets,
            "quarantined": status.quarantined,
            "read_only_reason": status.read_only_reason,
            "disk_bytes": status.disk_bytes,
            "disk_free_bytes": status.disk_free_bytes,
            "peer_address": status.peer_address,
            "advertised_address": status.advertised_address,
            "feed_url": status.feed_url,
            "host": host.map(|host| host.host().name.clone()),
            "own": { "live": own.live, "due": own.due, "lapsed": own.lapsed, "withdrawn": own.withdrawn },
            "warnings": warnings,
        }),
    )?;
    for warning in &warnings {
        session.printer.line(&format!("!  {warning}"))?;
    }
    let up = span(now.saturating_sub(status.started_ms));
    let health = match (status.read_only_reason.is_empty(), status.mirror) {
        (false, _) => "read only",
        (true, true) => "running as a read-only mirror",
        (true, false) => "running",
    };
    let level = status.protocol_level;
    let network_line = match (&charter, network) {
        (Some(charter), _) => {
            let members = count(status.members as usize, "member");
            format!("{}, {members}, {} up", shown(&charter.text.name), count(status.links as usize, "link"))
        }
        (None, Some(network)) => network.to_string(),
        (None, None) => "none yet".to_owned(),
    };
    let sum = |of: fn(&v1::SetState) -> u64| status.sets.iter().map(of).sum::<u64>();
    let by_audience: Vec<String> =
        status.sets.iter().map(|set| format!("{} {}", set.live, audience(set.audience))).collect();
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { shown(text).into_owned() };
    let from_here = i64::try_from(i128::from(status.clock_ms) - i128::from(now)).unwrap_or(i64::MAX);
    let lines = [
        format!("Node          {health}, {}, protocol level {level}, up {up}", shown(&status.software)),
        format!("Network       {network_line}"),
        format!(
            "Records       {} live ({}), {} withdrawn, {} lapsed",
            sum(|set| set.live),
            by_audience.join(", "),
            sum(|set| set.withdrawn),
            sum(|set| set.lapsed)
        ),
        format!("Yours         {}", own.line()),
        format!(
            "Clock         {} from this machine, peers {} from the node",
            difference(from_here),
            difference(status.clock_ahead_ms)
        ),
        format!("Disk          {} used, {} free", bytes(status.disk_bytes), bytes(status.disk_free_bytes)),
        format!("Held back     {}", count(usize::try_from(status.quarantined).unwrap_or(usize::MAX), "version")),
        format!(
            "Peers dial    {} (listening on {})",
            or_none(&status.advertised_address),
            or_none(&status.peer_address)
        ),
        format!("Feed          {}", or_none(&status.feed_url)),
    ];
    // A host keeps its disk, its addresses and what waits there to itself.
    let told = if host.is_some() { &lines[..5] } else { &lines[..] };
    told.iter().try_for_each(|line| session.printer.line(line))?;
    if let Some(host) = host {
        session.printer.line(&format!(
            "Carried by    {}, {}",
            shown(&host.host().name),
            host.host().addresses.join(", ")
        ))?;
    }
    session.printer.next(next(&status, &own));
    // A check found differences: scripts notice, too.
    let is_withheld = host.is_some_and(|host| !host.withheld().is_empty());
    Ok(if is_withheld { Exit::Invalid } else { Exit::Done })
}

/// Counts of this organisation's own records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Own {
    exists: bool,
    live: usize,
    due: usize,
    lapsed: usize,
    withdrawn: usize,
}

impl Own {
    async fn fetch(session: &Session, node: &NodeClient, now: UnixMillis) -> Result<Own, Failure> {
        // The status of a node is of use to people without an organisation, too.
        let Ok(card) = load_card(&session.home) else { return Ok(Own::default()) };
        let request = v1::ListRequest {
            organisation: card.org.0.to_vec(),
            include_withdrawn: true,
            include_lapsed: true,
            ..Default::default()
        };
        let mut own = Own { exists: true, ..Own::default() };
        for entry in node.entries(request).await? {
            let record = Record::of(entry)?;
            if !record.kind().is_content() {
                continue;
            }
            match record.state(now) {
                "withdrawn" => own.withdrawn += 1,
                "lapsed" => own.lapsed += 1,
                state => {
                    own.live += 1;
                    own.due += usize::from(state == "due");
                }
            }
        }
        Ok(own)
    }

    fn line(&self) -> String {
        if !self.exists {
            return "no organisation in this home".to_owned();
        }
        let Own { live, due, lapsed, withdrawn, .. } = self;
        format!("{live} live, {due} to confirm within {DUE_DAYS} days, {lapsed} lapsed, {withdrawn} withdrawn")
    }
}

fn audience(number: u32) -> &'static str {
    Audience::from_number(number).map_or("other", Audience::name)
}

fn warnings(status: &v1::StatusReply, own: &Own, now: UnixMillis) -> Vec<String> {
    let mut warnings = Vec::new();
    if !status.read_only_reason.is_empty() {
        warnings.push(format!("the node takes no writes: {}", shown(&status.read_only_reason)));
    }
    let difference = now.abs_diff(status.clock_ms);
    if difference > CLOCK_DIFFERENCE_MS_MAX {
        warnings
            .push(format!("this machine's clock and the node's differ by {}; nothing can be signed", span(difference)));
    }
    if status.links > 0 && status.clock_ahead_ms.unsigned_abs() > CLOCK_AHEAD_MS_WARNING {
        let side = if status.clock_ahead_ms > 0 { "behind" } else { "ahead of" };
        warnings.push(format!(
            "the node's clock is {} {side} its peers'; set it: timedatectl set-ntp true",
            span(status.clock_ahead_ms.unsigned_abs())
        ));
    }
    if status.disk_free_bytes > 0 && status.disk_free_bytes < DISK_FREE_BYTES_WARNING {
        warnings.push(format!("only {} of disk are free", bytes(status.disk_free_bytes)));
    }
    if own.lapsed > 0 {
        warnings.push(format!("lapsed, so out of every feed: {} of yours", count(own.lapsed, "record")));
    }
    if !status.network.is_empty() && status.links == 0 && status.members > 1 {
        warnings.push(
            "the node is linked to nobody, so nothing goes out or comes in: fingerpost peers says why".to_owned(),
        );
    }
    warnings.extend(status.warnings.iter().map(|warning| shown(warning).into_owned()));
    warnings
}

fn next(status: &v1::StatusReply, own: &Own) -> &'static str {
    match own {
        Own { exists: false, .. } => "fingerpost init --name NAME",
        _ if status.network.is_empty() => "fingerpost join CODE",
        Own { lapsed: 1.., .. } => "fingerpost list --mine --due 0; then confirm or withdraw each",
        Own { due: 1.., .. } => "fingerpost confirm --due 30",
        Own { live: 0, .. } => "fingerpost import FILE",
        _ => "nothing to do",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> v1::StatusReply {
        v1::StatusReply {
            clock_ms: 1_000_000,
            network: vec![1; 32],
            members: 3,
            links: 2,
            disk_free_bytes: DISK_FREE_BYTES_WARNING,
            clock_ahead_ms: CLOCK_AHEAD_MS_WARNING as i64,
            ..Default::default()
        }
    }

    #[test]
    fn a_healthy_node_has_no_warning_and_each_trouble_has_one() {
        let now = 1_000_000 + CLOCK_DIFFERENCE_MS_MAX;
        assert_eq!(warnings(&healthy(), &Own::default(), now), Vec::<String>::new());
        let troubles = [
            v1::StatusReply { read_only_reason: "disk full".into(), ..healthy() },
            v1::StatusReply { clock_ms: 999_999, ..healthy() },
            v1::StatusReply { clock_ahead_ms: -(CLOCK_AHEAD_MS_WARNING as i64) - 1, ..healthy() },
            v1::StatusReply { disk_free_bytes: DISK_FREE_BYTES_WARNING - 1, ..healthy() },
            v1::StatusReply { links: 0, clock_ahead_ms: 0, ..healthy() },
            v1::StatusReply { warnings: vec!["x\x1b".into()], ..healthy() },
        ];
        for trouble in troubles {
            let warnings = warnings(&trouble, &Own::default(), now);
            assert_eq!(warnings.len(), 1, "{trouble:?}: {warnings:?}");
            assert!(!warnings[0].contains('\x1b'));
        }
        assert_eq!(warnings(&healthy(), &Own { lapsed: 2, ..Own::default() }, now).len(), 1);
    }

    #[test]
    fn the_next_command_is_the_first_thing_that_is_missing() {
        let own = Own { exists: true, ..Own::default() };
        assert!(next(&healthy(), &Own::default()).contains("init"));
        assert!(next(&v1::StatusReply::default(), &own).contains("join"));
        assert!(next(&healthy(), &own).contains("import"));
        assert!(next(&healthy(), &Own { live: 3, due: 1, ..own }).contains("confirm"));
        assert!(next(&healthy(), &Own { live: 3, lapsed: 1, ..own }).contains("--due 0"));
        assert_eq!(next(&healthy(), &Own { live: 3, ..own }), "nothing to do");
    }
}
