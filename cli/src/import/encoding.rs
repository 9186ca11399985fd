//! Bytes of a file become text: UTF-8, UTF-16 or Windows-1252, found by content.
//!
//! Always: ends with some text or an error that says what the file is; never fails on a single bad byte.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::ImportError;
use super::problem::Problems;

/// Bytes looked at to tell UTF-16 without a mark from other content.
const SAMPLE_BYTES: usize = 4_096;

/// First bytes of files that people try to import and that are no text.
const KNOWN_BINARIES: [(&[u8], &str, &str); 4] = [
    (b"PK\x03\x04", "this is a workbook or zip file", "open it and save the sheet as \"CSV UTF-8\""),
    (b"\xd0\xcf\x11\xe0", "this is an old Excel workbook", "open it and save the sheet as \"CSV UTF-8\""),
    (b"%PDF", "this is a PDF", "import the table that it was made from, saved as CSV"),
    (b"\x1f\x8b", "this is a compressed file", "unpack it first"),
];

/// The text of a file. Warns when the encoding had to be guessed.
pub(super) fn decode(file: &str, bytes: &[u8], problems: &mut Problems) -> Result<String, ImportError> {
    for (start, found, fix) in KNOWN_BINARIES {
        if bytes.starts_with(start) {
            return Err(not_understood(file, found, fix));
        }
    }
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(bytes) {
        return lossy(file, encoding, &bytes[mark_bytes..], problems);
    }
    if let Some(encoding) = utf_16_without_mark(bytes) {
        return lossy(file, encoding, bytes, problems);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text.to_owned());
    }
    problems.warn_file(
        file,
        "bytes that are not UTF-8",
        "read as Windows-1252, the encoding of older spreadsheet exports",
        "check accented letters and dashes, or save the file as \"CSV UTF-8\"",
    );
    lossy(file, WINDOWS_1252, bytes, problems)
}

fn lossy(
    file: &str,
    encoding: &'static Encoding,
    bytes: &[u8],
    problems: &mut Problems,
) -> Result<String, ImportError> {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    if had_errors {
        let found = format!("bytes that are not {}", if encoding == UTF_8 { "UTF-8" } else { encoding.name() });
        problems.warn_file(file, &found, "they were replaced by \u{fffd}", "save the file again as \"CSV UTF-8\"");
    }
    Ok(text.into_owned())
}

/// UTF-16 of mostly Latin text has a zero in nearly every second byte.
fn utf_16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(SAMPLE_BYTES) & !1];
    if sample.len() < 4 {
        return None;
    }
    let pairs = sample.len() / 2;
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if odd * 10 > pairs * 7 && even * 10 < pairs {
        Some(UTF_16LE)
    } else if even * 10 > pairs * 7 && odd * 10 < pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

pub(super) fn not_understood(file: &str, found: impl Into<String>, fix: impl Into<String>) -> ImportError {
    ImportError::NotUnderstood { file: file.to_owned(), found: found.into(), fix: fix.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(bytes: &[u8]) -> (String, usize) {
        let mut problems = Problems::default();
        (decode("f", bytes, &mut problems).unwrap(), problems.kept.len())
    }

    #[test]
    fn every_encoding_of_a_spreadsheet_gives_the_same_text() {
        let wanted = "name\nCafé – Zürich";
        assert_eq!(text(wanted.as_bytes()), (wanted.into(), 0));
        assert_eq!(text(&[b"\xef\xbb\xbf", wanted.as_bytes()].concat()), (wanted.into(), 0));
        let little: Vec<u8> = wanted.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = wanted.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text(&[b"\xff\xfe".as_slice(), &little].concat()), (wanted.into(), 0));
        assert_eq!(text(&[b"\xfe\xff".as_slice(), &big].concat()), (wanted.into(), 0));
        assert_eq!(text(&big), (wanted.into(), 0));
        assert_eq!(text(&little), (wanted.into(), 0));
        assert_eq!(text(b"name\nCaf\xe9 \x96 Z\xfcrich"), (wanted.into(), 1));
    }

    #[test]
    fn a_workbook_is_refused_with_the_way_to_save_it() {
        let error = decode("list.xlsx", b"PK\x03\x04....", &mut Problems::default()).unwrap_err();
        assert!(error.to_string().contains("CSV UTF-8"), "{error}");
    }
}
