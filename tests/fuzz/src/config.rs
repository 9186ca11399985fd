//! The daemon's configuration file.

use std::path::Path;

use fingerpost_daemon::config::Config;
use fingerpost_proto::limits::{ENDPOINT_BYTES_MAX, ENDPOINTS_MAX};

/// `bytes`: the text of the file.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(Path::new("fingerpostd.toml"), &text) {
        Ok(config) => {
            assert!((8..=4_096).contains(&config.store.cache_mib));
            assert!(config.peer.advertise.len() <= ENDPOINTS_MAX);
            assert!(config.peer.advertise.iter().all(|address| address.len() <= ENDPOINT_BYTES_MAX));
        }
        Err(error) => assert!(error.to_string().contains("fingerpostd.toml"), "an error names the file"),
    }
}
