//! Who says so, since when and until when: the `x_fingerpost` key of every record in every output.
//!
//! Spec: `spec/10-feed.md`, section 6.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::v1;
use serde_json::Value;

use super::object::Object;
use crate::feed::directory::Entry;
use crate::feed::instant;
use crate::feed::request::Ask;
use crate::feed::safe;

/// What the first fields of every body say about where it comes from.
pub(crate) struct Origin<'a> {
    pub(crate) role: v1::Role,
    pub(crate) same_as: &'a [Vec<u8>],
    pub(crate) replaces: &'a [Vec<u8>],
    pub(crate) assurer_email: &'a str,
    pub(crate) source_url: &'a str,
}

/// The [`Origin`] of any body message: they share these fields but no type.
macro_rules! origin {
    ($body:expr) => {
        $crate::feed::hsds::provenance::Origin {
            role: $body.role(),
            same_as: &$body.same_as,
            replaces: &$body.replaces,
            assurer_email: &$body.assurer_email,
            source_url: &$body.source_url,
        }
    };
}
pub(crate) use origin;

/// The words for a role; empty when none is stated.
pub(crate) fn role_name(role: v1::Role) -> &'static str {
    match role {
        v1::Role::Owner => "owner",
        v1::Role::Assurer => "assurer",
        v1::Role::Compiler => "compiler",
        v1::Role::Unspecified => "",
    }
}

/// When the content last changed; the signing time when the body does not say, or says something impossible.
pub(crate) fn modified_ms(entry: &Entry, stated: u64) -> u64 {
    if stated == 0 || stated > entry.hlc.ms() { entry.hlc.ms() } else { stated }
}

/// Whether the publisher's name may be in the output. It is on the publisher's card, not in the record: an RPDE item
/// that repeated it would change without a new change number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublisherName {
    Shown,
    LeftOut,
}

/// The `x_fingerpost` object of a record, to which a kind may add.
pub(crate) fn provenance(ask: &Ask, entry: &Entry, origin: &Origin<'_>, name: PublisherName) -> Object {
    let ids = |ids: &[Vec<u8>]| -> Vec<Value> {
        ids.iter().filter_map(|id| RecordId::from_slice(id)).map(|id| Value::from(id.to_string())).collect()
    };
    let shown_name = if name == PublisherName::Shown { safe::line(&entry.publisher_name) } else { String::new() };
    let publisher = Object::default().text("id", &entry.org.to_string()).text("name", &shown_name);
    Object::default()
        .value("publisher", Some(publisher.done()))
        .text("role", role_name(origin.role))
        .text("last_confirmed", &instant::rfc3339(entry.hlc.ms()))
        .text("lease_until", &instant::rfc3339(entry.lease_until.start_ms()))
        .text("vid", &entry.vid.to_string())
        .text("signed", &ask.url(&format!("/records/{}/signed", entry.record)))
        .url("source", origin.source_url)
        .list("same_as", ids(origin.same_as))
        .list("replaces", ids(origin.replaces))
}

/// Name of the publisher for people, as one harmless line; the short id when the card gives none.
pub(crate) fn publisher_name(entry: &Entry) -> String {
    let name = safe::line(&entry.publisher_name);
    if name.is_empty() { format!("Publisher {}", entry.org.short()) } else { name }
}
