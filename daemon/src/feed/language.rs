//! Which of a record's languages a reader gets, field by field, and which way it is written.
//!
//! In: the wanted tags, best first, and a record's own language and translations. Out: texts that know their language.
//! Always: a field without a translation falls back to the publisher's plain text. Spec: `spec/10-feed.md`, section 5.

use std::cell::Cell;

use fingerpost_proto::v1::Translation;

use super::limits::LANGUAGES_PER_REQUEST_MAX;

/// Language of a record that names none.
pub(crate) const LANGUAGE_DEFAULT: &str = "en";

/// A text with the language it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// The text; may be empty.
    pub(crate) text: String,
    /// BCP 47 tag.
    pub(crate) language: String,
}

impl Text {
    /// `rtl` or `ltr`.
    pub(crate) fn direction(&self) -> &'static str {
        direction(&self.language)
    }

    /// True when there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// The texts of one record in the language that suits a reader best.
pub(crate) struct Texts<'a> {
    plain_language: &'a str,
    translation: Option<&'a Translation>,
    plain_used: Cell<bool>,
    translation_used: Cell<bool>,
}

impl<'a> Texts<'a> {
    /// The first of `wanted` that the record has: its own language, or a translation.
    pub(crate) fn choose(language: &'a str, translations: &'a [Translation], wanted: &[String]) -> Texts<'a> {
        let plain_language = if language.is_empty() { LANGUAGE_DEFAULT } else { language };
        let mut translation = None;
        for tag in wanted {
            if tag == "*" || matches(tag, plain_language) {
                break;
            }
            translation = translations
                .iter()
                .find(|t| t.language.eq_ignore_ascii_case(tag))
                .or_else(|| translations.iter().find(|t| matches(tag, &t.language)));
            if translation.is_some() {
                break;
            }
        }
        Texts { plain_language, translation, plain_used: Cell::new(false), translation_used: Cell::new(false) }
    }

    /// The field named as in the body message, translated where that is possible.
    pub(crate) fn get(&self, field: &str, plain: &'a str) -> &'a str {
        let translated = self.translation.and_then(|t| {
            t.texts.iter().find(|text| text.field == field && !text.text.is_empty()).map(|text| text.text.as_str())
        });
        match translated {
            Some(text) => {
                self.translation_used.set(true);
                text
            }
            None => {
                if !plain.is_empty() {
                    self.plain_used.set(true);
                }
                plain
            }
        }
    }

    /// The same, with its language.
    pub(crate) fn text(&self, field: &str, plain: &'a str) -> Text {
        let text = self.get(field, plain);
        let is_plain = std::ptr::eq(text, plain);
        let language = match (is_plain, self.translation) {
            (false, Some(translation)) => &translation.language,
            _ => self.plain_language,
        };
        Text { text: text.to_owned(), language: language.to_owned() }
    }

    /// A text for which there are no translations, in the record's own language.
    pub(crate) fn plain(&self, text: &str) -> Text {
        Text { text: text.to_owned(), language: self.plain_language.to_owned() }
    }

    /// Languages in which texts were handed out.
    pub(crate) fn used(&self) -> impl Iterator<Item = &'a str> {
        let translation = self.translation.filter(|_| self.translation_used.get()).map(|t| t.language.as_str());
        let plain = (self.plain_used.get() || translation.is_none()).then_some(self.plain_language);
        translation.into_iter().chain(plain)
    }
}

/// True when a reader of `wanted` is served by `offered`: the same tag, or the same primary language.
fn matches(wanted: &str, offered: &str) -> bool {
    primary(wanted).eq_ignore_ascii_case(primary(offered))
}

/// The primary language of a tag: `fa` of `fa-AF`.
pub(crate) fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or(tag)
}

/// Tags of an `Accept-Language` value, best first, without those of quality 0. At most
/// [`LANGUAGES_PER_REQUEST_MAX`] are read.
pub(crate) fn accepted(header: &str) -> Vec<String> {
    let mut tags: Vec<(u32, String)> = header
        .split(',')
        .take(LANGUAGES_PER_REQUEST_MAX)
        .filter_map(|part| {
            let mut pieces = part.trim().split(';');
            let tag = pieces.next()?.trim();
            let quality = pieces
                .find_map(|piece| piece.trim().strip_prefix("q="))
                .map_or(1_000, |q| q.parse::<f32>().map_or(0, |q| (q.clamp(0.0, 1.0) * 1_000.0) as u32));
            (is_tag(tag) && quality > 0).then(|| (quality, tag.to_ascii_lowercase()))
        })
        .collect();
    tags.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    tags.into_iter().map(|(_, tag)| tag).collect()
}

/// True for `*` and for what could be a BCP 47 tag.
pub(crate) fn is_tag(tag: &str) -> bool {
    tag == "*"
        || ((2..=35).contains(&tag.len())
            && tag
                .split('-')
                .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())))
}

