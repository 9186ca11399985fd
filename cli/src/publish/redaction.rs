//! Redacting: the version that takes a record's place, and the order to erase all that was before it, signed together.

use fingerpost_proto::id::{RecordId, Vid};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::REDACTION_LEASE_DAYS_MAX;
use fingerpost_proto::redaction::Redaction;
use fingerpost_proto::time::UnixHour;
use fingerpost_proto::v1;
use fingerpost_proto::v1::publish_result::Outcome;
use fingerpost_proto::version::{Header, SignedVersion, VersionError};

use super::{Change, Desk};
use crate::client::Admin;
use crate::failure::{Exit, Failure};

/// What was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The record.
    pub record: RecordId,
    /// Its kind.
    pub kind: Kind,
    /// Its audience.
    pub audience: Audience,
    /// The version that stands in its place.
    pub replaced_by: Vid,
}

impl Desk<'_> {
    /// Signs `change`, or takes the version that stands in the record's place when there is none, and the redaction that
    /// names it; hands both in as one request.
    ///
    /// Errors: what the node says of either; nothing is left half done, and asking again does no harm.
    pub async fn redact<A: Admin>(
        &self,
        node: &A,
        record: &RecordId,
        change: Option<&Change>,
    ) -> Result<Ordered, Failure> {
        let unsigned = |error: VersionError| Failure::new(Exit::Invalid, "nothing was signed").caused_by(&error);
        let version = match (change, self.holdings().get(record)) {
            (Some(change), _) => self.identity.device.sign_version(&change.header, &change.body).map_err(unsigned)?,
            (None, Some(current)) => current.version.clone(),
            (None, None) => return Err(Failure::new(Exit::Invalid, format!("there is no record {record}"))),
        };
        let redaction = self.redaction(node, &version).await?;
        let mut envelopes = vec![redaction.map_err(unsigned)?.envelope().to_vec()];
        if change.is_some() {
            envelopes.insert(0, version.envelope().to_vec());
        }
        let delivery = node.publish(vec![v1::PublishRequest { envelopes }], |_| {}).await;
        if let Some(broken) = delivery.broken {
            return Err(broken.hint("run the same command again: what has arrived is not sent twice"));
        }
        for result in &delivery.results {
            match result.outcome() {
                Outcome::Published | Outcome::Duplicate => {}
                Outcome::Superseded => {
                    return Err(Failure::new(Exit::Conflict, "somebody changed the record meanwhile")
                        .hint("look at it and run the command again: fingerpost show RECORD"));
                }
                Outcome::Rejected | Outcome::Unspecified => {
                    return Err(Failure::new(Exit::of_rejection(&result.error), "the node did not take it")
                        .because(format!("{} [{}]", result.message, result.error)));
                }
            }
        }
        let (header, replaced_by) = (version.header(), version.vid());
        Ok(Ordered { record: *record, kind: header.kind, audience: header.audience, replaced_by })
    }

    async fn redaction<A: Admin>(
        &self,
        node: &A,
        version: &SignedVersion,
    ) -> Result<Result<SignedVersion, VersionError>, Failure> {
        let (org, of) = (self.identity.org(), *version.header());
        let request = v1::ListRequest {
            organisation: org.0.to_vec(),
            kind: Kind::REDACTION.0.into(),
            include_withdrawn: true,
            include_lapsed: true,
            ..Default::default()
        };
        let id = Redaction::id_for(&org, of.audience, &of.record);
        let known =
            node.entries(request).await?.into_iter().filter_map(|entry| SignedVersion::read(entry.envelope).ok());
        let before = known.filter(|known| known.header().record == id).max_by_key(|known| known.header().hlc);
        let newest = before.as_ref().map_or(of.hlc, |before| before.header().hlc).max(of.hlc).max(self.clock);
        let hlc = newest.next(self.now_ms);
        let header = Header {
            kind: Kind::REDACTION,
            record: id,
            device: *self.identity.device.public().as_bytes(),
            hlc,
            prev: before.map_or([0; 8], |before| before.vid().prefix()),
            lease_until: UnixHour::containing(hlc.ms()).plus_days(REDACTION_LEASE_DAYS_MAX),
            ..of
        };
        let redaction = Redaction { record: of.record, kind: of.kind, replaced_by: version.vid(), clock: of.hlc };
        Ok(self.identity.device.sign_version(&header, &redaction.write()))
    }
}
