//! The demo: three partner nodes on this machine share an invented city's directory.
//!
//! Each node is a process of this same program with its own home, keys, store and ports. Each organisation has its own
//! key; the tiny ones have no node and are carried by a partner's. Everything is published the way an admin does it,
//! from the files in `daemon/demo`, over the nodes' admin sockets.
//! Ends well only if all nodes hold the same set.

mod city;
mod partner;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use city::City;
use fingerpost_cli::failure::Failure;
use partner::{Organisation, Partner, Share};

/// The nodes must agree within this time after the last record was published.
const AGREEMENT_WAIT: Duration = Duration::from_secs(30);
/// How often a node is asked what it holds.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Why the demo ended badly.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The files of the demo city do not fit together.
    #[error("the demo's files are wrong: {0}")]
    City(String),
    /// Files or processes.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A node did not do as asked.
    #[error("{what}: {reason}")]
    Node {
        /// What was tried.
        what: String,
        /// The node's words.
        reason: String,
    },
    /// The nodes hold different sets.
    #[error("the nodes hold different sets after {} s: {states}", AGREEMENT_WAIT.as_secs())]
    Different {
        /// What each holds.
        states: String,
    },
}

impl DemoError {
    fn node(what: impl Into<String>) -> impl FnOnce(Failure) -> DemoError {
        let what = what.into();
        move |failure| {
            let reason: Vec<&str> = failure.lines().into_iter().map(|(_, line)| line).collect();
            DemoError::Node { what, reason: reason.join("; ") }
        }
    }
}

/// Runs the demo with homes under `folder`, using `program` for the nodes. Stays up until `ended` comes.
pub async fn run(folder: &Path, program: &Path, ended: impl Future<Output = ()>) -> Result<(), DemoError> {
    let city = City::read()?;
    say(&format!(
        "Harrowmere, an invented city: {} organisations, {} services, {} events, {} places.\n",
        city.organisations.len(),
        city.count("service"),
        city.count("event"),
        city.count("location")
    ));
    let mut partners = Vec::new();
    for plan in &city.partners {
        let partner = Partner::start(folder, program, plan).await?;
        say(&format!("started   {:<26} node {}…", partner.name, &partner.node_key.to_string()[..16]));
        partners.push(partner);
    }
    let organisations = found_and_join(folder, &city, &partners).await?;
    say("");
    publish_everything(&city, &organisations, &partners).await?;
    let held = agree(&partners).await?;
    say(&format!("\nAll three nodes hold the same {held}.\n"));
    follow_one_edit(&city, &organisations, &partners).await?;
    for partner in &partners {
        say(&partner.name.to_string());
        say(&format!("  directory   {}/directory", partner.feed_url));
        say(&format!("  services    {}/services            (Open Referral, HSDS 3)", partner.feed_url));
        say(&format!("  changes     {}/rpde/events         (OpenActive RPDE)", partner.feed_url));
        say(&format!("  calendar    {}/events.ics", partner.feed_url));
        say(&format!("  admin       fingerpost --home {} status", partner.home.display()));
    }
    say("\nPress Ctrl-C to end the demo. Everything it made is deleted then.");
    ended.await;
    let held = agree(&partners).await?;
    for partner in partners {
        partner.stop().await?;
    }
    say(&format!("The demo is over; all three nodes held the same {held}."));
    Ok(())
}

