//! Envelopes as they come from strangers.

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::limits::ENVELOPE_BYTES_MAX;
use fingerpost_proto::network::statement::Statement;
use fingerpost_proto::node::VerifiedVersion;
use fingerpost_proto::set::{Entry, Slot};
use fingerpost_proto::version::SignedVersion;

/// `bytes`: an envelope.
pub fn run(bytes: &[u8]) {
    let Ok(version) = SignedVersion::read(bytes.to_vec()) else { return };
    assert!(bytes.len() <= ENVELOPE_BYTES_MAX);
    assert_eq!(version.envelope(), bytes, "what was read is kept as it was");
    let (header, body) = (*version.header(), version.body().to_vec());
    let signature = version.signature().try_into().expect("a signature has 64 bytes");
    let again = SignedVersion::assemble(&header, &body, signature).expect("its own header is acceptable");
    assert_eq!(again, version, "a header is written as it was read");
    let slot = Slot::of(&header);
    assert_eq!(slot.key.is_content(), header.kind.is_content());
    let entry = Entry::of(&header, version.vid(), 0);
    if let Some(at) = entry.lapses_at() {
        assert_eq!(at, header.lease_until);
        assert!(entry.has_lapsed_by(at));
    }
    assert!(version.forget_at().is_none_or(|at| at >= header.hlc.ms()));
    if !header.kind.is_content() {
        let _ = Statement::read(&version);
    }
    if let Ok(key) = PublicKey::from_bytes(&header.device)
        && let Ok(verified) = VerifiedVersion::verify(version, &key)
    {
        assert!(header.kind != Kind::CARD || verified.body() == body);
    }
}
