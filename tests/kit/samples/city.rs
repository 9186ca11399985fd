//! Bodies of the demo city, read from its spreadsheets by the importer.

use std::path::Path;

use fingerpost_cli::import::{DraftBody, ImportContext, read_bytes};
use fingerpost_proto::id::OrgId;

use super::{KindAndBody, Random};

/// The bodies of all records in `daemon/demo`, with new random ids in place of references.
///
/// Panics when the files are not there or are wrong: they are part of the repository.
#[allow(clippy::panic)]
pub fn city_bodies(random: &mut Random) -> Vec<KindAndBody> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/demo");
    let wrong = |error: &dyn std::fmt::Display| -> ! { panic!("{}: {error}", folder.display()) };
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| wrong(&error));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    // Folders list their files in any order.
    files.sort();
    let mut bodies = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| wrong(&error));
        let context = ImportContext::new(OrgId([0; 32]));
        let text = without_references(&text);
        let import = read_bytes(&[("city", text.as_bytes())], &context).unwrap_or_else(|error| wrong(&error));
        for draft in import.drafts {
            let mut body = draft.body;
            body.set_modified_ms(super::SIGNED_MS_MIN + random.below(super::SIGNED_MS_SPAN));
            renew_references(&mut body, random);
            bodies.push((draft.kind, body.encode()));
        }
    }
    bodies
}

/// `@organisation/location` names a location of another file; any id will do in its place.
fn without_references(text: &str) -> String {
    let mut parts = text.split(",@");
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([',', ';', '\n']).unwrap_or(part.len());
        replaced.push_str(",00000000-0000-8000-8000-000000000000");
        replaced.push_str(&part[end..]);
    }
    replaced
}

/// Ids of other records are as good as random to a reader of many networks, so no two samples may share one.
fn renew_references(body: &mut DraftBody, random: &mut Random) {
    let mut renew = |id: &mut Vec<u8>| {
        if !id.is_empty() {
            *id = random.record_id();
        }
    };
    match body {
        DraftBody::Organisation(body) => {
            renew(&mut body.parent);
            body.locations.iter_mut().for_each(renew);
        }
        DraftBody::Service(body) => {
            renew(&mut body.organisation);
            body.locations.iter_mut().for_each(|at| renew(&mut at.location));
        }
        DraftBody::Location(_) => {}
        DraftBody::Event(body) => {
            for id in [&mut body.location, &mut body.service, &mut body.organiser] {
                renew(id);
            }
            body.occurrences.iter_mut().for_each(|occurrence| renew(&mut occurrence.location));
        }
    }
}
