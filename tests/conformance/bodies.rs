//! Vectors of bodies, cards, charters, statements, invites and standings.

use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::{Invitation, InviteCode, InviteError};
use fingerpost_proto::network::members::{Accepted, Standing, Standings, Statements};
use fingerpost_proto::network::mirror_code::{MirrorCode, MirrorCodeError};
use fingerpost_proto::network::statement::Statement;
use fingerpost_proto::node::Reject;
use fingerpost_proto::record::{self, RecordError};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use serde_json::{Value, json};

use crate::vector::{bytes, fixed, hex, list, number, text};

fn checked(case: &Value) -> Result<record::Body, RecordError> {
    let header = Header {
        audience: Audience::from_name(text(case, "audience")).unwrap(),
        kind: Kind(number(case, "kind") as u16),
        network: NetworkId([0; 32]),
        org: OrgId(fixed(case, "org")),
        record: RecordId(fixed(case, "record")),
        device: [0; 32],
        hlc: Hlc(0),
        prev: [0; 8],
        lease_until: UnixHour(1),
    };
    record::check(&header, &bytes(case, "body"))
}

pub(crate) fn record(case: &Value) {
    assert_eq!(checked(case).unwrap().local_id(), text(case, "local_id"));
}

pub(crate) fn record_error(case: &Value) -> Result<(), String> {
    checked(case).map(drop).map_err(at_fault)
}

/// Name of the error, and the field where there is one.
pub(crate) fn at_fault(error: RecordError) -> String {
    let field = match &error {
        RecordError::Undecodable { .. } | RecordError::IdMismatch { .. } => None,
        RecordError::TooLong { field, .. }
        | RecordError::TooMany { field, .. }
        | RecordError::ForbiddenCharacter { field, .. }
        | RecordError::Missing { field }
        | RecordError::Malformed { field, .. }
        | RecordError::WithheldPlace { field } => Some(field.clone()),
    };
    let name = Reject::from(error).name();
    field.map_or_else(|| name.to_owned(), |field| format!("{name}: {field}"))
}

fn invitation(case: &Value) -> Invitation {
    let said = &case["invitation"];
    Invitation::read(&v1::Invitation {
        inviter: bytes(said, "inviter"),
        device: bytes(said, "device"),
        one_time_key: bytes(said, "one_time_key"),
        expires_hour: number(said, "expires_hour") as u32,
        signature: bytes(said, "signature"),
    })
    .unwrap()
}

pub(crate) fn network(case: &Value) {
    match text(case, "what") {
        "card" => {
            let card = OrgCard::read(&bytes(case, "card")).unwrap();
            let devices: Vec<Value> = card
                .devices
                .iter()
                .map(|device| {
                    let not_before = hex(device.not_before.0.to_be_bytes());
                    json!({ "key": hex(device.key), "publishes": device.publishes, "is_node": device.is_node, "not_before": not_before })
                })
                .collect();
            assert_eq!(json!(devices), case["devices"]);
            assert_eq!(json!(card.root_keys.iter().map(hex).collect::<Vec<_>>()), case["root_keys"]);
            assert_eq!(json!(card.endpoints), case["endpoints"]);
            assert_eq!((hex(card.org), card.name.as_str()), (text(case, "org").to_owned(), text(case, "name_on_card")));
        }
        "charter" => {
            let charter = Charter::read(&bytes(case, "charter")).unwrap();
            assert_eq!(hex(charter.network), text(case, "network"));
            assert_eq!(json!(charter.founders.iter().map(hex).collect::<Vec<_>>()), case["founders"]);
            assert_eq!(u64::from(charter.vouches_needed), number(case, "vouches_needed"));
            assert_eq!(u64::from(charter.objections_needed), number(case, "objections_needed"));
        }
        "statement" => {
            let version = SignedVersion::read(bytes(case, "envelope")).unwrap();
            let found = match Statement::read(&version).unwrap() {
                Statement::Card(card) => json!({ "type": "card", "org": hex(card.org) }),
                Statement::Acceptance(None) => json!({ "type": "acceptance" }),
                Statement::Acceptance(Some(invitation)) => json!({
                    "type": "acceptance", "inviter": hex(invitation.inviter), "one_time_key": hex(invitation.one_time_key),
                }),
                Statement::Vouch(subject) => json!({ "type": "vouch", "subject": hex(subject) }),
                Statement::Objection(subject) => json!({ "type": "objection", "subject": hex(subject) }),
                Statement::Leave => json!({ "type": "leave" }),
                Statement::Withdrawn => json!({ "type": "withdrawn" }),
                Statement::Unknown => json!({ "type": "unknown" }),
            };
            assert_eq!(found, case["says"]);
            assert_eq!(hex(version.header().record), text(case, "record"));
        }
        "mirror-code" => {
            let code = MirrorCode::decode(text(case, "code")).unwrap();
            assert_eq!(json!(code.addresses), case["addresses"]);
            assert_eq!(hex(code.network), text(case, "network"));
            assert_eq!(hex(code.node_key), text(case, "node_key"));
            let squeezed: String = text(case, "code").split_whitespace().collect();
            assert_eq!(code.encode(), squeezed);
        }
        "invite" => {
            let code = InviteCode::decode(text(case, "code")).unwrap();
            let one_time = ed25519_dalek::SigningKey::from_bytes(&code.one_time_seed).verifying_key();
            assert_eq!(one_time.as_bytes(), code.invitation.one_time_key.as_bytes());
            assert_eq!(json!(code.check_words()), case["check_words"]);
            assert_eq!(json!(code.addresses), case["addresses"]);
            assert_eq!(json!(code.carries), case["carries"]);
            for (field, found) in [
                ("network", hex(code.network)),
                ("inviter", hex(code.invitation.inviter)),
                ("device", hex(code.invitation.device)),
                ("one_time_key", hex(code.invitation.one_time_key)),
                ("one_time_seed", hex(*code.one_time_seed)),
                ("node_key", hex(code.node_key)),
            ] {
                assert_eq!(found, text(case, field));
            }
            assert_eq!(u64::from(code.invitation.expires.0), number(case, "expires_hour"));
            let squeezed: String = text(case, "code").split_whitespace().collect();
            assert_eq!(code.encode(), squeezed);
        }
        "invitation" => {
            let found = invitation(case);
            let network = NetworkId(fixed(case, "network"));
            let message = Invitation::signing_message(&network, &found.inviter, &found.one_time_key, found.expires);
            assert_eq!(hex(message), text(case, "message"));
            network_error(case).unwrap();
        }
        "claim" => {
            let joiner = OrgId(fixed(case, "joiner"));
            let key = invitation(case).one_time_key;
            let message = Invitation::claim_message(&NetworkId(fixed(case, "network")), &joiner, &key);
            assert_eq!(hex(message), text(case, "message"));
            network_error(case).unwrap();
        }
        what => panic!("unknown case {what}"),
    }
}

