//! The daemon's configuration: one strict TOML file.
//!
//! In: `fingerpostd.toml` in the home directory; a missing file means all defaults. Out: [`Config`].
//! Always: an unknown key or a value out of bounds is an error that names file, line, key and remedy.
//! Every key is documented in `daemon/fingerpostd.example.toml`, which a test loads and compares with the defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::feed::limits::{REQUESTS_AT_ONCE, REQUESTS_PER_SECOND};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::{ENDPOINT_BYTES_MAX, ENDPOINTS_MAX};
use fingerpost_proto::overlay::neighbours::INTRODUCED_MAX;
use serde::{Deserialize, Deserializer};

/// File name of the configuration in the home directory.
pub const CONFIG_FILE: &str = "fingerpostd.toml";

/// What the operator chose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Links to other nodes.
    pub peer: PeerConfig,
    /// The HTTP feed.
    pub feed: FeedConfig,
    /// Storage.
    pub store: StoreConfig,
    /// Logging.
    pub log: LogConfig,
}

/// Links to other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerConfig {
    /// Address that other nodes dial; `None` (`"off"`) for a node that only dials out.
    #[serde(deserialize_with = "address_or_off")]
    pub listen: Option<SocketAddr>,
    /// `host:port` under which this node is reached from outside; written on the organisation's card and on invites.
    pub advertise: Vec<String>,
    /// Nodes to dial besides those on members' cards.
    pub dial: Vec<DialConfig>,
}

/// A node to dial.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialConfig {
    /// `host:port`.
    pub address: String,
    /// Its node key, 64 hexadecimal digits.
    pub node_key: String,
}

/// The HTTP feed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedConfig {
    /// Address on which the feed is served; `None` (`"off"`) for no feed.
    #[serde(deserialize_with = "address_or_off")]
    pub listen: Option<SocketAddr>,
    /// Scheme and authority under which readers reach it, when a proxy stands in front.
    pub base_url: Option<String>,
    /// Who answers for the feed as a whole.
    pub publisher_name: String,
    /// Identifier of that publisher, for example `GB-CHC-123`.
    pub publisher_identifier: String,
    /// E-mail address of that publisher.
    pub publisher_email: String,
    /// Web address of that publisher.
    pub publisher_website: String,
    /// Requests that one address may make at once, 0 (as many as it likes) to 1,000,000. This machine's own are not counted.
    pub requests_at_once: u32,
    /// Requests that one address may make each second in the long run, 1 to 1,000,000.
    pub requests_per_second: u32,
}

