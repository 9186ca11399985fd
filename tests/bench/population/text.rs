//! Texts of measured services: about 1 KB each, put together from words at random, with names, numbers and references that differ
//! everywhere, so that they compress about as texts of real directories do and not like one text repeated.

use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1;

use super::{Subject, bytes};

const WHO: [&str; 16] = [
    "Volunteers",
    "Two caseworkers",
    "Our nurses",
    "Retired teachers",
    "A solicitor",
    "Neighbours",
    "Trained mentors",
    "Interpreters",
    "The youth team",
    "Students of the college",
    "Members of the congregation",
    "A benefits adviser",
    "Peer supporters",
    "The housing team",
    "Health visitors",
    "Cooks and drivers",
];
const DO: [&str; 20] = [
    "explain letters from",
    "help with forms for",
    "make telephone calls to",
    "go with you to",
    "teach reading and writing for",
    "mend clothes and bicycles at",
    "cook a warm lunch beside",
    "look after children during",
    "practise conversation before",
    "collect furniture for",
    "give legal advice about",
    "write applications to",
    "find rooms near",
    "check the heating of",
    "run a homework club at",
    "drive people without a car to",
    "lend laptops for",
    "keep a quiet room open beside",
    "translate documents for",
    "answer questions about",
];
const WHAT: [&str; 24] = [
    "the Home Office",
    "the council's housing desk",
    "a school or nursery",
    "the surgery",
    "the job centre",
    "your landlord",
    "the tax office",
    "hospital appointments",
    "the tribunal",
    "evening classes",
    "the food bank",
    "energy suppliers",
    "a first interview",
    "the driving test",
    "the library",
    "a bank account",
    "family reunion",
    "the citizenship test",
    "universal credit",
    "council tax reductions",
    "a bus pass",
    "debts and arrears",
    "dental care",
    "domestic violence services",
];
const WHEN: [&str; 12] = [
    "every weekday morning",
    "on Tuesdays after three",
    "on the first Saturday of the month",
    "in school holidays",
    "on Thursday evenings",
    "from half past nine until noon",
    "by appointment",
    "whenever the door is open",
    "on Mondays and Wednesdays",
    "during Ramadan after sunset",
    "on Fridays before prayers",
    "all year round",
];
const NOTE: [&str; 16] = [
    "No appointment is needed.",
    "Please bring a letter with your address.",
    "Children are welcome, and there are toys.",
    "The entrance has a ramp and the lift works.",
    "We speak Arabic, Dari, Tigrinya and Ukrainian.",
    "It costs nothing.",
    "Ring first when you come from far away.",
    "Women meet separately upstairs.",
    "We never ask for your papers.",
    "Bus fares are paid back.",
    "Places are limited to twelve.",
    "Ask for the coordinator at the desk.",
    "You may bring a friend who interprets.",
    "What you tell us stays with us.",
    "Tea, coffee and fruit are on the table.",
    "There is a waiting list of about three weeks.",
];
const NAME: [&str; 12] = [
    "Advice drop-in",
    "Conversation group",
    "Community kitchen",
    "Housing surgery",
    "Legal clinic",
    "Homework club",
    "Bicycle workshop",
    "Walking group",
    "Parents' morning",
    "Health check",
    "Job club",
    "Welcome desk",
];

const SYLLABLES: [&str; 40] = [
    "bar", "ben", "bly", "cor", "dal", "den", "dun", "el", "fen", "gar", "hal", "har", "is", "jor", "kel", "lan",
    "ley", "lin", "mar", "mel", "mor", "nor", "ola", "pen", "pra", "quil", "ran", "ros", "sam", "sel", "tam", "thor",
    "ul", "ver", "wen", "wick", "yar", "zel", "by", "ton",
];

/// Numbers that a subject fixes.
struct Dice {
    seed: usize,
    round: u32,
    left: Vec<u8>,
}

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        if self.left.len() < 2 {
            self.left = bytes(&format!("text {}", self.round), self.seed).to_vec();
            self.round += 1;
        }
        let high = usize::from(self.left.pop().unwrap_or_default());
        let low = usize::from(self.left.pop().unwrap_or_default());
        (high * 256 + low) % end
    }

    /// A name that nobody has.
    fn name(&mut self) -> String {
        let mut name = String::new();
        for _ in 0..2 + self.below(2) {
            name.push_str(self.pick(&SYLLABLES));
        }
        let rest = name.split_off(1);
        name.to_uppercase() + &rest
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A valid service.
pub(super) fn service(subject: Subject, local_id: String, modified_ms: UnixMillis) -> v1::Service {
    let seed = (subject.organisation << 32) ^ (subject.record << 8) ^ subject.edition as usize;
    let mut dice = Dice { seed, round: 0, left: Vec::new() };
    let mut description = String::new();
    for _ in 0..4 + dice.below(3) {
        let (who, does, what, when) = (dice.pick(&WHO), dice.pick(&DO), dice.pick(&WHAT), dice.pick(&WHEN));
        let (person, place, road) = (dice.name(), dice.name(), dice.name());
        let number = dice.below(200);
        description.push_str(&format!(
            "{who} {does} {what} {when}; ask for {person} at {place} House, {number} {road} Road. {} ",
            dice.pick(&NOTE)
        ));
    }
    let domain = format!("organisation{}.example", subject.organisation);
    let (open, close) = (8 + dice.below(4), 12 + dice.below(8));
    v1::Service {
        language: "en".to_owned(),
        modified_ms,
        role: v1::Role::Owner.into(),
        name: format!("{} {}", dice.pick(&NAME), subject.record),
        description,
        organisation: bytes("organisation", subject.organisation)[..16].to_vec(),
        locations: vec![v1::ServiceLocation { location: bytes("location", seed)[..16].to_vec(), ..Default::default() }],
        status: v1::ServiceStatus::Active.into(),
        url: format!("https://{domain}/{local_id}"),
        email: format!("desk{}@{domain}", dice.below(1_000)),
        phones: vec![v1::Phone { number: format!("01632 960{:03}", dice.below(1_000)), ..Default::default() }],
        eligibility_description: format!("Whoever needs help with {}", dice.pick(&WHAT)),
        fees_description: "Free of charge".to_owned(),
        application_process: format!("Open {open}:00 to {close}:30, {}", dice.pick(&WHEN)),
        local_id,
        ..Default::default()
    }
}
