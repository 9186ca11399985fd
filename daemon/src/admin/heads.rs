//! Heads that this node signed: for admins.

use fingerpost_proto::v1;
use tonic::Status;

use super::AdminService;
use crate::driver::own_heads;

/// The newest first. Errors: the store.
pub(super) fn heads(service: &AdminService) -> Result<v1::HeadsReply, Status> {
    let kept = service.reader.meta(own_heads::OWN_HEADS).map_err(|error| Status::unavailable(error.to_string()))?;
    let epoch = service.reader.epoch();
    let state = |head: own_heads::OwnHead| v1::HeadState {
        vid: head.vid.0.to_vec(),
        audience: head.audience.number().into(),
        hlc: head.hlc.0,
        count: head.count,
        public_arrival: head.arrivals[0],
        members_arrival: head.arrivals[1],
        comparable: head.epoch == epoch,
    };
    let heads = own_heads::read(&kept.unwrap_or_default()).into_iter().rev().map(state).collect();
    Ok(v1::HeadsReply { heads })
}
