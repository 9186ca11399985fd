//! The only place where the daemon reads the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use fingerpost_proto::time::UnixMillis;

/// Milliseconds since the Unix epoch by this machine's clock; 0 when it stands before 1970.
pub fn now_ms() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::try_from(since.as_millis()).unwrap_or(UnixMillis::MAX)
}
