//! The fast way to publish: versions signed here and handed in over the admin socket, without a process for each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fingerpost_cli::client::{Admin, NodeClient};
use fingerpost_cli::identity::{Identity, load_charter};
use fingerpost_cli::publish::ENVELOPES_PER_REQUEST_MAX;
use fingerpost_proto::id::{NetworkId, RecordId};
use fingerpost_proto::kind::Audience;
use fingerpost_proto::record::Body;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::v1::publish_result::Outcome;
use fingerpost_proto::version::{Header, SignedVersion};
use tokio::runtime::Runtime;

use super::{ClusterError, Node};

/// Lease of what is published here.
const LEASE_DAYS: u32 = 180;

/// Signs for the organisation of a home and hands in at one node, over one connection.
///
/// Not for use inside an asynchronous runtime: it has its own. Sole user of its organisation's device meanwhile: it
/// keeps clock and previous versions to itself.
pub struct Publisher {
    runtime: Runtime,
    client: NodeClient,
    identity: Identity,
    network: NetworkId,
    name: String,
    clock: Hlc,
    current: BTreeMap<RecordId, SignedVersion>,
}

/// What the node answered for one version.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The version, on stable storage at the node.
    pub version: SignedVersion,
    /// From handing in to reading the reply of its request.
    pub took: Duration,
}

