//! Spreadsheets and HSDS files that people hand to `fingerpost import`.

use fingerpost_cli::import::{BODY_BYTES_MAX, ImportContext, PROBLEMS_MAX, Severity, read_bytes, report};
use fingerpost_proto::record;

use super::body::{PUBLISHER, header};

/// First byte: whether phone numbers are mended. Then the file.
pub fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let mut context = ImportContext::new(PUBLISHER);
    context.fix_phones = *first == 1;
    let Ok(import) = read_bytes(&[("services.csv", bytes)], &context) else { return };
    assert_eq!(import.drafts.len() as u64 + import.rows_rejected, import.rows_read, "every row is somewhere");
    assert!(import.problems.len() <= PROBLEMS_MAX);
    let has_error = import.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert!(has_error || import.problems_more > 0 || import.rows_rejected == 0, "a rejected row has an error");
    for draft in &import.drafts {
        let bytes = draft.body.encode();
        assert!(bytes.len() <= BODY_BYTES_MAX);
        let header = header(draft.kind, draft.audience, &draft.local_id);
        let checked = record::check(&header, &bytes);
        assert!(checked.is_ok(), "a draft without errors could not be published: {checked:?}");
    }
    let _ = report::Report::of(&import);
}
