//! Countries by ISO 3166-1 code or frequent name, and the shape of British postcodes.

use super::column::plain;
use super::problem::Findings;

/// ISO 3166-1 alpha-2 codes in use.
const CODES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT \
    BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK \
    FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE \
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ \
    MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO \
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW \
    TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Names that people write, without spaces and in lower case.
const NAMES: &[(&str, &str)] = &[
    ("uk", "GB"),
    ("unitedkingdom", "GB"),
    ("greatbritain", "GB"),
    ("england", "GB"),
    ("scotland", "GB"),
    ("wales", "GB"),
    ("cymru", "GB"),
    ("northernireland", "GB"),
    ("ireland", "IE"),
    ("republicofireland", "IE"),
    ("france", "FR"),
    ("germany", "DE"),
    ("deutschland", "DE"),
    ("italy", "IT"),
    ("italia", "IT"),
    ("poland", "PL"),
    ("spain", "ES"),
    ("netherlands", "NL"),
    ("belgium", "BE"),
    ("greece", "GR"),
    ("sweden", "SE"),
    ("austria", "AT"),
    ("turkey", "TR"),
    ("ukraine", "UA"),
    ("canada", "CA"),
    ("usa", "US"),
    ("unitedstates", "US"),
    ("unitedstatesofamerica", "US"),
];

/// The alpha-2 code of a country.
pub(super) fn country(text: &str, findings: &mut Findings) -> Option<String> {
    let upper = text.trim().to_uppercase();
    if upper.len() == 2 && CODES.split_whitespace().any(|code| code == upper) {
        return Some(upper);
    }
    let name = plain(text);
    match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, code)) => Some((*code).to_owned()),
        None => findings.error(text, "not a country code", "write the two letters of ISO 3166, such as GB, IE or DE"),
    }
}

/// Warns when a postcode in the United Kingdom does not have the shape of one.
pub(super) fn check_postcode(postcode: &str, country: &str, findings: &mut Findings) {
    if country == "GB" && !is_uk_postcode(postcode) {
        findings.warn(postcode, "not the shape of a UK postcode", "check it; it looks like NG1 5XX");
    }
}

/// `A9 9AA`, `A99 9AA`, `A9A 9AA`, `AA9 9AA`, `AA99 9AA` or `AA9A 9AA`, with or without the space.
fn is_uk_postcode(text: &str) -> bool {
    let compact: Vec<u8> =
        text.bytes().filter(|byte| *byte != b' ').map(|byte| byte.to_ascii_uppercase()).take(8).collect();
    if !(5..=7).contains(&compact.len()) {
        return false;
    }
    let (outward, inward) = compact.split_at(compact.len() - 3);
    let letters = outward.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let district = &outward[letters..];
    let is_district = match district {
        [first] => first.is_ascii_digit(),
        [first, second] => first.is_ascii_digit() && second.is_ascii_alphanumeric(),
        _ => false,
    };
    (1..=2).contains(&letters)
        && is_district
        && inward[0].is_ascii_digit()
        && inward[1..].iter().all(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_a_code_or_a_frequent_name() {
        let mut findings = Findings::default();
        for (text, wanted) in [("gb", "GB"), ("UK", "GB"), ("Scotland", "GB"), ("United States", "US")] {
            assert_eq!(country(text, &mut findings).as_deref(), Some(wanted));
        }
        assert_eq!(country("ZZ", &mut findings), None);
        assert_eq!(country("Atlantis", &mut findings), None);
        assert_eq!(findings.0.len(), 2);
    }

    #[test]
    fn a_uk_postcode_has_one_of_six_shapes() {
        for good in ["M1 1AE", "B33 8TH", "CR2 6XH", "DN55 1PT", "W1A 0AX", "EC1A 1BB", "ng15fs"] {
            assert!(is_uk_postcode(good), "{good}");
        }
        for bad in ["", "NG1", "12345", "NG1 5F5", "NOTTM 1AA", "é1 1AA", "NG1 5FSS"] {
            assert!(!is_uk_postcode(bad), "{bad}");
        }
    }
}
