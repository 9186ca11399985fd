//! `recover`: the recovery words take the organisation back, whoever has its other keys.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::network::succession::Rank;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use super::device::found;
use super::outcome;
use super::phrase::show_phrase;
use super::turn::{Turn, called, short, tell_upheld};
use super::vouch::{MEMBER, standing_words};
use crate::args::RecoverArgs;
use crate::cards::Cards;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::{CARD_FILE, Identity, agreed_network};
use crate::keys::{self, KeyPurpose, Signer};
use crate::next_card::FinishedCard;
use crate::output::escape::shown;
use crate::output::moment::{count, now_ms};
use crate::progress::Progress;
use crate::publish::{Action, Desk, Report};
use crate::recovery::RecoveryPhrase;
use crate::session::{self, Session};

/// Label of the new device.
const LABEL: &str = "admin";

pub(super) async fn run(session: &Session, args: RecoverArgs) -> Result<Exit, Failure> {
    let known = if session.home.join(CARD_FILE).exists() {
        Some(Cards::load(&session.home)?)
    } else {
        let Some(text) = &args.org else {
            return Err(Failure::new(Exit::Usage, "which organisation? There is none in this home")
                .hint("fingerpost recover ORG; see them: fingerpost members"));
        };
        found(session, text).await?
    };
    let Some(mut cards) = known else { return Ok(session.declined()) };
    let node = session.node().await?;
    let status = node.status().await?;
    let charter = agreed_network(&session.home, &status.network)?;
    cards.refresh(&session.home, &node).await?;
    let mut turn = Turn::with(node, status, charter, cards)?;
    let phrase = read_phrase(session)?;
    let unfit = |error| Failure::new(Exit::Permission, "a key is unfit; run the command again").caused_by(&error);
    let recovery = phrase.signer().map_err(unfit)?;
    let base = match fitting(&turn.cards, &phrase.digest().map_err(unfit)?)? {
        Base::Card(card) => card,
        Base::Used(sequence) => return used(session, &turn.cards, sequence),
    };

    let fresh = FreshKeys::draw()?;
    let mut next = turn.draft(&base, recovery.public())?;
    next.revoke(|_| true);
    next.change_keys(fresh.root.public(), fresh.phrase.digest().map_err(unfit)?);
    next.list(fresh.device.public(), v1::DeviceRole::Publish, LABEL);
    let node_key = own_node(&turn);
    if let Some(key) = &node_key {
        next.list(key, v1::DeviceRole::Node, "node");
    }
    let finished = turn.finish(next).await?;
    let now = turn.cards.effective().clone();
    let identity = Identity::signing_with(turn.cards.clone(), fresh.device.clone());
    let charter = turn.charter.clone();
    let desk = Desk::open(&turn.node, &identity, &charter, now_ms()).await?;
    let records = desk.holdings().iter().filter(|(_, current)| current.body.is_some());
    let (all, live): (usize, Vec<RecordId>) = records.fold((0, Vec::new()), |(all, mut live), (record, current)| {
        live.extend(current.is_live().then_some(*record));
        (all + 1, live)
    });
    tell(session, &turn, &base, &now, &finished, node_key.as_ref())?;
    let kept = if args.republish { live.len() } else { 0 };
    session
        .printer
        .line(&format!("Records       {all} of yours leave every feed; {kept} are signed again by the new device"))?;
    let question = format!(
        "Take {} over with new keys, and let {} leave every feed?",
        shown(&base.name),
        count(all - kept, "record")
    );
    if !session.agree(&question, "--yes")? {
        return Ok(session.declined());
    }
    show_phrase(session, &fresh.phrase)?;
    fresh.keep(session)?;
    let why = match take_over(session, &mut turn, &recovery, &finished, &identity).await {
        Ok(why) => why,
        Err(failure) => {
            // The card may have been taken all the same. Then these words are the only ones, and nobody has seen them yet.
            session.printer.object(
                "recover/1",
                json!({
                    "organisation": turn.cards.org().to_string(),
                    "taken_over": false,
                    "recovery_phrase": fresh.phrase.words().join(" "),
                }),
            )?;
            return Err(failure.hint(
                "keep the old and the new words and run the command again with the old ones: if they were used already, the new ones count",
            ));
        }
    };
    let report = if args.republish {
        let mut planner = desk.planner();
        live.iter().for_each(|record| planner.sign_again(record));
        let plan = planner.finish();
        let mut progress = Progress::new(&session.printer, "signing", plan.count(Action::Confirmed));
        desk.carry_out(&turn.node, plan, &mut progress).await
    } else {
        Report::default()
    };
    print(
        session,
        &turn,
        &Told { finished: &finished, fresh: &fresh, revoked: revoked(&now, &finished), left: all - kept, why: &why },
        &report,
    )
}

