//! The columns of the CSV template, and how forgivingly a header is matched to one.
//!
//! Documented for admins in `cli/TEMPLATE.md`; a test compares the two.

/// Defines [`Column`] with the header name and the synonyms of each, written without spaces and in lower case.
macro_rules! columns {
    ($($variant:ident $name:literal [$($synonym:literal),*];)*) => {
        /// A column of the template.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum Column {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Column {
            /// Every column, in the order of the documentation.
            pub(super) const ALL: &'static [Column] = &[$(Column::$variant,)*];

            /// The header name.
            pub(super) fn name(self) -> &'static str {
                match self { $(Column::$variant => $name,)* }
            }

            fn synonyms(self) -> &'static [&'static str] {
                match self { $(Column::$variant => &[$($synonym,)*],)* }
            }
        }
    };
}

columns! {
    Kind "kind" ["type", "recordtype", "recordkind", "entity"];
    Id "id" ["localid", "recordid", "reference", "ref", "identifier", "key"];
    Name "name" ["title", "servicename", "organisationname", "eventname", "locationname", "eventtitle"];
    AlternateName "alternate_name" ["alternativename", "othername", "alsoknownas", "shortname", "acronym"];
    Description "description" ["about", "details", "summary", "descriptiontext"];
    Language "language" ["textlanguage", "lang", "languageoftext"];
    Status "status" ["servicestatus"];
    Url "url" ["website", "web", "webaddress", "link", "webpage", "homepage", "websiteurl"];
    Email "email" ["emailaddress", "mail", "contactemail"];
    Phone "phone" ["phones", "telephone", "tel", "phonenumber", "telephonenumber", "phonenumbers", "contactnumber"];
    Organisation "organisation" ["organisationid", "provider", "providedby", "organiser", "organiserid", "agency"];
    Location "location" ["locations", "locationid", "locationids", "venue", "venueid"];
    Service "service" ["serviceid", "partofservice"];
    Address1 "address_1" ["address", "addressline1", "address1", "street", "streetaddress", "line1"];
    Address2 "address_2" ["addressline2", "address2", "line2"];
    City "city" ["town", "towncity", "citytown", "posttown", "locality", "townorcity"];
    Region "region" ["district", "area1"];
    StateProvince "state_province" ["county", "state", "province", "stateprovince"];
    PostalCode "postal_code" ["postcode", "zip", "zipcode", "postalcode"];
    Country "country" ["countrycode", "nation"];
    Latitude "latitude" ["lat"];
    Longitude "longitude" ["lon", "lng", "long"];
    Uprn "uprn" ["uniquepropertyreferencenumber", "propertyreference"];
    LocationType "location_type" ["typeoflocation", "placetype", "visibility"];
    Area "area" ["areas", "servicearea", "serviceareas", "areaserved", "areascovered", "coverage"];
    Transport "transport" ["transportation", "gettingthere", "directions", "publictransport"];
    Accessibility "accessibility" ["access", "disabledaccess", "accessinformation"];
    Monday "monday" ["mon"];
    Tuesday "tuesday" ["tue", "tues"];
    Wednesday "wednesday" ["wed", "weds"];
    Thursday "thursday" ["thu", "thur", "thurs"];
    Friday "friday" ["fri"];
    Saturday "saturday" ["sat"];
    Sunday "sunday" ["sun"];
    HoursNotes "hours_notes" ["openinghoursnotes", "openingnotes", "openinghours", "hours", "openingtimes", "times"];
    HoursValidFrom "hours_valid_from" ["hoursfrom", "openinghoursvalidfrom", "validfrom"];
    HoursValidTo "hours_valid_to" ["hoursto", "openinghoursvalidto", "validto", "validuntil", "hoursvaliduntil"];
    Eligibility "eligibility" ["eligibilitydescription", "whocanuse", "whoisitfor", "whocancome"];
    MinimumAge "minimum_age" ["minage", "agefrom", "youngestage"];
    MaximumAge "maximum_age" ["maxage", "ageto", "oldestage"];
    Fees "fees" ["fee", "feesdescription", "charges"];
    Languages "languages" ["languagesspoken", "spokenlanguages", "languagesoffered", "deliverylanguages"];
    Interpretation "interpretation" ["interpretationservices", "interpreters", "interpreting"];
    Application "application" ["applicationprocess", "howtoapply", "referral", "referralprocess", "howtobook"];
    WaitTime "wait_time" ["waitingtime", "waitinglist", "wait"];
    RequiredDocuments "required_documents" ["documents", "documentsneeded", "documentsrequired", "whattobring"];
    Topics "topics" ["topic", "categories", "category", "tags", "keywords", "subjects", "needs"];
    Audiences "audiences" ["targetgroups", "targetgroup", "clientgroups", "groups"];
    Alert "alert" ["notice", "warning"];
    Start "start" ["startdate", "starts", "startsat", "starttime", "date", "from", "begin"];
    End "end" ["enddate", "ends", "endsat", "endtime", "finish", "to"];
    AllDay "all_day" ["alldayevent", "wholeday"];
    Timezone "timezone" ["tz", "timezonename"];
    Repeat "repeat" ["repeats", "rrule", "recurrence", "recurring", "frequency"];
    Except "except" ["exceptdates", "exdate", "exceptions", "noton", "closedon", "closeddates"];
    Extra "extra" ["extradates", "rdate", "alsoon"];
    EventStatus "event_status" ["statusofevent"];
    Attendance "attendance" ["attendancemode", "format", "inpersonoronline"];
    JoinUrl "join_url" ["onlinelink", "meetinglink", "zoomlink", "joinlink"];
    BookingUrl "booking_url" ["booking", "bookinglink", "book", "tickets", "ticketurl"];
    Cost "cost" ["price", "ticketprice", "costs"];
    IsFree "is_free" ["free", "freeofcharge"];
    Capacity "capacity" ["places", "maximumcapacity", "maxattendees", "spaces"];
    Identifiers "identifiers" ["registrations", "charitynumber", "companynumber", "registrationnumbers"];
    LegalStatus "legal_status" ["legalform", "organisationtype"];
    YearFounded "year_founded" ["founded", "yearincorporated", "established", "yearestablished"];
    Parent "parent" ["parentorganisation", "parentid", "partof", "parentorganisationid"];
    Role "role" ["publisherrole"];
    SameAs "same_as" ["sameasids", "duplicateof"];
    Replaces "replaces" ["replacesids", "supersedes"];
    AssurerEmail "assurer_email" ["assuredby", "checkedby", "assurer"];
    SourceUrl "source_url" ["source", "sourcelink"];
    Audience "audience" ["shownto", "whocansee", "sharing"];
    LeaseDays "lease_days" ["lease", "validdays"];
}

