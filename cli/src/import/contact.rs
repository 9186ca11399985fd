//! Phones, e-mail addresses and web addresses as people write them. They stay text; nothing is reformatted.

use std::str::FromStr as _;

use fingerpost_proto::limits::URL_BYTES_MAX;
use fingerpost_proto::v1;
use url::Url;

use super::cell;
use super::problem::Findings;

/// A list of phones, each `number` or `label: number`.
///
/// `country` is an ISO code; with it numbers are checked, and only warned about. `fix_lost_zero` applies the suggestion.
pub(super) fn phones(
    text: &str,
    country: Option<&str>,
    fix_lost_zero: bool,
    findings: &mut Findings,
) -> Vec<v1::Phone> {
    cell::list(text, findings)
        .into_iter()
        .filter_map(|entry| {
            let (label, number) = match entry.rsplit_once(':') {
                Some((label, number)) => (cell::line(label, findings)?, number.trim()),
                None => (String::new(), entry),
            };
            let number = phone_number(number, country, fix_lost_zero, findings)?;
            Some(v1::Phone { number, description: label, ..Default::default() })
        })
        .collect()
}

/// One number. Errors: no digits, or a number that a spreadsheet rounded. Everything else is a warning.
pub(super) fn phone_number(
    text: &str,
    country: Option<&str>,
    fix_lost_zero: bool,
    findings: &mut Findings,
) -> Option<String> {
    let number = cell::line(text, findings)?;
    if cell::is_rounded_number(&number) {
        let fix = "format the column as text in the spreadsheet and type the number again";
        return findings.error(text, "a spreadsheet has rounded this number; its last digits are lost", fix);
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 3 {
        return findings.error(
            text,
            "not a phone number",
            "write it in digits; a label goes before it, as in office: 0115 496 0321",
        );
    }
    // UK numbers have 10 digits after the 0 (few have 9). Without the 0 nobody can dial them.
    let is_bare = number.chars().all(|char| char.is_ascii_digit() || matches!(char, ' ' | '-' | '(' | ')'));
    if country == Some("GB")
        && is_bare
        && (9..=10).contains(&digits.len())
        && digits.starts_with(['1', '2', '3', '7', '8'])
    {
        let suggested = match digits.len() {
            10 => format!("0{} {} {}", &digits[..3], &digits[3..6], &digits[6..]),
            _ => format!("0{digits}"),
        };
        if fix_lost_zero {
            findings.warn(text, "had lost its leading 0", format!("read as {suggested}"));
            return Some(suggested);
        }
        findings.warn(text, "seems to have lost its leading 0", format!("write {suggested}"));
        return Some(number);
    }
    let country = country.and_then(|code| phonenumber::country::Id::from_str(code).ok());
    if let Some(country) = country {
        // Short codes (999, 111, 18000) are right although they are no full numbers.
        let is_valid = digits.len() <= 6
            || is_for_drama(&digits)
            || phonenumber::parse(Some(country), &number).is_ok_and(|parsed| phonenumber::is_valid(&parsed));
        if !is_valid {
            let fix = "check it; numbers of other countries start with + and the country's code";
            findings.warn(text, format!("not a phone number that exists in {country:?}"), fix);
        }
    }
    Some(number)
}

/// True for the UK ranges kept free for films and examples; they are well formed, and nobody has them.
fn is_for_drama(digits: &str) -> bool {
    const RANGES: [&str; 20] = [
        "113496", "114496", "115496", "116496", "117496", "118496", "121496", "131496", "141496", "151496", "161496",
        "1914980", "2079460", "2896496", "2920180", "1632960", "7700900", "808157", "9098790", "3069990",
    ];
    let national = digits.strip_prefix("44").or_else(|| digits.strip_prefix('0')).unwrap_or_default();
    national.len() == 10 && RANGES.iter().any(|range| national.starts_with(range))
}

/// An e-mail address: one `@`, a dotted domain, nothing that a website's address protection left behind.
pub(super) fn email(text: &str, findings: &mut Findings) -> Option<String> {
    let whole = text.trim();
    let whole = whole.strip_prefix("mailto:").unwrap_or(whole);
    // Mail programs copy "Advice desk <advice@example.org>".
    let address = match whole.strip_suffix('>').and_then(|rest| rest.split_once('<')) {
        Some((_, address)) => address.trim(),
        None => whole,
    };
    let lower = address.to_lowercase();
    if lower.contains("[email") || lower.contains("email protected") || lower.contains("email&#") {
        let reason = "the address was hidden by the website it was copied from";
        return findings.error(text, reason, "open the page in a browser and type the address as shown there");
    }
    let is_plain = |char: char| !char.is_whitespace() && !char.is_control() && !"<>()[],;:\"\\".contains(char);
    let is_address = address.split_once('@').is_some_and(|(name, domain)| {
        (1..=64).contains(&name.len())
            && domain.len() <= 255
            && domain.contains('.')
            && !domain.contains('@')
            && !domain.split('.').any(str::is_empty)
            && address.chars().all(is_plain)
    });
    if !is_address || address.len() > URL_BYTES_MAX {
        let fix = if address.contains("://") {
            "this is a web address: move it to the url column"
        } else {
            "write one address, such as advice@example.org"
        };
        return findings.error(text, "not an e-mail address", fix);
    }
    if address != whole {
        findings.warn(text, "there is a name beside the address", format!("read as {address}"));
    }
    Some(address.to_owned())
}

/// An http or https address. A missing `https://` is added, with a warning.
pub(super) fn url(text: &str, findings: &mut Findings) -> Option<String> {
    let fix = "write the whole address, such as https://example.org/help";
    let address = text.trim();
    if address.len() > URL_BYTES_MAX {
        return findings.error(text, format!("{} bytes, the limit is {URL_BYTES_MAX}", address.len()), fix);
    }
    if address.is_empty() || address.chars().any(|char| char.is_whitespace() || char.is_control()) {
        return findings.error(text, "not one web address (there is a space or line break in it)", fix);
    }
    if address.contains(['\u{200e}', '\u{200f}', '\u{61c}']) {
        let reason = "there are invisible marks in it that change the direction of the text";
        return findings.error(text, reason, "type the address instead of copying it");
    }
    let has_scheme = address.contains("://") || scheme_without_slashes(address);
    let whole = if has_scheme { address.to_owned() } else { format!("https://{}", address.trim_start_matches('/')) };
    let parsed = match Url::parse(&whole) {
        Ok(parsed) => parsed,
        Err(error) => return findings.error(text, format!("not a web address: {error}"), fix),
    };
    if !matches!(parsed.scheme(), "http" | "https") {
        return findings.error(text, format!("{}: addresses are not shown to readers", parsed.scheme()), fix);
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return findings.error(text, "there is a user name or password in it", "delete the part before the @");
    }
    if !parsed.host_str().is_some_and(|host| host.trim_matches('.').contains('.') || host.starts_with('[')) {
        return findings.error(text, "its site name has no dot", fix);
    }
    if !has_scheme {
        findings.warn(text, "the https:// is missing", format!("read as {whole}"));
    } else if !has_two_slashes(&whole) {
        // Browsers forgive "https:/example.org"; a signed record has to say it properly.
        findings.warn(text, "there are not two slashes after the colon", format!("read as {parsed}"));
        return Some(parsed.to_string());
    }
    Some(whole)
}

fn has_two_slashes(address: &str) -> bool {
    let rest = address.split_once(':').map_or("", |(_, rest)| rest);
    rest.strip_prefix("//").is_some_and(|host| !host.starts_with(['/', '\\']))
}

/// True for `mailto:…` and `javascript:…`, but not for `example.org:8080`.
fn scheme_without_slashes(address: &str) -> bool {
    address.split_once(':').is_some_and(|(scheme, rest)| {
        !scheme.contains('.') && !scheme.is_empty() && !rest.starts_with(|char: char| char.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::super::problem::Severity;
    use super::*;

    fn check<T>(check: impl FnOnce(&mut Findings) -> T) -> (T, Vec<(Severity, String)>) {
        let mut findings = Findings::default();
        let value = check(&mut findings);
        (value, findings.0.into_iter().map(|finding| (finding.severity, finding.fix)).collect())
    }

    #[test]
    fn a_phone_stays_as_it_was_written() {
        let (phones, findings) =
            check(|f| phones("office: 0115 496 0321; +49 30 901820; text: 07700 900123", Some("GB"), false, f));
        let numbers: Vec<_> = phones.iter().map(|phone| (phone.description.as_str(), phone.number.as_str())).collect();
        assert_eq!(numbers, [("office", "0115 496 0321"), ("", "+49 30 901820"), ("text", "07700 900123")]);
        assert_eq!(findings, []);
        assert_eq!(check(|f| phone_number("0115 496 03211", Some("GB"), false, f)).1.len(), 1);
    }

    #[test]
    fn a_lost_leading_zero_is_a_warning_that_shows_the_number() {
        let (number, findings) = check(|f| phone_number("1154960123", Some("GB"), false, f));
        assert_eq!(number.as_deref(), Some("1154960123"));
        assert_eq!(findings, [(Severity::Warning, "write 0115 496 0123".into())]);
        let (number, _) = check(|f| phone_number("1154960123", Some("GB"), true, f));
        assert_eq!(number.as_deref(), Some("0115 496 0123"));
        assert!(check(|f| phone_number("305-253-4841", Some("US"), false, f)).1.is_empty());
    }

    #[test]
    fn a_rounded_or_wordy_phone_is_an_error() {
        for text in ["1.15496E+09", "ask at the desk", ""] {
            let (number, findings) = check(|f| phone_number(text, Some("GB"), false, f));
            assert_eq!(number, None, "{text}");
            assert_eq!(findings[0].0, Severity::Error);
        }
    }

    #[test]
    fn an_email_has_its_shape_and_a_hidden_one_is_refused() {
        assert_eq!(check(|f| email(" advice@example.org ", f)).0.as_deref(), Some("advice@example.org"));
        let named = check(|f| email("Advice desk <advice@example.org>", f));
        assert_eq!((named.0.as_deref(), named.1.len()), (Some("advice@example.org"), 1));
        for text in ["[email protected]", "[email\u{a0}protected]", "advice", "a@b", "a@b@c.org", "a b@c.org", "a@.org"]
        {
            assert_eq!(check(|f| email(text, f)).0, None, "{text}");
        }
    }

    #[test]
    fn a_web_address_is_http_and_a_missing_scheme_is_added() {
        assert_eq!(check(|f| url("https://example.org/a?b=c", f)), (Some("https://example.org/a?b=c".into()), vec![]));
        let (address, findings) = check(|f| url("www.example.org", f));
        assert_eq!(address.as_deref(), Some("https://www.example.org"));
        assert_eq!(findings[0].0, Severity::Warning);
        assert_eq!(check(|f| url("example.org:8080/x", f)).0.as_deref(), Some("https://example.org:8080/x"));
        for text in ["https:/example.org/a", "https:example.org/a", "https:///example.org/a", "https:\\\\example.org/a"]
        {
            let (address, findings) = check(|f| url(text, f));
            assert_eq!(address.as_deref(), Some("https://example.org/a"), "{text}");
            assert_eq!(findings, [(Severity::Warning, "read as https://example.org/a".into())], "{text}");
        }
        for text in [
            "javascript:alert(1)",
            "ftp://example.org",
            "https://",
            "https://localhost",
            "a b.org",
            "https://u:p@example.org",
        ] {
            assert_eq!(check(|f| url(text, f)).0, None, "{text}");
        }
    }

    #[test]
    fn a_web_address_is_accepted_at_its_limit_and_refused_beyond() {
        let start = "https://example.org/";
        assert!(check(|f| url(&format!("{start}{}", "a".repeat(URL_BYTES_MAX - start.len())), f)).0.is_some());
        assert!(check(|f| url(&format!("{start}{}", "a".repeat(URL_BYTES_MAX + 1 - start.len())), f)).0.is_none());
    }
}
