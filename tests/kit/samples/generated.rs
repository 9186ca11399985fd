//! Bodies composed from the phrases, with as much variety as real directories have.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use prost::Message as _;

use super::phrases::{
    ACCESSES, APPLICATIONS, BUILDINGS, DESKS, DOCUMENTS, ELIGIBILITIES, EVENTS, FEES, ORGANISATIONS, PLACE_ENDS,
    PLACE_STARTS, ROADS, SENTENCES, SERVICES, TONGUES, TRANSPORTS,
};
use super::{KindAndBody, Random, SIGNED_MS_MIN, SIGNED_MS_SPAN};

const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// A country as directories write it: zone, code, pattern of phone numbers that are reserved, end of domains.
struct Land {
    timezone: &'static str,
    country: &'static str,
    /// `#` stands for a digit.
    phones: &'static [&'static str],
    domains: &'static [&'static str],
}

const LANDS: [Land; 3] = [
    Land {
        timezone: "Europe/London",
        country: "GB",
        phones: &["01632 960###", "020 7946 0###", "0808 157 0###", "07700 900###", "+44 1632 960###"],
        domains: &[".org.uk.example", ".gov.uk.example", ".co.uk.example", ".nhs.uk.example", ".example"],
    },
    Land {
        timezone: "America/New_York",
        country: "US",
        phones: &["(305) 555-01##", "(800) 555-01##", "212-555-01##"],
        domains: &[".org.example", ".com.example", ".gov.example"],
    },
    Land {
        timezone: "Europe/Dublin",
        country: "IE",
        phones: &["(020) 91# ####", "+353 20 91# ####"],
        domains: &[".ie.example", ".example"],
    },
];

/// What the parts of one body agree on.
struct Scene<'r> {
    random: &'r mut Random,
    land: &'static Land,
    place: String,
    domain: String,
}

/// One body of a random kind; services are the most frequent, as in real directories.
pub fn generated_body(random: &mut Random) -> KindAndBody {
    let land = &LANDS[[0, 0, 0, 0, 0, 1, 1, 1, 2][random.below(9) as usize]];
    let place = format!("{}{}", random.pick(&PLACE_STARTS), random.pick(&PLACE_ENDS));
    let ending = random.pick(land.domains);
    let domain =
        format!("{}{}{ending}", place.to_lowercase(), random.pick(&["", "-council", "-trust", "centre", "aid"]));
    let mut scene = Scene { random, land, place, domain };
    match scene.random.below(20) {
        0..=1 => (Kind::ORGANISATION, scene.organisation().encode_to_vec()),
        2..=11 => (Kind::SERVICE, scene.service().encode_to_vec()),
        12..=16 => (Kind::LOCATION, scene.location().encode_to_vec()),
        _ => (Kind::EVENT, scene.event().encode_to_vec()),
    }
}

