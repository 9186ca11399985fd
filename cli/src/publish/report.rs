//! What became of a plan.

use fingerpost_proto::v1::publish_result::Outcome;
use serde_json::{Value, json};

use super::{Action, Change, Plan, Problem};
use crate::client::Delivery;
use crate::failure::{Exit, Failure};

/// A version that the node did not take, or took over somebody else's edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The record.
    pub record: String,
    /// The publisher's own name for it.
    pub local_id: String,
    /// Where the draft comes from.
    pub place: String,
    /// Name of the error, as in `spec/09-errors.md`; empty when there is none.
    pub error: String,
    /// Why, in words.
    pub reason: String,
}

impl Refused {
    fn of(change: &Change, error: impl Into<String>, reason: impl Into<String>) -> Refused {
        Refused {
            record: change.header.record.to_string(),
            local_id: change.local_id.clone(),
            place: change.place.clone(),
            error: error.into(),
            reason: reason.into(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "record": self.record,
            "local_id": self.local_id,
            "place": self.place,
            "error": self.error,
            "reason": self.reason,
        })
    }
}

/// Counts and the exceptions, each by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// On the node's stable storage: new records.
    pub new: usize,
    /// Changed records.
    pub changed: usize,
    /// Records with a new lease.
    pub confirmed: usize,
    /// Records taken back.
    pub withdrawn: usize,
    /// Drafts that were published already.
    pub unchanged: usize,
    /// Drafts that could not be signed.
    pub problems: Vec<Problem>,
    /// Versions that the node refused.
    pub rejected: Vec<Refused>,
    /// Versions that came after a newer one of the same record.
    pub superseded: Vec<Refused>,
    /// Versions that replaced another one than they were written for: two people edited at once.
    pub concurrent: Vec<Refused>,
    /// Versions for which the node did not answer.
    pub unanswered: usize,
    /// Why not.
    pub broken: Option<Failure>,
}

impl Report {
    /// What a plan leaves out already.
    pub fn of(plan: &Plan) -> Report {
        Report { unchanged: plan.unchanged, problems: plan.problems.clone(), ..Report::default() }
    }

    /// A change that could not even be signed.
    pub(super) fn refuse(&mut self, change: &Change, error: &str, reason: String) {
        self.rejected.push(Refused::of(change, error, reason));
    }

    /// Counts the node's answers for `sent`, which are in the same order.
    pub(super) fn settle(&mut self, sent: &[Change], delivery: Delivery) {
        let answered = delivery.results.len().min(sent.len());
        for (change, result) in sent.iter().zip(delivery.results) {
            match result.outcome() {
                Outcome::Published | Outcome::Duplicate => {
                    *self.counter(change.action) += 1;
                    if result.concurrent {
                        let reason = "somebody else of this organisation changed it at the same time; this version won";
                        self.concurrent.push(Refused::of(change, result.error, reason));
                    }
                }
                Outcome::Superseded => {
                    let reason = "the node has a newer version; nothing was changed";
                    self.superseded.push(Refused::of(change, result.error, reason));
                }
                Outcome::Rejected | Outcome::Unspecified => {
                    self.rejected.push(Refused::of(change, result.error, result.message));
                }
            }
        }
        self.unanswered = sent.len() - answered;
        self.broken = delivery.broken;
        if self.unanswered > 0 && self.broken.is_none() {
            self.broken = Some(Failure::new(Exit::Partial, "the node did not answer for every version"));
        }
    }

    fn counter(&mut self, action: Action) -> &mut usize {
        match action {
            Action::New => &mut self.new,
            Action::Changed => &mut self.changed,
            Action::Confirmed => &mut self.confirmed,
            Action::Withdrawn => &mut self.withdrawn,
        }
    }

    /// Versions that are published now.
    pub fn published(&self) -> usize {
        self.new + self.changed + self.confirmed + self.withdrawn
    }

    /// How the command ends. What broke off goes before conflicts, conflicts before rejections.
    pub fn exit(&self) -> Exit {
        match &self.broken {
            Some(_) if self.published() > 0 => Exit::Partial,
            Some(broken) => broken.exit(),
            None if !self.superseded.is_empty() || !self.concurrent.is_empty() => Exit::Conflict,
            None if !self.problems.is_empty() => Exit::Invalid,
            None if !self.rejected.is_empty() => {
                // Data to correct goes before rules: correcting it is up to who runs the command.
                let exits: Vec<Exit> = self.rejected.iter().map(|refused| Exit::of_rejection(&refused.error)).collect();
                if exits.contains(&Exit::Invalid) { Exit::Invalid } else { Exit::Refused }
            }
            None => Exit::Done,
        }
    }

    /// Fields of the JSON result; see `cli/README.md`.
    pub fn json(&self) -> Value {
        let list = |refused: &[Refused]| refused.iter().map(Refused::json).collect::<Vec<_>>();
        let problems: Vec<Value> = self
            .problems
            .iter()
            .map(|problem| json!({"local_id": problem.local_id, "place": problem.place, "reason": problem.reason}))
            .collect();
        json!({
            "new": self.new,
            "changed": self.changed,
            "confirmed": self.confirmed,
            "withdrawn": self.withdrawn,
            "unchanged": self.unchanged,
            "problems": problems,
            "rejected": list(&self.rejected),
            "superseded": list(&self.superseded),
            "concurrent": list(&self.concurrent),
            "unanswered": self.unanswered,
            "broken": self.broken.as_ref().map(Failure::json),
        })
    }
}
