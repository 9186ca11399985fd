//! The line to a neighbour's node that carries this organisation's records: its Host service, dialled with the key of this computer's
//! publishing device.
//!
//! In: `host.json` in the home, the device key. Out: a [`HostClient`]. Always: whatever is published is among the [`Copies`] before it
//! leaves; the host is known by its key, whatever answers at its address.
//! Spec: `spec/14-hosting.md`. Tested: `tests/cluster`.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::{CARD_BYTES_MAX, VERSIONS_FRAME_BYTES_MAX, VERSIONS_PER_FRAME_MAX};
use fingerpost_proto::network::invite::InviteCode;
use fingerpost_proto::v1;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::cards::Cards;
use crate::client::{Admin, Delivery, MESSAGE_BYTES_MAX, collect, in_time};
use crate::copies::{Copies, Withheld};
use crate::failure::{Exit, Failure};
use crate::identity::{keep_private_file, load_charter, read_file};
use crate::keys::{self, KeyPurpose};
use crate::output::escape::shown;
use crate::output::moment::{count, now_ms};
use crate::publish::Holdings;
use crate::rpc::host_client::HostClient as HostCalls;
use crate::transport::{DIAL_DEADLINE, DialError, TlsIdentity, dial};

/// File that says who carries this organisation.
pub const HOST_FILE: &str = "host.json";
/// A connection that was not used for so long is dialled anew: a node cuts those that ask for nothing.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Longest silence of a host that is asked something: a full frame at 40 kbit/s, twice.
const ANSWER_WAIT: Duration = Duration::from_secs(120);

/// Records that are named when a host withholds some; the rest is counted.
const COMPLAINTS_MAX: usize = 20;

/// The node that carries this organisation's records.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Who runs it, by the code that it was found with.
    pub name: String,
    /// Its node key, in hexadecimal.
    pub node_key: String,
    /// Where it answers, `host:port`, tried in order.
    pub addresses: Vec<String>,
    /// The network, in hexadecimal.
    pub network: String,
}

impl Host {
    /// The host that made a code.
    pub fn of(code: &InviteCode) -> Host {
        Host {
            name: code.inviter_name.clone(),
            node_key: code.node_key.to_string(),
            addresses: code.addresses.clone(),
            network: code.network.to_string(),
        }
    }

    /// Who carries the organisation of this home; `None`: nobody. Errors: permission, naming the file.
    pub fn load(home: &Path) -> Result<Option<Host>, Failure> {
        let path = home.join(HOST_FILE);
        let Some(bytes) = read_file(&path, CARD_BYTES_MAX)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Failure::new(Exit::Permission, format!("{} cannot be read", path.display()))
                .caused_by(&error)
                .hint("restore it from your backup; or ask your host for a new code and run: fingerpost move CODE")
        })
    }

    /// Remembers the host from now on.
    pub fn keep(&self, home: &Path) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new(Exit::Invalid, "the host cannot be written down").caused_by(&error))?;
        keep_private_file(&home.join(HOST_FILE), &bytes)
    }
}

/// A line to the host, over which any number of requests may go.
#[derive(Clone, Debug)]
pub struct HostClient {
    home: PathBuf,
    host: Host,
    node_key: PublicKey,
    /// Of the key that the home had at first.
    identity: TlsIdentity,
    line: Arc<Mutex<Option<Line>>>,
    withheld: Vec<Withheld>,
}

/// A connection.
#[derive(Clone, Debug)]
struct Line {
    /// When it was used last.
    used: Instant,
    /// The key that was shown.
    device: PublicKey,
    calls: HostCalls<Channel>,
}

impl HostClient {
    /// Dials the host with the device key of `home`, and compares what it lists with the copies here. What is missing or old there is
    /// handed in again, and told by [`HostClient::withheld`].
    pub async fn connect(home: &Path, host: Host) -> Result<HostClient, Failure> {
        let mut client = HostClient::dial_first(home, host).await?;
        client.withheld = client.compare().await?;
        Ok(client)
    }

    /// Dials the host and compares nothing: a host that is new to the organisation withholds nothing yet.
    pub async fn dial_first(home: &Path, host: Host) -> Result<HostClient, Failure> {
        let node_key = host.node_key.parse().map_err(|_| {
            Failure::new(Exit::Permission, format!("{HOST_FILE} names no key of a node"))
                .hint("ask your host for a new code and run: fingerpost move CODE")
        })?;
        let identity = device_identity(home)?;
        let (home, line) = (home.to_owned(), Arc::default());
        let client = HostClient { home, host, node_key, identity, line, withheld: Vec::new() };
        client.line().await?;
        Ok(client)
    }

    /// Who carries the organisation.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What the host did not show as it was published, when the line was made.
    pub fn withheld(&self) -> &[Withheld] {
        &self.withheld
    }

