//! A publishing daemon that is stopped at random moments: what it acknowledged over the admin socket must be there after
//! the restart, and what was withdrawn must stay withdrawn.
//!
//! One record is handed in at a time, so that at most one version is in flight when the stop comes. That one may be there
//! or not; every other record must have exactly the version that was acknowledged last.

use std::collections::BTreeMap;
use std::thread;

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::version::SignedVersion;
use fingerpost_tests::cluster::{ClusterError, Node, NodeOptions, Publisher, service};
use fingerpost_tests::crash::{Delays, Tally};
use fingerpost_tests::power::PowerRig;

use super::{assert_kept, rounds};

/// Records that are edited and withdrawn in turn.
const RECORDS: u64 = 150;
/// Every so many-th step withdraws.
const WITHDRAWAL_EVERY: u64 = 5;

/// What the daemon has said so far.
#[derive(Default)]
struct Promises {
    acknowledged: BTreeMap<RecordId, SignedVersion>,
    in_flight: Option<SignedVersion>,
    /// Steps so far; decides what the next one does.
    steps: u64,
    count: u64,
}

impl Promises {
    /// Publishes one record after the other until the daemon is gone.
    fn publish_until_cut(&mut self, publisher: &mut Publisher) {
        loop {
            self.steps += 1;
            let number = self.steps.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let body = service(&format!("s{}", number % RECORDS), &format!("Step {}", self.steps));
            let record = publisher.record(Audience::Public, &body);
            let is_live = self.acknowledged.get(&record).is_some_and(|version| !version.is_withdrawal());
            let signed = if is_live && self.steps.is_multiple_of(WITHDRAWAL_EVERY) {
                publisher.sign_withdrawal(&record)
            } else {
                publisher.sign(Audience::Public, &body)
            };
            let version = signed.unwrap();
            self.in_flight = Some(version.clone());
            if publisher.hand_in(vec![version.clone()]).is_err() {
                return;
            }
            self.acknowledged.insert(record, version);
            self.in_flight = None;
            self.count += 1;
        }
    }

    /// Compares with what the daemon has now, and takes that over. Returns what is wrong.
    fn check(&mut self, publisher: &Publisher) -> Option<String> {
        let mut wrong = Vec::new();
        let found = publisher.current();
        for (record, promised) in &self.acknowledged {
            let in_flight = self.in_flight.as_ref().filter(|version| version.header().record == *record);
            match found.get(record) {
                None => wrong.push(format!("{record} is missing")),
                Some(version) if version == promised || Some(version) == in_flight => {}
                Some(version) => wrong.push(format!(
                    "{record}: acknowledged {:?} (withdrawal: {}), found {:?} (withdrawal: {})",
                    promised.header().hlc,
                    promised.is_withdrawal(),
                    version.header().hlc,
                    version.is_withdrawal()
                )),
            }
        }
        for (record, version) in found {
            if !self.acknowledged.contains_key(record) && Some(version) != self.in_flight.as_ref() {
                wrong.push(format!("{record} was never published"));
            }
        }
        self.acknowledged.clone_from(found);
        self.in_flight = None;
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }
}

/// A node with an organisation in a network of its own.
fn founded(options: &NodeOptions) -> Result<Node, ClusterError> {
    let node = Node::start_with("Publisher", options)?;
    node.ok(&["init", "--name", "Publisher", "--yes"])?;
    node.ok(&["network", "create", "--name", "Net", "--purpose", "Keeping promises", "--yes"])?;
    Ok(node)
}

/// Stops the daemon `count` times with `cut`, which leaves no process behind.
fn stop_again_and_again(node: &mut Node, count: u32, mut cut: impl FnMut(&mut Node)) -> Tally {
    let (mut promises, mut tally, mut delays) = (Promises::default(), Tally::default(), Delays::new(7));
    for round in 1..=count {
        let delay = delays.next(round);
        if round.is_multiple_of(6) {
            // Inside the opening: nothing can be promised, and nothing may be lost.
            node.kill_nine();
            node.spawn().unwrap();
            thread::sleep(delay);
            cut(node);
        } else {
            let mut publisher = Publisher::open(node, node).unwrap();
            thread::scope(|scope| {
                let publishing = scope.spawn(|| promises.publish_until_cut(&mut publisher));
                thread::sleep(delay);
                cut(node);
                publishing.join().unwrap();
            });
        }
        let complaint = match node.launch() {
            Ok(()) => complaint(node, &mut promises),
            Err(error) => Some(format!("it does not start: {error}")),
        };
        tally.add(promises.count, complaint);
        if !node.is_running() {
            break;
        }
    }
    tally
}

fn complaint(node: &Node, promises: &mut Promises) -> Option<String> {
    let status = node.status().unwrap().json;
    if status["read_only_reason"] != "" || status["warnings"].as_array().is_none_or(|list| !list.is_empty()) {
        return Some(format!("{} {}", status["read_only_reason"], status["warnings"]));
    }
    promises.check(&Publisher::open(node, node).unwrap())
}

#[test]
fn no_kill_of_a_publishing_daemon_loses_an_acknowledged_record_or_revives_a_withdrawn_one() {
    let mut node = founded(&NodeOptions::default()).unwrap();
    let tally = stop_again_and_again(&mut node, rounds("FINGERPOST_DAEMON_KILLS", 8), Node::kill_nine);
    assert_kept(&tally, "daemon, kill -9", "versions");
}

#[test]
fn no_power_cut_under_a_publishing_daemon_loses_an_acknowledged_record_or_revives_a_withdrawn_one() {
    let mut rig = match PowerRig::new(1 << 30) {
        Ok(rig) => rig,
        Err(why) => {
            eprintln!("SKIPPED: no power cuts on this machine: {why}");
            return;
        }
    };
    let options = NodeOptions { parent: Some(rig.home()), ..NodeOptions::default() };
    let mut node = founded(&options).unwrap();
    // The configuration was written by this test, which promises nothing about it.
    rustix::fs::sync();
    let count = rounds("FINGERPOST_DAEMON_POWER_CUTS", 3);
    let tally = stop_again_and_again(&mut node, count, |node| {
        rig.cut().unwrap();
        node.kill_nine();
        rig.restore().unwrap();
    });
    assert_kept(&tally, "daemon, power cuts", "versions");
}