/// `rtl` for languages written from right to left, else `ltr`. A script in the tag decides before the language.
pub(crate) fn direction(tag: &str) -> &'static str {
    let lower = tag.to_ascii_lowercase();
    let mut parts = lower.split('-');
    let language = parts.next().unwrap_or_default();
    if let Some(script) = parts.find(|part| part.len() == 4 && part.bytes().all(|b| b.is_ascii_alphabetic())) {
        let rtl = matches!(script, "arab" | "hebr" | "thaa" | "syrc" | "nkoo" | "rohg" | "adlm" | "aran" | "mand");
        return if rtl { "rtl" } else { "ltr" };
    }
    match language {
        "ar" | "arc" | "azb" | "bal" | "bgn" | "ckb" | "dv" | "fa" | "glk" | "haz" | "he" | "ks" | "lrc" | "mzn"
        | "nqo" | "pnb" | "prs" | "ps" | "rhg" | "sd" | "sdh" | "syr" | "ug" | "ur" | "yi" | "arz" | "apc" | "ary" => {
            "rtl"
        }
        _ => "ltr",
    }
}

/// English name of a language; the tag itself when it is not in the table.
pub(crate) fn name(tag: &str) -> &str {
    let tag_lower = tag.to_ascii_lowercase();
    NAMES
        .iter()
        .find(|(code, _)| *code == tag_lower)
        .or_else(|| NAMES.iter().find(|(code, _)| *code == primary(&tag_lower)))
        .map_or(tag, |(_, name)| name)
}

/// Languages spoken by people who look for help, by tag.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("am", "Amharic"),
    ("ar", "Arabic"),
    ("bfi", "British Sign Language"),
    ("bg", "Bulgarian"),
    ("bn", "Bengali"),
    ("ckb", "Kurdish (Sorani)"),
    ("cs", "Czech"),
    ("cy", "Welsh"),
    ("de", "German"),
    ("en", "English"),
    ("es", "Spanish"),
    ("fa", "Persian"),
    ("fa-af", "Dari"),
    ("fr", "French"),
    ("ga", "Irish"),
    ("gd", "Scottish Gaelic"),
    ("gu", "Gujarati"),
    ("ha", "Hausa"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hu", "Hungarian"),
    ("ig", "Igbo"),
    ("it", "Italian"),
    ("kmr", "Kurdish (Kurmanji)"),
    ("ku", "Kurdish"),
    ("ln", "Lingala"),
    ("lt", "Lithuanian"),
    ("my", "Burmese"),
    ("ne", "Nepali"),
    ("nl", "Dutch"),
    ("om", "Oromo"),
    ("pa", "Punjabi"),
    ("pl", "Polish"),
    ("prs", "Dari"),
    ("ps", "Pashto"),
    ("pt", "Portuguese"),
    ("rhg", "Rohingya"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("rw", "Kinyarwanda"),
    ("si", "Sinhala"),
    ("sk", "Slovak"),
    ("so", "Somali"),
    ("sq", "Albanian"),
    ("sw", "Swahili"),
    ("ta", "Tamil"),
    ("ti", "Tigrinya"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("ur", "Urdu"),
    ("vi", "Vietnamese"),
    ("yo", "Yoruba"),
    ("zh", "Chinese"),
];

#[cfg(test)]
mod tests {
    use fingerpost_proto::v1::FieldText;

    use super::*;

    fn translation(language: &str, field: &str, text: &str) -> Translation {
        Translation { language: language.into(), texts: vec![FieldText { field: field.into(), text: text.into() }] }
    }

    #[test]
    fn a_reader_gets_the_best_language_and_the_plain_text_for_the_rest() {
        let translations = [translation("ar", "name", "مركز"), translation("fa-AF", "name", "مرکز")];
        let texts = Texts::choose("en", &translations, &["so".into(), "fa".into()]);
        assert_eq!(texts.get("name", "Centre"), "مرکز");
        assert_eq!(texts.text("name", "Centre").direction(), "rtl");
        assert_eq!(texts.text("description", "Tea").language, "en");
        assert_eq!(texts.used().collect::<Vec<_>>(), ["fa-AF", "en"]);
    }

    #[test]
    fn the_records_own_language_wins_when_it_is_wanted_first() {
        let translations = [translation("ar", "name", "مركز")];
        assert_eq!(Texts::choose("", &translations, &["en-GB".into(), "ar".into()]).get("name", "Centre"), "Centre");
        assert_eq!(Texts::choose("", &translations, &[]).get("name", "Centre"), "Centre");
    }

    #[test]
    fn accepted_languages_are_ordered_and_bounded() {
        assert_eq!(accepted("en;q=0.5, ar, fr;q=0, ti;q=0.9, <x>"), ["ar", "ti", "en"]);
        let many = |count: usize| accepted(&vec!["en"; count].join(",")).len();
        assert_eq!(many(LANGUAGES_PER_REQUEST_MAX), LANGUAGES_PER_REQUEST_MAX);
        assert_eq!(many(LANGUAGES_PER_REQUEST_MAX + 1), LANGUAGES_PER_REQUEST_MAX);
    }

    #[test]
    fn a_script_decides_the_direction_before_the_language() {
        assert_eq!(direction("ar"), "rtl");
        assert_eq!(direction("ps-AF"), "rtl");
        assert_eq!(direction("az-Arab"), "rtl");
        assert_eq!(direction("ur-Latn"), "ltr");
        assert_eq!(direction("ti"), "ltr");
    }
}
