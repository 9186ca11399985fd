//! Lists of records for admins: of both audiences, of one publisher or all.

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use tokio::sync::mpsc;
use tonic::Status;

use super::{AdminService, is_listed, stopped};
use crate::catalogue::Catalogue;
use crate::store::Row;

/// Entries in one message of a list.
const ENTRIES_PER_REPLY: usize = 64;
/// Bytes of envelopes in one message of a list.
const BYTES_PER_REPLY: usize = 1024 * 1024;
/// Slots that are looked up at once.
const SLOTS_PER_LOOK: usize = 4_096;

/// What to list.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    org: Option<OrgId>,
    kind: Option<Kind>,
    include_withdrawn: bool,
    include_lapsed: bool,
    limit: u64,
}

impl Wanted {
    pub(super) fn read(request: &v1::ListRequest) -> Result<Wanted, Status> {
        let org = match request.organisation.as_slice() {
            [] => None,
            bytes => Some(OrgId::from_slice(bytes).ok_or_else(|| Status::invalid_argument("an OrgId has 32 bytes"))?),
        };
        let kind = u16::try_from(request.kind).map_err(|_| Status::invalid_argument("a kind is at most 65535"))?;
        Ok(Wanted {
            org,
            kind: (kind != 0).then_some(Kind(kind)),
            include_withdrawn: request.include_withdrawn,
            include_lapsed: request.include_lapsed,
            limit: if request.limit == 0 { u64::MAX } else { request.limit },
        })
    }
}

/// Lists in the order of set keys, in the background, as fast as the asker reads.
pub(super) async fn list(
    service: &AdminService,
    wanted: Wanted,
) -> Result<mpsc::Receiver<Result<v1::ListReply, Status>>, Status> {
    let (sender, receiver) = mpsc::channel(4);
    let (driver, catalogue) = (service.driver.clone(), service.catalogue.clone());
    tokio::spawn(async move {
        let mut left = wanted.limit;
        for audience in Audience::ALL {
            let class = wanted.kind.map_or(Class::Record, Kind::class);
            let first = wanted.org.map(|org| SetKey::first_of(class, &org));
            let mut from = first.unwrap_or_default();
            loop {
                let looked = driver.look(move |view| slots(view, audience, from, first)).await;
                let Ok(slots) = looked.map_err(stopped) else { return };
                let Some((last, _, _)) = slots.last() else { break };
                let Some(next) = successor(last.key) else { break };
                from = next;
                let mut reply = v1::ListReply::default();
                let mut bytes = 0;
                for (slot, _, held_by) in slots {
                    let entry = match catalogue.row(&slot) {
                        Ok(Some(row)) => entry(&catalogue, row, held_by as u32),
                        Ok(None) => None,
                        Err(error) => {
                            let _ = sender.send(Err(Status::data_loss(error.to_string()))).await;
                            return;
                        }
                    };
                    let Some(entry) = entry.filter(|(entry, version)| is_wanted(&wanted, entry, version)) else {
                        continue;
                    };
                    if left == 0 {
                        break;
                    }
                    left -= 1;
                    bytes += entry.0.envelope.len();
                    reply.entries.push(entry.0);
                    if reply.entries.len() >= ENTRIES_PER_REPLY || bytes >= BYTES_PER_REPLY {
                        bytes = 0;
                        if sender.send(Ok(std::mem::take(&mut reply))).await.is_err() {
                            return;
                        }
                    }
                }
                if !reply.entries.is_empty() && sender.send(Ok(reply)).await.is_err() {
                    return;
                }
                if left == 0 {
                    return;
                }
            }
        }
    });
    Ok(receiver)
}

/// One record: by its id, or by publisher and local id.
pub(super) async fn show(service: &AdminService, request: v1::ShowRequest) -> Result<v1::ShowReply, Status> {
    let record = match RecordId::from_slice(&request.record_id) {
        Some(record) => Some(record),
        None if request.record_id.is_empty() => None,
        None => return Err(Status::invalid_argument("a record id has 16 bytes")),
    };
    let known = record.and_then(|record| service.catalogue.slot(&record));
    if let Some(slot) = known {
        let row = service.catalogue.row(&slot).map_err(|error| Status::data_loss(error.to_string()))?;
        let vid = row.as_ref().map(|row| row.vid);
        let held_by = service.driver.look(move |view| view.node.zip(vid).map_or(0, |(node, vid)| node.held_by(&vid)));
        let held_by = held_by.await.map_err(stopped)?;
        let entries = row.and_then(|row| entry(&service.catalogue, row, held_by as u32)).map(|(entry, _)| entry);
        return Ok(v1::ShowReply { entries: entries.into_iter().collect() });
    }
    let org = OrgId::from_slice(&request.organisation);
    let wanted = move |entry: &v1::Entry| {
        let Ok(version) = SignedVersion::read(entry.envelope.clone()) else { return false };
        let header = version.header();
        match record {
            Some(record) => header.record == record,
            None => {
                org.is_none_or(|org| header.org == org)
                    && RecordId::derive(&header.org, header.kind, header.audience, &request.local_id) == header.record
            }
        }
    };
    let all = Wanted { org, kind: None, include_withdrawn: true, include_lapsed: true, limit: u64::MAX };
    let mut replies = list(service, all).await?;
    let mut entries = Vec::new();
    while let Some(reply) = replies.recv().await {
        entries.extend(reply?.entries.into_iter().filter(|entry| wanted(entry)));
    }
    Ok(v1::ShowReply { entries })
}

fn slots(
    view: &crate::driver::View<'_>,
    audience: Audience,
    from: SetKey,
    prefix: Option<SetKey>,
) -> Vec<(Slot, OrgId, usize)> {
    let Some(node) = view.node else { return Vec::new() };
    let is_inside = |key: &SetKey| prefix.is_none_or(|prefix| key.0[..8] == prefix.0[..8]);
    let entries = node.set(audience).range(&from, None).take_while(|(key, _)| is_inside(key));
    entries
        .take(SLOTS_PER_LOOK)
        .filter_map(|(key, entry)| {
            let slot = Slot { audience, key };
            let (publisher, _) = node.winner(&slot)?;
            Some((slot, publisher, node.held_by(&entry.vid)))
        })
        .collect()
}

fn entry(catalogue: &Catalogue, row: Row, held_by: u32) -> Option<(v1::Entry, SignedVersion)> {
    let version = SignedVersion::read(row.envelope.clone()).ok()?;
    let publisher_name = catalogue.publisher_name(&version.header().org);
    let entry = v1::Entry { envelope: row.envelope, arrival: row.arrival, lapsed: row.lapsed, publisher_name, held_by };
    Some((entry, version))
}

fn is_wanted(wanted: &Wanted, entry: &v1::Entry, version: &SignedVersion) -> bool {
    is_listed(version.header().kind, wanted.kind)
        && wanted.org.is_none_or(|org| version.header().org == org)
        && (wanted.include_withdrawn || !version.is_withdrawal())
        && (wanted.include_lapsed || !entry.lapsed)
}

fn successor(key: SetKey) -> Option<SetKey> {
    u128::from_be_bytes(key.0).checked_add(1).map(|next| SetKey(next.to_be_bytes()))
}
