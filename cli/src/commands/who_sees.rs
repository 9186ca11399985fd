//! `who-sees ID`, `who-sees --audience AUDIENCE`: who can read a record, or would, and what in it tells a place or a person.
//!
//! Prints names of fields only, never what is in them.

use std::collections::BTreeSet;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::v1;
use serde_json::{Value, json};

use super::record::Record;
use super::show;
use crate::args::WhoSeesArgs;
use crate::failure::{Exit, Failure};
use crate::output::fields;
use crate::output::moment::{count, now_ms};
use crate::session::Session;

/// Fields that tell where a place is or who a person is, by the end of their path in the schema.
const TELLING: [&str; 14] = [
    "addresses",
    "latitude_e7",
    "longitude_e7",
    "external_identifier",
    "map_url",
    "transportation",
    "location_text",
    "geojson",
    "phones.number",
    "email",
    "assurer_email",
    "contacts.name",
    "contacts.email",
    "contacts.phones.number",
];

pub(super) async fn run(session: &Session, args: WhoSeesArgs) -> Result<Exit, Failure> {
    let node = session.node().await?;
    let (records, audiences) = match (&args.id, &args.audience) {
        (Some(id), _) => {
            let records = show::find(session, &node, id, args.org.as_deref()).await.map_err(|failure| {
                failure.hint("not published yet? who would read it: fingerpost who-sees --audience public (or members)")
            })?;
            let audiences: BTreeSet<Audience> = records.iter().map(|record| record.version.header().audience).collect();
            (records, audiences)
        }
        (None, Some(name)) if name == Audience::Members.name() => (Vec::new(), BTreeSet::from([Audience::Members])),
        (None, _) => (Vec::new(), BTreeSet::from([Audience::Public])),
    };
    // What is public is public, whatever else there is of that name.
    let audience = audiences.first().copied().unwrap_or(Audience::Public);
    let mut members = Vec::new();
    if audience == Audience::Members {
        members = node.members().await?;
        members.retain(|member| member.member);
    }
    session.printer.object("who-sees/1", object(&records, audience, &members))?;
    for record in &records {
        let name = record.local_id();
        let named = if name.is_empty() { record.version.header().record.to_string() } else { name.to_owned() };
        session.printer.line(&format!("Record        {}:{named}, for {audience}", record.kind()))?;
    }
    match audience {
        Audience::Public => public(session)?,
        Audience::Members => members_only(session, &members)?,
    }
    records.iter().try_for_each(|record| contents(session, record))?;
    Ok(Exit::Done)
}

fn object(records: &[Record], audience: Audience, members: &[v1::MemberState]) -> Value {
    let members = members.iter().map(|member| {
        json!({
            "organisation": OrgId::from_slice(&member.organisation).map(|org| org.to_string()),
            "name": member.name,
            "blocked_here": member.blocked,
        })
    });
    let now = now_ms();
    let records = records.iter().map(|record| {
        json!({
            "record": record.version.header().record.to_string(),
            "kind": record.kind().to_string(),
            "local_id": record.local_id(),
            "organisation": record.version.header().org.to_string(),
            "state": record.state(now),
            "tells": telling(record.kind(), record.version.body()),
        })
    });
    json!({
        "audience": audience.name(),
        "anybody": audience == Audience::Public,
        "members": members.collect::<Vec<_>>(),
        "records": records.collect::<Vec<_>>(),
    })
}

fn public(session: &Session) -> Result<(), Failure> {
    let lines = [
        "Who reads it  anybody: readers of this node's feed and of every other, mirrors, search engines, apps",
        "Who keeps it  every node of the network, and whoever copies from one",
        "Taking back   fingerpost withdraw: every node erases it when that arrives; copies elsewhere cannot be called back",
    ];
    lines.iter().try_for_each(|line| session.printer.line(line))
}

fn members_only(session: &Session, members: &[v1::MemberState]) -> Result<(), Failure> {
    let number = count(members.len(), "organisation");
    session.printer.line(&format!("Who reads it  the nodes of {number}, and whoever runs or uses them"))?;
    for member in members {
        let id = OrgId::from_slice(&member.organisation).map_or_else(|| "?".to_owned(), |org| org.short());
        let name = if member.name.is_empty() { "unknown name" } else { &member.name };
        let blocked = if member.blocked { ", blocked here: it gets it from other nodes" } else { "" };
        session.printer.line(&format!("  {name} ({id}){blocked}"))?;
    }
    let lines = [
        "Who joins     reads it too, from that day on",
        "Who does not  readers of feeds, mirrors and search engines",
        "Taking back   fingerpost withdraw: each node erases its copy when that arrives; what somebody copied out stays with them",
    ];
    lines.iter().try_for_each(|line| session.printer.line(line))
}

