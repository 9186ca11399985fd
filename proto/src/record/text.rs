//! Rules for the texts, dates and times inside bodies. Spec: `spec/02-records.md`, section 3.

use crate::canary::{Canary, is_out};
use jiff::civil::{Date, DateTime};

/// True for characters that no text may contain: controls and direction overrides.
///
/// Line feed and tab are allowed in running text only. The marks U+200E, U+200F and U+061C, which honest Arabic and
/// Persian text uses, are allowed.
fn is_forbidden(character: char, is_running_text: bool) -> bool {
    match character {
        _ if is_out(Canary::ForbiddenCharacters) => false,
        '\n' | '\t' => !is_running_text,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        '\u{2028}' | '\u{2029}' | '\u{feff}' => true,
        _ => false,
    }
}

/// The first character of a text that no text may contain, as its number; running text may have line feeds and tabs. Of everything that people are shown: bodies, cards, charters,
/// statements, invites.
pub fn forbidden(text: &str, is_running_text: bool) -> Option<u32> {
    text.chars().find(|character| is_forbidden(*character, is_running_text)).map(u32::from)
}

/// True for `xx-Yyyy-zz…`: one to eight letters or digits, joined by hyphens, the first part letters only.
pub(super) fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    parts.next().is_some_and(|first| is_part(first) && first.bytes().all(|byte| byte.is_ascii_alphabetic()))
        && parts.all(is_part)
}

/// True for an http or https URL without spaces, controls and marks of direction: where it leads must be what it looks like.
/// Nothing else about it is checked.
pub(super) fn is_web_url(text: &str) -> bool {
    let lower: String = text.chars().take(8).collect::<String>().to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).map(|_| text);
    rest.is_some_and(|url| {
        url.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.starts_with('/'))
            && !url.chars().any(|character| character.is_whitespace() || character.is_control() || is_mark(character))
    })
}

/// The marks of direction that texts may contain. They are not seen, and reorder what stands beside them.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// True for `HH:MM` from 00:00 to 23:59, and for `24:00`.
pub(super) fn is_time_of_day(text: &str) -> bool {
    let Some((hours, minutes)) = text.split_once(':') else { return false };
    let number = |digits: &str| (digits.len() == 2).then(|| digits_value(digits)).flatten();
    match (number(hours), number(minutes)) {
        (Some(24), Some(0)) => true,
        (Some(hours), Some(minutes)) => hours < 24 && minutes < 60,
        _ => false,
    }
}

/// Reads `YYYY-MM-DD`; nothing else is a date here.
pub fn local_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to).and_then(digits_value);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// A date, or a date with a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalTime {
    /// `YYYY-MM-DD`.
    Date(Date),
    /// `YYYY-MM-DDTHH:MM:SS`.
    DateTime(DateTime),
}

/// Reads `YYYY-MM-DD` when `all_day`, else `YYYY-MM-DDTHH:MM:SS`.
pub fn local_time(text: &str, all_day: bool) -> Option<LocalTime> {
    if all_day {
        return local_date(text).map(LocalTime::Date);
    }
    let (date, time) = text.split_once('T')?;
    if time.len() != 8 || time.as_bytes()[2] != b':' || time.as_bytes()[5] != b':' {
        return None;
    }
    let part =
        |from: usize, to: usize| time.get(from..to).and_then(digits_value).and_then(|value| i8::try_from(value).ok());
    let date = local_date(date)?;
    let time = jiff::civil::Time::new(part(0, 2)?, part(3, 5)?, part(6, 8)?, 0).ok()?;
    Some(LocalTime::DateTime(date.to_datetime(time)))
}

fn digits_value(digits: &str) -> Option<u32> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
