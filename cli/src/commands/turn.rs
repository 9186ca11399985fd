//! A turn: from the card that counts to the next one, at a node. Shared by `device`, `revoke` and `recover`.

use std::path::Path;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::card::{Device, OrgCard};
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::statement::Statement;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use fingerpost_proto::v1::publish_result::Outcome;
use fingerpost_proto::version::{SignedVersion, VersionError};
use prost::Message;

use crate::cards::Cards;
use crate::client::{Admin, NodeClient};
use crate::failure::{Exit, Failure};
use crate::identity::{Identity, agreed_network};
use crate::keys::{self, KeyFileError, KeyPurpose, Signer};
use crate::next_card::{FinishedCard, NextCard, NextCardError};
use crate::output::escape::shown;
use crate::output::moment::{count, date, now_ms};
use crate::publish::{check_clocks, check_newest};
use crate::session::Session;
use crate::statements::{next_card_version, statement_version};

/// Statements named before the rest is only counted.
const LISTED_MAX: usize = 20;
/// What the node says of a card of an organisation that is in no set: it remembers it.
const REMEMBERED: &str = "not-a-member";

/// An organisation at its node, about to get another card.
pub(super) struct Turn {
    pub(super) node: NodeClient,
    pub(super) status: v1::StatusReply,
    pub(super) charter: Charter,
    pub(super) cards: Cards,
    clock: Hlc,
}

impl Turn {
    /// Connects, and learns the cards that count. Errors: also when clocks differ, or the node is in another network.
    pub(super) async fn open(session: &Session) -> Result<Turn, Failure> {
        let mut cards = Cards::load(&session.home)?;
        let node = session.node().await?;
        let status = node.status().await?;
        let charter = agreed_network(&session.home, &status.network)?;
        cards.refresh(&session.home, &node).await?;
        Turn::with(node, status, charter, cards)
    }

    /// The same, when the cards are known.
    pub(super) fn with(
        node: NodeClient,
        status: v1::StatusReply,
        charter: Charter,
        cards: Cards,
    ) -> Result<Turn, Failure> {
        let now = now_ms();
        check_clocks(now, status.clock_ms)?;
        let clock = Hlc(status.hlc_max);
        check_newest(now, clock)?;
        Ok(Turn { node, status, charter, cards, clock })
    }

    /// The clock of the next version; each is later than the one before and than all that the node knows.
    pub(super) fn tick(&mut self) -> Hlc {
        self.clock = self.clock.next(now_ms());
        self.clock
    }

    /// The root key of this home. Errors: permission, when there is none or the card that counts does not name it.
    pub(super) fn root(&self, home: &Path) -> Result<Signer, Failure> {
        let root = keys::load(home, KeyPurpose::Root).map_err(|error| match error {
            KeyFileError::Missing { path } => {
                Failure::new(Exit::Permission, "this computer does not have the organisation's root key")
                    .because(format!("there is no key at {}", path.display()))
                    .hint("run the command on the computer that has it; if it is lost: fingerpost recover")
            }
            error => Failure::from(error),
        })?;
        if self.cards.effective().root_keys.contains(root.public()) {
            return Ok(root);
        }
        Err(Failure::new(Exit::Permission, "the root key in this home is not on the organisation's card (any more)")
            .because(format!("card {} was signed elsewhere", self.cards.effective().sequence))
            .hint("use the computer with the present root key; if somebody else changed it: fingerpost recover"))
    }

