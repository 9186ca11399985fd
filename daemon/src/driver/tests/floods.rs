//! Who waits for whom when a peer floods, and what becomes of one that reads nothing.

use super::super::limits::STALLED_MAX;
use super::*;

#[test]
fn a_peer_that_lets_frames_wait_and_takes_none_loses_its_link_and_one_that_takes_some_does_not() {
    let mut rig = Rig::new();
    let began = Instant::now();
    let mut up = |seed: u8| {
        let peer = public(&key(seed));
        let (queue, frames, _) = LinkQueue::new(u64::from(seed));
        let waiting = queue.waiting();
        rig.run(Command::LinkUp { peer, outbound: false, queue });
        (peer, waiting, frames)
    };
    // A Hello waits for each.
    let ((stalled, _, mut said), (slow, taken, _slow), (idle, all_taken, mut left)) = (up(9), up(10), up(11));
    let Ok(Queued::Frame(hello)) = left.try_recv() else { panic!("no Hello") };
    all_taken.leave(hello.len());
    taken.leave(1);
    assert_eq!(rig.driver.links.stalled(began + STALLED_MAX / 2), []);
    taken.leave(1);
    let mut outputs = Vec::new();
    rig.driver.part_from_stalled(Instant::now() + STALLED_MAX, &mut outputs);
    rig.driver.perform(outputs);
    let is_up = [stalled, slow, idle].map(|peer| rig.driver.links.is_up(&peer));
    assert_eq!(is_up, [false, true, true]);
    assert!(rig.driver.node.as_ref().unwrap().links().all(|link| link.peer != stalled), "the node knows");
    let last = std::iter::from_fn(|| said.try_recv().ok()).last();
    let Some(Queued::Frame(bye)) = last else { panic!("no Bye") };
    let Ok(Content::Bye(bye)) = read_frame(&bye) else { panic!("no Bye") };
    assert_eq!((bye.code(), bye.message.contains("60 s")), (v1::ByeCode::TooSlow, true));
}

#[test]
fn what_is_handed_in_here_is_taken_before_what_peers_sent_and_wakes_a_driver_that_waits() {
    let (handle, mut commands) = DriverHandle::new();
    let publish = || Command::Publish { envelopes: Vec::new(), reply: oneshot::channel().0 };
    for _ in 0..3 {
        handle.blocking_send(Command::Tick).unwrap();
    }
    handle.blocking_send_first(publish()).unwrap();
    assert!(matches!(commands.take(), Some(Command::Publish { .. })));
    handle.blocking_send_first(publish()).unwrap();
    assert!(matches!(commands.try_take(), Some((Command::Publish { .. }, true))));
    assert_eq!(std::iter::from_fn(|| commands.try_take()).count(), 3);
    let waiting = std::thread::spawn(move || matches!(commands.take(), Some(Command::Publish { .. })));
    handle.blocking_send_first(publish()).unwrap();
    assert!(waiting.join().unwrap());
}

#[test]
fn peers_that_ask_for_everything_are_answered_in_turns_one_answer_at_a_time() {
    let (mut rig, peers) = (Rig::new(), [public(&key(9)), public(&key(10))]);
    (0..20).for_each(|_| rig.publish());
    let mut lines = [rig.greeted(peers[0], 1), rig.greeted(peers[1], 2)];
    for want in 1..=3 {
        assert!(rig.fetch(peers[0], &lines[0], want));
    }
    assert!(rig.fetch(peers[1], &lines[1], 1));
    assert!(lines.iter_mut().all(|line| answered(line).is_empty()), "what else has come is done before");
    let mut order = Vec::new();
    while let Some(peer) = rig.driver.next_to_answer() {
        rig.driver.answer_next(peer);
        let number = peers.iter().position(|known| *known == peer).unwrap();
        assert_eq!(answered(&mut lines[number]).len(), 1);
        order.push(number);
    }
    assert_eq!(
        order.iter().take(2).collect::<std::collections::BTreeSet<_>>().len(),
        2,
        "nobody waits for another's second"
    );
    assert_eq!(order.len(), 4);
}
