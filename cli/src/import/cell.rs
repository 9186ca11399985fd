//! Texts and numbers of one cell, and the lists in it. Limits are those of the record format.

use std::borrow::Cow;

use fingerpost_proto::limits::{LINE_BYTES_MAX, LIST_ENTRIES_MAX, TEXT_BYTES_MAX};

use fingerpost_proto::record::forbidden;

use super::problem::Findings;

/// What a cell says without characters that only steer how it is laid out, which no record may contain. They come along
/// when addresses and numbers are copied from other programs, and are dropped with a warning.
pub(super) fn readable<'t>(text: &'t str, findings: &mut Findings) -> Cow<'t, str> {
    let is_layout = |char: char| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let is_break = |char: char| matches!(char, '\u{2028}' | '\u{2029}');
    if !text.contains(|char| is_layout(char) || is_break(char)) {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().filter(|char| !is_layout(*char));
    let kept: String = kept.map(|char| if is_break(char) { '\n' } else { char }).collect();
    let shown = text.chars().fold(String::new(), |mut shown, char| {
        if is_layout(char) {
            shown.extend(char.escape_unicode())
        } else {
            shown.push(char)
        }
        shown
    });
    let fix = "they are left out; look whether it reads right, above all in Arabic, Farsi or Hebrew";
    findings.warn(&shown, "there are invisible characters that change the direction of the text", fix);
    Cow::Owned(kept)
}

/// A one-line text. Line breaks become spaces.
pub(super) fn line(text: &str, findings: &mut Findings) -> Option<String> {
    let text = clean(text, findings)?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    limited(line, LINE_BYTES_MAX, findings)
}

/// A running text; line breaks stay.
pub(super) fn text(text: &str, findings: &mut Findings) -> Option<String> {
    limited(clean(text, findings)?, TEXT_BYTES_MAX, findings)
}

fn limited(text: String, max: usize, findings: &mut Findings) -> Option<String> {
    if text.len() > max {
        let reason = format!("{} bytes, the limit here is {max}", text.len());
        return findings.error(&text, reason, "shorten it");
    }
    Some(text)
}

/// Refuses control characters other than line breaks and tabs: they are damage, and terminals obey them.
fn clean(text: &str, findings: &mut Findings) -> Option<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    if let Some(control) = forbidden(&text, true) {
        let reason = format!("contains the control character U+{control:04X}");
        return findings.error(&text.escape_debug().to_string(), reason, "delete the invisible character");
    }
    Some(text.trim().to_owned())
}

/// The entries of a list cell: separated by `;` or line breaks, empty ones left out.
pub(super) fn list<'t>(text: &'t str, findings: &mut Findings) -> Vec<&'t str> {
    let entries: Vec<&str> = text
        .split([';', '\n', '\r'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .take(LIST_ENTRIES_MAX + 1)
        .collect();
    if entries.len() > LIST_ENTRIES_MAX {
        findings.error::<()>(
            text,
            format!("more than {LIST_ENTRIES_MAX} entries"),
            "split the record or shorten the list",
        );
        return Vec::new();
    }
    entries
}

/// A list of one-line texts.
pub(super) fn lines(text: &str, findings: &mut Findings) -> Option<Vec<String>> {
    Some(list(text, findings).into_iter().filter_map(|entry| line(entry, findings)).collect())
}

/// `yes` or `no` in a few spellings.
pub(super) fn boolean(text: &str, findings: &mut Findings) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" | "x" | "✓" => Some(true),
        "no" | "n" | "false" | "0" => Some(false),
        _ => findings.error(text, "neither yes nor no", "write yes or no"),
    }
}

/// A whole number from `min` to `max`.
pub(super) fn number(text: &str, min: u32, max: u32, findings: &mut Findings) -> Option<u32> {
    // Spreadsheets write whole numbers as "16.0" when the column was once a decimal one.
    let digits = text.trim().strip_suffix(".0").unwrap_or(text.trim());
    match digits.parse::<u32>() {
        Ok(number) if (min..=max).contains(&number) => Some(number),
        _ => findings.error(text, format!("not a whole number from {min} to {max}"), "write the number in digits only"),
    }
}