impl Column {
    /// The weekdays with their RFC 5545 codes, Monday first.
    pub(super) const WEEKDAYS: [(Column, &'static str); 7] = [
        (Column::Monday, "MO"),
        (Column::Tuesday, "TU"),
        (Column::Wednesday, "WE"),
        (Column::Thursday, "TH"),
        (Column::Friday, "FR"),
        (Column::Saturday, "SA"),
        (Column::Sunday, "SU"),
    ];

    /// The column that this header means, whatever its case, spaces, hyphens or spelling of "organisation".
    pub(super) fn of_header(header: &str) -> Option<Column> {
        let plain = plain(header);
        let found = |wanted: &str| {
            Self::ALL
                .iter()
                .copied()
                .find(|column| self::plain(column.name()) == wanted || column.synonyms().contains(&wanted))
        };
        // "Opening hours Monday", "Monday hours" and "Hours: Mon" all mean Monday.
        let weekday = || {
            let rest = ["openinghours", "openingtimes", "opening", "hours", "open", "times"];
            let stripped = rest
                .iter()
                .find_map(|word| plain.strip_prefix(word).or_else(|| plain.strip_suffix(word)))
                .filter(|day| !day.is_empty())?;
            found(stripped).filter(|column| Self::WEEKDAYS.iter().any(|(day, _)| day == column))
        };
        found(&plain).or_else(weekday)
    }

    /// The name nearest to an unknown header, when one is near enough to be meant.
    pub(super) fn nearest(header: &str) -> Option<&'static str> {
        nearest(&plain(header), Self::ALL.iter().map(|column| column.name()))
    }
}

/// The candidate that needs the fewest edits, if those are at most a third of the text.
pub(super) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = text.chars().count();
    if length > 64 {
        return None;
    }
    candidates
        .filter(|candidate| candidate.len() <= 128)
        .map(|candidate| (edits(text, &plain(candidate)), candidate))
        .min()
        .filter(|(edits, _)| *edits * 3 <= length.max(3))
        .map(|(_, candidate)| candidate)
}

/// Lower case, letters and digits only, British spelling.
pub(super) fn plain(text: &str) -> String {
    let letters: String =
        text.chars().take(200).filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    letters.replace("organization", "organisation").replace("organizer", "organiser")
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, char_a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, char_b) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(char_a != *char_b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_header_is_understood_however_it_is_spelt() {
        for (header, wanted) in [
            ("Postcode", Column::PostalCode),
            ("POSTAL-CODE", Column::PostalCode),
            ("Postal Code", Column::PostalCode),
            ("opening hours monday", Column::Monday),
            ("Monday opening hours", Column::Monday),
            ("Organization", Column::Organisation),
            ("E-mail", Column::Email),
            (" year_founded ", Column::YearFounded),
            ("Hours notes", Column::HoursNotes),
        ] {
            assert_eq!(Column::of_header(header), Some(wanted), "{header}");
        }
        assert_eq!(Column::of_header("favourite colour"), None);
        assert_eq!(Column::of_header(""), None);
    }

    #[test]
    fn an_unknown_header_names_the_nearest_column() {
        assert_eq!(Column::nearest("descripton"), Some("description"));
        assert_eq!(Column::nearest("favourite colour"), None);
    }

    #[test]
    fn no_header_means_two_columns() {
        let mut seen = BTreeMap::new();
        for column in Column::ALL {
            for word in column.synonyms().iter().map(|word| (*word).to_owned()).chain([plain(column.name())]) {
                assert_eq!(word, plain(&word), "a synonym is written without spaces");
                assert!(seen.insert(word.clone(), column).is_none_or(|other| other == column), "{word}");
            }
        }
    }
}