impl Scene<'_> {
    fn organisation(&mut self) -> v1::Organisation {
        let name = format!("{} {}", self.place, self.random.pick(&ORGANISATIONS));
        v1::Organisation {
            local_id: self.local_id(&name),
            language: "en".into(),
            modified_ms: self.instant(),
            role: self.role(),
            translations: self.translations(),
            assurer_email: if self.random.chance(20) { self.email() } else { String::new() },
            description: self.description(""),
            website: format!("https://www.{}/", self.domain),
            email: self.email(),
            phones: self.phones(),
            identifiers: self.identifiers(),
            contacts: self.contacts(),
            name,
            ..Default::default()
        }
    }

    fn service(&mut self) -> v1::Service {
        let (name, topic, purpose) = *self.random.pick(&SERVICES);
        let name = if self.random.chance(50) { format!("{name} at {}", self.place) } else { name.to_owned() };
        let local_id = self.local_id(&name);
        let mut body = v1::Service {
            language: if self.random.chance(90) { "en".into() } else { String::new() },
            modified_ms: self.instant(),
            role: self.role(),
            translations: self.translations(),
            description: self.description(purpose),
            organisation: self.random.record_id(),
            status: v1::ServiceStatus::Active as i32,
            url: format!("https://www.{}/{local_id}", self.domain),
            email: if self.random.chance(70) { self.email() } else { String::new() },
            phones: self.phones(),
            schedules: self.schedules(),
            terms: vec![term(topic)],
            local_id,
            name,
            ..Default::default()
        };
        if self.random.chance(60) {
            body.eligibility_description = self.random.pick(&ELIGIBILITIES).to_string();
            body.fees_description = self.random.pick(&FEES).to_string();
            body.application_process = self.random.pick(&APPLICATIONS).to_string();
        }
        if self.random.chance(30) {
            body.minimum_age = Some(self.random.below(60) as u32);
            body.maximum_age = self.random.chance(50).then(|| 16 + self.random.below(80) as u32);
        }
        if self.random.chance(40) {
            let tags = ["en", "es", "ar", "fa", "uk", "fr", "pl", "ht", "ti", "ps", "ku", "so"];
            for tag in &tags[..1 + self.random.below(4) as usize] {
                body.languages.push(v1::Language { tag: (*tag).into(), note: String::new() });
            }
            body.interpretation_services = "Interpreters can be booked; say which language when you call".into();
        }
        if self.random.chance(30) {
            body.required_documents = (0..2).map(|_| self.random.pick(&DOCUMENTS).to_string()).collect();
        }
        if self.random.chance(70) {
            let at = v1::ServiceLocation { location: self.random.record_id(), ..Default::default() };
            body.locations.push(at);
        }
        if self.random.chance(20) {
            let name = self.place.clone();
            body.service_areas.push(v1::Area { name, ..Default::default() });
        }
        body
    }

    fn location(&mut self) -> v1::Location {
        let name = format!("{} {}", self.place, self.random.pick(&BUILDINGS));
        let address = self.address();
        let (latitude, longitude) = self.coordinates();
        v1::Location {
            local_id: self.local_id(&name),
            language: "en".into(),
            modified_ms: self.instant(),
            role: self.role(),
            r#type: v1::LocationType::Physical as i32,
            description: if self.random.chance(50) { self.description("") } else { String::new() },
            addresses: vec![address],
            latitude_e7: latitude,
            longitude_e7: longitude,
            transportation: if self.random.chance(40) {
                self.random.pick(&TRANSPORTS).to_string()
            } else {
                String::new()
            },
            accessibility: if self.random.chance(50) { self.accessibility() } else { Vec::new() },
            phones: if self.random.chance(30) { self.phones() } else { Vec::new() },
            schedules: if self.random.chance(20) { self.schedules() } else { Vec::new() },
            url: if self.random.chance(30) { format!("https://www.{}/find-us", self.domain) } else { String::new() },
            name,
            ..Default::default()
        }
    }

    fn event(&mut self) -> v1::Event {
        let name = self.random.pick(&EVENTS).to_string();
        let day = self.date();
        let hour = 9 + self.random.below(10);
        let is_free = self.random.chance(70);
        v1::Event {
            local_id: self.local_id(&name),
            language: "en".into(),
            modified_ms: self.instant(),
            role: self.role(),
            translations: self.translations(),
            description: self.description(""),
            start: format!("{day}T{hour:02}:00:00"),
            end: format!("{day}T{:02}:30:00", hour + 1),
            timezone: self.land.timezone.into(),
            rrule: if self.random.chance(60) { self.rule() } else { String::new() },
            status: v1::EventStatus::Scheduled as i32,
            attendance: v1::Attendance::InPerson as i32,
            location: self.random.record_id(),
            organiser: self.random.record_id(),
            is_free: Some(is_free),
            costs: if is_free { Vec::new() } else { vec![self.cost()] },
            url: format!("https://www.{}/events", self.domain),
            booking_url: if self.random.chance(30) { format!("https://{}/book", self.domain) } else { String::new() },
            terms: if self.random.chance(40) { vec![term("community")] } else { Vec::new() },
            name,
            ..Default::default()
        }
    }

    fn local_id(&mut self, name: &str) -> String {
        match self.random.below(4) {
            0 => self.random.below(100_000).to_string(),
            1 => format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                self.random.below(1 << 32),
                self.random.below(1 << 16),
                self.random.below(1 << 12),
                self.random.below(1 << 12),
                self.random.below(1 << 48)
            ),
            _ => name.to_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-"),
        }
    }

    fn instant(&mut self) -> u64 {
        SIGNED_MS_MIN + self.random.below(SIGNED_MS_SPAN)
    }

    fn role(&mut self) -> i32 {
        [v1::Role::Owner, v1::Role::Owner, v1::Role::Assurer, v1::Role::Compiler][self.random.below(4) as usize] as i32
    }

    fn description(&mut self, purpose: &str) -> String {
        let mut sentences = vec![purpose.to_owned()];
        let count = self.random.below(3) + u64::from(purpose.is_empty());
        sentences.extend((0..count).map(|_| self.random.pick(&SENTENCES).to_string()));
        sentences.retain(|sentence| !sentence.is_empty());
        sentences.join(" ")
    }

    fn translations(&mut self) -> Vec<v1::Translation> {
        if self.random.chance(75) {
            return Vec::new();
        }
        let count = 1 + self.random.below(3);
        let mut translations: Vec<v1::Translation> = Vec::new();
        for _ in 0..count {
            let tongue = self.random.pick(&TONGUES);
            if translations.iter().any(|translation| translation.language == tongue.tag) {
                continue;
            }
            let words: Vec<&str> = (0..3).map(|_| *self.random.pick(&tongue.sentences)).collect();
            let mut texts = vec![
                field_text("name", self.random.pick::<&str>(&tongue.names)),
                field_text("description", &words.join(" ")),
            ];
            if self.random.chance(50) {
                texts.push(field_text("fees_description", tongue.free));
            }
            translations.push(v1::Translation { language: tongue.tag.into(), texts });
        }
        translations
    }

    fn email(&mut self) -> String {
        format!("{}@{}", self.random.pick(&["info", "enquiries", "hello", "office", "contact", "library"]), self.domain)
    }

    fn phones(&mut self) -> Vec<v1::Phone> {
        let count = [1, 1, 1, 2][self.random.below(4) as usize];
        (0..count).map(|_| self.phone()).collect()
    }

    fn phone(&mut self) -> v1::Phone {
        let pattern = *self.random.pick(self.land.phones);
        let digit = |letter| if letter == '#' { char::from(b'0' + self.random.below(10) as u8) } else { letter };
        let number = pattern.chars().map(digit).collect();
        let is_named = self.random.chance(50);
        let description = if is_named { self.random.pick(&DESKS).to_string() } else { String::new() };
        let r#type = if self.random.chance(30) { "voice".into() } else { String::new() };
        v1::Phone { number, description, r#type, ..Default::default() }
    }

    fn contacts(&mut self) -> Vec<v1::Contact> {
        if self.random.chance(70) {
            return Vec::new();
        }
        let title = self.random.pick(&["Duty adviser", "Executive Director", "Manager", "Branch manager"]).to_string();
        vec![v1::Contact { title, email: self.email(), phones: self.phones(), ..Default::default() }]
    }

    fn identifiers(&mut self) -> Vec<v1::Identifier> {
        let scheme = self.random.pick(&["GB-CHC", "GB-COH", "GB-LAE", "US-EIN", "IE-CHY"]).to_string();
        let value = format!("ZZ{:06}", self.random.below(1_000_000));
        vec![v1::Identifier { scheme, value, r#type: String::new() }]
    }

    fn address(&mut self) -> v1::Address {
        let line_1 = format!("{} {}", 1 + self.random.below(200), self.random.pick(&ROADS));
        let letters: Vec<char> = (0..2).map(|_| char::from(b'A' + self.random.below(26) as u8)).collect();
        let postal_code = match self.land.country {
            "US" => format!("{:05}", self.random.below(100_000)),
            // No area of the country begins with ZZ.
            _ => format!("ZZ{} {}{}{}", self.random.below(100), self.random.below(10), letters[0], letters[1]),
        };
        v1::Address {
            line_1,
            line_2: if self.random.chance(20) { self.place.clone() } else { String::new() },
            city: self.place.clone(),
            state_province: if self.land.country == "US" { "FL".into() } else { String::new() },
            postal_code,
            country: self.land.country.into(),
            r#type: if self.random.chance(50) { "physical".into() } else { String::new() },
            ..Default::default()
        }
    }

    fn coordinates(&mut self) -> (Option<i32>, Option<i32>) {
        if self.random.chance(30) {
            return (None, None);
        }
        let latitude = 250_000_000 + self.random.below(340_000_000) as i32;
        let longitude = -800_000_000 + self.random.below(820_000_000) as i32;
        (Some(latitude), Some(longitude))
    }

    fn accessibility(&mut self) -> Vec<v1::Accessibility> {
        let entry = |description: &&str| v1::Accessibility { description: (*description).into(), ..Default::default() };
        (0..1 + self.random.below(3)).map(|_| entry(self.random.pick(&ACCESSES))).collect()
    }

    /// Opening hours: days with the same hours share a schedule, as the importer writes them.
    fn schedules(&mut self) -> Vec<v1::Schedule> {
        let mut left: Vec<&str> = WEEKDAYS[..5 + self.random.below(3) as usize].to_vec();
        let mut schedules = Vec::new();
        while !left.is_empty() && schedules.len() < 4 {
            let count = 1 + self.random.below(left.len() as u64) as usize;
            let days: Vec<&str> = left.drain(..count).collect();
            let quarter = || ["00", "00", "30", "15"];
            let opens = format!("{:02}:{}", 8 + self.random.below(3), self.random.pick(&quarter()));
            let closes = format!("{:02}:{}", 12 + self.random.below(8), self.random.pick(&quarter()));
            schedules.push(v1::Schedule {
                opens_at: opens,
                closes_at: closes,
                rrule: format!("FREQ=WEEKLY;BYDAY={}", days.join(",")),
                timezone: self.land.timezone.into(),
                ..Default::default()
            });
        }
        schedules
    }

    fn rule(&mut self) -> String {
        let day = self.random.pick(&WEEKDAYS);
        match self.random.below(4) {
            0 => format!("FREQ=MONTHLY;BYDAY={}{day}", 1 + self.random.below(4)),
            1 => format!("FREQ=WEEKLY;INTERVAL=2;BYDAY={day}"),
            2 => format!("FREQ=WEEKLY;BYDAY={day};UNTIL={}T235959Z", self.date().replace('-', "")),
            _ => format!("FREQ=WEEKLY;BYDAY={day}"),
        }
    }

    fn date(&mut self) -> String {
        format!("{}-{:02}-{:02}", 2026 + self.random.below(3), 1 + self.random.below(12), 1 + self.random.below(28))
    }

    fn cost(&mut self) -> v1::Cost {
        let currency = if self.land.country == "US" { "USD" } else { "GBP" }.into();
        let amount = format!("{}.{}0", 1 + self.random.below(20), [0, 5][self.random.below(2) as usize]);
        v1::Cost { option: "per person".into(), currency, amount, ..Default::default() }
    }
}

fn term(code: &str) -> v1::Term {
    let mut label = code.replace('-', " ");
    label[..1].make_ascii_uppercase();
    v1::Term { code: code.into(), label, ..Default::default() }
}

fn field_text(field: &str, text: &str) -> v1::FieldText {
    v1::FieldText { field: field.into(), text: text.into() }
}
