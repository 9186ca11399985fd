//! Bodies of content records, under the record id that they ask for.

use fingerpost_cli::output::fields;
use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::record::{self, Body};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::version::Header;

/// The publisher of every body here.
pub const PUBLISHER: OrgId = OrgId([7; 32]);
/// 2026-03-01T09:30:00Z, Unix milliseconds.
pub const NOW_MS: u64 = 1_772_357_400_000;
/// The kinds of which a first byte chooses one; the last is of a later schema.
const KINDS: [Kind; 5] = [Kind::ORGANISATION, Kind::SERVICE, Kind::LOCATION, Kind::EVENT, Kind(77)];

/// First byte: kind and audience. Then the body.
pub fn run(bytes: &[u8]) {
    let Some((header, body, bytes)) = read(bytes) else { return };
    let checked = record::check(&header, bytes);
    let shown = fields::lines(header.kind, bytes);
    assert_eq!(fields::json(header.kind, bytes).is_none(), Body::decode(header.kind, bytes).is_err());
    if let Ok(checked) = checked {
        assert_eq!(checked, body);
        assert!(!shown.is_empty(), "a body that is accepted states its local id at least");
        let again = Body::decode(header.kind, &checked.encode()).expect("what was written is read");
        assert_eq!(again, checked);
    }
}

/// Kind and body of these bytes, and the header under which it could be published; `None` when it is no message.
pub fn read(bytes: &[u8]) -> Option<(Header, Body, &[u8])> {
    let (first, bytes) = bytes.split_first()?;
    let kind = KINDS[usize::from(*first) % KINDS.len()];
    let audience = if *first >= 0x80 { Audience::Members } else { Audience::Public };
    let body = Body::decode(kind, bytes).ok()?;
    Some((header(kind, audience, body.local_id()), body, bytes))
}

/// The header of a version of the record with this local id.
pub fn header(kind: Kind, audience: Audience, local_id: &str) -> Header {
    Header {
        audience,
        kind,
        network: NetworkId([1; 32]),
        org: PUBLISHER,
        record: RecordId::derive(&PUBLISHER, kind, audience, local_id),
        device: [4; 32],
        hlc: Hlc::new(NOW_MS, 0),
        prev: [0; 8],
        lease_until: UnixHour::containing(NOW_MS).plus_days(180),
    }
}
