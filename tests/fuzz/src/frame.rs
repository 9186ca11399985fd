//! Frames of a link, of all kinds.

use fingerpost_proto::limits::{FRAME_BYTES_MAX, VERSIONS_PER_FRAME_MAX};
use fingerpost_proto::node::{read_compressed, read_frame, versions_frames, write_compressed, write_frame};
use fingerpost_proto::set::SetKey;
use fingerpost_proto::v1::Versions;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::SignedVersion;

use super::lists;

/// `bytes`: a frame.
pub fn run(bytes: &[u8]) {
    let Ok(content) = read_frame(bytes) else { return };
    assert!(bytes.len() <= FRAME_BYTES_MAX);
    let again = read_frame(&write_frame(content.clone())).expect("what was written is read");
    assert_eq!(again, content);
    match content {
        Content::Versions(versions) => of_versions(versions),
        Content::Compressed(frame) => {
            if let Ok(versions) = read_compressed(&frame) {
                of_versions(versions);
            }
        }
        Content::Reconcile(reconcile) => {
            let mut lower = [0; 16];
            let length = reconcile.lower.len().min(16);
            lower[..length].copy_from_slice(&reconcile.lower[..length]);
            lists::ranges(SetKey(lower), &reconcile.ranges);
        }
        Content::Offer(offer) => {
            lists::pairs(&offer.pairs);
            lists::keys(&offer.keys);
        }
        Content::Want(want) => lists::keys(&want.keys),
        _ => {}
    }
}

fn of_versions(versions: Versions) {
    for envelope in &versions.envelopes {
        let _ = SignedVersion::read(envelope.clone());
    }
    let are_long = versions.envelopes.iter().all(|envelope| envelope.len() >= 64);
    if let Some(compressed) = write_compressed(&versions).filter(|_| are_long) {
        assert_eq!(read_compressed(&compressed).as_ref(), Ok(&versions), "compressing loses nothing");
    }
    // What is passed on is cut into frames that everybody reads.
    let total = versions.envelopes.len();
    let frames = versions_frames(1, versions.envelopes, false);
    let mut found = 0;
    for frame in frames {
        assert!(frame.len() <= FRAME_BYTES_MAX, "{} bytes in a frame", frame.len());
        let versions = match read_frame(&frame) {
            Ok(Content::Versions(versions)) => versions,
            Ok(Content::Compressed(frame)) => read_compressed(&frame).expect("what was written is read"),
            other => panic!("{other:?}"),
        };
        assert!(versions.envelopes.len() <= VERSIONS_PER_FRAME_MAX);
        found += versions.envelopes.len();
    }
    assert_eq!(found, total);
}