/// Storage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Memory for the engine's cache, MiB, 8 to 4,096.
    pub cache_mib: u64,
    /// Nothing is written when less than this would stay free on the disk, MiB, 16 to 65,536.
    pub reserve_mib: u64,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,fingerpost_daemon=debug`.
    pub level: String,
    /// Lines for people or for machines.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

impl Default for PeerConfig {
    fn default() -> PeerConfig {
        PeerConfig { listen: Some(SocketAddr::from(([0, 0, 0, 0], 7474))), advertise: Vec::new(), dial: Vec::new() }
    }
}

impl Default for FeedConfig {
    fn default() -> FeedConfig {
        FeedConfig {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 7480))),
            base_url: None,
            publisher_name: String::new(),
            publisher_identifier: String::new(),
            publisher_email: String::new(),
            publisher_website: String::new(),
            requests_at_once: REQUESTS_AT_ONCE,
            requests_per_second: REQUESTS_PER_SECOND,
        }
    }
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig { cache_mib: 32, reserve_mib: 64 }
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// A configuration that cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file exists but cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not valid TOML, an unknown key, or a value of the wrong type.
    #[error("{}: {source}compare it with fingerpostd.example.toml", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, key and reason.
        source: Box<toml::de::Error>,
    },
    /// A value out of bounds.
    #[error("{}: {key} is {found}; allowed: {allowed}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Dotted key.
        key: &'static str,
        /// What was found.
        found: String,
        /// The rule.
        allowed: &'static str,
    },
}

impl Config {
    /// Reads `fingerpostd.toml` in `home`; defaults when there is none.
    pub fn load(home: &Path) -> Result<Config, ConfigError> {
        let path = home.join(CONFIG_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Config::parse(&path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    /// Reads the text of a configuration; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let invalid = |source| ConfigError::Invalid { path: path.to_owned(), source: Box::new(source) };
        let config: Config = toml::from_str(text).map_err(invalid)?;
        let check = |is_allowed: bool, key, found: String, allowed| {
            if is_allowed { Ok(()) } else { Err(ConfigError::Value { path: path.to_owned(), key, found, allowed }) }
        };
        let StoreConfig { cache_mib, reserve_mib } = config.store;
        check((8..=4_096).contains(&cache_mib), "store.cache_mib", cache_mib.to_string(), "8 to 4096")?;
        check((16..=65_536).contains(&reserve_mib), "store.reserve_mib", reserve_mib.to_string(), "16 to 65536")?;
        let advertised = config.peer.advertise.len();
        check(advertised <= ENDPOINTS_MAX, "peer.advertise", format!("{advertised} entries"), "at most 8")?;
        for address in config.peer.advertise.iter().chain(config.peer.dial.iter().map(|dial| &dial.address)) {
            let is_address = address.len() <= ENDPOINT_BYTES_MAX
                && address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            check(is_address, "peer.advertise or peer.dial.address", format!("{address:?}"), "host:port")?;
        }
        let dials = config.peer.dial.len();
        check(dials <= INTRODUCED_MAX, "peer.dial", format!("{dials} entries"), "at most 32")?;
        for dial in &config.peer.dial {
            let is_key = dial.node_key.parse::<PublicKey>().is_ok();
            check(is_key, "peer.dial.node_key", format!("{:?}", dial.node_key), "64 hexadecimal digits")?;
        }
        let FeedConfig { requests_at_once: at_once, requests_per_second: per_second, .. } = config.feed;
        check(at_once <= 1_000_000, "feed.requests_at_once", at_once.to_string(), "0 (no limit) to 1000000")?;
        let is_pace = (1..=1_000_000).contains(&per_second);
        check(is_pace, "feed.requests_per_second", per_second.to_string(), "1 to 1000000")?;
        if let Some(base_url) = &config.feed.base_url {
            let is_url = base_url.starts_with("https://") || base_url.starts_with("http://");
            check(is_url, "feed.base_url", format!("{base_url:?}"), "http:// or https:// and a host name")?;
        }
        Ok(config)
    }
}

/// An absent key means the default, so that "do not listen" needs a word of its own.
fn address_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text == "off" {
        return Ok(None);
    }
    let allowed = "an address with a port such as \"127.0.0.1:7480\", or \"off\"";
    text.parse().map(Some).map_err(|_| serde::de::Error::custom(format_args!("found {text:?}; allowed: {allowed}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("fingerpostd.toml"), text)
    }

    #[test]
    fn the_example_file_states_the_defaults() {
        assert_eq!(parse(include_str!("../fingerpostd.example.toml")).unwrap(), Config::default());
    }

    #[test]
    fn every_commented_line_of_the_example_is_a_valid_key() {
        let example = include_str!("../fingerpostd.example.toml");
        let all: String =
            example.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let config = parse(&all).unwrap();
        assert_eq!(config.peer.dial.len(), 1);
        assert!(config.feed.base_url.is_some());
    }

    #[test]
    fn an_empty_file_means_all_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse("[feed]\nlisten_on = \"127.0.0.1:1\"\n").unwrap_err().to_string();
        assert!(error.contains("listen_on") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn listening_is_switched_off_by_a_word_and_a_wrong_address_is_named() {
        for text in ["off", ""] {
            let config = parse(&format!("[peer]\nlisten = {text:?}\n[feed]\nlisten = {text:?}\n")).unwrap();
            assert_eq!((config.peer.listen, config.feed.listen), (None, None));
        }
        let config = parse("[peer]\nlisten = \"[::1]:7474\"").unwrap();
        assert_eq!(config.peer.listen, Some("[::1]:7474".parse().unwrap()));
        for wrong in ["localhost:7474", "127.0.0.1", "no", "127.0.0.1:65536"] {
            let error = parse(&format!("[peer]\nlisten = {wrong:?}")).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("\"off\"") && error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn values_are_accepted_at_their_bounds_and_refused_beyond() {
        for (mib, good) in [(7, false), (8, true), (4_096, true), (4_097, false)] {
            assert_eq!(parse(&format!("[store]\ncache_mib = {mib}")).is_ok(), good, "{mib}");
        }
        for (key, most, least) in [("requests_at_once", 1_000_000, 0), ("requests_per_second", 1_000_000, 1)] {
            for (value, good) in [(least, true), (most, true), (most + 1, false)] {
                assert_eq!(parse(&format!("[feed]\n{key} = {value}")).is_ok(), good, "{key} {value}");
            }
        }
        assert!(parse("[feed]\nrequests_per_second = 0").is_err());
        let key = "ab".repeat(32);
        for (count, good) in [(INTRODUCED_MAX, true), (INTRODUCED_MAX + 1, false)] {
            let dials = format!("[[peer.dial]]\naddress = \"node.example:7474\"\nnode_key = \"{key}\"\n").repeat(count);
            let parsed = parse(&dials);
            let is_too_many = matches!(&parsed, Err(ConfigError::Value { key: "peer.dial", .. }));
            assert_eq!(is_too_many, !good, "{count}: {parsed:?}");
        }
        assert!(parse("[peer]\nadvertise = [\"node.example\"]").is_err());
        assert!(parse("[peer]\nadvertise = [\"node.example:7474\"]").is_ok());
    }
}
