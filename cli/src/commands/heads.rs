//! `heads`: the states of the organisation's records that its node has signed, and the one that somebody trusts.

use fingerpost_proto::kind::Audience;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use crate::client::NodeClient;
use crate::failure::{Exit, Failure};
use crate::output::moment::{count, date_time, rfc3339};
use crate::publish::Current;
use crate::session::Session;

/// Characters of a head that tables show, and the fewest that name it.
const HEAD_CHARS: usize = 8;
/// Heads that the table shows; JSON has all.
const HEADS_SHOWN: usize = 40;

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    let heads = session.node().await?.heads().await?;
    let objects: Vec<Value> = heads
        .iter()
        .map(|head| {
            json!({
                "head": name(head), "audience": audience(head), "signed": rfc3339(Hlc(head.hlc).ms()),
                "records": head.count, "comparable": head.comparable,
            })
        })
        .collect();
    session.printer.object("heads/1", json!({ "heads": objects }))?;
    if heads.is_empty() {
        session
            .printer
            .note("This node has signed no head yet: it does after each change, once it has met another node.");
        return Ok(Exit::Done);
    }
    let row = |head: &v1::HeadState| {
        let mut name = name(head);
        name.truncate(HEAD_CHARS);
        let note = if head.comparable { "" } else { "before the store was built anew" };
        vec![name, date_time(Hlc(head.hlc).ms()), audience(head), head.count.to_string(), note.to_owned()]
    };
    let rows: Vec<Vec<String>> = heads.iter().take(HEADS_SHOWN).map(row).collect();
    session.printer.table(&["head", "signed", "audience", "records", ""], &rows)?;
    if heads.len() > HEADS_SHOWN {
        let older = count(heads.len() - HEADS_SHOWN, "older head");
        session.printer.note(&format!("and {older}: fingerpost heads -o json"));
    }
    Ok(Exit::Done)
}

/// A state of the records that somebody trusts.
pub(super) struct LastGood {
    name: String,
    hlc: Hlc,
    /// Last arrival number by then, public ones first.
    arrivals: [u64; 2],
}

impl LastGood {
    /// Finds a head by the first characters of its name.
    ///
    /// Errors: usage, for a text that names none or several; refused, for a head of an earlier store.
    pub(super) async fn find(node: &NodeClient, text: &str) -> Result<LastGood, Failure> {
        let heads = node.heads().await?;
        let prefix = text.to_ascii_lowercase();
        let fits = |head: &&v1::HeadState| prefix.len() >= HEAD_CHARS && name(head).starts_with(&prefix);
        let found: Vec<&v1::HeadState> = heads.iter().filter(fits).collect();
        let [head] = found.as_slice() else {
            let why = if found.is_empty() { "no head" } else { "several heads" };
            return Err(Failure::new(Exit::Usage, format!("{text:?} names {why} that this node has signed"))
                .hint(format!("see them: fingerpost heads; {HEAD_CHARS} characters or more")));
        };
        let hlc = Hlc(head.hlc);
        if !head.comparable {
            return Err(Failure::new(
                Exit::Refused,
                format!("the node's store was built anew since {}, when that head was signed", date_time(hlc.ms())),
            )
            .because("what had arrived by then can no longer be told from what came later")
            .hint("without --last-good everything goes; look at your records and import your list again"));
        }
        Ok(LastGood { name: name(head), hlc, arrivals: [head.public_arrival, head.members_arrival] })
    }

    /// Whether a record is now as it was then. By when it arrived at the own node: a thief chooses dates, and not that.
    pub(super) fn has(&self, current: &Current) -> bool {
        let header = current.version.header();
        let arrival = self.arrivals[usize::from(header.audience == Audience::Members)];
        header.hlc <= self.hlc && current.arrival <= arrival
    }

    /// For people: its name and when it was signed.
    pub(super) fn called(&self) -> String {
        format!("{} of {}", &self.name[..HEAD_CHARS], date_time(self.hlc.ms()))
    }
}

fn name(head: &v1::HeadState) -> String {
    head.vid.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn audience(head: &v1::HeadState) -> String {
    u8::try_from(head.audience)
        .ok()
        .and_then(|number| Audience::from_number(number.into()))
        .map_or_else(String::new, |audience| audience.to_string())
}
