//! The `Host` service: what organisations without a node ask of the one that carries them, over its port for links.
//!
//! In: calls of connections whose key is a publishing device of such an organisation. Out: what an admin would get, for that
//! organisation alone. Always: each call asks anew whom the device publishes for; versions of others are refused; a call holds one of
//! few places until its last answer has left.
//! Spec: `spec/14-hosting.md`. Tested: below and in `tests/cluster`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{AdminService, hand_in, listing, no_network, publish_reply, standing, stopped};
use crate::driver::View;
use crate::transport::{Admitted, StreamInUse, Visitor};

/// Calls of one organisation that are answered at once. A command makes one after the other.
const CALLS_PER_HOSTED_MAX: usize = 2;
/// Calls of all of them: each may keep some megabytes of answer in memory for one that reads slowly.
const CALLS_HOSTED_MAX: usize = 16;

const _: () = assert!(CALLS_PER_HOSTED_MAX * 8 <= CALLS_HOSTED_MAX);

/// Answers organisations that this node carries.
pub(crate) struct HostService {
    admin: Arc<AdminService>,
    calls: Calls,
}

impl HostService {
    pub(crate) fn new(admin: Arc<AdminService>) -> HostService {
        HostService { admin, calls: Calls::default() }
    }

    /// Who asks, and what is held until the answer has left.
    async fn guest<T>(&self, request: &Request<T>) -> Result<Guest, Status> {
        let visitor = request.extensions().get::<Visitor>();
        let visitor = visitor.ok_or_else(|| Status::unauthenticated("no peer identity"))?;
        let key: PublicKey = visitor.identity().key;
        let orgs = match visitor.identity().admitted {
            Admitted::Invitee => Vec::new(),
            // Another organisation's card may name this key as a node's, whom that serves or harms.
            Admitted::Member | Admitted::Mirror | Admitted::Hosted => {
                self.admin.driver.look(move |view| view.hosted_by_device(&key)).await.map_err(stopped)?
            }
        };
        let Some(first) = orgs.first().copied() else {
            return Err(Status::permission_denied(
                "this node does not carry your organisation (any more); ask its operator, or move to another: fingerpost move CODE",
            ));
        };
        let call = self.calls.take(first).ok_or_else(|| {
            Status::resource_exhausted("this node is busy with other calls of organisations that it carries; try again")
        })?;
        Ok(Guest { orgs, held: Held { _call: call, _in_use: visitor.serve() } })
    }
}

/// The organisations for which a device publishes, one but for those who share keys.
struct Guest {
    orgs: Vec<OrgId>,
    held: Held,
}

impl Guest {
    /// Errors: permission, naming the first version that is of another organisation.
    fn check(&self, envelopes: &[Vec<u8>]) -> Result<(), Status> {
        for (at, envelope) in envelopes.iter().enumerate() {
            let version = SignedVersion::read(envelope.clone())
                .map_err(|error| Status::invalid_argument(format!("version {at} cannot be read: {error}")))?;
            let org = version.header().org;
            if !self.orgs.contains(&org) {
                return Err(Status::permission_denied(format!(
                    "version {at} is of organisation {org}; over this connection the node takes versions of {} only; nothing was taken",
                    self.orgs.iter().map(OrgId::to_string).collect::<Vec<_>>().join(" or ")
                )));
            }
        }
        Ok(())
    }
}

/// Keeps the connection, and the place of the call.
struct Held {
    _call: Call,
    _in_use: StreamInUse,
}

/// An answer in parts that holds its place until the last of them.
pub(crate) struct Answer {
    parts: ReceiverStream<Result<v1::ListReply, Status>>,
    _held: Held,
}

impl Stream for Answer {
    type Item = Result<v1::ListReply, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.parts).poll_next(context)
    }
}

