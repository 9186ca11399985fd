//! Spreadsheets and HSDS files that people hand to `fingerpost import`.

use fingerpost_cli::import::{BODY_BYTES_MAX, ImportContext, PROBLEMS_MAX, Severity, read_bytes, report};
use fingerpost_proto::record::{self, RecordError};

use super::body::{PUBLISHER, header};

/// First byte: whether phone numbers are mended. Then the file.
pub fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let mut context = ImportContext::new(PUBLISHER);
    context.fix_phones = *first == 1;
    let Ok(import) = read_bytes(&[("services.csv", bytes)], &context) else { return };
    // A row with an address of its own makes two records.
    let made = import.drafts.len() as u64 + import.rows_rejected;
    assert!((import.rows_read..=2 * import.rows_read).contains(&made), "every row is somewhere");
    assert!(import.problems.len() <= PROBLEMS_MAX);
    let has_error = import.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert!(has_error || import.problems_more > 0 || import.rows_rejected == 0, "a rejected row has an error");
    for draft in &import.drafts {
        let bytes = draft.body.encode();
        assert!(bytes.len() <= BODY_BYTES_MAX);
        let header = header(draft.kind, draft.audience, &draft.local_id);
        // What is missing altogether is told with its row when the publication is planned.
        match record::check(&header, &bytes) {
            Ok(_) | Err(RecordError::Missing { .. }) => {}
            Err(error) => panic!("a draft without errors could not be published: {error}"),
        }
    }
    let _ = report::Report::of(&import);
}
