//! Twenty-one stories of what happens to people's computers, played with real processes.
//!
//! In: names of stories, or none for all. Out: a line for each, `ok` or `FAILED`, with what was seen and measured.
//! Always: only what an admin, a thief or a power cut can do is done; what must be seen is looked for at every node. Sources:
//! `spec/12-threats.md` and the sections it names. Tested: by `main.rs` beside this file.
#![allow(clippy::unwrap_used)] // A story that finds something else than it tells ends there.

mod clocks;
mod disks;
mod hosts;
mod keys;
mod members;
mod outages;
mod readers;
mod sheets;
mod stage;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::ClusterError;

/// What a story measured, in a few words.
type Told = Result<String, ClusterError>;

/// Stories that are played at the same time: they wait more than they compute.
pub const AT_ONCE_DEFAULT: u64 = 4;

/// One story.
pub struct Story {
    /// Two digits and some words.
    pub name: &'static str,
    /// What happens and how it ends, in one sentence.
    pub says: &'static str,
    tell: fn() -> Told,
}

/// How a story went.
pub struct Ending {
    /// The story.
    pub story: &'static Story,
    /// Facts, or what was found instead.
    pub outcome: Result<String, String>,
    /// How long it took.
    pub took: Duration,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, facts) = match &self.outcome {
            Ok(facts) => ("ok    ", facts),
            Err(found) => ("FAILED", found),
        };
        write!(out, "{word} {:<28} {} {facts} [{:.1} s]", self.story.name, self.story.says, self.took.as_secs_f64())
    }
}

/// All stories, in the order of their numbers.
pub const STORIES: [Story; 21] = [
    Story {
        name: "01-stolen-laptop",
        says: "A laptop is stolen and revoked: its lies, late and backdated, are gone everywhere, its good record stays.",
        tell: keys::stolen_laptop,
    },
    Story {
        name: "02-only-the-phrase-is-left",
        says: "An office burns down; the words on paper bring the organisation and its records back.",
        tell: keys::only_the_phrase_is_left,
    },
    Story {
        name: "03-yesterdays-disk-twice",
        says: "Yesterday's disk is put into a second machine and both publish: no fork, no loss, and their people are told.",
        tell: disks::yesterdays_disk_twice,
    },
    Story {
        name: "04-founder-disappears",
        says: "The founder is gone for good: the others invite, admit, and put it out.",
        tell: members::founder_disappears,
    },
    Story {
        name: "05-hosted-group-moves",
        says: "The host of a group vanishes; the group publishes over another, with the same ids.",
        tell: hosts::hosted_group_moves,
    },
    Story {
        name: "06-relay-serves-last-week",
        says: "A relay serves last week, then hides edits: it is noticed both times, and another node heals it.",
        tell: disks::relay_serves_last_week,
    },
    Story {
        name: "07-refuge-redacted",
        says: "A refuge's address is redacted while a third of the nodes is away: all confirm, no file holds it.",
        tell: readers::refuge_redacted,
    },
    Story {
        name: "08-member-thrown-out",
        says: "Two object to a member: its records leave every feed, and readers of change lists are told.",
        tell: members::member_thrown_out,
    },
    Story {
        name: "09-member-leaves",
        says: "A member leaves of its own accord and is gone everywhere; later it comes back.",
        tell: members::member_leaves,
    },
    Story {
        name: "10-local-block",
        says: "One node blocks a member: there it is gone, elsewhere nothing changes.",
        tell: members::local_block,
    },
    Story {
        name: "11-refuge-for-members",
        says: "A refuge's number for members reaches every member and no public page.",
        tell: readers::refuge_for_members,
    },
    Story {
        name: "12-website-mirror",
        says: "A website's mirror gets what is public and nothing else, and nothing more once it is forbidden.",
        tell: readers::website_mirror,
    },
    Story {
        name: "13-clock-a-day-wrong",
        says: "A machine's clock is a day ahead: its operator is told, nobody shows tomorrow, and all is well when it is set.",
        tell: clocks::a_day_wrong,
    },
    Story {
        name: "14-half-are-killed",
        says: "Half of the nodes are killed while they publish: what was said to be published is everywhere afterwards.",
        tell: outages::half_are_killed,
    },
    Story {
        name: "15-disk-lost",
        says: "A node's disk dies; from the backed-up keys and a new invite it is what it was.",
        tell: disks::disk_lost,
    },
    Story {
        name: "16-behind-nat",
        says: "Two nodes that nobody can dial exchange records over a third.",
        tell: outages::behind_nat,
    },
    Story {
        name: "17-halves-apart",
        says: "Two halves edit one organisation from two computers while apart, and agree when they meet.",
        tell: outages::halves_apart,
    },
    Story {
        name: "18-invite-stolen",
        says: "A thief uses an invite first: the invited is told, the inviter sees who came, and puts it out.",
        tell: members::invite_stolen,
    },
    Story {
        name: "19-host-goes-back",
        says: "A host goes back to an old backup, then stops carrying: its group notices both and loses nothing.",
        tell: hosts::host_goes_back,
    },
    Story {
        name: "20-half-a-spreadsheet",
        says: "Half a spreadsheet is imported: nothing is withdrawn until somebody says how many.",
        tell: sheets::half_a_spreadsheet,
    },
    Story {
        name: "21-nobody-confirms",
        says: "Nobody confirms a record: it leaves every feed in the same hour, and a confirmation brings it back.",
        tell: clocks::nobody_confirms,
    },
];

/// The stories whose names begin with, or contain, one of the words; all without words.
pub fn chosen(words: &[String]) -> Vec<&'static Story> {
    let is_chosen = |story: &&Story| words.is_empty() || words.iter().any(|word| story.name.contains(word.as_str()));
    STORIES.iter().filter(is_chosen).collect()
}

/// Plays stories, `at_once` of them at a time, and tells of each as soon as it has ended. Returns how many failed.
pub fn play(stories: Vec<&'static Story>, at_once: u64, told: impl Fn(&Ending)) -> usize {
    let waiting: Mutex<VecDeque<&'static Story>> = Mutex::new(stories.into());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (sender, endings) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(story) = next() {
                    // Nobody listens only when the whole run was given up.
                    let _ = sender.send(played(story));
                }
            });
        }
        drop(sender);
        endings.iter().inspect(|ending| told(ending)).filter(|ending| ending.outcome.is_err()).count()
    })
}

fn played(story: &'static Story) -> Ending {
    let begin = Instant::now();
    let outcome = match catch_unwind(AssertUnwindSafe(story.tell)) {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned())),
    };
    Ending { story, outcome, took: begin.elapsed() }
}
