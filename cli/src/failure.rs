//! Why a command did not do what was asked, for people and for scripts.
//!
//! In: errors of the library and of the node. Out: `Error:`, `Caused by:` and `Hint:` lines or one JSON object, and an
//! exit code. Always: the exit code depends on the kind of failure alone. Documented: `cli/README.md`, "Exit codes".

use std::error::Error;
use std::fmt;

use serde_json::{Value, json};

/// How a command ends. The numbers are part of the interface: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked is done.
    Done = 0,
    /// A check found differences, data is not valid, or some of it was rejected.
    Invalid = 1,
    /// The command line is wrong, or a question could not be asked.
    Usage = 2,
    /// The node does not answer.
    NodeUnreachable = 3,
    /// A key is missing, unreadable or too widely readable; or access was denied.
    Permission = 4,
    /// Somebody else changed the same record, or the thing exists already.
    Conflict = 5,
    /// A part was done before it broke off.
    Partial = 6,
    /// The node or the network does not allow it.
    Refused = 7,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Exit; 8] = [
        Exit::Done,
        Exit::Invalid,
        Exit::Usage,
        Exit::NodeUnreachable,
        Exit::Permission,
        Exit::Conflict,
        Exit::Partial,
        Exit::Refused,
    ];

    /// How a command ends whose version the node rejected under this name of `spec/09-errors.md`: it is the rules that say no,
    /// or the version itself is wrong.
    pub fn of_rejection(name: &str) -> Exit {
        const BY_POLICY: [&str; 11] = [
            "not-a-member",
            "unknown-organisation",
            "unknown-device",
            "wrong-network",
            "read-only",
            "from-the-future",
            "too-old",
            "quarantine-full",
            "over-quota",
            "too-many-today",
            "too-many-at-once",
        ];
        if BY_POLICY.contains(&name) { Exit::Refused } else { Exit::Invalid }
    }

    /// The number a script sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Stable name for JSON.
    pub fn name(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Invalid => "invalid",
            Exit::Usage => "usage",
            Exit::NodeUnreachable => "node_unreachable",
            Exit::Permission => "permission",
            Exit::Conflict => "conflict",
            Exit::Partial => "partial",
            Exit::Refused => "refused",
        }
    }
}

/// A command that failed: what happened, why, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// A failure with one sentence for people.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// The reader of our output has gone (`fingerpost list | head`): end without a word.
    pub fn reader_gone() -> Failure {
        Failure::new(Exit::Done, "")
    }

    /// Adds `error` and everything that caused it.
    pub fn caused_by(mut self, error: &dyn Error) -> Failure {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many errors repeat their source in their own text; saying it twice helps nobody.
            if !self.causes.last().is_some_and(|last| last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a cause in words.
    pub fn because(mut self, cause: impl Into<String>) -> Failure {
        self.causes.push(cause.into());
        self
    }

    /// Says what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// How the process ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// True when there is nothing to print.
    pub fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    /// Lines for people, without colour: `Error:`, then `Caused by:` for each cause, then `Hint:`.
    pub fn lines(&self) -> Vec<(&'static str, &str)> {
        let causes = self.causes.iter().map(|cause| ("Caused by:", cause.as_str()));
        let hint = self.hint.iter().map(|hint| ("Hint:", hint.as_str()));
        [("Error:", self.message.as_str())].into_iter().chain(causes).chain(hint).collect()
    }

    /// The same as one JSON object.
    pub fn json(&self) -> Value {
        json!({
            "schema": "error/1",
            "kind": self.exit.name(),
            "exit_code": self.exit.code(),
            "message": self.message,
            "causes": self.causes,
            "hint": self.hint,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl Error for Failure {}

impl From<tonic::Status> for Failure {
    /// What the node answered, sorted by whose turn it is.
    fn from(status: tonic::Status) -> Failure {
        use tonic::Code;
        // A status that this side made because the connection broke has a source; one that the node sent has none.
        let is_connection = status.source().is_some();
        let (exit, message) = match status.code() {
            _ if is_connection => (Exit::NodeUnreachable, "the node stopped answering"),
            Code::Unavailable | Code::DeadlineExceeded => (Exit::NodeUnreachable, "the node stopped answering"),
            Code::PermissionDenied | Code::Unauthenticated => {
                (Exit::Permission, "the node did not let this account in")
            }
            Code::Aborted | Code::AlreadyExists => {
                (Exit::Conflict, "the node already has something else in this place")
            }
            Code::FailedPrecondition | Code::ResourceExhausted => (Exit::Refused, "the node refused"),
            Code::InvalidArgument | Code::NotFound | Code::OutOfRange => {
                (Exit::Invalid, "the node could not do this with what it was given")
            }
            Code::Unimplemented => {
                (Exit::Refused, "the node does not know this request; it is older than this command")
            }
            _ => (Exit::Invalid, "the node had a problem"),
        };
        let failure = Failure::new(exit, message);
        if status.message().is_empty() { failure } else { failure.because(status.message()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_numbers() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn what_the_rules_forbid_is_refused_and_what_is_wrong_in_itself_is_invalid() {
        for name in ["not-a-member", "unknown-device", "read-only", "wrong-network", "over-quota", "too-many-today"] {
            assert_eq!(Exit::of_rejection(name), Exit::Refused, "{name}");
        }
        for name in ["withheld-place", "text-too-long", "statement-reason", "bad-signature", ""] {
            assert_eq!(Exit::of_rejection(name), Exit::Invalid, "{name}");
        }
    }

    #[test]
    fn a_failure_says_what_why_and_what_next_in_this_order() {
        let failure = Failure::new(Exit::Invalid, "the node did not accept \"food-bank\"")
            .because("schedules.closes_at: 09:00 is before 17:00")
            .hint("correct Monday in services.csv, then run: fingerpost import services.csv");
        let heads: Vec<&str> = failure.lines().iter().map(|(head, _)| *head).collect();
        assert_eq!(heads, ["Error:", "Caused by:", "Hint:"]);
        assert_eq!(failure.json()["exit_code"], 1);
        assert_eq!(failure.json()["kind"], "invalid");
        assert_eq!(failure.json()["schema"], "error/1");
    }

    #[test]
    fn a_cause_that_repeats_its_source_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open the file: {0}")]
        struct Outer(#[source] std::io::Error);
        let outer = Outer(std::io::Error::other("disk on fire"));
        let failure = Failure::new(Exit::Invalid, "x").caused_by(&outer);
        assert_eq!(failure.lines().len(), 2, "{failure}");
    }

    #[test]
    fn each_answer_of_the_node_has_its_exit_code() {
        let exit = |code| Failure::from(tonic::Status::new(code, "why")).exit();
        assert_eq!(exit(tonic::Code::Unavailable), Exit::NodeUnreachable);
        assert_eq!(exit(tonic::Code::PermissionDenied), Exit::Permission);
        assert_eq!(exit(tonic::Code::AlreadyExists), Exit::Conflict);
        assert_eq!(exit(tonic::Code::FailedPrecondition), Exit::Refused);
        assert_eq!(exit(tonic::Code::InvalidArgument), Exit::Invalid);
        assert_eq!(exit(tonic::Code::Internal), Exit::Invalid);
        let broken = tonic::Status::from_error(Box::new(std::io::Error::other("connection reset")));
        assert_eq!(Failure::from(broken).exit(), Exit::NodeUnreachable);
    }
}