    /// Begins a card after `before`, which is one of the chain.
    pub(super) fn draft(&self, before: &OrgCard, signed_by: &PublicKey) -> Result<NextCard, Failure> {
        let bytes = self.cards.body(before).ok_or_else(|| {
            Failure::new(Exit::Invalid, format!("the bytes of card {} are not here", before.sequence))
                .hint("ask another node of your network: --node SOCKET")
        })?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| KeyFileError::Randomness)?;
        Ok(NextCard::after(before, bytes, signed_by, nonce))
    }

    /// Finishes a card: what counts and would lose its device is upheld.
    pub(super) async fn finish(&self, next: NextCard) -> Result<FinishedCard, Failure> {
        let mut statements = Vec::new();
        for kind in [Kind::ACCEPTANCE, Kind::VOUCH, Kind::OBJECTION, Kind::LEAVE] {
            statements.extend(self.listed(Some(self.cards.org()), kind).await?);
        }
        let own = self.cards.org();
        let mut invitations = Vec::new();
        for version in self.listed(None, Kind::ACCEPTANCE).await? {
            if let Ok(Statement::Acceptance(Some(invitation))) = Statement::read(&version)
                && invitation.inviter == own
            {
                invitations.push(*invitation);
            }
        }
        next.finish(self.cards.effective(), statements, invitations).map_err(|error| {
            let failure = Failure::new(Exit::Invalid, "the next card cannot be made");
            match &error {
                NextCardError::TooManyUpheld { .. } => failure.caused_by(&error).hint(
                    "say some of them again from this computer (fingerpost vouch ORG, fingerpost object ORG), then try again",
                ),
                NextCardError::Card(_) => failure.caused_by(&error).hint("nothing was changed"),
            }
        })
    }

    async fn listed(&self, org: Option<OrgId>, kind: Kind) -> Result<Vec<SignedVersion>, Failure> {
        let request = v1::ListRequest {
            organisation: org.map(|org| org.0.to_vec()).unwrap_or_default(),
            kind: kind.0.into(),
            include_withdrawn: true,
            include_lapsed: true,
            ..Default::default()
        };
        let entries = self.node.entries(request).await?.into_iter();
        Ok(entries.filter_map(|entry| SignedVersion::read(entry.envelope).ok()).collect())
    }

    /// Signs a finished card and hands it in, after those of the chain; keeps it in the home. `beside` is handed in with it.
    ///
    /// Errors: when the node does not take it, or another card counts instead.
    pub(super) async fn publish(
        &mut self,
        session: &Session,
        signer: &Signer,
        finished: &FinishedCard,
        beside: Option<&SignedVersion>,
    ) -> Result<(), Failure> {
        let hlc = self.tick();
        let version = next_card_version(signer, &self.cards.org(), self.charter.network, hlc, &finished.bytes)
            .map_err(|error| Failure::new(Exit::Invalid, "the card cannot be signed").caused_by(&error))?;
        let mut envelopes = self.cards.envelopes();
        self.hand_in(envelopes.clone(), "card").await?;
        let card = version.envelope().to_vec();
        let latest = [&version].into_iter().chain(beside).map(|version| version.envelope().to_vec());
        self.hand_in(latest.collect(), "card").await?;
        envelopes.push(card);
        self.cards.learn(&self.charter.network, envelopes);
        self.cards.refresh(&session.home, &self.node).await?;
        self.cards.keep(&session.home)?;
        if self.cards.effective().digest == finished.card.digest {
            return Ok(());
        }
        Err(Failure::new(Exit::Conflict, "another card of your organisation counts instead of this one")
            .because(format!("card {} counts", self.cards.effective().sequence))
            .hint("see what it says: fingerpost device list; if none of you signed it: fingerpost recover"))
    }

    /// The acceptance that a finished card would leave without a device, signed again by the device of `identity`: its holder can
    /// replace it until the card comes, and then the card would uphold nothing. `None` when no device loses it, or when its
    /// invitation has run out, so that it can only be upheld.
    pub(super) fn accepted_again(
        &mut self,
        identity: &Identity,
        finished: &FinishedCard,
    ) -> Result<Option<SignedVersion>, Failure> {
        let Some(old) = finished.upheld.iter().find(|version| version.header().kind == Kind::ACCEPTANCE) else {
            return Ok(None);
        };
        let is_lasting = match Statement::read(old) {
            Ok(Statement::Acceptance(invitation)) => {
                invitation.is_none_or(|invitation| invitation.check_fresh(now_ms()).is_ok())
            }
            _ => false,
        };
        if !is_lasting {
            return Ok(None);
        }
        let hlc = self.tick();
        statement_version(identity, self.charter.network, hlc, Kind::ACCEPTANCE, None, old.body())
            .map(Some)
            .map_err(unsigned)
    }

    /// Accepts the charter anew where no acceptance is left: a thief may have replaced it at the last moment, or put the organisation
    /// out before.
    pub(super) async fn accept_if_missing(&mut self, identity: &Identity) -> Result<(), Failure> {
        if !self.node.why(&self.cards.org()).await?.lacks_acceptance {
            return Ok(());
        }
        let body = v1::Acceptance { charter: self.charter.network.0.to_vec(), ..Default::default() }.encode_to_vec();
        let hlc = self.tick();
        let version = statement_version(identity, self.charter.network, hlc, Kind::ACCEPTANCE, None, &body);
        // A node forgets the cards of an organisation without an acceptance.
        let mut envelopes = self.cards.envelopes();
        envelopes.push(version.map_err(unsigned)?.envelope().to_vec());
        self.hand_in(envelopes, "acceptance").await
    }

    /// Hands in versions of cards and statements. Errors: when one is refused for another reason than that the organisation is no
    /// member now.
    pub(super) async fn hand_in(&self, envelopes: Vec<Vec<u8>>, what: &str) -> Result<(), Failure> {
        let requests = envelopes.chunks(crate::publish::ENVELOPES_PER_REQUEST_MAX);
        let requests = requests.map(|some| v1::PublishRequest { envelopes: some.to_vec() }).collect();
        let delivery = self.node.publish(requests, |_| ()).await;
        if let Some(broken) = delivery.broken {
            return Err(broken);
        }
        let is_refused = |result: &&v1::PublishResult| {
            matches!(result.outcome(), Outcome::Rejected | Outcome::Unspecified) && result.error != REMEMBERED
        };
        match delivery.results.iter().find(is_refused) {
            None => Ok(()),
            Some(result) => Err(Failure::new(
                Exit::of_rejection(&result.error),
                format!("the node did not take the {what} [{}]", result.error),
            )
            .because(result.message.clone())),
        }
    }
}

