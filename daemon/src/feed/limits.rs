//! Every limit of the HTTP feed, with its unit and reason. None is agreed between nodes. Spec: `spec/10-feed.md`, section 9.

use std::time::Duration;

/// Longest query string, in bytes: room for every parameter at its own limit.
pub const QUERY_BYTES_MAX: usize = 2_048;
/// Longest text in a `search` or `q` parameter, in bytes.
pub const SEARCH_BYTES_MAX: usize = 200;
/// Words in one search; each is looked for in every record scanned.
pub const SEARCH_WORDS_MAX: usize = 8;
/// Languages read from one request, best first.
pub const LANGUAGES_PER_REQUEST_MAX: usize = 16;
/// Items on one HSDS page.
pub const PER_PAGE_MAX: usize = 250;
/// Items on one HSDS page when the request names no number.
pub const PER_PAGE_DEFAULT: usize = 50;
/// Highest page number; far beyond a million records with one on each page.
pub const PAGE_NUMBER_MAX: usize = 10_000_000;
/// Items on one RPDE page.
pub const RPDE_ITEMS_PER_PAGE: usize = 500;
/// Bytes of bodies after which an RPDE page ends early (it always has at least one item).
pub const RPDE_PAGE_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Highest change number that a reader may send: the largest integer that JSON readers keep exact (2^53 - 1).
pub const CHANGE_NUMBER_MAX: u64 = 9_007_199_254_740_991;
/// Records read for one text search or language filter; later ones are not searched, and the answer says so.
pub const SCAN_RECORDS_MAX: usize = 20_000;
/// Bytes of bodies read for one page; a page that needs more is refused with the advice to ask for less.
pub const READ_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Locations put into one service or organisation; a hostile record could otherwise name 256 of 64 KiB each.
pub const LOCATIONS_PER_RECORD_MAX: usize = 64;
/// Records read from the directory at a time.
pub const CHUNK_RECORDS: usize = 100;
/// Live events in one calendar; calendar programs fetch the whole of it every time.
pub const CALENDAR_EVENTS_MAX: usize = 5_000;
/// Withdrawn events kept as cancelled in one calendar.
pub const CALENDAR_WITHDRAWN_MAX: usize = 500;
/// An event leaves the calendar this long after its last known end, in days.
pub const CALENDAR_PAST_DAYS_MAX: u32 = 30;
/// Changes of the clocks written out for one time zone.
pub const ZONE_TRANSITIONS_MAX: usize = 80;
/// Services known to the index behind filters and `/service_at_locations`.
pub const INDEX_SERVICES_MAX: usize = 1_000_000;
/// Terms that one service contributes to `/taxonomy_terms`.
pub const TERMS_PER_SERVICE_MAX: usize = 64;
/// Distinct terms listed by `/taxonomy_terms`.
pub const TERMS_MAX: usize = 50_000;
/// Entries on one HTML list page.
pub const HTML_ENTRIES_PER_PAGE: usize = 25;
/// Pages rendered at the same time; further requests wait until the request timeout.
pub const RENDERS_AT_ONCE_MAX: usize = 8;
/// Time for one request when the settings name none.
pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(20);
/// Connections of readers at a time; further ones wait in the system's queue. At some 100 KiB each: 50 MiB.
pub const CONNECTIONS_MAX: usize = 512;
/// Time for the head of a request, from the first moment of a connection or the end of the answer before it.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest head of a request, in bytes: a query at its limit and what browsers send, several times over.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most fields in the head of a request. Browsers send about twenty, proxies add a few.
pub const HEAD_FIELDS_MAX: usize = 64;
/// Time for one connection, all its requests together. The largest page takes it at 500 kbit/s.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(600);
/// Requests of one address (an IPv4 address, or an IPv6 /64) at once when the settings name no others: thirty readers behind one
/// NAT, who open a page each and what it links to.
pub const REQUESTS_AT_ONCE: u32 = 300;
/// The same each second in the long run: a harvester reads a thousand records one by one in a minute.
pub const REQUESTS_PER_SECOND: u32 = 20;
/// Addresses whose requests were counted lately: some 400 KB.
pub const ADDRESSES_REMEMBERED_MAX: usize = 8_192;
/// Pause after an error of `accept`.
pub const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Time for answers under way when the node stops.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(3);

const _: () = assert!(QUERY_BYTES_MAX * 4 <= HEAD_BYTES_MAX);
const _: () = assert!(PER_PAGE_DEFAULT <= PER_PAGE_MAX && HTML_ENTRIES_PER_PAGE <= PER_PAGE_MAX);
const _: () = assert!(SEARCH_BYTES_MAX < QUERY_BYTES_MAX);