/// The first partner founds the network, the others join it, everybody else is hosted.
async fn found_and_join(folder: &Path, city: &City, partners: &[Partner]) -> Result<Vec<Organisation>, DemoError> {
    let mut organisations: Vec<Organisation> = Vec::new();
    let mut hosted = 0;
    for (at, plan) in city.partners.iter().enumerate() {
        let partner = &partners[at];
        let own = Organisation::make(folder, city.organisation(&plan.organisation)?, at, Some(partner))?;
        match organisations.first() {
            None => {
                own.found(partner, &city.network_name).await?;
                say(&format!("founded   the network, by {}", own.name()));
            }
            Some(founder) => {
                let invite = founder.invite(&partners[0]).await?;
                own.join(partner, &invite).await?;
                say(&format!("joined    {}, with one pasted invite ({})", own.name(), invite.check_words().join(" ")));
            }
        }
        organisations.push(own);
    }
    for (at, plan) in city.partners.iter().enumerate() {
        for slug in &plan.hosts {
            let guest = Organisation::make(folder, city.organisation(slug)?, at, None)?;
            let invite = organisations[0].invite(&partners[0]).await?;
            guest.hand_in(&partners[at], &invite).await?;
            organisations.push(guest);
            hosted += 1;
        }
    }
    say(&format!("joined    {hosted} more organisations without a node of their own, each with its own key"));
    Ok(organisations)
}

async fn publish_everything(
    city: &City,
    organisations: &[Organisation],
    partners: &[Partner],
) -> Result<(), DemoError> {
    let ids = city.location_ids(organisations);
    for (at, partner) in partners.iter().enumerate() {
        let mut published = 0;
        for organisation in organisations.iter().filter(|organisation| organisation.partner == at) {
            let file = city.organisation(&organisation.slug)?;
            published += organisation.publish(partner, &file.file_name(), &ids.resolve(&file.text)?).await?;
        }
        let shares = shares(partners).await?;
        let counts: Vec<String> = partners
            .iter()
            .zip(&shares)
            .map(|(partner, share)| format!("{} {}", partner.short_name(), share.live))
            .collect();
        say(&format!(
            "published {published:>4} records at {:<26} records held now: {}",
            partner.name,
            counts.join(", ")
        ));
    }
    Ok(())
}

/// Waits until all nodes hold the same sets. Returns what they hold, in words.
async fn agree(partners: &[Partner]) -> Result<String, DemoError> {
    let started = Instant::now();
    loop {
        let shares = shares(partners).await?;
        if shares.windows(2).all(|pair| pair[0].sets == pair[1].sets) {
            let share = &shares[0];
            return Ok(format!("{} records of {} organisations (root {})", share.live, share.members, share.root()));
        }
        if started.elapsed() > AGREEMENT_WAIT {
            let states: Vec<String> = partners
                .iter()
                .zip(&shares)
                .map(|(partner, share)| format!("{}: {} records, root {}", partner.name, share.live, share.root()))
                .collect();
            return Err(DemoError::Different { states: states.join("; ") });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn shares(partners: &[Partner]) -> Result<Vec<Share>, DemoError> {
    let mut shares = Vec::with_capacity(partners.len());
    for partner in partners {
        shares.push(partner.share().await?);
    }
    Ok(shares)
}

/// Changes one opening hour and measures how long the others take to have it.
async fn follow_one_edit(city: &City, organisations: &[Organisation], partners: &[Partner]) -> Result<(), DemoError> {
    let organisation = &organisations[0];
    let file = city.organisation(&organisation.slug)?;
    let ids = city.location_ids(organisations);
    let text = ids.resolve(&file.text)?;
    let edited = city::edit_first_service(&text).ok_or_else(|| DemoError::City("no service to edit".to_owned()))?;
    let before = partners[0].share().await?;
    let started = Instant::now();
    organisation.publish(&partners[0], &file.file_name(), &edited).await?;
    let acknowledged = started.elapsed();
    let mut last = Duration::ZERO;
    for partner in &partners[1..] {
        while partner.share().await?.sets == before.sets {
            if started.elapsed() > AGREEMENT_WAIT {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        last = started.elapsed();
    }
    say(&format!(
        "One edit by {}: on stable storage at its own node after {} ms, at both other nodes after {} ms.\n",
        organisation.name(),
        acknowledged.as_millis(),
        last.as_millis()
    ));
    Ok(())
}

/// Tells the person who watches. Somebody who closed the pipe does not want to know.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
