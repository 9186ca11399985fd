//! Real nodes in this process: daemons on loopback, each of an organisation of its own, with stores, mutual TLS and all.
//!
//! They are founded together: every organisation is a founder and every node is handed all cards, for joining one after the
//! other is not what is measured here.
//! Always: a version counts as everywhere when every node's feed shows it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fingerpost_cli::client::{Admin, NodeClient};
use fingerpost_cli::founding::Founding;
use fingerpost_cli::identity::Identity;
use fingerpost_cli::keys::{self, KeyPurpose};
use fingerpost_cli::statements::{acceptance_version, card_version};
use fingerpost_daemon::clock::now_ms;
use fingerpost_daemon::config::Config;
use fingerpost_daemon::daemon::Daemon;
use fingerpost_proto::id::{NetworkId, RecordId};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::record::Body;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use fingerpost_tests::cluster::{service, short_folder};
use fingerpost_tests::http::FeedReader;
use prost::Message;

use crate::Failure;
use crate::figure::{Figure, percentiles};

const CASE: &str = "gossip";
/// Longest wait for all links, and for a version to be everywhere.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Outbound links of the overlay, and some inbound ones: with fewer a node is not yet linked.
const LINKS_MIN: u32 = 6;
/// After the last link is up, until the tree is flat: a beat comes within 70 s.
const REST: Duration = Duration::from_secs(80);
/// Between two publishes.
const PUBLISH_PAUSE: Duration = Duration::from_millis(200);
/// Rest between two rounds of looks at the feeds that do not show a version yet.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// Publishes before those that count.
const WARM_UP: usize = 10;
/// After the last publish until every head that follows one is everywhere: heads of one signer are 30 s apart.
const HEADS_REST: Duration = Duration::from_secs(40);

struct Member {
    home: PathBuf,
    daemon: Daemon,
    client: NodeClient,
    feed: FeedReader,
    identity: Identity,
    clock: Hlc,
}

/// Runs `count` nodes and publishes `publishes` records at them in turn.
pub(super) async fn run(count: usize, publishes: usize) -> Result<Vec<Figure>, Failure> {
    let folder = short_folder()?;
    let mut members = Vec::with_capacity(count);
    for number in 0..count {
        members.push(start(folder.path(), number).await?);
    }
    let network = found(&mut members).await?;
    let linked = wait_for_links(&members).await?;
    tokio::time::sleep(REST).await;
    let mut everywhere = Vec::new();
    let (mut before, mut heads_before, mut heads_signed) = (0, BTreeMap::new(), 0);
    for number in 0..WARM_UP + publishes {
        // A publisher's node signs a head after its publish: a message like any other. In one round each publishes at most once,
        // so the heads that changed are all that were signed.
        if number >= WARM_UP && (number - WARM_UP) % count == 0 {
            tokio::time::sleep(HEADS_REST).await;
            let heads = heads(&members).await?;
            if number == WARM_UP {
                before = received(&members).await?;
            } else {
                heads_signed += changed(&heads_before, &heads);
            }
            heads_before = heads;
        }
        let took = publish(&mut members, number, &network).await?;
        if number >= WARM_UP {
            everywhere.push(took);
        }
        tokio::time::sleep(PUBLISH_PAUSE).await;
    }
    tokio::time::sleep(HEADS_REST).await;
    heads_signed += changed(&heads_before, &heads(&members).await?);
    let copies = (received(&members).await? - before) as f64 / ((publishes + heads_signed) * (count - 1)) as f64;
    let measure = format!("{count} real nodes: published until at all others");
    let mut figures = percentiles(CASE, &measure, everywhere, None);
    let figure = |what: &str, unit, value| Figure::new(CASE, format!("{count} real nodes: {what}"), unit, value);
    figures.push(figure("copies per node and message", "copies", copies).at_most(super::COPIES_MAX));
    figures.push(figure("heads per publish", "heads", heads_signed as f64 / publishes as f64));
    figures.push(figure("links per node, mean", "links", linked));
    for member in members {
        member.daemon.stop().await;
    }
    Ok(figures)
}

async fn start(folder: &Path, number: usize) -> Result<Member, Failure> {
    let home = folder.join(format!("n{number}"));
    let mut config = Config::default();
    config.peer.listen = Some(([127, 0, 0, 1], 0).into());
    config.feed.listen = Some(([127, 0, 0, 1], 0).into());
    config.store.cache_mib = 8;
    let daemon = Daemon::start(&home, &config).await?;
    let address = daemon.peer_address().ok_or("a node that does not listen")?;
    let node_key = PublicKey::from_bytes(&daemon.node_key())?;
    let founding = Founding::draft(&format!("Member {number}"), vec![address.to_string()], Some(&node_key))?;
    founding.keep(&home)?;
    let client = NodeClient::connect(&daemon.admin_socket(), &home).await?;
    let identity = Identity::load(&home)?;
    let feed = FeedReader::connect(&daemon.feed_url().ok_or("a node without a feed")?)?;
    Ok(Member { home, daemon, client, feed, identity, clock: Hlc::new(now_ms(), 0) })
}

