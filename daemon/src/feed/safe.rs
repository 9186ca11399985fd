//! What foreign text may become in an output: web addresses, e-mail addresses, telephone links, plain lines.
//!
//! Everything here returns a value that is safe in the named place, or nothing.

use fingerpost_cli::output::escape::is_dangerous;
use fingerpost_proto::canary::{Canary, is_out};
use url::Url;

/// An absolute http or https address in the strict form of RFC 3986; `None` for anything else.
///
/// Scheme-less addresses are not guessed at: the publisher's tools complete them before signing.
pub(crate) fn web_address(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    (is_web || is_out(Canary::Addresses)).then(|| strict(url.as_str()))
}

/// A web address, or a `urn:` name.
pub(crate) fn identifier(text: &str) -> Option<String> {
    web_address(text).or_else(|| {
        let url = Url::parse(text.trim()).ok()?;
        (url.scheme() == "urn" && url.path().contains(':')).then(|| strict(url.as_str()))
    })
}

/// Percent-encodes what the WHATWG form of an address leaves bare and RFC 3986 does not allow.
fn strict(address: &str) -> String {
    let authority_end = address.find("://").map_or(0, |start| {
        let rest = start + 3;
        address[rest..].find(['/', '?', '#']).map_or(address.len(), |length| rest + length)
    });
    let (authority, rest) = address.split_at(authority_end);
    let mut out = String::with_capacity(address.len() + 8);
    out.push_str(authority);
    let mut fragment_seen = false;
    for (position, byte) in rest.bytes().enumerate() {
        let allowed = match byte {
            b'%' => {
                rest.as_bytes().get(position + 1..position + 3).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
            }
            b'#' => !std::mem::replace(&mut fragment_seen, true),
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&byte),
        };
        if allowed {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An e-mail address of the plain kind: dotted local part, host name with a dot.
pub(crate) fn email(text: &str) -> Option<&str> {
    let text = text.trim();
    let (local, host) = text.rsplit_once('@')?;
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && local.split('.').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
        });
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host_ok = host.len() <= 253 && host.contains('.') && host.split('.').all(label_ok);
    (local_ok && host_ok).then_some(text)
}

/// `tel:` link of a telephone number; `None` when it has fewer than three digits.
pub(crate) fn telephone_link(number: &str) -> Option<String> {
    let mut digits = String::new();
    for c in number.chars().take(64) {
        match c {
            '0'..='9' => digits.push(c),
            '+' if digits.is_empty() => digits.push(c),
            // Anything but the usual separators ends the number: "020 7946 0000 ext 12" must not dial 12 as well.
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => {}
            _ => break,
        }
    }
    // "+44 (0)20 …" is written for people; the nought is not dialled after a country code.
    let digits = if number.starts_with('+') && number.contains("(0)") {
        let before =
            number.split("(0)").next().map_or(0, |head| head.chars().filter(|c| matches!(c, '+' | '0'..='9')).count());
        let (head, tail) = digits.split_at(before.min(digits.len()));
        format!("{head}{}", tail.strip_prefix('0').unwrap_or(tail))
    } else {
        digits
    };
    (digits.bytes().filter(u8::is_ascii_digit).count() >= 3).then(|| format!("tel:{digits}"))
}

/// One line without control characters, direction overrides and invisible characters: for names from cards and charters,
/// header values and iCalendar parameters.
pub(crate) fn line(text: &str) -> String {
    let cleaned: String = text.chars().map(|c| if is_dangerous(c) { ' ' } else { c }).collect();
    cleaned.trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_http_and_https_addresses_pass() {
        assert_eq!(web_address("https://example.org/a?b=c#d").as_deref(), Some("https://example.org/a?b=c#d"));
        for refused in [
            "javascript:alert(1)",
            "data:text/html,x",
            "JaVaScRiPt:alert(1)",
            "www.example.org",
            "//x",
            "",
            "file:///etc",
        ] {
            assert_eq!(web_address(refused), None, "{refused}");
        }
    }

    #[test]
    fn an_address_leaves_in_the_strict_form() {
        assert_eq!(
            web_address("https://example.org/a|b[c]{d} e").unwrap(),
            "https://example.org/a%7Cb%5Bc%5D%7Bd%7D%20e"
        );
        assert_eq!(
            web_address("https://example.org/100%?x=^`#a#b").unwrap(),
            "https://example.org/100%25?x=%5E%60#a%23b"
        );
        assert_eq!(web_address("https://bücher.example/ü").unwrap(), "https://xn--bcher-kva.example/%C3%BC");
        assert_eq!(identifier("urn:isbn:0451450523").as_deref(), Some("urn:isbn:0451450523"));
    }

    #[test]
    fn an_address_that_is_no_email_is_dropped() {
        assert_eq!(email(" help@example.org "), Some("help@example.org"));
        for refused in [
            "help@example",
            "help",
            "a b@example.org",
            "a@b@example.org",
            "a@-x.org",
            ".a@example.org",
            "a\r\n@example.org",
        ] {
            assert_eq!(email(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_line_has_nothing_that_moves_what_stands_beside_it() {
        assert_eq!(line(" a\r\nb\u{202e}c\u{2066}\u{feff}d\u{85}\x1b "), "a  b c  d");
        assert_eq!(line("مركز\u{200f} اللاجئين"), "مركز\u{200f} اللاجئين");
    }

    #[test]
    fn a_telephone_link_dials_what_is_written() {
        assert_eq!(telephone_link("+44 (0)20 7946 0018").as_deref(), Some("tel:+442079460018"));
        assert_eq!(telephone_link("0131 496 0000 ext 12").as_deref(), Some("tel:01314960000"));
        assert_eq!(telephone_link("999").as_deref(), Some("tel:999"));
        assert_eq!(telephone_link("javascript:alert(1)"), None);
    }
}
