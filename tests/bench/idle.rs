//! Case `idle`: what a node costs while nothing happens, among as many nodes as a city's partnership has.
//!
//! Processes of `fingerpostd`, each an organisation of its own, all linked to all, on loopback over mutual TLS. Every link
//! goes through a counting relay. Once every member has signed its head of the day, all sets are equal and everything is at
//! rest, bytes and processor time are taken for a while and scaled to a day. Bytes are those of TLS with all that is in it; TCP and IP add about 60 for each packet.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use fingerpost_tests::cluster::{Cluster, Node, NodeOptions, wait_until};

use crate::Failure;
use crate::figure::Figure;
use crate::initial::process::{memory_kib_max, processor_time};
use crate::initial::proxy::Proxy;

const CASE: &str = "idle";
/// Nodes.
const NODES: usize = 30;
/// Longest wait for all links.
const LINKS_WAIT_MAX: Duration = Duration::from_secs(180);
/// Longest wait for everybody's first head: a node signs it after its first comparison, which may be 300 s away.
const HEADS_WAIT_MAX: Duration = Duration::from_secs(400);
/// After all heads are everywhere, until announcements and comparisons that follow are over.
const REST: Duration = Duration::from_secs(15);
/// How long is measured. Nodes ping each 30 s, and compare sets each 60 s to 300 s.
const MEASURED: Duration = Duration::from_secs(120);
const DAY_SECONDS: f64 = 86_400.0;

/// Runs the case. `count` replaces the number of nodes.
pub(crate) fn run(count: Option<usize>) -> Result<Vec<Figure>, Failure> {
    let count = count.unwrap_or(NODES).max(2);
    let mut cluster = Cluster { nodes: Vec::with_capacity(count) };
    let mut proxies = Vec::with_capacity(count);
    for number in 0..count {
        let mut node = Node::prepare(&format!("Node {number}"), &NodeOptions::default())?;
        let proxy = Proxy::start(node.peer_address().ok_or("a node that does not listen")?)?;
        // Others are told the relay's address on cards and invites.
        let path = node.home().join("fingerpostd.toml");
        let configuration = fs::read_to_string(&path)?;
        let advertise = format!("[peer]\nadvertise = [\"{}\"]", proxy.address);
        fs::write(&path, configuration.replacen("[peer]", &advertise, 1))?;
        proxies.push(proxy);
        node.launch()?;
        node.ok(&["init", "--name", node.name(), "--yes"])?;
        match cluster.nodes.first() {
            None => drop(node.ok(&["network", "create", "--name", "Idle", "--purpose", "Measuring", "--yes"])?),
            Some(founder) => node.join(&founder.invite()?)?,
        }
        cluster.nodes.push(node);
    }
    let is_full = || {
        for node in &cluster.nodes {
            if node.status()?.links as usize + 1 < count {
                return Ok(false);
            }
        }
        Ok(true)
    };
    wait_until(LINKS_WAIT_MAX, is_full).map_err(|error| format!("not all nodes are linked: {error}"))?;
    let has_all_heads = || {
        let listed = cluster.nodes[0].json(&["members"])?;
        let members = listed["members"].as_array();
        Ok(members.is_some_and(|members| members.iter().all(|member| member["complete_as_of"].is_string())))
    };
    wait_until(HEADS_WAIT_MAX, has_all_heads)
        .map_err(|error| format!("not all members have signed a head: {error}"))?;
    cluster.wait_until_equal(LINKS_WAIT_MAX)?;
    thread::sleep(REST);

    let bytes = || -> u64 { proxies.iter().map(Proxy::bytes).map(|(up, down)| up + down).sum() };
    let processes: Vec<u32> = cluster.nodes.iter().filter_map(Node::process_id).collect();
    let time = || -> Result<Duration, Failure> { processes.iter().map(|process| processor_time(*process)).sum() };
    let (start, bytes_before, time_before) = (Instant::now(), bytes(), time()?);
    thread::sleep(MEASURED);
    let seconds = start.elapsed().as_secs_f64();
    // Each byte is sent by one node and received by another.
    let bytes_of_one = 2.0 * (bytes() - bytes_before) as f64 / count as f64;
    let time_of_one = (time()? - time_before).as_secs_f64() / count as f64;
    let memory: Vec<u64> = processes.iter().map(|process| memory_kib_max(*process)).collect::<Result<_, _>>()?;
    let figure =
        |measure: &str, unit, value| Figure::new(CASE, format!("one of {count} nodes: {measure}"), unit, value);
    Ok(vec![
        figure("bytes sent and received", "MB/day", bytes_of_one / seconds * DAY_SECONDS / 1e6),
        figure("of one link, both ways", "B/min", bytes_of_one / seconds * 60.0 / (count - 1) as f64),
        figure("processor time", "s/day", time_of_one / seconds * DAY_SECONDS),
        figure("greatest resident memory, mean", "MiB", memory.iter().sum::<u64>() as f64 / 1_024.0 / count as f64),
    ])
}