fn unsigned(error: VersionError) -> Failure {
    Failure::new(Exit::Invalid, "the acceptance cannot be signed").caused_by(&error)
}

/// The device that a text names: its key, the first 8 or more characters of it, or its label.
pub(super) fn find_device<'a>(card: &'a OrgCard, text: &str) -> Result<&'a Device, Failure> {
    let prefix = text.to_ascii_lowercase();
    let fits =
        |device: &&Device| device.label == text || (prefix.len() >= 8 && device.key.to_string().starts_with(&prefix));
    let found: Vec<&Device> = card.devices.iter().filter(fits).collect();
    match found.as_slice() {
        [device] => Ok(device),
        [] => Err(Failure::new(Exit::Usage, format!("no device on the card is called {text:?}"))
            .hint("see them: fingerpost device list")),
        several => {
            let failure = Failure::new(Exit::Usage, format!("{text:?} names {} devices", several.len()));
            let failure = several.iter().fold(failure, |failure, device| failure.because(called(device)));
            Err(failure.hint("use the key of one of them"))
        }
    }
}

/// Label and start of the key.
pub(super) fn called(device: &Device) -> String {
    let label = if device.label.is_empty() { "device".to_owned() } else { shown(&device.label).into_owned() };
    format!("{label} ({})", short(&device.key))
}

/// The first characters of a key.
pub(super) fn short(key: &PublicKey) -> String {
    key.to_string().chars().take(16).collect()
}

/// What a device is for, in words.
pub(super) fn roles(device: &Device) -> String {
    let roles = [(device.publishes, "publishes"), (device.is_node, "node")];
    roles.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect::<Vec<_>>().join(", ")
}

/// Tells what of earlier statements goes on and what does not.
pub(super) fn tell_upheld(session: &Session, finished: &FinishedCard) -> Result<(), Failure> {
    let mut lines: Vec<String> = finished.upheld.iter().map(said).collect();
    lines.extend(finished.invitations.iter().map(|_| "an invite that was used".to_owned()));
    if !lines.is_empty() {
        session.printer.line(&format!("Upheld        {}, by name:", count(lines.len(), "statement")))?;
        lines.iter().take(LISTED_MAX).try_for_each(|line| session.printer.line(&format!("  {line}")))?;
        if lines.len() > LISTED_MAX {
            session.printer.line(&format!("  … and {} more", lines.len() - LISTED_MAX))?;
        }
        session
            .printer
            .line("              what is not yours: take it back afterwards (fingerpost vouch ORG --withdraw)")?;
    }
    if !finished.dropped.is_empty() {
        session.printer.line("Not upheld    that your organisation left: it is in the network again")?;
    }
    Ok(())
}

fn said(version: &SignedVersion) -> String {
    let when = date(version.header().hlc.ms());
    let of = |what: &str, subject: &OrgId| format!("{what} {}, {when}", subject.short());
    match Statement::read(version) {
        Ok(Statement::Acceptance(_)) => format!("acceptance of the charter, {when}"),
        Ok(Statement::Vouch(subject)) => of("vouch for", &subject),
        Ok(Statement::Objection(subject)) => of("objection to", &subject),
        Ok(Statement::Withdrawn) => format!("something taken back, {when}"),
        _ => format!("a statement, {when}"),
    }
}
