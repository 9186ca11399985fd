//! Opening hours in one cell: `09:00-12:00, 13:00-17:00`, `9am-5pm`, `closed`, `24 hours`.
//!
//! Always: an opening ends after it begins, and openings of a day do not overlap. Nothing is guessed: `1-3` is an error
//! that shows both readings.

use super::problem::Findings;

/// Most openings in one cell.
pub const OPENINGS_MAX: usize = 16;

/// One opening of a day, in minutes after midnight; `closes` is at most 1,440.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opening {
    /// First open minute.
    pub opens: u16,
    /// First closed minute, later than `opens`.
    pub closes: u16,
}

impl Opening {
    /// `("09:00", "17:00")`; midnight at the end of the day is `24:00`.
    pub fn texts(self) -> (String, String) {
        let text = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        (text(self.opens), text(self.closes))
    }
}

/// Reads a cell. Errors: what is wrong and what would be right, as two sentences.
pub fn read(text: &str) -> Result<Vec<Opening>, (String, String)> {
    let mut findings = Findings::default();
    match openings(text, &mut findings) {
        Some(openings) => Ok(openings),
        None => {
            let finding = findings.0.pop();
            Err(finding.map(|finding| (finding.reason, finding.fix)).unwrap_or_default())
        }
    }
}

/// The openings of one day; none when it says closed.
pub(super) fn openings(text: &str, findings: &mut Findings) -> Option<Vec<Opening>> {
    let lower = text.trim().to_lowercase();
    match lower.as_str() {
        "closed" | "-" | "–" | "none" | "n/a" | "no" | "shut" => return Some(Vec::new()),
        "24 hours" | "24h" | "24hrs" | "24 hrs" | "24/7" | "all day" | "open 24 hours" | "24 hour" => {
            return Some(vec![Opening { opens: 0, closes: 1_440 }]);
        }
        _ => {}
    }
    let example = "write it like 09:00-12:00, 13:00-17:00, or closed";
    let parts: Vec<&str> = lower
        .split([',', ';', '&', '\n'])
        .flat_map(|part| part.split(" and "))
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .take(OPENINGS_MAX + 1)
        .collect();
    if parts.is_empty() || parts.len() > OPENINGS_MAX {
        return findings.error(text, format!("not opening hours (1 to {OPENINGS_MAX} openings a day)"), example);
    }
    let mut openings = Vec::new();
    for part in parts {
        let Some((opens, closes)) = split(part) else {
            return findings.error(text, "not opening hours", format!("{example}; other words go into hours_notes"));
        };
        openings.push(opening(opens, closes, text, findings)?);
    }
    openings.sort_unstable();
    if openings.windows(2).any(|pair| pair[1].opens < pair[0].closes) {
        return findings.error(text, "two openings of the day overlap", "join them into one, or correct a time");
    }
    Some(openings)
}

/// Cuts `9am - 5pm` in two.
fn split(part: &str) -> Option<(&str, &str)> {
    ["-", "–", "—", "−", " to ", " until ", " till "]
        .iter()
        .find_map(|between| part.split_once(between))
        .map(|(opens, closes)| (opens.trim().trim_start_matches("from ").trim(), closes.trim()))
}

fn opening(opens_text: &str, closes_text: &str, whole: &str, findings: &mut Findings) -> Option<Opening> {
    let example = "write it like 09:00-17:00 or 9am-5pm; other words go into hours_notes";
    let (Some((mut opens, opens_sure)), Some((mut closes, closes_sure))) = (clock(opens_text), clock(closes_text))
    else {
        return findings.error(whole, "not opening hours", example);
    };
    if closes == 0 {
        closes = 1_440;
    }
    if !opens_sure && closes_sure {
        // "9-5pm" and "1-3pm": the half of the day nearest before the end is meant.
        let afternoon = opens % 720 + 720;
        opens = if closes_text.ends_with('m') && closes > 720 && afternoon < closes { afternoon } else { opens };
        findings.warn(whole, "am or pm is written only once", format!("read as {}", range(opens, closes)));
    } else if !closes_sure {
        let (morning, day, afternoon) =
            ((opens % 720, closes % 720), (opens % 720, closes % 720 + 720), (opens % 720 + 720, closes % 720 + 720));
        if opens >= 13 * 60 || closes >= 13 * 60 {
            // One of the two can only be a time of the 24-hour clock.
        } else if opens_sure && opens < closes && opens_text.contains(':') {
            // "09:30-12" is clear.
        } else {
            // "9-5" has one sensible reading, "1-3" has two.
            let candidates = if morning.0 < morning.1 { vec![morning, afternoon] } else { vec![day] };
            let readings: Vec<String> = candidates.into_iter().map(|(opens, closes)| range(opens, closes)).collect();
            return findings.error(
                whole,
                "does not say whether morning or afternoon is meant",
                format!("write {}", readings.join(" or ")),
            );
        }
    }
    if opens >= closes {
        let reason = format!("closes {}, before it opens {}", minutes_text(closes), minutes_text(opens));
        let fix = if opens < 720 + 60 && closes < 720 && closes + 720 > opens {
            format!("write {} if that is meant", range(opens, closes + 720))
        } else {
            "correct a time; an opening past midnight is written 20:00-24:00 here and 00:00-02:00 on the next day"
                .into()
        };
        return findings.error(whole, reason, fix);
    }
    Some(Opening { opens, closes })
}

