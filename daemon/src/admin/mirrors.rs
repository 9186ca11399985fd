//! Which read-only mirrors may get the public set from this node: for admins.

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::v1;
use tokio::sync::oneshot;
use tonic::Status;

use super::{AdminService, stopped};
use crate::driver::{Command, View};

/// Answers `AllowMirror`. Errors: a key that is none; why the driver does not.
pub(super) async fn allow(
    service: &AdminService,
    request: v1::AllowMirrorRequest,
) -> Result<v1::AllowMirrorReply, Status> {
    service.refuse_at_mirror("serves no other mirrors; mirrors get the public set from members' nodes")?;
    let (key, (reply, answer)) = (key(&request.node_key)?, oneshot::channel());
    service.driver.send(Command::AllowMirror { key, label: request.label, reply }).await.map_err(stopped)?;
    let answer = answer.await.map_err(|_| stopped(crate::driver::Stopped))?;
    answer.map(|changed| v1::AllowMirrorReply { changed }).map_err(Status::failed_precondition)
}

/// Answers `ForbidMirror`. Errors: a key that is none; why the driver does not.
pub(super) async fn forbid(
    service: &AdminService,
    request: v1::ForbidMirrorRequest,
) -> Result<v1::ForbidMirrorReply, Status> {
    let (key, (reply, answer)) = (key(&request.node_key)?, oneshot::channel());
    service.driver.send(Command::ForbidMirror { key, reply }).await.map_err(stopped)?;
    let answer = answer.await.map_err(|_| stopped(crate::driver::Stopped))?;
    answer.map(|changed| v1::ForbidMirrorReply { changed }).map_err(Status::failed_precondition)
}

/// Every mirror that is allowed, in the order of keys.
pub(super) fn list(view: &View<'_>) -> Vec<v1::MirrorState> {
    let is_linked =
        |key: &PublicKey| view.node.is_some_and(|node| node.links().any(|link| link.peer == *key && link.is_mirror));
    let state = |(key, mirror): (&PublicKey, &crate::driver::AllowedMirror)| v1::MirrorState {
        node_key: key.as_bytes().to_vec(),
        label: mirror.label.clone(),
        allowed_ms: mirror.allowed_ms,
        linked: is_linked(key),
    };
    view.mirrors.iter().map(state).collect()
}

fn key(bytes: &[u8]) -> Result<PublicKey, Status> {
    PublicKey::from_bytes(bytes).map_err(|error| Status::invalid_argument(format!("not a node key: {error}")))
}
