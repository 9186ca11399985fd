//! Where the feed lists something.

/// Every page of the feed that lists something.
pub const FEED_PAGES: [&str; 15] = [
    "/",
    "/services",
    "/organizations",
    "/service_at_locations",
    "/taxonomies",
    "/taxonomy_terms",
    "/rpde/services",
    "/rpde/events",
    "/rpde/organizations",
    "/rpde/locations",
    "/events.ics",
    "/directory",
    "/directory?q=Hidden",
    "/charter",
    "/members",
];
