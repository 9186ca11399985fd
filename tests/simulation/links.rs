//! The life of a link as its two machines see it: from dialling to the end, as in the daemon.

use std::rc::Rc;

use fingerpost_proto::node::{Input, Output, Peer, write_frame};
use fingerpost_proto::overlay::DialFailure;
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;

use super::cast::Role;
use super::driver::describe_frame;
use super::network::{DIAL_WAIT_US, End, Frame, KEEPALIVE_US, Next};
use super::world::{Checked, Event, World};

impl World {
    /// Somebody wants a link: the attempt comes to something or nothing after a while.
    pub(super) fn dial(&mut self, number: usize, peer: &Peer) -> Checked {
        let Some(to) = self.cast.numbers.get(peer).copied() else { return Ok(()) };
        self.check_dialling(number, to)?;
        // Two round trips for TCP and TLS, or nothing for ten seconds.
        let wait_us = if self.network.is_cut(number, to) { DIAL_WAIT_US } else { 4 * self.network.latency_us() };
        let incarnation = self.machines[number].incarnation;
        self.after(wait_us, Event::Dialled { from: number, to, incarnation });
        Ok(())
    }

    pub(super) fn dialled(&mut self, from: usize, to: usize, incarnation: u64) -> Checked {
        if self.machines[from].incarnation != incarnation {
            return Ok(());
        }
        let is_outsider = |number: usize| self.cast.organisations[self.machines[number].org].role == Role::Outsider;
        let own = self.peer(from);
        // Outsiders get past the listener here, so that what stands behind it is tried as well.
        let is_admitted = self.machines[to].admitted.contains(&own) || is_outsider(from);
        if self.network.is_cut(from, to) || self.machines[to].node.is_none() || !is_admitted {
            self.history.line(self.now_us, Some(from), || format!("cannot reach n{to:03}, admitted: {is_admitted}"));
            let is_refusal = self.machines[to].node.is_some() && !is_admitted && !self.network.is_cut(from, to);
            let why = if is_refusal { DialFailure::Refused } else { DialFailure::Unreachable };
            let peer = self.peer(to);
            return self.handle(from, Input::DialFailed { peer, why });
        }
        let link = self.network.open(from, to, self.now_us);
        self.history.counts.links += 1;
        self.history.line(self.now_us, Some(from), || format!("dials n{to:03}: link {link}"));
        let latency_us = self.network.latency_us();
        self.after(latency_us, Event::Opened { link });
        self.connect(link, 1)
    }

    /// Tells the machine at an end of a link that it is up.
    pub(super) fn connect(&mut self, link: usize, end: usize) -> Checked {
        if self.network.links[link].ends[end] != End::Opening {
            return Ok(());
        }
        let machines = self.network.links[link].machines;
        let (number, other) = (machines[end], machines[1 - end]);
        let (own, peer, is_outbound) = (self.peer(number), self.peer(other), end == 0);
        if self.machines[number].node.is_none() {
            self.close(link, end);
            return Ok(());
        }
        if let Some((old, old_outbound)) = self.machines[number].links.get(&peer).copied() {
            let is_dialler_lower = if is_outbound { own < peer } else { peer < own };
            if old_outbound != is_outbound && !is_dialler_lower {
                self.say_bye(link, end, v1::ByeCode::Duplicate, "there is another link between these nodes");
                self.close(link, end);
                return Ok(());
            }
            let old_end = self.network.end_of(old, number);
            self.say_bye(old, old_end, v1::ByeCode::Duplicate, "a later link between these nodes takes its place");
            self.machines[number].links.remove(&peer);
            self.close(old, old_end);
            self.handle(number, Input::Disconnected { peer })?;
            if self.machines[number].node.is_none() {
                return Ok(());
            }
        }
        self.machines[number].links.insert(peer, (link, is_outbound));
        self.network.links[link].ends[end] = End::Open;
        self.look_at(link, 1 - end);
        self.handle(number, Input::Connected { peer, outbound: is_outbound })
    }

    /// Delivers what has arrived at the far end of a wire.
    pub(super) fn deliver(&mut self, link: usize, wire: usize) -> Checked {
        self.network.links[link].wires[wire].is_scheduled = false;
        let machines = self.network.links[link].machines;
        let (from, to) = (machines[wire], machines[1 - wire]);
        let peer = self.peer(from);
        loop {
            match self.network.next(link, wire, self.now_us) {
                Next::Nothing => return Ok(()),
                Next::At(at_us) => {
                    self.schedule(link, wire, at_us);
                    return Ok(());
                }
                Next::Frame(frame) => {
                    self.history.counts.frames += 1;
                    self.history.counts.bytes += frame.len() as u64;
                    self.history.note_bytes(&frame);
                    self.history
                        .line(self.now_us, Some(to), || format!("gets from n{from:03}: {}", describe_frame(&frame)));
                    self.note_delivery(from, to, link, &frame);
                    let frame = self.heard(to, frame);
                    self.handle(to, Input::Received { peer, frame: frame.to_vec() })?;
                }
                Next::End => {
                    self.history.line(self.now_us, Some(to), || format!("link {link} to n{from:03} is over"));
                    self.close(link, 1 - wire);
                    return self.lost_link(to, link, peer);
                }
            }
        }
    }

