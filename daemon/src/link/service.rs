//! The `Peer` service: what others may call on this node.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use fingerpost_proto::PROTOCOL_LEVEL;
use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::network::members::Standing;
use fingerpost_proto::network::statement::Statement;
use fingerpost_proto::node::{Outcome, Peer, Reject};
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{Ends, Outgoing, RawFrame, ends, pump};
use crate::clock;
use crate::driver::{Command, DriverHandle, View};
use crate::rate::{Rate, Rates};
use crate::store::StoreReader;
use crate::transport::{Admitted, PeerIdentity, StreamInUse, Visitor};

/// Envelopes that a joining organisation may hand in: its card and its acceptance, with room for later cards.
const ADMIT_ENVELOPES_MAX: usize = 64;

/// Links of one peer that are logged when they are opened: whoever comes back again and again fills no disk with that.
const LINKS_LOGGED: Rate = Rate { burst: 10, interval: Duration::from_secs(30) };
/// Links that one peer may open: one is enough, and it begins anew after a pause.
const LINKS_OPENED: Rate = Rate::new(64, 4);
/// Peers whose links are counted by themselves: more than can be connected at a time.
const PEERS_COUNTED_MAX: usize = 256;

/// Answers those who dial us.
pub(crate) struct PeerService {
    driver: DriverHandle,
    reader: std::sync::Arc<dyn StoreReader>,
    /// Links that were opened of late, and lines in the log about them, by who opened them.
    opened: Mutex<(Rates<Peer>, Rates<Peer>)>,
}

impl PeerService {
    pub(crate) fn new(driver: DriverHandle, reader: std::sync::Arc<dyn StoreReader>) -> PeerService {
        let rates = |rate| Rates::new(rate, PEERS_COUNTED_MAX);
        PeerService { driver, reader, opened: Mutex::new((rates(LINKS_OPENED), rates(LINKS_LOGGED))) }
    }

    /// Who asks, and what keeps the connection while it is answered.
    fn visitor<T>(request: &Request<T>) -> Result<(PeerIdentity, StreamInUse), Status> {
        let visitor = request.extensions().get::<Visitor>();
        let visitor = visitor.ok_or_else(|| Status::unauthenticated("no peer identity"))?;
        Ok((visitor.identity(), visitor.serve()))
    }

    /// Counts a link that a peer opens. True when it is to be logged. Errors: it opened too many of late.
    fn count_link(&self, peer: Peer) -> Result<bool, Status> {
        // Every change is complete before anything that could panic.
        let mut rates = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let (opened, logged) = &mut *rates;
        let now = Instant::now();
        opened.count(now, peer).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            Status::resource_exhausted(format!(
                "too many links were opened with this key; open one in {seconds} s, and keep it"
            ))
        })?;
        Ok(logged.count(now, peer).is_ok())
    }

    fn invitee<T>(request: &Request<T>) -> Result<(PeerIdentity, StreamInUse), Status> {
        let (identity, in_use) = Self::visitor(request)?;
        match identity.admitted {
            Admitted::Invitee => Ok((identity, in_use)),
            Admitted::Member | Admitted::Hosted | Admitted::Mirror => {
                Err(Status::permission_denied("only the holder of an invite's one-time key asks this"))
            }
        }
    }
}

impl Stream for Outgoing {
    type Item = Result<RawFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_frame(context).map(|frame| frame.map(Ok))
    }
}

#[tonic::async_trait]
impl crate::rpc::peer_server::Peer for PeerService {
    type LinkStream = Outgoing;