/// Degrees times 10,000,000, at most `max` degrees either way.
pub(super) fn degrees_e7(text: &str, max: i32, findings: &mut Findings) -> Option<i32> {
    let fix = format!("write decimal degrees with a point, from -{max} to {max}, like 52.9548");
    let plain = text.trim();
    if plain.is_empty() || !plain.chars().all(|char| char.is_ascii_digit() || matches!(char, '.' | '-' | '+')) {
        return findings.error(text, "not decimal degrees", fix);
    }
    match plain.parse::<f64>() {
        Ok(degrees) if degrees.is_finite() && degrees.abs() <= f64::from(max) => {
            // Within ±1.8e9, so it fits an i32.
            #[allow(clippy::cast_possible_truncation)]
            Some((degrees * 1e7).round() as i32)
        }
        Ok(_) => findings.error(text, format!("outside -{max} to {max} degrees"), fix),
        Err(_) => findings.error(text, "not decimal degrees", fix),
    }
}

/// True for text such as `1.15496E+09`: a spreadsheet turned a long number into a rounded one.
pub(super) fn is_rounded_number(text: &str) -> bool {
    let text = text.trim().as_bytes();
    let exponent = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    exponent.is_some_and(|at| {
        at > 0
            && text[..at].iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
            && text.len() > at + 1
            && text[at + 1..].iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check<T>(check: impl FnOnce(&mut Findings) -> Option<T>) -> (Option<T>, usize) {
        let mut findings = Findings::default();
        (check(&mut findings), findings.0.len())
    }

    #[test]
    fn a_text_is_accepted_at_its_limit_and_refused_beyond() {
        for (max, check_text) in
            [(LINE_BYTES_MAX, line as fn(&str, &mut Findings) -> Option<String>), (TEXT_BYTES_MAX, text)]
        {
            assert!(check(|f| check_text(&"a".repeat(max), f)).0.is_some());
            assert_eq!(check(|f| check_text(&"a".repeat(max + 1), f)), (None, 1));
        }
    }

    #[test]
    fn a_list_is_accepted_at_its_limit_and_refused_beyond() {
        assert_eq!(check(|f| lines(&"a;".repeat(LIST_ENTRIES_MAX), f)).0.unwrap().len(), LIST_ENTRIES_MAX);
        assert_eq!(check(|f| lines(&"a;".repeat(LIST_ENTRIES_MAX + 1), f)).1, 1);
    }

    #[test]
    fn control_characters_are_refused_and_formulas_are_data() {
        assert_eq!(check(|f| line("a\0b", f)), (None, 1));
        assert_eq!(check(|f| line("a\u{1b}[2Jb", f)), (None, 1));
        assert_eq!(check(|f| line("=HYPERLINK(\"x\")", f)), (Some("=HYPERLINK(\"x\")".into()), 0));
    }

    #[test]
    fn characters_that_only_change_directions_are_left_out_with_a_warning() {
        let mut findings = Findings::default();
        assert_eq!(readable("\u{202a}+44 115 496 0123\u{202c}", &mut findings), "+44 115 496 0123");
        assert_eq!(readable("a\u{2028}b\u{feff}", &mut findings), "a\nb");
        assert_eq!(findings.0.len(), 2);
        assert!(findings.0[0].found.contains("\\u{202a}"), "{}", findings.0[0].found);
        let honest = "مركز\u{200f} 12";
        assert!(matches!(readable(honest, &mut findings), Cow::Borrowed(text) if text == honest));
        assert_eq!(findings.0.len(), 2);
        assert_eq!(check(|f| line("a\u{202e}b", f)), (None, 1), "and refused where they come all the same");
    }

    #[test]
    fn coordinates_are_decimal_degrees_within_the_globe() {
        assert_eq!(check(|f| degrees_e7("52.9548", 90, f)).0, Some(529_548_000));
        assert_eq!(check(|f| degrees_e7("-90", 90, f)).0, Some(-900_000_000));
        assert_eq!(check(|f| degrees_e7("90.1", 90, f)).1, 1);
        assert_eq!(check(|f| degrees_e7("52,9548", 90, f)).1, 1);
        assert_eq!(check(|f| degrees_e7("inf", 90, f)).1, 1);
    }

    #[test]
    fn a_number_rounded_by_a_spreadsheet_is_recognised() {
        assert!(is_rounded_number("1.15496E+09"));
        assert!(!is_rounded_number("0115 496 0321"));
        assert!(!is_rounded_number("E10"));
    }
}
