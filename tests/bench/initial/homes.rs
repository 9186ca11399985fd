//! Homes of the two daemons: one with everything in its store, one with its organisation's entry alone.

use std::path::Path;
use std::time::Duration;

use fingerpost_cli::client::{Admin, NodeClient};
use fingerpost_daemon::store::{DiskOptions, Durability, Operation, SledStore, Store};
use fingerpost_daemon::transport::NodeKey;
use fingerpost_proto::set::Slot;
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use fingerpost_tests::cluster::{Listen, Node, NodeOptions};
use tokio::runtime::Runtime;

use super::proxy::Proxy;
use crate::Failure;
use crate::population::Population;

/// Versions written to a store at once.
const WRITTEN_AT_ONCE: usize = 4_096;

/// Reading a million records back takes a node longer than a test waits for one.
const START_WAIT: Duration = Duration::from_secs(600);

/// Starts a node and waits until it answers.
pub(super) fn start(node: &mut Node) -> Result<(), Failure> {
    node.spawn()?;
    Ok(node.wait_until_answering(START_WAIT)?)
}

/// A home whose node listens for links.
pub(super) fn holder() -> Result<(Node, NodeKey), Failure> {
    let node = Node::prepare("Holder", &NodeOptions { feed: Listen::Off, ..NodeOptions::default() })?;
    let key = NodeKey::load_or_create(node.home())?;
    Ok((node, key))
}

/// A home whose node dials the holder, through the relay.
pub(super) fn asker(holder: &NodeKey, proxy: &Proxy) -> Result<(Node, NodeKey), Failure> {
    let dial = format!("[[peer.dial]]\naddress = \"{}\"\nnode_key = \"{}\"\n", proxy.address, holder.public());
    let options = NodeOptions { peer: Listen::Off, feed: Listen::Off, more: dial, ..NodeOptions::default() };
    let node = Node::prepare("Asker", &options)?;
    let key = NodeKey::load_or_create(node.home())?;
    Ok((node, key))
}

/// Lets a fresh node enter the network as one of the population's organisations, and stops it.
pub(super) fn enter(
    runtime: &Runtime,
    node: &mut Node,
    population: &Population,
    organisation: usize,
) -> Result<(), Failure> {
    start(node)?;
    let entry = population.entry(organisation)?;
    let request = v1::CreateNetworkRequest {
        charter: population.charter_bytes.clone(),
        envelopes: entry.iter().map(|version| version.envelope().to_vec()).collect(),
    };
    runtime.block_on(async {
        let client = NodeClient::connect(&node.socket(), node.home()).await?;
        client.create_network(request).await
    })?;
    node.terminate()?;
    Ok(())
}

/// Writes versions into the store of a home whose daemon does not run. `versions` are in slot order.
pub(super) fn fill<'a>(home: &Path, versions: impl Iterator<Item = &'a SignedVersion>) -> Result<(), Failure> {
    let (mut store, _) = SledStore::open(DiskOptions::new(home.join("store")))?;
    let mut batch = Vec::new();
    for version in versions {
        let (slot, vid) = (Slot::of(version.header()), version.vid());
        let envelope = version.envelope().to_vec();
        batch.push(Operation::Put { slot, kind: version.header().kind, vid, envelope, own: false });
        if batch.len() == WRITTEN_AT_ONCE {
            store.commit(std::mem::take(&mut batch), Durability::WithinASecond)?;
        }
    }
    store.commit(batch, Durability::Now)?;
    Ok(())
}

/// Fingerprint and count of the public set.
pub(super) fn state(runtime: &Runtime, node: &Node) -> Result<(Vec<u8>, u64), Failure> {
    let status = runtime.block_on(async { NodeClient::connect(&node.socket(), node.home()).await?.status().await })?;
    let set = status.sets.into_iter().find(|set| set.audience == 0).ok_or("a status without the public set")?;
    Ok((set.fingerprint, set.count))
}