impl Publisher {
    /// Speaks for the organisation in `home` to the node `at`. They are the same unless the organisation is hosted.
    pub fn open(home: &Node, at: &Node) -> Result<Publisher, ClusterError> {
        let refused = |reason: String| ClusterError::Refused { name: home.name().to_owned(), reason };
        let identity = Identity::load(home.home()).map_err(|failure| refused(failure.to_string()))?;
        let charter = load_charter(home.home()).map_err(|failure| refused(failure.to_string()))?;
        let network = charter.ok_or_else(|| refused("it is in no network".to_owned()))?.network;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClusterError::system("an asynchronous runtime"))?;
        let (client, entries, status) = runtime
            .block_on(async {
                let client = NodeClient::connect(&at.socket(), at.home()).await?;
                let request = v1::ListRequest {
                    organisation: identity.org().0.to_vec(),
                    include_withdrawn: true,
                    include_lapsed: true,
                    ..Default::default()
                };
                let entries = client.entries(request).await?;
                let status = client.status().await?;
                Ok((client, entries, status))
            })
            .map_err(|failure: fingerpost_cli::failure::Failure| refused(failure.to_string()))?;
        let mut clock = Hlc(status.hlc_max);
        let mut current = BTreeMap::new();
        for entry in entries {
            let version = SignedVersion::read(entry.envelope).map_err(|error| refused(error.to_string()))?;
            clock = clock.max(version.header().hlc);
            current.insert(version.header().record, version);
        }
        Ok(Publisher { runtime, client, identity, network, name: at.name().to_owned(), clock, current })
    }

    /// Every record of this organisation that the node had, or that was published here since, newest version.
    pub fn current(&self) -> &BTreeMap<RecordId, SignedVersion> {
        &self.current
    }

    /// Id of the record with this content.
    pub fn record(&self, audience: Audience, body: &Body) -> RecordId {
        RecordId::derive(&self.identity.org(), body.kind(), audience, body.local_id())
    }

    /// Signs the next version of the record with this content.
    pub fn sign(&mut self, audience: Audience, body: &Body) -> Result<SignedVersion, ClusterError> {
        let record = self.record(audience, body);
        let mut body = body.clone();
        body.set_modified_ms(now_ms());
        self.sign_next(record, body.kind(), audience, &body.encode())
    }

    /// Signs a version of the record with this content that bears another time than now. Milliseconds since the Unix epoch.
    pub fn sign_dated(&self, audience: Audience, body: &Body, at_ms: u64) -> Result<SignedVersion, ClusterError> {
        self.sign_at(Hlc::new(at_ms, 0), self.record(audience, body), body.kind(), audience, &body.encode())
    }

    /// Signs the withdrawal of a record that was published before.
    pub fn sign_withdrawal(&mut self, record: &RecordId) -> Result<SignedVersion, ClusterError> {
        let Some(old) = self.current.get(record).map(|version| *version.header()) else {
            return Err(self.refused(format!("{record} was never published")));
        };
        self.sign_next(*record, old.kind, old.audience, &[])
    }

    /// Hands in signed versions in one stream; returns when the node has answered for all of them.
    pub fn hand_in(&mut self, versions: Vec<SignedVersion>) -> Result<Vec<Acknowledged>, ClusterError> {
        let requests: Vec<v1::PublishRequest> = versions
            .chunks(ENVELOPES_PER_REQUEST_MAX)
            .map(|chunk| v1::PublishRequest {
                envelopes: chunk.iter().map(|version| version.envelope().to_vec()).collect(),
            })
            .collect();
        let begin = Instant::now();
        let mut took = Vec::with_capacity(versions.len());
        let answered = |count: usize| took.extend(std::iter::repeat_n(begin.elapsed(), count));
        let delivery = self.runtime.block_on(self.client.publish(requests, answered));
        if let Some(failure) = delivery.broken {
            return Err(self.refused(failure.to_string()));
        }
        for result in &delivery.results {
            if !matches!(result.outcome(), Outcome::Published | Outcome::Duplicate) {
                return Err(self.refused(format!("{:?} {} {}", result.outcome(), result.error, result.message)));
            }
        }
        for version in &versions {
            self.current.insert(version.header().record, version.clone());
        }
        Ok(versions.into_iter().zip(took).map(|(version, took)| Acknowledged { version, took }).collect())
    }

    /// Publishes public records with these contents, new or changed.
    pub fn publish(&mut self, bodies: &[Body]) -> Result<Vec<Acknowledged>, ClusterError> {
        let signed = bodies.iter().map(|body| self.sign(Audience::Public, body)).collect::<Result<Vec<_>, _>>()?;
        self.hand_in(signed)
    }

    /// Withdraws records.
    pub fn withdraw(&mut self, records: &[RecordId]) -> Result<Vec<Acknowledged>, ClusterError> {
        let signed = records.iter().map(|record| self.sign_withdrawal(record)).collect::<Result<Vec<_>, _>>()?;
        self.hand_in(signed)
    }

    fn sign_next(
        &mut self,
        record: RecordId,
        kind: fingerpost_proto::kind::Kind,
        audience: Audience,
        body: &[u8],
    ) -> Result<SignedVersion, ClusterError> {
        self.clock = self.clock.next(now_ms());
        self.sign_at(self.clock, record, kind, audience, body)
    }

    fn sign_at(
        &self,
        clock: Hlc,
        record: RecordId,
        kind: fingerpost_proto::kind::Kind,
        audience: Audience,
        body: &[u8],
    ) -> Result<SignedVersion, ClusterError> {
        let lease = if body.is_empty() { UnixHour(0) } else { UnixHour::containing(clock.ms()).plus_days(LEASE_DAYS) };
        let header = Header {
            audience,
            kind,
            network: self.network,
            org: self.identity.org(),
            record,
            device: *self.identity.device.public().as_bytes(),
            hlc: clock,
            prev: self.current.get(&record).map_or([0; 8], |version| version.vid().prefix()),
            lease_until: lease,
        };
        self.identity.device.sign_version(&header, body).map_err(|error| self.refused(error.to_string()))
    }

    fn refused(&self, reason: String) -> ClusterError {
        ClusterError::Refused { name: self.name.clone(), reason }
    }
}

/// A small service record.
pub fn service(local_id: &str, name: &str) -> Body {
    Body::Service(Box::new(v1::Service {
        local_id: local_id.to_owned(),
        language: "en".to_owned(),
        name: name.to_owned(),
        description: format!("{name}: come in and ask."),
        ..Default::default()
    }))
}

/// This machine's clock, Unix milliseconds.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
