//! A member of the network that does what it likes: its keys, and links of its own to one node.

use std::time::Duration;

use fingerpost_cli::identity::{Identity, load_charter};
use fingerpost_daemon::link::RawFrame;
use fingerpost_daemon::rpc::peer_client::PeerClient;
use fingerpost_daemon::transport::{DialError, NodeKey, TlsIdentity, dial};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::node::write_frame;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::{Header, SignedVersion};
use fingerpost_tests::cluster::Node;
use tonic::transport::Channel;

use crate::Failure;
use crate::now_ms;

/// A dial that takes longer has failed.
const DIAL_WAIT: Duration = Duration::from_secs(5);
/// Lease of what it signs.
const LEASE_DAYS: u32 = 60;

/// Keys of a member, and whom it attacks.
pub(super) struct Member {
    identity: Identity,
    tls: TlsIdentity,
    pub(super) network: NetworkId,
    victim: PublicKey,
    address: String,
}

impl Member {
    /// The organisation in `home`, whose daemon does not run.
    pub(super) fn open(home: &Node, victim: &Node) -> Result<Member, Failure> {
        let tls = TlsIdentity::new(NodeKey::load_or_create(home.home())?.signing_key())?;
        let network = load_charter(home.home())?.ok_or("the member is in no network")?.network;
        Ok(Member {
            identity: Identity::load(home.home())?,
            tls,
            network,
            victim: NodeKey::load_or_create(victim.home())?.public(),
            address: victim.peer_address().ok_or("a node that does not listen")?.to_string(),
        })
    }

    pub(super) fn org(&self) -> OrgId {
        self.identity.org()
    }

    /// Connects with its valid key.
    pub(super) async fn dial(&self) -> Result<PeerClient<Channel>, DialError> {
        let channel = dial(&self.address, self.victim, &self.tls, DIAL_WAIT).await?;
        Ok(PeerClient::new(channel).max_encoding_message_size(usize::MAX))
    }

    /// The first frame of a link.
    pub(super) fn hello(&self) -> RawFrame {
        let network = self.network.0.to_vec();
        let hello = v1::Hello { level: 1, level_min: 1, network, clock_ms: now_ms(), ..Default::default() };
        RawFrame::from(write_frame(Content::Hello(hello)))
    }

    /// Signs a version that counts.
    pub(super) fn sign(&self, kind: Kind, record: RecordId, at: Hlc, body: &[u8]) -> Result<SignedVersion, Failure> {
        let is_leased = kind.is_content() && !body.is_empty();
        let lease_until = if is_leased { UnixHour::containing(at.ms()).plus_days(LEASE_DAYS) } else { UnixHour(0) };
        let header = Header {
            audience: Audience::Public,
            kind,
            network: self.network,
            org: self.org(),
            record,
            device: *self.identity.device.public().as_bytes(),
            hlc: at,
            prev: [0; 8],
            lease_until,
        };
        Ok(self.identity.device.sign_version(&header, body)?)
    }
}
