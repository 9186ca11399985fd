//! Everything two Fingerpost nodes must agree on.
//!
//! Pure: no files, sockets, clock, randomness or runtime. Time and bytes come in as values, intentions go out as
//! values. The daemon performs them; the simulator in `tests/` runs the same code.
//!
//! | module | what it decides | specification |
//! |---|---|---|
//! | [`id`], [`time`], [`kind`], [`key`] | names, clocks, kinds and keys | `spec/01-model.md` |
//! | [`version`] | the fixed header, signing bytes and vid of a signed version | `spec/03-versions.md` |
//! | [`record`] | what a body may contain | `spec/02-records.md` |
//! | [`order`] | which of two versions wins | `spec/04-merge.md` |
//! | [`network`] | cards, charter, statements, invites, who is a member | `spec/05-network.md` |
//! | [`head`] | what an organisation has, counted and hashed | `spec/15-heads.md` |
//! | [`redaction`] | what must vanish everywhere, and what a node says that it has erased | `spec/13-redaction.md` |
//! | [`set`], [`sync`] | the set of records, its fingerprint, reconciliation | `spec/07-sync.md` |
//! | [`compression`] | the zstd frames in which versions travel | `spec/dictionary/README.md` |
//! | [`overlay`] | whom a node is linked to, where a new version is pushed and where announced | `spec/11-dissemination.md` |
//! | [`node`] | the state machine that composes the above | `spec/06-link.md` |
//! | [`limits`] | every limit, with its reason | `spec/08-limits.md` |

pub mod canary;
pub mod compression;
pub mod equivocation;
pub mod head;
pub mod id;
pub mod key;
pub mod kind;
pub mod limits;
pub mod network;
pub mod node;
pub mod order;
pub mod overlay;
pub mod record;
pub mod redaction;
pub mod set;
pub mod sync;
pub mod time;
pub mod version;

/// Generated message types of `schema/fingerpost/v1`. They carry no proof of validity.
#[allow(missing_docs, clippy::unwrap_used, unreachable_pub)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/fingerpost.v1.rs"));
}

/// Serialised `FileDescriptorSet` of the schemas, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Protocol level that this code speaks. Source: `spec/06-link.md`, section 2.
pub const PROTOCOL_LEVEL: u32 = 1;
