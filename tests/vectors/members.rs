//! Vectors of membership: `spec/05-network.md`, section 5.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::members::{Accepted, Standing, Standings, Statements};
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use prost::Message;
use serde_json::{Value, json};

use crate::cast::{key, public};
use crate::{File, bytes, case, file, hex};

pub(crate) fn files() -> Vec<File> {
    vec![file(
        "members_valid",
        "Current statements and the standings that follow: spec/05-network.md, section 5.",
        valid(),
    )]
}

fn org(n: u8) -> OrgId {
    OrgId([n; 32])
}

/// Organisation, hybrid logical clock, and inviter with the seed of the one-time key.
type Accepts = (u8, u64, Option<(u8, u8)>);

/// Statements in short: organisations by one byte.
#[derive(Default)]
struct Said {
    accepts: Vec<Accepts>,
    leaves: Vec<(u8, u64)>,
    vouches: Vec<(u8, u8)>,
    taken_back: Vec<(u8, u8)>,
    objections: Vec<(u8, u8)>,
}

fn evaluated(name: &str, why: &str, needed: (u32, u32), said: Said) -> Value {
    let charter = v1::Charter {
        name: "City".into(),
        founders: vec![vec![1; 32], vec![2; 32]],
        vouches_needed: needed.0,
        objections_needed: needed.1,
        lease_days_default: 180,
        lease_days_max: 400,
        nonce: vec![0; 16],
        ..Default::default()
    }
    .encode_to_vec();
    let mut statements = Statements::default();
    let mut acceptances = Vec::new();
    for (n, hlc, invitation) in &said.accepts {
        let invitation = invitation.map(|(inviter, seed)| (org(inviter), public(&key(4, seed))));
        statements.acceptances.insert(org(*n), Accepted { hlc: Hlc(*hlc), invitation });
        acceptances.push(json!({
            "org": hex(org(*n)), "hlc": hlc, "inviter": invitation.map(|(inviter, _)| hex(inviter)),
            "one_time_key": invitation.map(|(_, key)| hex(key)),
        }));
    }
    statements.leaves = said.leaves.iter().map(|(n, hlc)| (org(*n), Hlc(*hlc))).collect();
    statements.vouches = said.vouches.iter().map(|(a, b)| (org(*a), org(*b))).collect();
    statements.taken_back = said.taken_back.iter().map(|(a, b)| (org(*a), org(*b))).collect();
    statements.objections = said.objections.iter().map(|(a, b)| (org(*a), org(*b))).collect();
    let standings = Standings::evaluate(&Charter::read(&charter).unwrap(), &statements);
    let mut expected = serde_json::Map::new();
    for n in 1..12 {
        let standing = match standings.of(&org(n)) {
            Standing::Stranger => continue,
            Standing::Claimant => "claimant",
            Standing::Participant => "participant",
            Standing::Member => "member",
        };
        expected.insert(hex(org(n)), json!(standing));
    }
    let pairs = |list: &[(u8, u8)]| {
        list.iter().map(|(a, b)| json!({ "from": hex(org(*a)), "to": hex(org(*b)) })).collect::<Vec<_>>()
    };
    let leaves: Vec<Value> = said.leaves.iter().map(|(n, hlc)| json!({ "org": hex(org(*n)), "hlc": hlc })).collect();
    case(
        name,
        why,
        json!({
            "charter": bytes(charter), "acceptances": acceptances, "leaves": leaves, "vouches": pairs(&said.vouches),
            "taken_back": pairs(&said.taken_back), "objections": pairs(&said.objections), "standings": expected,
        }),
    )
}