/// Publishes the card, and sees that the organisation has an acceptance. Returns why it has its standing.
async fn take_over(
    session: &Session,
    turn: &mut Turn,
    recovery: &Signer,
    finished: &FinishedCard,
    identity: &Identity,
) -> Result<v1::WhyReply, Failure> {
    let acceptance = turn.accepted_again(identity, finished)?;
    turn.publish(session, recovery, finished, acceptance.as_ref()).await?;
    turn.accept_if_missing(identity).await?;
    turn.node.why(&turn.cards.org()).await
}

/// Keys that exist in memory only.
struct FreshKeys {
    phrase: RecoveryPhrase,
    root_seed: keys::Seed,
    device_seed: keys::Seed,
    root: Signer,
    device: Signer,
}

impl FreshKeys {
    fn draw() -> Result<FreshKeys, Failure> {
        let (root_seed, device_seed) = (keys::fresh_seed()?, keys::fresh_seed()?);
        let unfit =
            |error| Failure::new(Exit::Permission, "the fresh key is unfit; run the command again").caused_by(&error);
        let root = Signer::from_seed(&root_seed).map_err(unfit)?;
        let device = Signer::from_seed(&device_seed).map_err(unfit)?;
        Ok(FreshKeys { phrase: RecoveryPhrase::fresh()?, root_seed, device_seed, root, device })
    }

    /// Writes them into the home before any node knows of them: keys that count and are nowhere would be lost for good.
    fn keep(&self, session: &Session) -> Result<(), Failure> {
        for (purpose, seed) in [(KeyPurpose::Root, &self.root_seed), (KeyPurpose::Device, &self.device_seed)] {
            keys::set_aside(&session.home, purpose)?;
            keys::keep(&session.home, purpose, seed)?;
        }
        Ok(())
    }
}

fn read_phrase(session: &Session) -> Result<RecoveryPhrase, Failure> {
    if session.can_ask() {
        session.printer.note("Type the 24 recovery words on one line. Nobody should look over your shoulder.");
    }
    let text = session::read_secret(session.can_ask())?;
    RecoveryPhrase::parse(&text).map_err(|error| {
        Failure::new(Exit::Invalid, "these are no recovery words").caused_by(&error).hint(
            "type them, or pipe them in: fingerpost recover < words.txt; never write them into the command itself",
        )
    })
}

/// Where a recovery is signed.
enum Base {
    /// After this card.
    Card(Box<OrgCard>),
    /// Nowhere: the words made the card of this number already.
    Used(u64),
}

/// The earliest card that the words fit: a recovery on a later one could be undone by a stolen root key of an earlier one.
fn fitting(cards: &Cards, digest: &[u8; 32]) -> Result<Base, Failure> {
    let chain = cards.succession().chain();
    let Some(at) = chain.iter().position(|card| card.recovery_digest == *digest) else {
        return Err(Failure::new(
            Exit::Refused,
            format!("these are not the recovery words of {}", shown(&cards.effective().name)),
        )
        .because("they fit no card that this node knows of it")
        .hint("after a recovery only the newest words count; for another organisation use another home: --home DIR"));
    };
    match chain.get(at + 1) {
        Some(next) if Rank::of(next, &chain[at]).is_ok_and(|rank| rank.is_recovery()) => Ok(Base::Used(next.sequence)),
        _ => Ok(Base::Card(Box::new(chain[at].clone()))),
    }
}

