//! Who takes part: cards, charter, statements, invites, and who is a member.
//!
//! Spec: `spec/05-network.md`. Tested: beside each file and `spec/vectors/network_*.json`.

pub mod card;
pub mod charter;
pub mod invite;
pub mod members;
pub mod mirror_code;
pub mod statement;
pub mod succession;
pub mod words;