    async fn link(&self, request: Request<Streaming<RawFrame>>) -> Result<Response<Outgoing>, Status> {
        let (identity, in_use) = Self::visitor(&request)?;
        let only = match identity.admitted {
            Admitted::Member | Admitted::Mirror => "",
            Admitted::Hosted => "a device of an organisation that this node carries may only call fingerpost.v1.Host",
            Admitted::Invitee => "a one-time key may only ask to be introduced and admitted",
        };
        if !only.is_empty() {
            return Err(Status::permission_denied(only));
        }
        let peer: Peer = identity.key;
        if self.count_link(peer)? {
            tracing::info!(peer = %crate::driver::short(&peer), address = %identity.remote_address, "link accepted");
        }
        let Ends { queue, outgoing, ends } = ends();
        let incoming = request.into_inner();
        let link = pump(self.driver.clone(), peer, false, queue, ends, incoming);
        tokio::spawn(async move {
            link.await;
            drop(in_use);
        });
        Ok(Response::new(outgoing))
    }

    async fn introduce(&self, request: Request<v1::IntroduceRequest>) -> Result<Response<v1::IntroduceReply>, Status> {
        let (PeerIdentity { key, admitted, .. }, _in_use) = Self::visitor(&request)?;
        if matches!(admitted, Admitted::Member | Admitted::Hosted) {
            return Err(Status::permission_denied("members know the network; only who comes new to it asks this"));
        }
        let level = request.get_ref().level;
        if level != PROTOCOL_LEVEL {
            let message =
                format!("this node speaks protocol level {PROTOCOL_LEVEL}, you speak {level}; upgrade the older side");
            return Err(Status::failed_precondition(message));
        }
        let charter = self.reader.meta("charter").map_err(|error| Status::unavailable(error.to_string()))?;
        let charter = charter.ok_or_else(|| Status::failed_precondition("this node has no network yet"))?;
        let slots = self.driver.look(move |view| {
            let Some(node) = view.node else { return Vec::new() };
            let inviter = match admitted {
                Admitted::Mirror => view.own_org(),
                _ => view.invitation(&key).map(|invitation| invitation.inviter),
            };
            let Some(inviter) = inviter else { return Vec::new() };
            let first = SetKey::first_of(Class::Network, &inviter);
            let keys = node.set(Audience::Public).range(&first, None).take_while(|(key, _)| key.0[..8] == first.0[..8]);
            keys.map(|(key, _)| Slot { audience: Audience::Public, key }).collect::<Vec<_>>()
        });
        let slots = slots.await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut inviter_cards = Vec::new();
        for slot in slots {
            if let Ok(Some(row)) = self.reader.get(&slot)
                && row.kind == Kind::CARD
            {
                inviter_cards.push(row.envelope);
            }
        }
        Ok(Response::new(v1::IntroduceReply { charter, inviter_cards, clock_ms: clock::now_ms() }))
    }

    async fn admit(&self, request: Request<v1::AdmitRequest>) -> Result<Response<v1::AdmitReply>, Status> {
        let (identity, _in_use) = Self::invitee(&request)?;
        let envelopes = request.into_inner().envelopes;
        let refusal = |refusal: String| Ok(Response::new(v1::AdmitReply { refusal }));
        let registered = self
            .driver
            .look(move |view| (view.invitation(&identity.key).cloned(), view.hosting.promises(&identity.key)));
        let (registered, promises) = registered.await.map_err(|error| Status::unavailable(error.to_string()))?;
        let Knock { org, claims } = match check_claim(&envelopes, registered.as_ref(), promises) {
            Ok(knock) => knock,
            Err(why) => return refusal(why),
        };
        let outcomes = self.driver.publish(envelopes).await.map_err(|error| Status::unavailable(error.to_string()))?;
        let outcomes = outcomes.ok_or_else(|| Status::failed_precondition("this node has no network yet"))?;
        let mut rejected: Vec<Reject> = outcomes
            .into_iter()
            .filter_map(|outcome| match outcome {
                Outcome::Rejected(why) => Some(why),
                _ => None,
            })
            .collect();
        // Not being a member follows from whatever else is wrong: that is what the joiner must hear.
        rejected.sort_by_key(|why| matches!(why, Reject::NotAMember { .. } | Reject::UnknownOrganisation { .. }));
        if let Some(why) = rejected.first() {
            tracing::warn!(name = why.name(), %why, "an organisation that knocked with an invite was not admitted");
            return refusal(format!("{}: {why}", why.name()));
        }
        if !claims {
            let is_member =
                move |view: &View<'_>| view.node.is_some_and(|node| node.standing(&org) == Standing::Member);
            if !self.driver.look(is_member).await.map_err(|error| Status::unavailable(error.to_string()))? {
                return refusal(format!(
                    "invite: organisation {org} is not a member as far as this node knows, and claims no invitation of it; join with the code first"
                ));
            }
        }
        let (reply, answer) = oneshot::channel();
        let used = Command::InviteUsed { key: identity.key, org, reply };
        self.driver.send(used).await.map_err(|error| Status::unavailable(error.to_string()))?;
        if let Err(why) = answer.await.map_err(|_| Status::unavailable("the node is shutting down; try again"))? {
            return Err(Status::unavailable(why));
        }
        tracing::info!(address = %identity.remote_address, "an organisation joined with an invite");
        refusal(String::new())
    }
}