/// The words have done their work. Good news, when it was for the keys in this home.
fn used(session: &Session, cards: &Cards, sequence: u64) -> Result<Exit, Failure> {
    let root = keys::load(&session.home, KeyPurpose::Root).ok();
    if root.is_some_and(|root| cards.effective().root_keys.contains(root.public())) {
        session.printer.note("These words were used already, for the keys in this home. Nothing was changed.");
        session.printer.next("fingerpost device list");
        return Ok(Exit::Done);
    }
    Err(Failure::new(Exit::Refused, "these recovery words were used already")
        .because(format!("card {sequence} was signed with them; new words were printed then"))
        .hint("use the newest words; if you have none, found the organisation again: fingerpost --home DIR init"))
}

/// The key of the node asked, if it is this organisation's: its admin sits at it, so it goes on.
fn own_node(turn: &Turn) -> Option<PublicKey> {
    let key = PublicKey::from_bytes(&turn.status.node_key).ok()?;
    turn.cards
        .effective()
        .node_keys()
        .chain(turn.cards.succession().chain()[0].node_keys())
        .find(|listed| *listed == key)
}

fn revoked(now: &OrgCard, finished: &FinishedCard) -> Vec<String> {
    let goes = now.devices.iter().filter(|device| finished.card.device(device.key.as_bytes()).is_none());
    goes.map(called).collect()
}

fn tell(
    session: &Session,
    turn: &Turn,
    base: &OrgCard,
    now: &OrgCard,
    finished: &FinishedCard,
    node: Option<&PublicKey>,
) -> Result<(), Failure> {
    let line = |head: &str, text: &str| session.printer.line(&format!("{head:<13} {text}"));
    line("Organisation", &format!("{}, {}", shown(&base.name), turn.cards.org().short()))?;
    line("Network", &shown(&turn.charter.text.name))?;
    let lost = match now.sequence.saturating_sub(base.sequence) {
        0 => String::new(),
        later => format!("; of {} later nothing counts any more", count(later as usize, "card")),
    };
    line("Follows", &format!("card {}{lost}", base.sequence))?;
    line("Revoked", &revoked(now, finished).join(", "))?;
    match node {
        Some(key) => line("Node", &format!("{}, at which you are, stays on the card", short(key)))?,
        None => line("Node", "none: this node is not on your card; another carries your records")?,
    }
    line("Void", "every invite that nobody has used")?;
    tell_upheld(session, finished)
}

struct Told<'a> {
    finished: &'a FinishedCard,
    fresh: &'a FreshKeys,
    revoked: Vec<String>,
    left: usize,
    why: &'a v1::WhyReply,
}

fn print(session: &Session, turn: &Turn, told: &Told<'_>, report: &Report) -> Result<Exit, Failure> {
    let Told { finished, fresh, revoked, left, why } = told;
    session.printer.object(
        "recover/1",
        json!({
            "organisation": turn.cards.org().to_string(),
            "taken_over": true,
            "card": finished.card.sequence,
            "root_key": fresh.root.public().to_string(),
            "key": fresh.device.public().to_string(),
            "revoked": revoked,
            "upheld": finished.upheld.len() + finished.invitations.len(),
            "standing": why.standing,
            "records_left": left,
            "records_republished": report.confirmed,
            "publish": if report == &Report::default() { Value::Null } else { report.json() },
            "recovery_phrase": fresh.phrase.words().join(" "),
        }),
    )?;
    session.printer.line(&format!(
        "Recovered     {}, by card {}",
        shown(&finished.card.name),
        finished.card.sequence
    ))?;
    session
        .printer
        .line(&format!("Keys          {} (back this folder up)", session.home.join(keys::KEYS_FOLDER).display()))?;
    if why.standing != MEMBER {
        session.printer.line(&format!("Standing      {}", standing_words(why)))?;
    }
    session.printer.warning("destroy the old paper: its words stay powerful for the cards that they were made for");
    let next = "publish again: fingerpost import FILE; other computers: fingerpost device request";
    if report.published() == 0 {
        session.printer.next(next);
        return Ok(report.exit());
    }
    outcome::lines(session, report, next)
}
