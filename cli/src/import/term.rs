//! Topics, areas, registrations and prices: short texts with a fixed inner shape.

use fingerpost_proto::v1;

use super::problem::Findings;
use super::{cell, contact};

/// A list of `label` or `code=label`.
pub(super) fn terms(text: &str, findings: &mut Findings) -> Vec<v1::Term> {
    cell::list(text, findings)
        .into_iter()
        .filter_map(|entry| {
            let (code, label) = entry.split_once('=').unwrap_or(("", entry));
            let (code, label) = (cell::line(code, findings)?, cell::line(label, findings)?);
            if label.is_empty() {
                return findings.error(entry, "the term has no label", "write label or code=label");
            }
            Some(v1::Term { code, label, ..Default::default() })
        })
        .collect()
}

/// A list of `name` or `name <uri>`.
pub(super) fn areas(text: &str, findings: &mut Findings) -> Vec<v1::Area> {
    cell::list(text, findings)
        .into_iter()
        .filter_map(|entry| {
            let (name, uri) = match entry.split_once('<') {
                Some((name, uri)) => (name, contact::url(uri.trim_end_matches('>'), findings)?),
                None => (entry, String::new()),
            };
            let name = cell::line(name, findings)?;
            if name.is_empty() {
                return findings.error(entry, "the area has no name", "write name or name <uri>");
            }
            Some(v1::Area { name, uri, geojson: String::new() })
        })
        .collect()
}

/// A list of `SCHEME:VALUE`, such as `GB-CHC:1234567`.
pub(super) fn identifiers(text: &str, findings: &mut Findings) -> Vec<v1::Identifier> {
    cell::list(text, findings)
        .into_iter()
        .filter_map(|entry| {
            let fix = "write the register's code from org-id.guide, a colon and the number, such as GB-CHC:1234567";
            let (scheme, value) = match entry.split_once(':') {
                Some((scheme, value)) => (cell::line(scheme, findings)?, cell::line(value, findings)?),
                None => return findings.error(entry, "does not say which register the number is from", fix),
            };
            let is_scheme =
                scheme.contains('-') && scheme.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
            if !is_scheme || value.is_empty() || cell::is_rounded_number(&value) {
                return findings.error(entry, "not a register's code and a number", fix);
            }
            Some(v1::Identifier { scheme: scheme.to_uppercase(), value, r#type: String::new() })
        })
        .collect()
}

/// A price: `free`, an amount with its currency, or words. Second: whether it says free.
pub(super) fn cost(text: &str, country: Option<&str>, findings: &mut Findings) -> Option<(v1::Cost, bool)> {
    let description = cell::line(text, findings)?;
    if matches!(description.to_lowercase().as_str(), "free" | "free of charge" | "no charge" | "0" | "£0" | "£0.00") {
        return Some((v1::Cost::default(), true));
    }
    let (number, currency) = match description.chars().next() {
        Some('£') => (&description['£'.len_utf8()..], "GBP"),
        Some('€') => (&description['€'.len_utf8()..], "EUR"),
        Some('$') if country == Some("US") => (&description[1..], "USD"),
        _ => match description.split_once(' ') {
            Some((number, code)) if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                (number, code)
            }
            _ if country == Some("GB") => (description.as_str(), "GBP"),
            _ => (description.as_str(), ""),
        },
    };
    let number = number.trim();
    if !currency.is_empty() && is_amount(number) {
        let (amount, currency) = (number.to_owned(), currency.to_owned());
        return Some((v1::Cost { amount, currency, ..Default::default() }, false));
    }
    Some((v1::Cost { description, ..Default::default() }, false))
}

/// `3`, `3.5` or `3.50`.
pub(super) fn is_amount(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |digits: &str, max: usize| {
        (1..=max).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    is_digits(whole, 9) && is_digits(part, 4)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_term_is_a_label_with_or_without_a_code() {
        let mut findings = Findings::default();
        let read = terms("Housing; esol=English classes; bad=", &mut findings);
        assert_eq!(
            read.iter().map(|term| (&*term.code, &*term.label)).collect::<Vec<_>>(),
            [("", "Housing"), ("esol", "English classes")]
        );
        assert_eq!(findings.0.len(), 1);
    }

    #[test]
    fn an_area_may_have_a_uri() {
        let mut findings = Findings::default();
        let read =
            areas("Northgate; Nottingham <http://statistics.data.gov.uk/id/E06000018>; <https://a.b>", &mut findings);
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].uri, "http://statistics.data.gov.uk/id/E06000018");
        assert_eq!(findings.0.len(), 1);
    }

    #[test]
    fn a_registration_names_its_register() {
        let mut findings = Findings::default();
        assert_eq!(identifiers("GB-CHC:1234567; gb-coh: 01234567", &mut findings).len(), 2);
        assert!(findings.0.is_empty());
        assert!(identifiers("1234567; GB-CHC:; charity:1", &mut findings).is_empty());
        assert_eq!(findings.0.len(), 3);
    }

    #[test]
    fn a_cost_is_an_amount_or_words() {
        let mut findings = Findings::default();
        let mut read = |text: &str| cost(text, Some("GB"), &mut findings).unwrap();
        assert!(read("Free").1);
        assert_eq!((read("£3.50").0.amount, read("£3.50").0.currency), ("3.50".into(), "GBP".into()));
        assert_eq!(read("4 EUR").0.currency, "EUR");
        assert_eq!(read("pay what you can").0.description, "pay what you can");
    }
}
