//! What dictionaries of several sizes and zstd's levels do to records, as a table.
//!
//! In: dictionaries. Out: lines of text. The records are made with another seed than those of the training, and taken
//! from real directories where they are at hand.

use std::time::Instant;

use fingerpost_cli::import::{self, ImportContext};
use fingerpost_proto::id::OrgId;
use fingerpost_proto::limits::VERSIONS_FRAME_BYTES_MAX;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use super::{KindAndBody, Origin, Random, city_bodies, envelope, generated_body, push};
use crate::convert::{Converted, libraries, miami, shared_data};

/// Bodies that are generated to measure with.
const GENERATED_BODIES: usize = 3_000;
/// Of which one publisher has so many.
const GENERATED_BODIES_PER_PUBLISHER: usize = 60;
/// The fastest of so many runs counts: other programs only ever make one slower.
const RUNS: u32 = 5;

/// Payloads of one sort.
pub struct Payloads {
    /// What they are.
    pub name: String,
    /// Serialised `Versions` messages.
    pub payloads: Vec<Vec<u8>>,
}

impl Payloads {
    fn bytes(&self) -> usize {
        self.payloads.iter().map(Vec::len).sum()
    }
}

/// Records one by one, and in frames that are as full as a sender makes them.
pub fn payloads() -> std::io::Result<Vec<Payloads>> {
    let mut random = Random::named("measuring");
    let mut sets = Vec::new();
    if let Some(source) = shared_data("real-directories/uk-public-libraries/by-publisher") {
        let folder = tempfile::tempdir()?;
        let converted = libraries::convert(&source, folder.path()).map_err(std::io::Error::other)?;
        sets.push(("libraries", real(&converted, "GB", "Europe/London")?));
    }
    if let Some(source) = shared_data("real-directories/miami-open211") {
        let folder = tempfile::tempdir()?;
        let converted = miami::convert(&source, folder.path()).map_err(std::io::Error::other)?;
        sets.push(("miami", real(&converted, "US", "America/New_York")?));
    }
    let generated: Vec<_> = (0..GENERATED_BODIES).map(|_| generated_body(&mut random)).collect();
    sets.push(("generated", generated.chunks(GENERATED_BODIES_PER_PUBLISHER).map(<[_]>::to_vec).collect()));
    sets.push(("city (trained on)", vec![city_bodies(&mut random)]));
    Ok(sets.into_iter().flat_map(|(name, publishers)| pack(name, &publishers, &mut random)).collect())
}

fn real(converted: &Converted, country: &str, timezone: &str) -> std::io::Result<Vec<Vec<KindAndBody>>> {
    let mut publishers = Vec::new();
    for (number, file) in (0_u64..).zip(&converted.files) {
        let mut context = ImportContext::new(OrgId(*blake3::hash(&number.to_le_bytes()).as_bytes()));
        context.default_country = Some(country.to_owned());
        context.default_timezone = timezone.to_owned();
        let import = import::read(&[file], &context).map_err(std::io::Error::other)?;
        let bodies = import.drafts.into_iter().map(|mut draft| {
            draft.body.set_modified_ms(super::SIGNED_MS_MIN);
            (draft.kind, draft.body.encode())
        });
        publishers.push(bodies.collect());
    }
    Ok(publishers)
}

fn pack(name: &str, publishers: &[Vec<KindAndBody>], random: &mut Random) -> [Payloads; 2] {
    let network = Origin::random(random);
    let mut envelopes = Vec::new();
    for bodies in publishers {
        let origin = network.neighbour(random);
        envelopes.extend(bodies.iter().map(|(kind, body)| envelope(*kind, body, &origin, random)));
    }
    let singles = envelopes.iter().map(|envelope| push(std::slice::from_ref(envelope))).collect();
    let (mut batches, mut batch, mut batch_bytes) = (Vec::new(), Vec::new(), 0);
    for envelope in envelopes {
        if batch_bytes + envelope.len() > VERSIONS_FRAME_BYTES_MAX {
            batches.push(push(&std::mem::take(&mut batch)));
            batch_bytes = 0;
        }
        batch_bytes += envelope.len();
        batch.push(envelope);
    }
    if batches.is_empty() {
        batches.push(push(&batch));
    }
    let of = |sort: &str, payloads| Payloads { name: format!("{name}, {sort}"), payloads };
    [of("one by one", singles), of("240 KiB", batches)]
}

/// One line for each sort of payloads: bytes left, speed each way, time for one payload.
pub fn report(sets: &[Payloads], dictionary: &[u8], level: i32) -> std::io::Result<Vec<String>> {
    let (encoder, decoder) = (EncoderDictionary::copy(dictionary, level), DecoderDictionary::copy(dictionary));
    let mut lines = Vec::new();
    for set in sets {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        let compress_seconds = fastest(|| {
            frames = compress(&encoder, set)?;
            Ok(())
        })?;
        let decompress_seconds = fastest(|| {
            for (frame, payload) in frames.iter().zip(&set.payloads) {
                Decompressor::with_prepared_dictionary(&decoder)?.decompress(frame, payload.len())?;
            }
            Ok(())
        })?;
        let (bytes, count) = (set.bytes() as f64, set.payloads.len() as f64);
        let left = frames.iter().map(Vec::len).sum::<usize>() as f64 / bytes;
        lines.push(format!(
            "{:<30}{:>8.0} B{:>8.3}{:>8.0} MB/s{:>9.1} µs{:>8.0} MB/s{:>9.1} µs",
            set.name,
            bytes / count,
            left,
            bytes / compress_seconds / 1e6,
            compress_seconds / count * 1e6,
            bytes / decompress_seconds / 1e6,
            decompress_seconds / count * 1e6,
        ));
    }
    Ok(lines)
}

/// The columns of [`report`].
pub fn header() -> String {
    format!("{:<30}{:>10}{:>8}{:>25}{:>25}", "PAYLOADS", "MEAN", "LEFT", "COMPRESSING", "DECOMPRESSING")
}

fn compress(encoder: &EncoderDictionary<'_>, set: &Payloads) -> std::io::Result<Vec<Vec<u8>>> {
    set.payloads.iter().map(|payload| Compressor::with_prepared_dictionary(encoder)?.compress(payload)).collect()
}

fn fastest(mut run: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    let mut seconds = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        run()?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}
