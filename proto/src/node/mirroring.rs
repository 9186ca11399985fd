//! Read-only mirrors: nodes of nobody, which get the public set and are not heard.
//!
//! In: the operator's list of keys, and what this side of the node accepted. Out: pushes and announcements to mirrors.
//! Always: nothing of the members set goes over a link to a mirror, or to a node that is one; nothing that a mirror says
//! changes a set, the overlay or what is known of who holds what.
//! Spec: `spec/06-link.md`, section 9. Tested: `node/tests/mirrors.rs`, `tests/cluster`, `tests/simulation`.

use std::collections::BTreeSet;

use super::frame::{Breach, versions_frames_on_route};
use super::output::Output;
use super::spreading::Accepted;
use super::{Node, Peer, Reject};
use crate::id::OrgId;
use crate::kind::Audience;
use crate::limits::MIRRORS_MAX;
use crate::overlay::Source;
use crate::set::Slot;
use crate::time::UnixMillis;
use crate::v1;
use crate::v1::frame::Content;

impl Node {
    /// Takes the operator's list. Links of mirrors that are no longer on it end at once.
    pub(super) fn set_mirrors(&mut self, now: UnixMillis, keys: BTreeSet<Peer>, outputs: &mut Vec<Output>) {
        self.mirrors = keys.into_iter().take(MIRRORS_MAX).collect();
        let is_forbidden = |peer: &Peer| !self.mirrors.contains(peer);
        let linked = self.links.iter().filter(|(peer, link)| link.is_mirror && is_forbidden(peer));
        let forbidden: Vec<Peer> = linked.map(|(peer, _)| *peer).collect();
        for peer in forbidden {
            let message = "this node's operator does not allow this mirror any more".to_owned();
            self.part(now, peer, v1::ByeCode::NotAMember, message, outputs);
        }
    }

    /// True when a new link leads to a mirror: it dialled, and no member's card lists it.
    pub(super) fn is_mirror_of(&self, peer: &Peer, outbound: bool, org: Option<OrgId>) -> bool {
        !outbound && org.is_none() && self.mirrors.contains(peer)
    }

    /// False for what is passed over: whatever a mirror tells, and what a mirror is told of the members set. A mirror that sends
    /// versions breaks the rules: it costs work, and is not what its operator says it is.
    pub(super) fn hears(&self, peer: &Peer, content: &Content) -> Result<bool, Breach> {
        if self.is_mirror
            && let Content::Offer(offer) = content
        {
            return Ok(offer.audience == u32::from(Audience::Public.number()));
        }
        if !self.links.get(peer).is_some_and(|link| link.is_mirror) {
            return Ok(true);
        }
        match content {
            Content::Compressed(_) => Err(Breach::MirrorSpeaks),
            Content::Versions(versions) if !versions.envelopes.is_empty() => Err(Breach::MirrorSpeaks),
            Content::Versions(_)
            | Content::Offer(_)
            | Content::Arrivals(_)
            | Content::Progress(_)
            | Content::Prune(_)
            | Content::Neighbours(_)
            | Content::Beat(_) => Ok(false),
            _ => Ok(true),
        }
    }

    /// Pushes to mirrors what is public news, outside of the tree: a mirror passes nothing on. What was found by asking, or waited
    /// in the quarantine, is announced.
    pub(super) fn spread_to_mirrors(&mut self, now: UnixMillis, accepted: &[Accepted], outputs: &mut Vec<Output>) {
        let linked = self.links.iter().filter(|(_, link)| link.is_mirror && link.is_greeted);
        let mirrors: Vec<Peer> = linked.map(|(peer, _)| *peer).collect();
        if mirrors.is_empty() {
            return;
        }
        let mut news = Vec::new();
        for Accepted { source, slot, vid, envelope, goes_first } in accepted {
            match source {
                _ if slot.audience != Audience::Public => {}
                _ if *goes_first => news.push(envelope.clone()),
                Some(Source::Published { .. } | Source::Pushed { .. }) => news.push(envelope.clone()),
                Some(Source::Pulled { .. }) | None => {
                    mirrors.iter().for_each(|mirror| self.announce(now, *mirror, *slot, *vid));
                }
            }
        }
        if news.is_empty() {
            return;
        }
        for mirror in &mirrors {
            if let Some(link) = self.links.get_mut(mirror) {
                link.sent_versions += news.len() as u64;
            }
        }
        for frame in versions_frames_on_route(news, None) {
            outputs.push(Output::Send { to: mirrors.clone(), frame });
        }
    }

    /// What a mirror answers to whoever hands in versions.
    pub(super) fn refused_by_mirror() -> Reject {
        let reason = "it is a read-only mirror; publish at a node of your organisation".to_owned();
        Reject::ReadOnly { reason }
    }

    /// A mirror keeps nothing of the members set, whoever sends it. Errors: that it does not.
    pub(super) fn check_kept(&self, slot: &Slot) -> Result<(), Reject> {
        if self.is_mirror && slot.audience != Audience::Public {
            return Err(Reject::ReadOnly { reason: "it is a mirror and keeps public records only".to_owned() });
        }
        Ok(())
    }
}