fn valid() -> Vec<Value> {
    let invited = |n: u8, inviter: u8, seed: u8| (n, 10, Some((inviter, seed)));
    let plain = |n: u8| (n, 10, None);
    vec![
        evaluated("founders", "founders are members before anyone says anything", (1, 2), Said::default()),
        evaluated(
            "invited",
            "an invitation counts as a vouch of its inviter",
            (1, 2),
            Said { accepts: vec![invited(3, 1, 50)], ..Said::default() },
        ),
        evaluated(
            "vouched",
            "a direct vouch, and one by the newcomer for the next",
            (1, 2),
            Said { accepts: vec![plain(3), plain(4)], vouches: vec![(1, 3), (3, 4)], ..Said::default() },
        ),
        evaluated(
            "not-signed",
            "who is vouched for and did not accept is a stranger",
            (1, 2),
            Said { vouches: vec![(1, 3)], ..Said::default() },
        ),
        evaluated(
            "by-stranger",
            "an invitation by a stranger counts for nothing",
            (1, 2),
            Said { accepts: vec![invited(3, 9, 50)], ..Said::default() },
        ),
        evaluated(
            "each-other",
            "strangers who vouch for each other stay outside",
            (1, 2),
            Said { accepts: vec![plain(3), plain(4)], vouches: vec![(3, 4), (4, 3)], ..Said::default() },
        ),
        evaluated(
            "own-invitation",
            "an invitation by oneself is no vouch",
            (1, 2),
            Said { accepts: vec![invited(3, 3, 50)], ..Said::default() },
        ),
        evaluated(
            "two-needed-one-given",
            "with two vouches needed, an invited organisation is a claimant",
            (2, 2),
            Said { accepts: vec![invited(3, 1, 50)], ..Said::default() },
        ),
        evaluated(
            "two-needed-same-voucher",
            "an invitation and a vouch by one organisation are one vouch",
            (2, 2),
            Said { accepts: vec![invited(3, 1, 50)], vouches: vec![(1, 3)], ..Said::default() },
        ),
        evaluated(
            "two-needed-two-given",
            "an invitation and the vouch of another are two",
            (2, 2),
            Said { accepts: vec![invited(3, 1, 50)], vouches: vec![(2, 3)], ..Said::default() },
        ),
        evaluated(
            "claimed-twice",
            "a key claimed by two organisations counts for neither; both are claimants",
            (1, 2),
            Said { accepts: vec![invited(3, 1, 50), invited(4, 1, 50)], ..Said::default() },
        ),
        evaluated(
            "claimed-twice-vouched",
            "a direct vouch settles it; the other stays a claimant",
            (1, 2),
            Said { accepts: vec![invited(3, 1, 50), invited(4, 1, 50)], vouches: vec![(1, 4)], ..Said::default() },
        ),
        evaluated(
            "claimed-by-three",
            "the two lowest OrgIds are kept as claimants",
            (1, 2),
            Said { accepts: vec![invited(5, 1, 50), invited(4, 1, 50), invited(3, 1, 50)], ..Said::default() },
        ),
        evaluated(
            "claimed-with-two-inviters",
            "one key in invitations of two inviters: each invitation has one claimant",
            (1, 2),
            Said { accepts: vec![invited(3, 1, 50), invited(4, 2, 50)], ..Said::default() },
        ),
        evaluated(
            "taken-back",
            "an inviter that takes its vouch back takes back what its invitation said: a claimant stays",
            (1, 2),
            Said { accepts: vec![invited(3, 1, 50)], taken_back: vec![(1, 3)], ..Said::default() },
        ),
        evaluated(
            "taken-back-by-another",
            "taking back what was never said touches nobody else's invitation",
            (1, 2),
            Said { accepts: vec![invited(3, 1, 50)], taken_back: vec![(2, 3)], ..Said::default() },
        ),
        evaluated(
            "objected",
            "two objections put a member out: it stays a participant",
            (1, 2),
            Said {
                accepts: vec![plain(3)],
                vouches: vec![(1, 3)],
                objections: vec![(1, 3), (2, 3)],
                ..Said::default()
            },
        ),
        evaluated(
            "objected-once",
            "one objection of two is not enough",
            (1, 2),
            Said { accepts: vec![plain(3)], vouches: vec![(1, 3)], objections: vec![(1, 3)], ..Said::default() },
        ),
        evaluated(
            "founder-objected",
            "a founder can go; those it vouched for stay, and its objections count",
            (1, 2),
            Said {
                accepts: vec![plain(3)],
                vouches: vec![(1, 3)],
                objections: vec![(2, 1), (3, 1), (1, 2)],
                ..Said::default()
            },
        ),
        evaluated(
            "objected-by-strangers",
            "objections by strangers count for nothing",
            (1, 1),
            Said { objections: vec![(8, 1), (9, 1)], ..Said::default() },
        ),
        evaluated(
            "left",
            "who left is a participant",
            (1, 2),
            Said { accepts: vec![plain(3)], vouches: vec![(1, 3)], leaves: vec![(3, 20)], ..Said::default() },
        ),
        evaluated(
            "left-at-one-clock",
            "acceptance and leave at one clock: left",
            (1, 2),
            Said { accepts: vec![plain(3)], vouches: vec![(1, 3)], leaves: vec![(3, 10)], ..Said::default() },
        ),
        evaluated(
            "returned",
            "a later acceptance ends the leave",
            (1, 2),
            Said { accepts: vec![(3, 21, None)], vouches: vec![(1, 3)], leaves: vec![(3, 20)], ..Said::default() },
        ),
        evaluated(
            "founder-left",
            "a founder that left without ever accepting",
            (1, 2),
            Said { leaves: vec![(2, 5)], ..Said::default() },
        ),
        evaluated(
            "leaver-vouches",
            "vouches of one who left still count",
            (1, 2),
            Said {
                accepts: vec![plain(3), plain(4)],
                vouches: vec![(1, 3), (3, 4)],
                leaves: vec![(3, 20)],
                ..Said::default()
            },
        ),
    ]
}