fn contents(session: &Session, record: &Record) -> Result<(), Failure> {
    if record.version.is_withdrawal() {
        return session.printer.line("It tells      nothing any more: it is withdrawn");
    }
    let Some(telling) = telling(record.kind(), record.version.body()) else {
        return session.printer.line("It tells      unknown: this program does not know its kind, look at it yourself");
    };
    let named =
        if telling.is_empty() { "no place or person by a field of its own".to_owned() } else { telling.join(", ") };
    session.printer.line(&format!("It tells      {named}"))?;
    session.printer.line("Not searched  descriptions and other free texts: read them once more yourself")
}

/// Paths of stated fields that tell a place or a person, without positions in lists, in the order of the schema; of a translated
/// text its field. `None` for kinds and bodies that cannot be read.
fn telling(kind: Kind, body: &[u8]) -> Option<Vec<String>> {
    if !matches!(kind, Kind::ORGANISATION | Kind::SERVICE | Kind::LOCATION | Kind::EVENT) {
        return None;
    }
    if !body.is_empty() {
        fields::json(kind, body)?;
    }
    let mut found: Vec<String> = Vec::new();
    for (path, text) in fields::lines(kind, body) {
        let path: Vec<&str> = path.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect();
        let path = if path == ["translations", "texts", "field"] { text } else { path.join(".") };
        // An address is named once, not by each of its lines.
        let path = if path.starts_with("addresses.") { "addresses".to_owned() } else { path };
        let is_telling = TELLING.iter().any(|end| path == *end || path.ends_with(&format!(".{end}")));
        if is_telling && !found.contains(&path) {
            found.push(path);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prost::Message;

    use super::*;

    #[test]
    fn what_tells_a_place_or_a_person_is_named_and_never_shown() {
        let body = v1::Location {
            local_id: "house".into(),
            name: "Lantern House".into(),
            addresses: vec![v1::Address { line_1: "4 Mill Lane".into(), city: "Harbour".into(), ..Default::default() }],
            latitude_e7: Some(0),
            longitude_e7: Some(1),
            phones: vec![v1::Phone { number: "0115 496 0123".into(), ..Default::default() }],
            areas: vec![v1::Area { name: "North".into(), geojson: "{}".into(), ..Default::default() }],
            assurer_email: "desk@example.org".into(),
            ..Default::default()
        };
        let found = telling(Kind::LOCATION, &body.encode_to_vec()).unwrap();
        let expected = ["assurer_email", "addresses", "latitude_e7", "longitude_e7", "phones.number", "areas.geojson"];
        assert_eq!(found, expected, "the equator is a place, too");
        let contact = v1::Contact { name: "A".into(), email: "a@example.org".into(), ..Default::default() };
        let body = v1::Service {
            local_id: "advice".into(),
            contacts: vec![contact.clone(), contact],
            locations: vec![v1::ServiceLocation {
                phones: vec![v1::Phone { number: "1".into(), ..Default::default() }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let found = telling(Kind::SERVICE, &body.encode_to_vec()).unwrap();
        assert_eq!(found, ["contacts.name", "contacts.email", "locations.phones.number"]);
    }

    #[test]
    fn a_translation_tells_what_its_field_tells() {
        let text = v1::FieldText { field: "location_text".into(), text: "x".into() };
        let body = v1::Event {
            local_id: "choir".into(),
            translations: vec![v1::Translation { language: "ar".into(), texts: vec![text] }],
            ..Default::default()
        };
        assert_eq!(telling(Kind::EVENT, &body.encode_to_vec()).unwrap(), ["location_text"]);
    }

    #[test]
    fn of_a_kind_or_body_that_cannot_be_read_nothing_is_claimed() {
        assert_eq!(telling(Kind(77), &[]), None);
        assert_eq!(telling(Kind::SERVICE, b"\xff\xff"), None);
        assert_eq!(telling(Kind::SERVICE, &[]), Some(Vec::new()));
    }

    #[test]
    fn every_field_that_counts_as_telling_is_in_the_schema() {
        let schema = include_str!("../../../proto/schema/fingerpost/v1/record.proto");
        for field in TELLING.iter().filter_map(|path| path.rsplit('.').next()) {
            assert!(schema.contains(&format!(" {field} = ")), "{field}");
        }
    }
}
