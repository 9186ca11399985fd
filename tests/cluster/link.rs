//! Bytes on a real link that no honest node sends.

use std::time::Duration;

use fingerpost_daemon::link::RawFrame;
use fingerpost_daemon::rpc::peer_client::PeerClient;
use fingerpost_daemon::transport::{NodeKey, TlsIdentity, dial};
use fingerpost_proto::limits::FRAME_BYTES_MAX;
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use fingerpost_tests::cluster::{Cluster, Node, Publisher, service};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Longest wait for the node to cut the link.
const CUT_WAIT: Duration = Duration::from_secs(10);

/// Opens a link as the node of a member, sends `frames`, and returns all that came back until the link ended: frames,
/// and the gRPC status if it ended with one.
fn answers(member: &Node, victim: &Node, frames: Vec<Vec<u8>>) -> (Vec<v1::Frame>, Option<tonic::Status>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(link(member, victim, frames))
}

async fn link(member: &Node, victim: &Node, frames: Vec<Vec<u8>>) -> (Vec<v1::Frame>, Option<tonic::Status>) {
    let key = NodeKey::load_or_create(member.home()).unwrap();
    let identity = TlsIdentity::new(key.signing_key()).unwrap();
    let victim_key = NodeKey::load_or_create(victim.home()).unwrap().public();
    let address = victim.peer_address().unwrap().to_string();
    let channel = dial(&address, victim_key, &identity, CUT_WAIT).await.unwrap();
    let mut client = PeerClient::new(channel).max_encoding_message_size(usize::MAX);
    let (sender, receiver) = mpsc::channel(frames.len().max(1));
    for frame in frames {
        sender.send(RawFrame::from(frame)).await.unwrap();
    }
    let mut replies = match client.link(ReceiverStream::new(receiver)).await {
        Ok(replies) => replies.into_inner(),
        Err(status) => return (Vec::new(), Some(status)),
    };
    let mut found = Vec::new();
    let collect = async {
        loop {
            match replies.message().await {
                Ok(Some(frame)) => found.push(v1::Frame::decode(frame.into_bytes().as_slice()).unwrap()),
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    };
    let status = tokio::time::timeout(CUT_WAIT, collect).await.expect("the node cuts the link");
    drop(sender);
    (found, status)
}

fn bye(frames: &[v1::Frame]) -> Option<&v1::Bye> {
    frames.iter().find_map(|frame| match &frame.content {
        Some(Content::Bye(bye)) => Some(bye),
        _ => None,
    })
}

fn frame(content: Content) -> Vec<u8> {
    v1::Frame { content: Some(content) }.encode_to_vec()
}

#[test]
fn garbage_on_a_members_link_is_cut_with_a_reason_and_the_daemon_works_on() {
    let mut cluster = Cluster::found(2).unwrap();
    cluster.nodes[1].kill_nine();
    let (victim, member) = (&cluster.nodes[0], &cluster.nodes[1]);
    for (what, bytes) in [
        ("no protobuf", vec![0xff; 100]),
        ("an empty frame", Vec::new()),
        ("something before Hello", frame(Content::Want(v1::Want { audience: 0, want: 1, ..Default::default() }))),
        (
            "another network",
            frame(Content::Hello(v1::Hello { level: 1, level_min: 1, network: vec![9; 32], ..Default::default() })),
        ),
        ("a future level", frame(Content::Hello(v1::Hello { level: 99, level_min: 99, ..Default::default() }))),
    ] {
        let (frames, status) = answers(member, victim, vec![bytes]);
        let bye = bye(&frames).unwrap_or_else(|| panic!("{what}: {frames:?} {status:?}"));
        assert!(!bye.message.is_empty() && bye.code != 0, "{what}: {bye:?}");
        eprintln!("{what}: {:?} {}", bye.code(), bye.message);
        assert!(victim.log().contains(&bye.message), "{what}: the reason is logged as well");
    }
    assert_works(&mut cluster);
}

#[test]
fn an_oversized_frame_is_cut_with_a_reason_and_the_daemon_works_on() {
    let mut cluster = Cluster::found(2).unwrap();
    cluster.nodes[1].kill_nine();
    let (victim, member) = (&cluster.nodes[0], &cluster.nodes[1]);
    for bytes in [FRAME_BYTES_MAX + 1, 8 << 20] {
        let (frames, status) = answers(member, victim, vec![vec![0; bytes]]);
        let reason = status.map(|status| status.message().to_owned());
        let reason = reason.or_else(|| bye(&frames).map(|bye| bye.message.clone()));
        let reason = reason.unwrap_or_else(|| panic!("{bytes} bytes: no reason: {frames:?}"));
        assert!(reason.contains(&FRAME_BYTES_MAX.to_string()), "{reason}");
    }
    assert_works(&mut cluster);
}

/// The node that was attacked still publishes, and links to the same member when it behaves again.
fn assert_works(cluster: &mut Cluster) {
    Publisher::open(&cluster.nodes[0], &cluster.nodes[0]).unwrap().publish(&[service("on", "Works on")]).unwrap();
    cluster.nodes[1].launch().unwrap();
    cluster.wait_until_equal(Duration::from_secs(20)).unwrap();
    assert_eq!(cluster.nodes[1].status().unwrap().sets[0].live, 1);
}