#[tonic::async_trait]
impl crate::rpc::host_server::Host for HostService {
    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        let _guest = self.guest(&request).await?;
        let reply = self.admin.status_reply().await?;
        // The host's disk, addresses and troubles are its operator's.
        Ok(Response::new(v1::StatusReply {
            software: reply.software,
            protocol_level: reply.protocol_level,
            clock_ms: reply.clock_ms,
            hlc_max: reply.hlc_max,
            node_key: reply.node_key,
            network: reply.network,
            charter: reply.charter,
            sets: reply.sets,
            links: reply.links,
            members: reply.members,
            started_ms: reply.started_ms,
            read_only_reason: reply.read_only_reason,
            clock_ahead_ms: reply.clock_ahead_ms,
            ..Default::default()
        }))
    }

    async fn publish(&self, request: Request<v1::PublishRequest>) -> Result<Response<v1::PublishReply>, Status> {
        let guest = self.guest(&request).await?;
        let envelopes = request.into_inner().envelopes;
        guest.check(&envelopes)?;
        let outcomes = hand_in(&self.admin.driver, envelopes).await?;
        outcomes.await.map(|outcomes| Response::new(publish_reply(outcomes))).map_err(|_| no_network())
    }

    type ListStream = Answer;

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<Answer>, Status> {
        let guest = self.guest(&request).await?;
        let mut request = request.into_inner();
        if request.organisation.is_empty() {
            request.organisation = guest.orgs[0].0.to_vec();
        }
        if !guest.orgs.iter().any(|org| org.0 == *request.organisation) {
            return Err(Status::permission_denied(
                "a host lists your own organisation's versions only; others are in its feed",
            ));
        }
        let parts = ReceiverStream::new(listing::list(&self.admin, listing::Wanted::read(&request)?).await?);
        Ok(Response::new(Answer { parts, _held: guest.held }))
    }

    async fn members(&self, request: Request<v1::MembersRequest>) -> Result<Response<v1::MembersReply>, Status> {
        let _guest = self.guest(&request).await?;
        let members = self.admin.driver.look(standing::members).await.map_err(stopped)?;
        Ok(Response::new(v1::MembersReply { members }))
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        let _guest = self.guest(&request).await?;
        let mut reply = standing::why(&self.admin, request.into_inner()).await?;
        // What the host's operator hides is their own business.
        reply.blocked_ms = 0;
        Ok(Response::new(reply))
    }
}

/// Whom this node carries, for its operator.
pub(super) fn hosted(view: &View<'_>) -> v1::HostedReply {
    let members = standing::members(view);
    let state = |(org, since_ms): (&OrgId, u64)| {
        let member = members.iter().find(|member| member.organisation == org.0);
        v1::HostedState {
            organisation: org.0.to_vec(),
            name: member.map(|member| member.name.clone()).unwrap_or_default(),
            since_ms,
            records: member.map_or(0, |member| member.records),
            standing: member.map_or_else(|| "stranger".to_owned(), |member| member.standing.clone()),
        }
    };
    v1::HostedReply {
        organisations: view.hosting.organisations().map(state).collect(),
        promised: view.hosting.promised() as u32,
    }
}

/// Calls that are being answered, by organisation.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<HashMap<OrgId, usize>>>);

/// The place of one call.
struct Call {
    calls: Calls,
    org: OrgId,
}

impl Calls {
    /// `None` when there is no place.
    fn take(&self, org: OrgId) -> Option<Call> {
        let mut counts = self.lock();
        let of_org = counts.get(&org).copied().unwrap_or(0);
        if of_org >= CALLS_PER_HOSTED_MAX || counts.values().sum::<usize>() >= CALLS_HOSTED_MAX {
            return None;
        }
        *counts.entry(org).or_default() += 1;
        drop(counts);
        Some(Call { calls: self.clone(), org })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrgId, usize>> {
        // Every change is complete before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut counts = self.calls.lock();
        if let Some(count) = counts.get_mut(&self.org) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.org);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_call_of_one_that_is_carried_and_of_all_is_taken_and_the_next_refused() {
        let calls = Calls::default();
        let mut held = Vec::new();
        for org in 0..(CALLS_HOSTED_MAX / CALLS_PER_HOSTED_MAX) as u8 {
            for _ in 0..CALLS_PER_HOSTED_MAX {
                held.push(calls.take(OrgId([org; 32])).expect("there is room"));
            }
            assert!(calls.take(OrgId([org; 32])).is_none());
        }
        assert!(calls.take(OrgId([99; 32])).is_none(), "all places are taken");
        held.pop();
        held.push(calls.take(OrgId([99; 32])).expect("one is free"));
        held.clear();
        assert!(calls.lock().is_empty(), "nothing is kept of organisations without a call");
    }
}