    /// The same in plain words, a sentence for each record and what to do in the last. Empty: all is as it was published.
    pub fn complaints(&self) -> Vec<String> {
        let name = shown(&self.host.name);
        let mut lines: Vec<String> = self.withheld.iter().take(COMPLAINTS_MAX).map(|of| of.sentence(&name)).collect();
        if let Some(more) = self.withheld.len().checked_sub(COMPLAINTS_MAX).filter(|more| *more > 0) {
            lines.push(format!("and {} more", count(more, "record")));
        }
        if !lines.is_empty() {
            lines.push(format!(
                "what {name} lacked was handed in again from this computer; ask its operator whether they restored an old backup; \
                 if this warning comes back, take your records elsewhere: fingerpost move CODE"
            ));
        }
        lines
    }

    /// The organisations of the network.
    pub async fn members(&self) -> Result<Vec<v1::MemberState>, Failure> {
        Ok(self.ask(async |mut calls| calls.members(v1::MembersRequest {}).await).await?.into_inner().members)
    }

    /// Why an organisation has its standing.
    pub async fn why(&self, request: v1::WhyRequest) -> Result<v1::WhyReply, Failure> {
        Ok(self
            .ask(|mut calls| {
                let request = request.clone();
                async move { calls.why(request).await }
            })
            .await?
            .into_inner())
    }

    async fn hand_in(&self, envelopes: Vec<Vec<u8>>) -> Result<Vec<v1::PublishResult>, Failure> {
        Copies::change(&self.home, |copies| copies.sending(&envelopes))?;
        let request = v1::PublishRequest { envelopes: envelopes.clone() };
        let results = self
            .ask(|mut calls| {
                let request = request.clone();
                async move { calls.publish(request).await }
            })
            .await?
            .into_inner()
            .results;
        if results.len() != envelopes.len() {
            return Err(Failure::new(Exit::Partial, "the host answered for other versions"));
        }
        Copies::change(&self.home, |copies| copies.answered(&envelopes, &results))?;
        Ok(results)
    }

    /// Asks once; and once more with the key that the home has now, when that has changed meanwhile: a recovery takes the old one off
    /// the card. Asking twice is harmless.
    async fn ask<T, F: Future<Output = Result<tonic::Response<T>, tonic::Status>>>(
        &self,
        call: impl Fn(HostCalls<Channel>) -> F,
    ) -> Result<tonic::Response<T>, Failure> {
        let line = self.line().await?;
        match in_time(ANSWER_WAIT, call(line.calls)).await {
            Err(_) if keys::load(&self.home, KeyPurpose::Device).is_ok_and(|key| *key.public() != line.device) => {
                *self.line.lock().await = None;
                in_time(ANSWER_WAIT, call(self.line().await?.calls)).await
            }
            answered => answered,
        }
    }

    /// A connection that is fresh enough to be used.
    async fn line(&self) -> Result<Line, Failure> {
        let mut line = self.line.lock().await;
        let fresh = line.take().filter(|line| line.used.elapsed() < IDLE_MAX);
        let next = match fresh {
            Some(line) => Line { used: Instant::now(), ..line },
            None => self.dial().await?,
        };
        *line = Some(next.clone());
        Ok(next)
    }

    /// Dials with the key that the home has now; where that is refused, with the one that it had at first.
    async fn dial(&self) -> Result<Line, Failure> {
        let now = device_identity(&self.home)?;
        match self.dial_as(&now).await {
            Err(DialError::RefusedByPeer { .. }) if now.public() != self.identity.public() => {
                self.dial_as(&self.identity).await
            }
            dialled => dialled,
        }
        .map_err(|error| self.unreachable(error))
    }

