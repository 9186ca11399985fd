//! Texts and numbers of one cell, and the lists in it. Limits are those of the record format.

use fingerpost_proto::limits::{LINE_BYTES_MAX, LIST_ENTRIES_MAX, TEXT_BYTES_MAX};

use super::problem::Findings;

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
    if let Some(control) = text.chars().find(|char| char.is_control() && *char != '\n' && *char != '\t') {
        let reason = format!("contains the control character U+{:04X}", u32::from(control));
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
