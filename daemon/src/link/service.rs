//! The `Peer` service: what others may call on this node.

use std::pin::Pin;
use std::task::{Context, Poll};

use fingerpost_proto::PROTOCOL_LEVEL;
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::network::statement::Statement;
use fingerpost_proto::node::{Outcome, Peer, Reject};
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{Ends, Outgoing, RawFrame, ends, pump};
use crate::clock;
use crate::driver::{Command, DriverHandle};
use crate::store::StoreReader;
use crate::transport::{Admitted, PeerIdentity, StreamInUse, Visitor};

/// Envelopes that a joining organisation may hand in: its card and its acceptance, with room for later cards.
const ADMIT_ENVELOPES_MAX: usize = 64;

/// Answers those who dial us.
pub(crate) struct PeerService {
    driver: DriverHandle,
    reader: std::sync::Arc<dyn StoreReader>,
}

impl PeerService {
    pub(crate) fn new(driver: DriverHandle, reader: std::sync::Arc<dyn StoreReader>) -> PeerService {
        PeerService { driver, reader }
    }

    /// Who asks, and what keeps the connection while it is answered.
    fn visitor<T>(request: &Request<T>) -> Result<(PeerIdentity, StreamInUse), Status> {
        let visitor = request.extensions().get::<Visitor>();
        let visitor = visitor.ok_or_else(|| Status::unauthenticated("no peer identity"))?;
        Ok((visitor.identity(), visitor.serve()))
    }

    fn invitee<T>(request: &Request<T>) -> Result<(PeerIdentity, StreamInUse), Status> {
        let (identity, in_use) = Self::visitor(request)?;
        match identity.admitted {
            Admitted::Invitee => Ok((identity, in_use)),
            Admitted::Member | Admitted::Mirror => {
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
        if identity.admitted == Admitted::Invitee {
            return Err(Status::permission_denied("a one-time key may only ask to be introduced and admitted"));
        }
        let Ends { queue, outgoing, ends } = ends();
        let incoming = request.into_inner();
        let peer: Peer = identity.key;
        tracing::info!(peer = %crate::driver::short(&peer), address = %identity.remote_address, "link accepted");
        let link = pump(self.driver.clone(), peer, false, queue, ends, incoming);
        tokio::spawn(async move {
            link.await;
            drop(in_use);
        });
        Ok(Response::new(outgoing))
    }

    async fn introduce(&self, request: Request<v1::IntroduceRequest>) -> Result<Response<v1::IntroduceReply>, Status> {
        let (PeerIdentity { key, admitted, .. }, _in_use) = Self::visitor(&request)?;
        if admitted == Admitted::Member {
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
        let registered = self.driver.look(move |view| view.invitation(&identity.key).cloned()).await;
        let registered = registered.map_err(|error| Status::unavailable(error.to_string()))?;
        if let Err(why) = check_claim(&envelopes, registered.as_ref()) {
            return refusal(why);
        }
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
        let used = Command::InviteUsed { key: identity.key };
        self.driver.send(used).await.map_err(|error| Status::unavailable(error.to_string()))?;
        tracing::info!(address = %identity.remote_address, "an organisation joined with an invite");
        refusal(String::new())
    }
}

/// Card and acceptance of one organisation, and the acceptance must carry the very invitation whose key knocks, while it is
/// fresh by this node's clock. Errors are refusals: a name of `spec/09-errors.md`, a colon, words.
fn check_claim(envelopes: &[Vec<u8>], registered: Option<&Invitation>) -> Result<(), String> {
    let named = |why: Reject| format!("{}: {why}", why.name());
    if envelopes.len() > ADMIT_ENVELOPES_MAX {
        return Err(format!("invite: {} envelopes; at most {ADMIT_ENVELOPES_MAX} may be handed in", envelopes.len()));
    }
    let (mut org, mut has_claimed) = (None, false);
    for envelope in envelopes {
        let version = SignedVersion::read(envelope.clone()).map_err(|error| named(error.into()))?;
        let header = version.header();
        if *org.get_or_insert(header.org) != header.org || !matches!(header.kind, Kind::CARD | Kind::ACCEPTANCE) {
            return Err("invite: only the cards and the acceptance of one organisation may be handed in".to_owned());
        }
        if let Statement::Acceptance(invitation) = Statement::read(&version).map_err(|error| named(error.into()))? {
            let invitation = invitation.filter(|invitation| Some(invitation.as_ref()) == registered);
            let invitation = invitation.ok_or("invite: the acceptance does not carry the invitation that was sent")?;
            let fresh = invitation.check_fresh(clock::now_ms());
            fresh.map_err(|error| named(Reject::Statement(error.into())))?;
            has_claimed = true;
        }
    }
    if has_claimed { Ok(()) } else { Err("invite: there is no acceptance among the envelopes".to_owned()) }
}