fn named(error: InviteError) -> String {
    let detail = match &error {
        InviteError::NotAnInvite => "not-an-invite",
        InviteError::Damaged { .. } => "damaged",
        InviteError::Field { .. } | InviteError::Character { .. } => "field",
        InviteError::Key(_) => "key",
        InviteError::Stale { .. } => "stale",
        InviteError::BadClaim => "bad-claim",
        InviteError::BadSignature => "bad-signature",
    };
    let name = Reject::Statement(error.into()).name();
    format!("{name}: {detail}")
}

pub(crate) fn network_error(case: &Value) -> Result<(), String> {
    match text(case, "what") {
        "card" => OrgCard::read(&bytes(case, "card"))
            .map(drop)
            .map_err(|error| Reject::Statement(error.into()).name().to_owned()),
        "charter" => Charter::read(&bytes(case, "charter")).map(drop).map_err(|_| "charter".to_owned()),
        "invite" => InviteCode::decode(text(case, "code")).map(drop).map_err(named),
        "mirror-code" => MirrorCode::decode(text(case, "code")).map(drop).map_err(|error| {
            let detail = match error {
                MirrorCodeError::NotAMirrorCode => "not-a-mirror-code",
                MirrorCodeError::Damaged { .. } => "damaged",
                MirrorCodeError::Field { .. } => "field",
                MirrorCodeError::Key(_) => "key",
            };
            format!("mirror-code: {detail}")
        }),
        "invitation" => {
            let card = OrgCard::read(&bytes(case, "card")).unwrap();
            invitation(case).check_signature(&NetworkId(fixed(case, "network")), &card).map_err(named)
        }
        _ => {
            let (network, joiner) = (NetworkId(fixed(case, "network")), OrgId(fixed(case, "joiner")));
            let hlc = Hlc::new(number(case, "hlc_ms"), 0);
            invitation(case).check_claim(&network, &joiner, hlc, &bytes(case, "claim")).map_err(named)
        }
    }
}

pub(crate) fn members(case: &Value) {
    let mut statements = Statements::default();
    for said in list(case, "acceptances") {
        let invitation = said["inviter"]
            .is_string()
            .then(|| (OrgId(fixed(said, "inviter")), PublicKey::from_bytes(&bytes(said, "one_time_key")).unwrap()));
        let accepted = Accepted { hlc: Hlc(number(said, "hlc")), invitation };
        statements.acceptances.insert(OrgId(fixed(said, "org")), accepted);
    }
    for said in list(case, "leaves") {
        statements.leaves.insert(OrgId(fixed(said, "org")), Hlc(number(said, "hlc")));
    }
    let pairs = |field: &str| {
        list(case, field).iter().map(|said| (OrgId(fixed(said, "from")), OrgId(fixed(said, "to")))).collect()
    };
    (statements.vouches, statements.objections) = (pairs("vouches"), pairs("objections"));
    statements.taken_back = pairs("taken_back");
    let standings = Standings::evaluate(&Charter::read(&bytes(case, "charter")).unwrap(), &statements);
    let found: serde_json::Map<String, Value> = standings
        .iter()
        .map(|(org, standing)| {
            let name = match standing {
                Standing::Stranger => "stranger",
                Standing::Claimant => "claimant",
                Standing::Participant => "participant",
                Standing::Member => "member",
            };
            (hex(org), json!(name))
        })
        .collect();
    assert_eq!(Value::Object(found), case["standings"]);
}