    /// A link is gone: tells the node, if this was the current link to that peer.
    fn lost_link(&mut self, number: usize, link: usize, peer: Peer) -> Checked {
        if self.machines[number].links.get(&peer).is_some_and(|(current, _)| *current == link) {
            self.machines[number].links.remove(&peer);
            return self.handle(number, Input::Disconnected { peer });
        }
        Ok(())
    }

    /// Keepalive has heard nothing from the other side: the link ends, at each side by itself.
    pub(super) fn keepalive(&mut self, link: usize) -> Checked {
        let machines = self.network.links[link].machines;
        let cut_since = self.network.cut_since(machines[0], machines[1]);
        let is_silent = cut_since.is_some_and(|since_us| since_us + KEEPALIVE_US <= self.now_us);
        for end in [0, 1] {
            let ends = self.network.links[link].ends;
            if ends[end] != End::Closed && (is_silent || ends[1 - end] == End::Closed) {
                self.close(link, end);
                self.history.line(self.now_us, Some(machines[end]), || format!("link {link} is silent"));
                self.lost_link(machines[end], link, self.peer(machines[1 - end]))?;
            }
        }
        Ok(())
    }

    /// Breaks a link: both sides notice at once, and what was under way is lost.
    pub(super) fn break_link(&mut self, link: usize) -> Checked {
        let machines = self.network.links[link].machines;
        for end in [0, 1] {
            self.network.lose_queue(link, end);
        }
        for end in [0, 1] {
            if self.network.links[link].ends[end] != End::Closed {
                self.close(link, end);
                self.lost_link(machines[end], link, self.peer(machines[1 - end]))?;
            }
        }
        Ok(())
    }

    /// Closes an end; the other side sees it when all that was queued has arrived.
    pub(super) fn close(&mut self, link: usize, end: usize) {
        self.network.close(link, end);
        self.look_at(link, end);
    }

    pub(super) fn part(&mut self, number: usize, peer: &Peer, bye: Option<(v1::ByeCode, &str)>) {
        let Some((link, _)) = self.machines[number].links.remove(peer) else { return };
        let end = self.network.end_of(link, number);
        if let Some((code, message)) = bye {
            self.history.line(self.now_us, Some(number), || format!("closes link {link}: {message}"));
            self.say_bye(link, end, code, message);
        }
        self.close(link, end);
    }

    fn say_bye(&mut self, link: usize, end: usize, code: v1::ByeCode, message: &str) {
        let bye = v1::Bye { code: code.into(), message: message.to_owned() };
        self.network.send(link, end, Rc::new(write_frame(Content::Bye(bye))), self.now_us);
    }

    pub(super) fn send(&mut self, number: usize, peer: &Peer, frame: &Frame, more: &mut Vec<Output>) {
        let Some((link, _)) = self.machines[number].links.get(peer).copied() else { return };
        let end = self.network.end_of(link, number);
        for frame in self.mangled(number, frame) {
            if self.network.send(link, end, frame, self.now_us) {
                self.look_at(link, end);
                if self.network.links[link].machines.iter().all(|machine| self.machines[*machine].is_honest()) {
                    *self.quiet_frames.entry(link).or_default() += 1;
                }
                continue;
            }
            self.history.counts.links_overflowed += 1;
            self.history.line(self.now_us, Some(number), || format!("link {link} is too slow and dropped"));
            self.machines[number].links.remove(peer);
            self.close(link, end);
            self.handle_into(number, Input::Disconnected { peer: *peer }, more);
            return;
        }
    }

    /// Sends frames that no node wanted to send.
    pub(super) fn send_raw(&mut self, number: usize, peer: &Peer, frames: Vec<Frame>) -> Checked {
        let Some((link, _)) = self.machines[number].links.get(peer).copied() else { return Ok(()) };
        let end = self.network.end_of(link, number);
        for frame in frames {
            if !self.network.send(link, end, frame, self.now_us) {
                self.machines[number].links.remove(peer);
                self.close(link, end);
                return self.handle(number, Input::Disconnected { peer: *peer });
            }
        }
        self.look_at(link, end);
        Ok(())
    }

    pub(super) fn done_with_frame(&mut self, link: usize, wire: usize) {
        let wire_at = &mut self.network.links[link].wires[wire];
        wire_at.in_work = wire_at.in_work.saturating_sub(1);
        self.look_at(link, wire);
    }

    /// Looks at a wire in a moment, unless that is planned already.
    pub(super) fn look_at(&mut self, link: usize, wire: usize) {
        let at_us = self.network.links[link].wires[wire].looks_at_us(self.now_us);
        if let Some(at_us) = at_us {
            self.schedule(link, wire, at_us);
        }
    }

    fn schedule(&mut self, link: usize, wire: usize, at_us: u64) {
        let wire_at = &mut self.network.links[link].wires[wire];
        if !wire_at.is_scheduled {
            wire_at.is_scheduled = true;
            self.after(at_us - self.now_us, Event::Deliver { link, wire });
        }
    }
}
