//! One request as the feed understands it, and the parameters it may carry.
//!
//! In: untrusted URI and headers. Out: typed parameters, or a [`Refusal`] that says what would be right.
//! Spec: `spec/10-feed.md`, section 3.

use axum::http::{HeaderMap, Uri, header};
use fingerpost_proto::id::RecordId;
use fingerpost_proto::time::UnixMillis;
use jiff::Timestamp;
use url::form_urlencoded;

use super::language;
use super::limits::{
    PAGE_NUMBER_MAX, PER_PAGE_DEFAULT, PER_PAGE_MAX, QUERY_BYTES_MAX, SEARCH_BYTES_MAX, SEARCH_WORDS_MAX,
};
use super::reply::Refusal;

/// A request with everything that may change its answer.
pub(crate) struct Ask {
    /// Path without query.
    pub(crate) path: String,
    /// The `{id}` of the route.
    pub(crate) id: Option<String>,
    /// Scheme and authority under which this feed is reached, without a slash at the end.
    pub(crate) base: String,
    /// Wanted languages, best first, in lower case.
    pub(crate) languages: Vec<String>,
    /// The reader prefers HTML to JSON.
    pub(crate) html: bool,
    parameters: Vec<(String, String)>,
}

impl Ask {
    /// Reads the request. `base` is the configured base URL; without one the `Host` header is believed.
    pub(crate) fn read(uri: &Uri, headers: &HeaderMap, id: Option<String>, base: Option<&str>) -> Result<Ask, Refusal> {
        let query = uri.query().unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(Refusal::QueryTooLong { found_bytes: query.len() });
        }
        let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let header =
            |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut ask = Ask {
            path: uri.path().to_owned(),
            id,
            base: base.map_or_else(|| base_of_host(header(header::HOST)), |base| base.trim_end_matches('/').to_owned()),
            languages: language::accepted(header(header::ACCEPT_LANGUAGE)),
            html: prefers_html(header(header::ACCEPT)),
            parameters,
        };
        if let Some(tag) = ask.text("lang")? {
            if !language::is_tag(tag) {
                return Err(ask.refuse("lang", tag, "a language tag like en, ar or fa-AF"));
            }
            ask.languages = vec![tag.to_ascii_lowercase()];
        }
        Ok(ask)
    }

    fn refuse(&self, name: &'static str, found: &str, wanted: &'static str) -> Refusal {
        Refusal::Parameter { name, found: found.chars().take(100).collect(), wanted }
    }

    /// The parameter; `None` when it is absent or empty. Giving it twice is refused.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        let mut values = self.parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next().filter(|value| !value.is_empty());
        match values.next() {
            Some(second) => Err(self.refuse(name, second, "a parameter given once")),
            None => Ok(first),
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn number(
        &self,
        name: &'static str,
        least: u64,
        most: u64,
        wanted: &'static str,
    ) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) && text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Some(number))
            }
            _ => Err(self.refuse(name, text, wanted)),
        }
    }

    /// `true`, `false`, `1` or `0`; absent is false.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Refusal> {
        match self.text(name)? {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(self.refuse(name, other, "true or false")),
        }
    }

    /// A record id.
    pub(crate) fn record(&self, name: &'static str) -> Result<Option<RecordId>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.refuse(name, text, "an id (a UUID)"))
    }

    /// An RFC 3339 instant, or a date, which means its first moment in UTC.
    pub(crate) fn instant(&self, name: &'static str) -> Result<Option<UnixMillis>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        // A "+" of an offset arrives as a space from clients that do not encode it.
        let read = |text: &str| {
            text.parse::<Timestamp>()
                .or_else(|_| text.replacen(' ', "+", 1).parse())
                .or_else(|_| format!("{text}T00:00:00Z").parse())
                .or_else(|_| format!("{text}Z").parse())
        };
        match read(text).ok().map(Timestamp::as_millisecond).map(UnixMillis::try_from) {
            Some(Ok(ms)) => Ok(Some(ms)),
            _ => Err(self.refuse(name, text, "an instant like 2026-03-01T09:30:00Z, or a date like 2026-03-01")),
        }
    }

    /// The words of a search, in lower case.
    pub(crate) fn words(&self, name: &'static str) -> Result<Vec<String>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        if text.len() > SEARCH_BYTES_MAX {
            return Err(self.refuse(name, text, "a text of at most 200 bytes"));
        }
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        if words.len() > SEARCH_WORDS_MAX {
            return Err(self.refuse(name, text, "at most 8 words"));
        }
        Ok(words)
    }

    /// Page number, from 1.
    pub(crate) fn page_number(&self) -> Result<usize, Refusal> {
        const { assert!(PAGE_NUMBER_MAX == 10_000_000) };
        let number = self.number("page", 1, PAGE_NUMBER_MAX as u64, "a page number from 1 to 10000000")?;
        Ok(number.map_or(1, |number| number as usize))
    }

    /// Items on a page.
    pub(crate) fn per_page(&self) -> Result<usize, Refusal> {
        const { assert!(PER_PAGE_MAX == 250) };
        let number = self.number("per_page", 1, PER_PAGE_MAX as u64, "a number of items from 1 to 250")?;
        Ok(number.map_or(PER_PAGE_DEFAULT, |number| number as usize))
    }

    /// Refuses filters of HSDS and the UK profile that this feed does not apply: ignoring one would answer another
    /// question than the one asked.
    pub(crate) fn refuse_unsupported(&self, names: &[&'static str]) -> Result<(), Refusal> {
        for name in names {
            if self.text(name)?.is_some() {
                return Err(Refusal::UnsupportedParameter { name });
            }
        }
        Ok(())
    }

    /// The `{id}` of the route as a record id.
    pub(crate) fn record_in_path(&self) -> Result<RecordId, Refusal> {
        let text = self.id.as_deref().unwrap_or_default();
        text.parse().map_err(|_| self.refuse("id", text, "an id (a UUID) in the path"))
    }

    /// Absolute URL of a path of this feed.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// `http://HOST`; `http://localhost` when the header cannot be an authority.
fn base_of_host(host: &str) -> String {
    let plausible = !host.is_empty()
        && host.len() <= 262
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    if plausible { format!("http://{host}") } else { "http://localhost".to_owned() }
}

/// True when `text/html` has a higher quality than JSON. Absent or `*/*` means JSON: programs send that.
fn prefers_html(accept: &str) -> bool {
    let quality = |wanted: &[&str]| {
        accept
            .split(',')
            .take(32)
            .filter_map(|part| {
                let mut pieces = part.trim().split(';');
                let media = pieces.next()?.trim();
                let q = pieces
                    .find_map(|piece| piece.trim().strip_prefix("q="))
                    .map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
                wanted.iter().any(|w| media.eq_ignore_ascii_case(w)).then_some(q)
            })
            .fold(0.0, f32::max)
    };
    let html = quality(&["text/html", "application/xhtml+xml"]);
    html > 0.0 && html > quality(&["application/json"])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(uri: &str) -> Result<Ask, Refusal> {
        Ask::read(&uri.parse().unwrap(), &HeaderMap::new(), None, Some("https://feed.example/"))
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        let per_page = |text: &str| ask(&format!("/services?per_page={text}")).unwrap().per_page();
        assert_eq!(per_page(&PER_PAGE_MAX.to_string()).unwrap(), PER_PAGE_MAX);
        assert!(per_page(&(PER_PAGE_MAX + 1).to_string()).is_err());
        for bad in ["0", "-1", "x", "1e3", "%2B5"] {
            assert!(per_page(bad).is_err(), "{bad}");
        }
        assert_eq!(per_page("").unwrap(), PER_PAGE_DEFAULT);
        let page = |text: String| ask(&format!("/services?page={text}")).unwrap().page_number();
        assert!(page(PAGE_NUMBER_MAX.to_string()).is_ok());
        assert!(page((PAGE_NUMBER_MAX + 1).to_string()).is_err());
    }

    #[test]
    fn a_query_or_search_beyond_its_limit_is_refused() {
        let padded = |bytes: usize| ask(&format!("/?{}", "a".repeat(bytes)));
        assert!(padded(QUERY_BYTES_MAX).is_ok());
        assert!(padded(QUERY_BYTES_MAX + 1).is_err());
        let search = |bytes: usize| ask(&format!("/?search={}", "a".repeat(bytes))).unwrap().words("search");
        assert!(search(SEARCH_BYTES_MAX).is_ok());
        assert!(search(SEARCH_BYTES_MAX + 1).is_err());
        let words = |count: usize| ask(&format!("/?search={}", vec!["a"; count].join("+"))).unwrap().words("search");
        assert!(words(SEARCH_WORDS_MAX).is_ok());
        assert!(words(SEARCH_WORDS_MAX + 1).is_err());
    }

    #[test]
    fn instants_are_read_in_the_forms_that_clients_send() {
        let instant = |text: &str| ask(&format!("/?modified_after={text}")).unwrap().instant("modified_after");
        for same in [
            "2026-03-01",
            "2026-03-01T00:00:00Z",
            "2026-03-01T01:00:00%2B01:00",
            "2026-03-01T01:00:00+01:00",
            "2026-03-01T00:00:00",
        ] {
            assert_eq!(instant(same).unwrap(), Some(1_772_323_200_000), "{same}");
        }
        assert!(instant("yesterday").is_err());
        assert!(instant("1800-01-01").is_err());
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        assert!(ask("/?full=true&full=false").unwrap().flag("full").is_err());
        assert!(ask("/?full=TRUE").unwrap().flag("full").is_err());
        assert!(ask("/?full=1").unwrap().flag("full").unwrap());
        assert!(ask("/?lang=%3Cb%3E").is_err());
    }

    #[test]
    fn browsers_get_html_and_programs_json() {
        assert!(prefers_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(!prefers_html("*/*"));
        assert!(!prefers_html(""));
        assert!(!prefers_html("application/json, text/html;q=0.5"));
    }

    #[test]
    fn a_host_that_is_no_host_is_not_repeated() {
        assert_eq!(base_of_host("feed.example:8080"), "http://feed.example:8080");
        assert_eq!(base_of_host("a\"><script>"), "http://localhost");
    }
}
