//! Languages: BCP 47 tags, and the English names of languages that people write instead.

use fingerpost_proto::limits::LANGUAGE_TAG_BYTES_MAX;
use fingerpost_proto::v1;
use oxilangtag::LanguageTag;

use super::cell;
use super::column::{nearest, plain};
use super::problem::Findings;

/// English names (and frequent other ones), in lower case without spaces.
const NAMES: &[(&str, &str)] = &[
    ("afrikaans", "af"),
    ("albanian", "sq"),
    ("amharic", "am"),
    ("arabic", "ar"),
    ("armenian", "hy"),
    ("assyrian", "aii"),
    ("azerbaijani", "az"),
    ("azeri", "az"),
    ("bambara", "bm"),
    ("belarusian", "be"),
    ("bengali", "bn"),
    ("bangla", "bn"),
    ("bosnian", "bs"),
    ("britishsignlanguage", "bfi"),
    ("bsl", "bfi"),
    ("americansignlanguage", "ase"),
    ("asl", "ase"),
    ("irishsignlanguage", "isg"),
    ("bulgarian", "bg"),
    ("burmese", "my"),
    ("cantonese", "yue"),
    ("catalan", "ca"),
    ("chinese", "zh"),
    ("simplifiedchinese", "zh-Hans"),
    ("traditionalchinese", "zh-Hant"),
    ("croatian", "hr"),
    ("czech", "cs"),
    ("danish", "da"),
    ("dari", "fa-AF"),
    ("dinka", "din"),
    ("dutch", "nl"),
    ("english", "en"),
    ("estonian", "et"),
    ("ewe", "ee"),
    ("farsi", "fa"),
    ("filipino", "fil"),
    ("finnish", "fi"),
    ("french", "fr"),
    ("fula", "ff"),
    ("fulani", "ff"),
    ("georgian", "ka"),
    ("german", "de"),
    ("greek", "el"),
    ("gujarati", "gu"),
    ("haitiancreole", "ht"),
    ("creole", "ht"),
    ("hausa", "ha"),
    ("hebrew", "he"),
    ("hindi", "hi"),
    ("hungarian", "hu"),
    ("icelandic", "is"),
    ("igbo", "ig"),
    ("indonesian", "id"),
    ("irish", "ga"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("kashmiri", "ks"),
    ("kazakh", "kk"),
    ("khmer", "km"),
    ("kinyarwanda", "rw"),
    ("kirundi", "rn"),
    ("korean", "ko"),
    ("krio", "kri"),
    ("kurdish", "ku"),
    ("kurmanji", "kmr"),
    ("kyrgyz", "ky"),
    ("lao", "lo"),
    ("latvian", "lv"),
    ("lingala", "ln"),
    ("lithuanian", "lt"),
    ("luganda", "lg"),
    ("macedonian", "mk"),
    ("malay", "ms"),
    ("malayalam", "ml"),
    ("maltese", "mt"),
    ("mandarin", "cmn"),
    ("mandinka", "mnk"),
    ("marathi", "mr"),
    ("mongolian", "mn"),
    ("navajo", "nv"),
    ("ndebele", "nd"),
    ("nepali", "ne"),
    ("norwegian", "no"),
    ("oromo", "om"),
    ("pashto", "ps"),
    ("pushto", "ps"),
    ("persian", "fa"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("punjabi", "pa"),
    ("panjabi", "pa"),
    ("rohingya", "rhg"),
    ("romani", "rom"),
    ("romanian", "ro"),
    ("russian", "ru"),
    ("scottishgaelic", "gd"),
    ("serbian", "sr"),
    ("shona", "sn"),
    ("sinhala", "si"),
    ("sinhalese", "si"),
    ("slovak", "sk"),
    ("slovene", "sl"),
    ("slovenian", "sl"),
    ("somali", "so"),
    ("sorani", "ckb"),
    ("spanish", "es"),
    ("swahili", "sw"),
    ("kiswahili", "sw"),
    ("swedish", "sv"),
    ("sylheti", "syl"),
    ("tagalog", "tl"),
    ("tajik", "tg"),
    ("tamil", "ta"),
    ("telugu", "te"),
    ("thai", "th"),
    ("tibetan", "bo"),
    ("tigre", "tig"),
    ("tigrinya", "ti"),
    ("turkish", "tr"),
    ("turkmen", "tk"),
    ("twi", "tw"),
    ("ukrainian", "uk"),
    ("urdu", "ur"),
    ("uyghur", "ug"),
    ("uzbek", "uz"),
    ("vietnamese", "vi"),
    ("welsh", "cy"),
    ("wolof", "wo"),
    ("yiddish", "yi"),
    ("yoruba", "yo"),
    ("zulu", "zu"),
];

/// The normalised BCP 47 tag that a tag or an English name stands for.
pub(super) fn tag(text: &str) -> Option<String> {
    let name = plain(text);
    if let Some((_, tag)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some((*tag).to_owned());
    }
    // BCP 47 reserves first subtags of 4 to 8 letters; here they are misspelt names.
    let primary = text.split('-').next().unwrap_or_default();
    if text.len() > LANGUAGE_TAG_BYTES_MAX || !(2..=3).contains(&primary.len()) {
        return None;
    }
    LanguageTag::parse_and_normalize(text).ok().map(LanguageTag::into_inner)
}

/// The language of a text: an error when it is not understood.
pub(super) fn text_language(text: &str, findings: &mut Findings) -> Option<String> {
    tag(text.trim()).or_else(|| findings.error(text, "not a language known here", fix(text)))
}

/// The languages in a list, each a tag or name with an optional `(note)`, and the entries that are neither.
pub(super) fn languages(text: &str, findings: &mut Findings) -> (Vec<v1::Language>, Vec<String>) {
    let mut known: Vec<v1::Language> = Vec::new();
    let mut unknown = Vec::new();
    for entry in cell::list(text, findings) {
        let (name, note) = match entry.split_once('(') {
            Some((name, note)) => (name.trim(), note.trim_end_matches(')').trim()),
            None => (entry, ""),
        };
        match (tag(name), cell::line(note, findings)) {
            (Some(tag), Some(note)) => {
                if !known.iter().any(|language| language.tag == tag) {
                    known.push(v1::Language { tag, note });
                }
            }
            (None, Some(_)) => {
                findings.warn(entry, "not a language known here; kept as text with the interpretation", fix(name));
                unknown.extend(cell::line(entry, findings));
            }
            (_, None) => {}
        }
    }
    (known, unknown)
}

fn fix(text: &str) -> String {
    match nearest(&plain(text), NAMES.iter().map(|(name, _)| *name)) {
        Some(name) => format!("did you mean {name}? otherwise write its tag, such as ar, fa-AF or ti"),
        None => "write its English name or its tag, such as ar, fa-AF or ti".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_tag_or_an_english_name() {
        for (text, wanted) in [
            ("Arabic", Some("ar")),
            ("FA-af", Some("fa-AF")),
            ("Haitian-Creole", Some("ht")),
            ("ti", Some("ti")),
            ("zh-hant", Some("zh-Hant")),
            ("arabicc", None),
            ("e", None),
            ("ar_", None),
            ("", None),
        ] {
            assert_eq!(tag(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn languages_keep_their_notes_and_unknown_ones_stay_as_text() {
        let mut findings = Findings::default();
        let (known, unknown) = languages("Arabic (Tuesdays); ti; others on request; ar", &mut findings);
        assert_eq!(known.len(), 2);
        assert_eq!(known[0], v1::Language { tag: "ar".into(), note: "Tuesdays".into() });
        assert_eq!(unknown, ["others on request"]);
        assert_eq!(findings.0.len(), 1);
    }
}
