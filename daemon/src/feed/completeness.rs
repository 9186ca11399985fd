//! How much of an organisation's records is here, in words and in JSON.
//!
//! Source: its heads, `spec/15-heads.md`. Tested: `feed/tests/network.rs`.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::node::Completeness;
use fingerpost_proto::time::{HOUR_MS, UnixMillis};
use serde_json::{Value, json};

use super::directory::Directory;
use super::instant;

/// An organisation whose newest head is older than this has not been heard of, in milliseconds: its node signs one each day.
const SILENT_MS: UnixMillis = 48 * HOUR_MS;

/// A sentence or two for people; empty when the organisation signs no heads.
pub(crate) fn words(directory: &dyn Directory, org: &OrgId) -> String {
    let Some(Completeness { head, complete_as_of, lacking_since }) = directory.completeness(org) else {
        return String::new();
    };
    if let Some(since) = lacking_since {
        return format!(
            "Some of its records may be missing or out of date here since {}; other nodes are being asked.",
            instant::time_for_people(since)
        );
    }
    if directory.now_ms().saturating_sub(head.ms()) > SILENT_MS {
        return format!("Nothing has been heard from it since {}.", instant::time_for_people(head.ms()));
    }
    let complete = complete_as_of.map(|at| instant::time_for_people(at.ms()));
    complete.map_or_else(String::new, |at| format!("All of its records are here as of {at}."))
}

/// `{ "heard": …, "complete_as_of": …, "incomplete_since": … }`; `None` when the organisation signs no heads.
pub(crate) fn json(directory: &dyn Directory, org: &OrgId) -> Option<Value> {
    let Completeness { head, complete_as_of, lacking_since } = directory.completeness(org)?;
    let mut json = json!({ "heard": instant::rfc3339(head.ms()) });
    if let Some(at) = complete_as_of {
        json["complete_as_of"] = Value::from(instant::rfc3339(at.ms()));
    }
    if let Some(since) = lacking_since {
        json["incomplete_since"] = Value::from(instant::rfc3339(since));
    }
    Some(json)
}