    async fn dial_as(&self, identity: &TlsIdentity) -> Result<Line, DialError> {
        let mut last = DialError::BadAddress { address: String::new() };
        for address in &self.host.addresses {
            match dial(address, self.node_key, identity, DIAL_DEADLINE).await {
                Ok(channel) => {
                    let calls = HostCalls::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
                    return Ok(Line { used: Instant::now(), device: identity.public(), calls });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn unreachable(&self, error: DialError) -> Failure {
        let name = &self.host.name;
        let elsewhere = "if it is gone for good, ask another member for a host's code and run: fingerpost move CODE";
        match error {
            error @ DialError::RefusedByPeer { own, .. } => Failure::new(
                Exit::Refused,
                format!("your host {name:?} does not let this computer in"),
            )
            .because("it has stopped carrying your organisation, or this computer's key is not on your card (any more)")
            .because(format!("this computer's key: {own}"))
            .because(error.to_string())
            .hint("ask its operator; or take your records to another host: fingerpost move CODE"),
            error => Failure::new(Exit::NodeUnreachable, format!("your host {name:?} does not answer"))
                .caused_by(&error)
                .hint(elsewhere),
        }
    }

    /// Compares what the host lists with the copies, and hands in what it lacks. An organisation that is no member has nothing listed,
    /// which is no fault of the host.
    async fn compare(&self) -> Result<Vec<Withheld>, Failure> {
        let Some(charter) = load_charter(&self.home)? else { return Ok(Vec::new()) };
        let mut cards = Cards::load(&self.home)?;
        cards.refresh(&self.home, self).await?;
        let card = cards.effective();
        let all = v1::ListRequest {
            organisation: card.org.0.to_vec(),
            include_withdrawn: true,
            include_lapsed: true,
            ..Default::default()
        };
        let listed = Holdings::of(self.entries(all).await?, card, &charter.network);
        let mut withheld = Vec::new();
        Copies::change(&self.home, |copies| withheld = copies.compare(&listed, card, &charter.network, now_ms()))?;
        if withheld.is_empty() {
            return Ok(withheld);
        }
        if self.why(v1::WhyRequest { organisation: card.org.0.to_vec() }).await?.standing != "member" {
            return Ok(Vec::new());
        }
        let copies = Copies::load(&self.home)?;
        let lacking = copies
            .versions()
            .into_iter()
            .filter(|version| withheld.iter().any(|withheld| withheld.record == version.header().record));
        for envelopes in parts(lacking.map(|version| version.envelope().to_vec())) {
            self.hand_in(envelopes).await?;
        }
        Ok(withheld)
    }
}

impl Admin for HostClient {
    async fn status(&self) -> Result<v1::StatusReply, Failure> {
        Ok(self.ask(async |mut calls| calls.status(v1::StatusRequest {}).await).await?.into_inner())
    }

    async fn entries(&self, request: v1::ListRequest) -> Result<Vec<v1::Entry>, Failure> {
        let list = self
            .ask(|mut calls| {
                let request = request.clone();
                async move { calls.list(request).await }
            })
            .await?;
        collect(list.into_inner(), ANSWER_WAIT).await
    }

    /// One request after the other, in parts that fit a frame.
    async fn publish(&self, requests: Vec<v1::PublishRequest>, mut answered: impl FnMut(usize) + Send) -> Delivery {
        let mut delivery = Delivery::default();
        for envelopes in parts(requests.into_iter().flat_map(|request| request.envelopes)) {
            match self.hand_in(envelopes).await {
                Ok(results) => {
                    answered(results.len());
                    delivery.results.extend(results);
                }
                Err(failure) => return Delivery { broken: Some(failure), ..delivery },
            }
        }
        delivery
    }
}

fn device_identity(home: &Path) -> Result<TlsIdentity, Failure> {
    keys::load(home, KeyPurpose::Device)?
        .tls_identity()
        .map_err(|error| Failure::new(Exit::Permission, "the device key cannot be shown to the host").caused_by(&error))
}

/// Cuts versions into parts that fit one frame each.
fn parts(envelopes: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut parts: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut bytes = 0;
    for envelope in envelopes {
        bytes += envelope.len();
        match parts.last_mut() {
            Some(part) if bytes <= VERSIONS_FRAME_BYTES_MAX && part.len() < VERSIONS_PER_FRAME_MAX => {
                part.push(envelope)
            }
            _ => {
                bytes = envelope.len();
                parts.push(vec![envelope]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_proto::limits::{ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX};
    use prost::Message;

    use super::*;

    #[test]
    fn what_is_handed_in_at_once_fits_a_frame_and_nothing_is_lost_or_turned_around() {
        for (count, bytes) in [(1, ENVELOPE_BYTES_MAX), (9, ENVELOPE_BYTES_MAX), (VERSIONS_PER_FRAME_MAX + 1, 200)] {
            let envelopes: Vec<Vec<u8>> = (0..count).map(|number| vec![number as u8; bytes]).collect();
            let cut = parts(envelopes.iter().cloned());
            assert_eq!(cut.concat(), envelopes);
            for envelopes in cut {
                assert!(envelopes.len() <= VERSIONS_PER_FRAME_MAX);
                assert!(v1::PublishRequest { envelopes }.encoded_len() <= FRAME_BYTES_MAX);
            }
        }
    }

    #[test]
    fn the_host_of_a_home_reads_back_and_a_broken_file_says_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Host::load(home.path()).unwrap(), None);
        let host =
            Host { name: "Forum".into(), node_key: "ab".into(), addresses: vec!["a:1".into()], network: "cd".into() };
        host.keep(home.path()).unwrap();
        assert_eq!(Host::load(home.path()).unwrap(), Some(host));
        std::fs::write(home.path().join(HOST_FILE), "{").unwrap();
        let failure = Host::load(home.path()).unwrap_err();
        assert!(failure.json()["hint"].as_str().unwrap().contains("fingerpost move"));
    }
}
