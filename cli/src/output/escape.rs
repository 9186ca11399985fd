//! Makes text that other people wrote harmless on a terminal.
//!
//! A record's name could hold escape sequences that rewrite the screen, line breaks that fake a line of ours, or
//! direction overrides that make an address read backwards. They are shown as `\u{202e}`; everything else is kept.

use fingerpost_proto::canary::{Canary, is_out};
use std::borrow::Cow;
use std::fmt::Write;

/// `text` for one line: line breaks become `\n`, other dangerous characters `\u{…}`.
pub fn shown(text: &str) -> Cow<'_, str> {
    escape(text, is_dangerous)
}

/// `text` for several lines: keeps line breaks, escapes the rest.
pub fn shown_block(text: &str) -> Cow<'_, str> {
    escape(text, |character| character != '\n' && is_dangerous(character))
}

/// A JSON text with dangerous characters as JSON writes characters by their numbers; line breaks between values are kept.
pub fn shown_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || !is_dangerous(character) {
            safe.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing into a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        }
    }
    safe
}

/// Control characters, line and paragraph separators, direction overrides and isolates, invisible tag characters.
/// The plain marks U+200E, U+200F and U+061C stay: right-to-left text needs them and they hide nothing.
pub fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escape(text: &str, dangerous: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&dangerous) || is_out(Canary::TerminalText) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            character if !dangerous(character) => safe.push(character),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            character => {
                // Writing into a String cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_in_any_script_is_left_alone() {
        for text in ["Café", "مركز اللاجئين", "ትግርኛ", "a\u{200f}b", "👩\u{200d}👩"] {
            assert!(matches!(shown(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn escapes_overrides_and_line_breaks_are_made_visible() {
        assert_eq!(shown("a\x1b]0;x\x07b"), "a\\u{1b}]0;x\\u{7}b");
        assert_eq!(shown("\u{202e}txt"), "\\u{202e}txt");
        assert_eq!(shown("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(shown("a\r\nb"), "a\\r\\nb");
        assert_eq!(shown_block("a\nb\tc"), "a\nb\\tc");
        assert_eq!(shown("a\u{e0041}"), "a\\u{e0041}");
    }

    #[test]
    fn json_says_the_same_text_without_dangerous_characters() {
        let text = "a\x1b[2J\n\u{9b}31m\u{202e}x\u{e0041} مركز";
        let value = serde_json::json!({ "name": text });
        for json in [value.to_string(), format!("{value:#}")] {
            let safe = shown_json(&json);
            assert!(!safe.chars().any(|character| character != '\n' && is_dangerous(character)), "{safe:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).ok(), Some(value.clone()));
            assert!(safe.contains("مركز"));
        }
    }

    #[test]
    fn escaping_twice_changes_nothing_more() {
        let once = shown("\x1b\u{2066}\n").into_owned();
        assert_eq!(shown(&once), once);
    }
}
