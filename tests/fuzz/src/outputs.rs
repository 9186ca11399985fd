//! Is an output of the feed safe for who reads it: browsers, calendars, programs?
//!
//! In: an answer. Out: nothing, or a panic that shows where markup, an address or a line was somebody else's.
//! Always: no knowledge of how the feed makes its answers; only of what its own templates may contain.

use std::collections::BTreeSet;

use serde_json::Value;

use super::directory::Answer;

/// Elements of the feed's own pages.
const ELEMENTS: [&str; 41] = [
    "!doctype", "a", "bdi", "body", "br", "button", "dd", "div", "dl", "dt", "footer", "form", "h1", "h2", "h3",
    "head", "header", "html", "input", "label", "li", "link", "main", "meta", "nav", "option", "p", "script",
    "section", "select", "span", "strong", "style", "table", "tbody", "td", "th", "thead", "title", "tr", "ul",
];
/// Attributes of the feed's own pages.
const ATTRIBUTES: [&str; 24] = [
    "action",
    "aria-label",
    "charset",
    "class",
    "content",
    "dir",
    "for",
    "href",
    "hreflang",
    "html",
    "id",
    "lang",
    "maxlength",
    "method",
    "name",
    "rel",
    "role",
    "scope",
    "selected",
    "type",
    "value",
    "colspan",
    "datetime",
    "title",
];
/// JSON members whose text is followed or run by readers' programs, by how their names end.
const LINKS: [&str; 12] =
    ["url", "uri", "website", "href", "logo", "image", "sameas", "link", "geojson_url", "next", "license", "@id"];
/// Control characters, line separators, direction overrides and isolates.
pub const UNSEEN: fn(char) -> bool = |c| {
    c.is_control() && !matches!(c, '\n' | '\t')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
};

/// Panics when the answer is not safe.
pub fn check(answer: &Answer) {
    match answer.content_type.as_str() {
        "text/html" => html(&answer.text),
        "text/calendar" => calendar(&answer.text),
        "application/json" if !answer.text.is_empty() => json(&parsed(&answer.text), ""),
        "" | "application/json" | "application/octet-stream" => {}
        other => panic!("content type {other:?}"),
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}

/// An address that a reader may follow without harm. Empty is no address.
fn is_harmless(address: &str) -> bool {
    let is_clean = !address.contains(|c: char| UNSEEN(c) || c.is_whitespace() || matches!(c, '"' | '<' | '>'));
    let schemes = ["http://", "https://", "mailto:", "tel:", "urn:"];
    is_clean && (address.is_empty() || schemes.iter().any(|scheme| address.starts_with(scheme)))
}

/// A page has no element, attribute or address but those of its template's kinds, and no unseen character.
pub fn html(page: &str) {
    if let Some(unseen) = page.chars().find(|c| UNSEEN(*c)) {
        panic!("U+{:04X} in a page", u32::from(unseen));
    }
    let mut rest = page;
    while let Some((text, tag_on)) = rest.split_once('<') {
        assert!(!text.contains('>') || text.is_empty(), "a bare > in {text:?}");
        let (tag, after) = split_tag(tag_on);
        let (name, attributes) = tag.split_at(tag.find([' ', '\n']).unwrap_or(tag.len()));
        let name = name.trim_start_matches('/').to_ascii_lowercase();
        assert!(ELEMENTS.contains(&name.as_str()), "element {name:?} in {}", excerpt(tag_on));
        let attributes = read_attributes(attributes);
        for (attribute, value) in &attributes {
            assert!(ATTRIBUTES.contains(&attribute.as_str()), "attribute {attribute:?} in <{tag}>");
            if matches!(attribute.as_str(), "href" | "action") {
                let is_own = value.starts_with(['/', '?', '#']) && !value.starts_with("//");
                assert!(is_own || is_harmless(value), "address {value:?}");
            }
        }
        rest = after;
        if !tag.starts_with('/') && matches!(name.as_str(), "script" | "style") {
            let (inside, after) = after.split_once("</").unwrap_or_else(|| panic!("<{name}> is not closed"));
            if name == "script" {
                assert_eq!(attributes, [("type".to_owned(), "application/ld+json".to_owned())], "a script that runs");
                assert!(!inside.contains(['<', '>']), "markup in structured data: {inside}");
                json(&parsed(inside), "");
            }
            rest = &after[after.find('>').map_or(0, |end| end + 1)..];
        }
    }
    assert!(!rest.contains('>'), "a bare > at the end");
}

/// The tag up to its `>` outside quotes, and what follows.
fn split_tag(text: &str) -> (&str, &str) {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            '>' if !is_quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    panic!("a tag that does not end: {}", excerpt(text))
}

/// Names and values, the values with their entities replaced.
fn read_attributes(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return found;
        }
        let end = text.find(['=', ' ', '\n']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let Some(rest) = rest.strip_prefix("=\"") else {
            found.push((name.to_ascii_lowercase(), String::new()));
            text = rest;
            continue;
        };
        let (value, rest) = rest.split_once('"').unwrap_or_else(|| panic!("an attribute that does not end: {text}"));
        assert!(rest.is_empty() || rest.starts_with([' ', '\n', '/']), "text behind an attribute: {text}");
        found.push((name.to_ascii_lowercase(), plain(value)));
        text = rest;
    }
}