/// Gives every node the charter and all cards.
async fn found(members: &mut [Member]) -> Result<NetworkId, Failure> {
    let mut founders: Vec<Vec<u8>> = members.iter().map(|member| member.identity.org().0.to_vec()).collect();
    founders.sort_unstable();
    let charter = v1::Charter {
        name: "Measured network".to_owned(),
        purpose: "Finding out how versions spread.".to_owned(),
        founders,
        vouches_needed: 1,
        objections_needed: 2,
        lease_days_default: 180,
        lease_days_max: 400,
        nonce: vec![7; 16],
        ..Default::default()
    }
    .encode_to_vec();
    let network = NetworkId::of_charter(&charter);
    let mut envelopes = Vec::with_capacity(2 * members.len());
    for member in members.iter_mut() {
        let root = keys::load(&member.home, KeyPurpose::Root)?;
        let card = card_version(&root, &member.identity, network, member.clock)?;
        member.clock = member.clock.next(now_ms());
        let acceptance = acceptance_version(&member.identity, network, member.clock, None)?;
        envelopes.push([card.envelope().to_vec(), acceptance.envelope().to_vec()]);
    }
    for (number, member) in members.iter().enumerate() {
        let request = v1::CreateNetworkRequest { charter: charter.clone(), envelopes: envelopes[number].to_vec() };
        member.client.create_network(request).await?;
    }
    for member in members.iter() {
        let requests =
            envelopes.chunks(100).map(|some| v1::PublishRequest { envelopes: some.concat() }).collect::<Vec<_>>();
        let delivery = member.client.publish(requests, |_| ()).await;
        if let Some(refused) = delivery.results.iter().find(|result| !result.error.is_empty()) {
            return Err(format!("a card was refused: {} {}", refused.error, refused.message).into());
        }
        delivery.broken.map_or(Ok(()), Err)?;
    }
    Ok(network)
}

/// Returns links per node.
async fn wait_for_links(members: &[Member]) -> Result<f64, Failure> {
    let begin = Instant::now();
    let wanted = LINKS_MIN.min(members.len() as u32 - 1);
    loop {
        let mut links = Vec::with_capacity(members.len());
        for member in members {
            links.push(member.client.status().await?.links);
        }
        if links.iter().all(|links| *links >= wanted) {
            return Ok(f64::from(links.iter().sum::<u32>()) / members.len() as f64);
        }
        if begin.elapsed() > WAIT_MAX {
            return Err(format!("not all nodes are linked: {links:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Versions that came to all nodes over the links that they have now.
async fn received(members: &[Member]) -> Result<u64, Failure> {
    let mut all = 0;
    for member in members {
        all += member.client.peers().await?.iter().map(|peer| peer.received_versions).sum::<u64>();
    }
    Ok(all)
}

/// When the newest head of each organisation was signed, as the first node has it.
async fn heads(members: &[Member]) -> Result<BTreeMap<Vec<u8>, u64>, Failure> {
    let states = members[0].client.members().await?;
    Ok(states.into_iter().map(|state| (state.organisation, state.head_ms)).collect())
}

/// How many of them are others than before.
fn changed(before: &BTreeMap<Vec<u8>, u64>, after: &BTreeMap<Vec<u8>, u64>) -> usize {
    after.iter().filter(|(org, head_ms)| before.get(*org) != Some(head_ms)).count()
}

/// Publishes one record and returns how long it took until every node shows it.
async fn publish(members: &mut [Member], number: usize, network: &NetworkId) -> Result<Duration, Failure> {
    let at = number % members.len();
    let version = members[at].sign(network, &service(&format!("measured-{number}"), "Measured drop-in"))?;
    let record = version.header().record;
    let request = v1::PublishRequest { envelopes: vec![version.envelope().to_vec()] };
    let begin = Instant::now();
    let delivery = members[at].client.publish(vec![request], |_| ()).await;
    delivery.broken.map_or(Ok(()), Err)?;
    let waiting = (0..members.len()).filter(|member| *member != at).collect();
    // The feeds are asked by this thread alone; the nodes have the others.
    tokio::task::block_in_place(|| watch(members, waiting, &format!("/services/{record}"), begin))
}

/// Asks the feeds in turn until each has shown the record; returns when the last did.
fn watch(members: &mut [Member], mut waiting: Vec<usize>, path: &str, begin: Instant) -> Result<Duration, Failure> {
    while !waiting.is_empty() {
        let mut still = Vec::with_capacity(waiting.len());
        for member in waiting {
            if members[member].feed.get(path)?.status != 200 {
                still.push(member);
            }
        }
        if begin.elapsed() > WAIT_MAX {
            return Err(format!("{} nodes do not show {path} after {WAIT_MAX:?}", still.len()).into());
        }
        waiting = still;
        // Without a rest the watcher would take the cores from those that it watches.
        std::thread::sleep(LOOK_PAUSE);
    }
    Ok(begin.elapsed())
}

impl Member {
    fn sign(&mut self, network: &NetworkId, body: &Body) -> Result<SignedVersion, Failure> {
        self.clock = self.clock.next(now_ms());
        let mut body = body.clone();
        body.set_modified_ms(self.clock.ms());
        let org = self.identity.org();
        let header = Header {
            audience: Audience::Public,
            kind: body.kind(),
            network: *network,
            org,
            record: RecordId::derive(&org, body.kind(), Audience::Public, body.local_id()),
            device: *self.identity.device.public().as_bytes(),
            hlc: self.clock,
            prev: [0; 8],
            lease_until: UnixHour::containing(self.clock.ms()).plus_days(180),
        };
        Ok(self.identity.device.sign_version(&header, &body.encode())?)
    }
}