fn minutes_text(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn range(opens: u16, closes: u16) -> String {
    format!("{}-{}", minutes_text(opens), minutes_text(closes))
}

/// Minutes after midnight (0 to 1,440), and whether it is sure which half of the day is meant.
pub(super) fn clock(text: &str) -> Option<(u16, bool)> {
    let lower = text.trim().to_lowercase();
    match lower.as_str() {
        "noon" | "midday" | "12 noon" | "12noon" => return Some((720, true)),
        "midnight" | "12 midnight" => return Some((0, true)),
        _ => {}
    }
    let compact: String = lower.chars().filter(|char| !char.is_whitespace()).take(16).collect();
    let (digits, half) = if let Some(digits) = suffix(&compact, &["am", "a.m.", "a.m"]) {
        (digits, Some(0))
    } else if let Some(digits) = suffix(&compact, &["pm", "p.m.", "p.m"]) {
        (digits, Some(720))
    } else {
        (compact.as_str(), None)
    };
    let parts: Vec<&str> = digits.split([':', '.', 'h']).collect();
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        (digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u16>().ok())
            .flatten()
    };
    let (hour, minute, has_minutes, is_padded) = match parts[..] {
        [whole] if whole.len() == 4 && half.is_none() => {
            (number(whole.get(..2)?, 2..=2)?, number(whole.get(2..)?, 2..=2)?, true, true)
        }
        [hour] => (number(hour, 1..=2)?, 0, false, false),
        // Seconds are written by programs; they must be zero.
        [hour, minute] | [hour, minute, "00"] => (number(hour, 1..=2)?, number(minute, 2..=2)?, true, hour.len() == 2),
        _ => return None,
    };
    if minute > 59 || hour > 24 || (hour == 24 && minute > 0) {
        return None;
    }
    match half {
        Some(_) if !(1..=12).contains(&hour) => None,
        Some(half) => Some((hour % 12 * 60 + minute + half, true)),
        // "9" may be morning or evening; "09:00", "9:00" and "14" are times of the 24-hour clock.
        None => Some((hour * 60 + minute, has_minutes || hour == 0 || hour > 12 || is_padded)),
    }
}

fn suffix<'t>(text: &'t str, endings: &[&str]) -> Option<&'t str> {
    endings.iter().find_map(|ending| text.strip_suffix(ending))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hours(text: &str) -> String {
        match read(text) {
            Ok(openings) => openings.iter().map(|o| range(o.opens, o.closes)).collect::<Vec<_>>().join(","),
            Err((_, fix)) => format!("! {fix}"),
        }
    }

    #[test]
    fn hours_with_one_reading_are_read() {
        for (text, wanted) in [
            ("09:00-12:00, 13:00-17:00", "09:00-12:00,13:00-17:00"),
            ("13:00-17:00; 9:00-12:00", "09:00-12:00,13:00-17:00"),
            ("9am-5pm", "09:00-17:00"),
            ("9.30am – 5.15pm", "09:30-17:15"),
            ("9-5pm", "09:00-17:00"),
            ("1-3pm", "13:00-15:00"),
            ("10am to noon and 2 pm to 4 p.m.", "10:00-12:00,14:00-16:00"),
            ("18:00-00:00", "18:00-24:00"),
            ("6pm-midnight", "18:00-24:00"),
            ("0900-1700", "09:00-17:00"),
            ("09:00:00-17:00:00", "09:00-17:00"),
            ("10-16", "10:00-16:00"),
            ("Closed", ""),
            ("24 hours", "00:00-24:00"),
        ] {
            assert_eq!(hours(text), wanted, "{text}");
        }
    }

    #[test]
    fn hours_with_two_readings_show_both() {
        assert_eq!(hours("1-3"), "! write 01:00-03:00 or 13:00-15:00");
        assert_eq!(hours("9-5"), "! write 09:00-17:00");
    }

    #[test]
    fn hours_that_close_before_they_open_are_refused() {
        assert_eq!(hours("9:00-5:00"), "! write 09:00-17:00 if that is meant");
        assert!(hours("17:00-09:00").starts_with("! correct a time"));
        assert!(hours("09:00-09:00").starts_with('!'));
        assert!(hours("22:00-02:00").contains("past midnight"));
    }

    #[test]
    fn words_overlaps_and_impossible_times_are_refused() {
        for text in
            ["by appointment", "09:00", "09:00-12:00, 11:00-13:00", "25:00-26:00", "09:60-10:00", "13pm-2pm", "", ","]
        {
            assert!(hours(text).starts_with('!'), "{text}: {}", hours(text));
        }
    }

    #[test]
    fn a_day_has_at_most_sixteen_openings() {
        let slots = |count: usize| (0..count).map(|i| format!("{i:02}:00-{i:02}:30")).collect::<Vec<_>>().join(",");
        assert!(!hours(&slots(OPENINGS_MAX)).starts_with('!'));
        assert!(hours(&slots(OPENINGS_MAX + 1)).starts_with('!'));
    }
}
