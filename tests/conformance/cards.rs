//! Vectors of an organisation's cards.

use fingerpost_proto::id::{OrgId, Vid};
use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::network::statement::StatementError;
use fingerpost_proto::network::succession::{Rank, Succession};
use fingerpost_proto::node::Reject;
use fingerpost_proto::time::Hlc;
use serde_json::{Value, json};

use crate::node::permutations;
use crate::vector::{bytes, bytes_of, fixed, hex, list, number};

/// The same chain and evidence in every order, each card being told until nothing changes.
pub(crate) fn succession(case: &Value) {
    let org = OrgId(fixed(case, "org"));
    let cards: Vec<OrgCard> =
        list(case, "cards").iter().map(|card| OrgCard::read_any(&org, &bytes_of(card)).unwrap()).collect();
    for order in permutations(cards.len()) {
        let mut succession = Succession::default();
        for _ in &cards {
            order.iter().for_each(|at| drop(succession.take(cards[*at].clone())));
        }
        let chain: Vec<String> = succession.chain().iter().map(|card| hex(card.digest)).collect();
        let evidence: Vec<String> = succession.forks().map(|(_, rival)| hex(rival.digest)).collect();
        assert_eq!((json!(chain), json!(evidence)), (case["chain"].clone(), case["evidence"].clone()));
        let effective = succession.effective().unwrap();
        for said in list(case, "versions") {
            let (device, hlc) = (fixed(said, "device"), Hlc(u64::from_be_bytes(fixed(said, "hlc"))));
            let class = Kind(number(said, "kind") as u16).class();
            let found = effective.bears_out(class, &device, hlc, &Vid(fixed(said, "vid")));
            assert_eq!(json!(found), said["counts"], "{said}");
        }
        for said in list(case, "invitations") {
            let found = effective.signer_of_invitation(&fixed(said, "device"), &bytes(said, "signature")).is_some();
            assert_eq!(json!(found), said["counts"], "{said}");
        }
    }
}

pub(crate) fn refused(case: &Value) -> Result<(), String> {
    let org = OrgId(fixed(case, "org"));
    let named = |error: StatementError| Reject::Statement(error).name().to_owned();
    let card = OrgCard::read_any(&org, &bytes(case, "card")).map_err(|error| named(error.into()))?;
    if case["before"].is_null() {
        return Ok(());
    }
    let before = OrgCard::read_any(&org, &bytes(case, "before")).unwrap();
    Rank::of(&card, &before).map(drop).map_err(|error| named(error.into()))
}