/// Who knocks with a one-time key.
#[derive(Debug, PartialEq, Eq)]
struct Knock {
    org: OrgId,
    /// Its acceptance carries the invitation.
    claims: bool,
}

/// Card and acceptance of one organisation, and the acceptance must carry the very invitation whose key knocks, while it is
/// fresh by this node's clock. Where the node `promises` to carry whoever comes, a member may keep the acceptance that it has.
/// Errors are refusals: a name of `spec/09-errors.md`, a colon, words.
fn check_claim(envelopes: &[Vec<u8>], registered: Option<&Invitation>, promises: bool) -> Result<Knock, String> {
    let named = |why: Reject| format!("{}: {why}", why.name());
    if envelopes.len() > ADMIT_ENVELOPES_MAX {
        return Err(format!("invite: {} envelopes; at most {ADMIT_ENVELOPES_MAX} may be handed in", envelopes.len()));
    }
    let registered = registered.ok_or("invite: this node knows no invite with the key that knocks")?;
    registered.check_fresh(clock::now_ms()).map_err(|error| named(Reject::Statement(error.into())))?;
    let (mut org, mut has_accepted, mut claims) = (None, false, false);
    for envelope in envelopes {
        let version = SignedVersion::read(envelope.clone()).map_err(|error| named(error.into()))?;
        let header = version.header();
        if *org.get_or_insert(header.org) != header.org || !matches!(header.kind, Kind::CARD | Kind::ACCEPTANCE) {
            return Err("invite: only the cards and the acceptance of one organisation may be handed in".to_owned());
        }
        if let Statement::Acceptance(invitation) = Statement::read(&version).map_err(|error| named(error.into()))? {
            has_accepted = true;
            claims |= invitation.is_some_and(|invitation| *invitation == *registered);
            if !claims && !promises {
                return Err("invite: the acceptance does not carry the invitation that was sent".to_owned());
            }
        }
    }
    match org {
        Some(org) if has_accepted => Ok(Knock { org, claims }),
        _ => Err("invite: there is no acceptance among the envelopes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::driver::tests::{key, public};
    use crate::store::{MemoryStore, Store};

    #[test]
    fn a_key_opens_as_many_links_as_its_limit_says_and_is_then_told_when_to_open_one() {
        let (driver, _commands) = DriverHandle::new();
        let service = PeerService::new(driver, MemoryStore::new(1).reader());
        let (peer, other) = (public(&key(1)), public(&key(2)));
        let opened: Vec<bool> = (0..LINKS_OPENED.burst).map(|_| service.count_link(peer).unwrap()).collect();
        assert_eq!(opened.iter().filter(|is_logged| **is_logged).count(), LINKS_LOGGED.burst as usize);
        let refused = service.count_link(peer).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert!(refused.message().contains("open one in 1 s"), "{}", refused.message());
        assert!(service.count_link(other).is_ok(), "another's are its own");
    }
}
