//! One entry of the node, read for showing.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::record::Body;
use fingerpost_proto::time::{DAY_MS, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use serde_json::{Value, json};

use crate::client::NodeClient;
use crate::failure::{Exit, Failure};
use crate::output::moment::{rfc3339, span};

/// Days before the end of a lease from which a record is called due.
pub(super) const DUE_DAYS: u64 = 30;

/// A record as lists and `show` present it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) version: SignedVersion,
    /// Decoded content kinds only.
    pub(super) body: Option<Body>,
    pub(super) publisher_name: String,
    pub(super) lapsed: bool,
    pub(super) held_by: u32,
    pub(super) arrival: u64,
}

impl Record {
    /// Reads an entry. Errors: invalid, when the node sends what is no version.
    pub(super) fn of(entry: v1::Entry) -> Result<Record, Failure> {
        let version = SignedVersion::read(entry.envelope)
            .map_err(|error| Failure::new(Exit::Invalid, "the node sent something unreadable").caused_by(&error))?;
        let kind = version.header().kind;
        let is_content = kind.is_content() && !version.is_withdrawal();
        let body = if is_content { Body::decode(kind, version.body()).ok() } else { None };
        let (publisher_name, lapsed) = (entry.publisher_name, entry.lapsed);
        Ok(Record { version, body, publisher_name, lapsed, held_by: entry.held_by, arrival: entry.arrival })
    }

    pub(super) fn kind(&self) -> Kind {
        self.version.header().kind
    }

    pub(super) fn name(&self) -> &str {
        self.body.as_ref().map_or("", Body::name)
    }

    pub(super) fn local_id(&self) -> &str {
        self.body.as_ref().map_or("", Body::local_id)
    }

    /// When a person last said that it is correct: the version's own clock.
    pub(super) fn confirmed_ms(&self) -> UnixMillis {
        self.version.header().hlc.ms()
    }

    /// End of the lease; `None` for withdrawals and network kinds.
    pub(super) fn lease_ends_ms(&self) -> Option<UnixMillis> {
        let until = self.version.header().lease_until;
        (until.0 > 0).then(|| until.start_ms())
    }

    /// `live`, `due`, `lapsed` or `withdrawn`: stable for scripts.
    pub(super) fn state(&self, now: UnixMillis) -> &'static str {
        match self.lease_ends_ms() {
            _ if self.version.is_withdrawal() => "withdrawn",
            Some(ends) if self.lapsed || ends <= now => "lapsed",
            Some(ends) if ends - now <= DUE_DAYS * DAY_MS => "due",
            _ => "live",
        }
    }

    /// The state in words.
    pub(super) fn state_words(&self, now: UnixMillis) -> String {
        match (self.state(now), self.lease_ends_ms()) {
            ("due", Some(ends)) => format!("confirm within {}", span(ends.saturating_sub(now))),
            ("lapsed", Some(ends)) => format!("lapsed {} ago", span(now.saturating_sub(ends))),
            (state, _) => state.to_owned(),
        }
    }

    /// The fields that every record has in JSON.
    pub(super) fn json(&self, now: UnixMillis) -> Value {
        let header = self.version.header();
        json!({
            "record": header.record.to_string(),
            "kind": header.kind.to_string(),
            "audience": header.audience.name(),
            "local_id": self.local_id(),
            "name": self.name(),
            "organisation": header.org.to_string(),
            "publisher": self.publisher_name,
            "state": self.state(now),
            "confirmed": rfc3339(self.confirmed_ms()),
            "lease_ends": self.lease_ends_ms().and_then(rfc3339),
            "vid": self.version.vid().to_string(),
            "held_by": self.held_by,
        })
    }
}

/// The organisation that a text names: its id, the first 8 or more characters of it, or its whole name.
pub(super) async fn find_organisation(node: &NodeClient, text: &str) -> Result<OrgId, Failure> {
    if let Ok(org) = text.parse() {
        return Ok(org);
    }
    let prefix = text.to_ascii_lowercase();
    let members = node.members().await?;
    let named = members.iter().filter_map(|member| {
        let org = OrgId::from_slice(&member.organisation)?;
        let fits = member.name == text || (prefix.len() >= 8 && org.to_string().starts_with(&prefix));
        fits.then_some(org)
    });
    match named.collect::<Vec<_>>().as_slice() {
        [org] => Ok(*org),
        [] => Err(Failure::new(Exit::Usage, format!("no organisation is called {text:?}")).hint(
            "see them: fingerpost members; one that nobody here knows yet is named by its whole id of 64 characters",
        )),
        several => Err(several
            .iter()
            .fold(
                Failure::new(Exit::Usage, format!("{text:?} names {} organisations", several.len())),
                |failure, org| failure.because(org.to_string()),
            )
            .hint("use the id of one of them")),
    }
}