/// Replaces the entities that the feed writes.
fn plain(value: &str) -> String {
    let pairs = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">")];
    let pairs = pairs.into_iter().chain([("&quot;", "\""), ("&#38;", "&"), ("&amp;", "&")]);
    pairs.fold(value.to_owned(), |value, (entity, character)| value.replace(entity, character))
}

/// A calendar whose lines are all of known names, within 75 octets, balanced, and without unseen characters.
pub fn calendar(text: &str) {
    const NAMES: [&str; 40] = [
        "BEGIN",
        "END",
        "VERSION",
        "PRODID",
        "CALSCALE",
        "NAME",
        "X-WR-CALNAME",
        "SOURCE",
        "REFRESH-INTERVAL",
        "X-PUBLISHED-TTL",
        "X-FINGERPOST-WARNING",
        "TZID",
        "TZOFFSETFROM",
        "TZOFFSETTO",
        "TZNAME",
        "UID",
        "DTSTAMP",
        "LAST-MODIFIED",
        "SEQUENCE",
        "DTSTART",
        "DTEND",
        "RRULE",
        "EXDATE",
        "RDATE",
        "STATUS",
        "RECURRENCE-ID",
        "SUMMARY",
        "DESCRIPTION",
        "LOCATION",
        "CATEGORIES",
        "URL",
        "ORGANIZER",
        "CONFERENCE",
        "GEO",
        "X-FINGERPOST-PUBLISHER",
        "X-FINGERPOST-ROLE",
        "X-FINGERPOST-LAST-CONFIRMED",
        "X-FINGERPOST-LEASE-UNTIL",
        "TRANSP",
        "X-LIC-LOCATION",
    ];
    let body = text.strip_suffix("\r\n").expect("the last line ends");
    let mut open = Vec::new();
    for line in body.split("\r\n") {
        assert!(line.len() <= 75, "{} octets in {line:?}", line.len());
        let unseen = line.chars().find(|c| UNSEEN(*c) || *c == '\n');
        assert!(unseen.is_none(), "{unseen:?} in {line:?}");
    }
    for line in body.replace("\r\n ", "").split("\r\n") {
        let name = line.split([':', ';']).next().unwrap_or_default();
        assert!(NAMES.contains(&name), "property {name:?} in {line:?}");
        let (_, value) = line.split_once(':').unwrap_or_else(|| panic!("no value in {line:?}"));
        match name {
            "BEGIN" => open.push(value.to_owned()),
            "END" => assert_eq!(open.pop().as_deref(), Some(value), "components nest"),
            "SUMMARY" | "DESCRIPTION" | "LOCATION" | "NAME" | "CATEGORIES" => assert_escaped(line, value),
            "URL" => assert!(is_harmless(value), "{line:?}"),
            "CONFERENCE" => assert!(line.contains(":http"), "{line:?}"),
            "ORGANIZER" => {
                let (_, address) = line.rsplit_once("\":").unwrap_or_else(|| panic!("{line:?}"));
                assert!(is_harmless(address), "{line:?}");
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
}

/// Every `;` and backslash of a TEXT value stands behind or before a backslash; commas only separate categories.
fn assert_escaped(line: &str, value: &str) {
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                let escaped = characters.next();
                assert!(matches!(escaped, Some('\\' | ';' | ',' | 'n' | 'N')), "{escaped:?} escaped in {line:?}");
            }
            ';' => panic!("a bare ; in {line:?}"),
            ',' => assert!(line.starts_with("CATEGORIES"), "a bare , in {line:?}"),
            _ => {}
        }
    }
}

/// Members that are addresses are harmless ones; no text has unseen characters.
pub fn json(value: &Value, name: &str) {
    match value {
        Value::String(text) => {
            let unseen = text.chars().find(|c| UNSEEN(*c));
            assert!(unseen.is_none(), "{unseen:?} in {name:?}: {text:?}");
            let lower = name.to_ascii_lowercase();
            if LINKS.iter().any(|end| lower.ends_with(end)) {
                assert!(is_harmless(text), "{name} is {text:?}");
            }
        }
        Value::Array(values) => values.iter().for_each(|value| json(value, name)),
        Value::Object(members) => {
            let names: BTreeSet<&String> = members.keys().collect();
            assert_eq!(names.len(), members.len());
            members.iter().for_each(|(name, value)| json(value, name));
        }
        _ => {}
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(200).collect()
}
