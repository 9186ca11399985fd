//! A partner's node as a process, and organisations that publish at it.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fingerpost_cli::client::{Admin, NodeClient};
use fingerpost_cli::founding::Founding;
use fingerpost_cli::identity::Identity;
use fingerpost_cli::import::{self, ImportContext};
use fingerpost_cli::keys::{self, KeyPurpose, Signer};
use fingerpost_cli::progress::Progress;
use fingerpost_cli::publish::Desk;
use fingerpost_cli::statements::{acceptance_version, card_version, invitation};
use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::InviteCode;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use prost::Message;
use tokio::process::{Child, Command};

use super::DemoError;
use super::city::{OrganisationFile, PartnerPlan};
use crate::clock;

/// A node is given so long to answer after its start.
const START_WAIT: Duration = Duration::from_secs(20);
/// A node is given so long to end.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// A running node and a connection to it.
pub(super) struct Partner {
    pub(super) name: String,
    pub(super) home: PathBuf,
    pub(super) node_key: PublicKey,
    pub(super) feed_url: String,
    addresses: Vec<String>,
    client: NodeClient,
    process: Child,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share {
    /// Fingerprint and count of each set.
    pub(super) sets: Vec<(Vec<u8>, u64)>,
    pub(super) live: u64,
    pub(super) members: u32,
}

impl Share {
    /// First digits of the public set's fingerprint.
    pub(super) fn root(&self) -> String {
        let root = self.sets.first().map_or(&[][..], |(fingerprint, _)| fingerprint);
        root.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Partner {
    /// Starts `program run` in a home of its own and waits until it answers.
    pub(super) async fn start(folder: &Path, program: &Path, plan: &PartnerPlan) -> Result<Partner, DemoError> {
        let home = folder.join(&plan.organisation);
        make_home(&home)?;
        let config = "[peer]\nlisten = \"127.0.0.1:0\"\n[feed]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"warn\"\n";
        system(format!("writing {}", home.display()), fs::write(home.join(crate::config::CONFIG_FILE), config))?;
        let log = system("opening the log", fs::File::create(home.join("fingerpostd.log")))?;
        let process = Command::new(program)
            .args(["run", "--home"])
            .arg(&home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        let mut process = system(format!("starting {}", program.display()), process)?;
        let (client, status) = connect(&home, &plan.name, &mut process).await?;
        let node_key = PublicKey::from_bytes(&status.node_key)
            .map_err(|error| DemoError::Node { what: plan.name.clone(), reason: error.to_string() })?;
        Ok(Partner {
            name: plan.name.clone(),
            node_key,
            feed_url: status.feed_url,
            addresses: vec![status.advertised_address],
            home,
            client,
            process,
        })
    }

    pub(super) fn short_name(&self) -> &str {
        self.name.rsplit(' ').next().unwrap_or(&self.name)
    }

    pub(super) async fn share(&self) -> Result<Share, DemoError> {
        let status = self.client.status().await.map_err(DemoError::node(&self.name))?;
        Ok(Share {
            live: status.sets.iter().map(|set| set.live).sum(),
            sets: status.sets.into_iter().map(|set| (set.fingerprint, set.count)).collect(),
            members: status.members,
        })
    }

    /// Ends the node as an operator would, and sees that it ends well.
    pub(super) async fn stop(mut self) -> Result<(), DemoError> {
        if let Some(id) =
            self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            let killed = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            system("stopping a node", killed.map_err(std::io::Error::from))?;
        }
        let ended = tokio::time::timeout(STOP_WAIT, self.process.wait()).await;
        let reason = match ended {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not end in time".to_owned(),
        };
        Err(DemoError::Node { what: format!("stopping {}", self.name), reason })
    }
}

async fn connect(home: &Path, name: &str, process: &mut Child) -> Result<(NodeClient, v1::StatusReply), DemoError> {
    let socket = home.join(crate::admin::SOCKET_FILE);
    let started = Instant::now();
    loop {
        let answer = match NodeClient::connect(&socket, home).await {
            Ok(client) => client.status().await.map(|status| (client, status)),
            Err(failure) => Err(failure),
        };
        let failure = match answer {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if let Some(status) = process.try_wait().ok().flatten() {
            let log = fs::read_to_string(home.join("fingerpostd.log")).unwrap_or_default();
            let reason = format!("it ended with {status}: {}", log.lines().last().unwrap_or_default());
            return Err(DemoError::Node { what: format!("starting {name}"), reason });
        }
        if started.elapsed() > START_WAIT {
            return Err(DemoError::node(format!("starting {name}"))(failure));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An organisation with its keys at its own side, and the partner at whose node it publishes.
pub(super) struct Organisation {
    pub(super) slug: String,
    pub(super) partner: usize,
    home: PathBuf,
    identity: Identity,
}

impl Organisation {
    /// Makes keys and card in a home of its own. With `node`, that node is the organisation's.
    pub(super) fn make(
        folder: &Path,
        file: &OrganisationFile,
        partner: usize,
        node: Option<&Partner>,
    ) -> Result<Organisation, DemoError> {
        let home = node.map_or_else(|| folder.join("hosted").join(&file.slug), |node| node.home.clone());
        if node.is_none() {
            make_home(&home)?;
        }
        let what = || format!("making {}", file.name);
        let endpoints = node.map_or_else(Vec::new, |node| node.addresses.clone());
        let founding = Founding::draft(&file.name, endpoints, node.map(|node| &node.node_key));
        let founding = founding.map_err(DemoError::node(what()))?;
        founding.keep(&home).map_err(DemoError::node(what()))?;
        let identity = Identity::load(&home).map_err(DemoError::node(what()))?;
        Ok(Organisation { slug: file.slug.clone(), partner, home, identity })
    }

    pub(super) fn org(&self) -> OrgId {
        self.identity.org()
    }

    pub(super) fn name(&self) -> &str {
        &self.identity.card.name
    }

    fn wrong(&self, what: &str) -> impl FnOnce(Box<dyn std::error::Error>) -> DemoError + use<> {
        let what = format!("{}: {what}", self.name());
        move |error| DemoError::Node { what, reason: error.to_string() }
    }

    fn entry(
        &self,
        network: fingerpost_proto::id::NetworkId,
        invite: Option<&InviteCode>,
    ) -> Result<Vec<Vec<u8>>, DemoError> {
        let root = keys::load(&self.home, KeyPurpose::Root).map_err(|error| self.wrong("its key")(error.into()))?;
        let clock = Hlc::new(clock::now_ms(), 0);
        let card = card_version(&root, &self.identity, network, clock);
        let card = card.map_err(|error| self.wrong("its card")(error.into()))?;
        let acceptance = acceptance_version(&self.identity, network, clock.next(0), invite);
        let acceptance = acceptance.map_err(|error| self.wrong("its acceptance")(error.into()))?;
        Ok(vec![card.envelope().to_vec(), acceptance.envelope().to_vec()])
    }

    pub(super) async fn found(&self, partner: &Partner, name: &str) -> Result<(), DemoError> {
        let mut nonce = vec![0; 16];
        getrandom::fill(&mut nonce).map_err(|error| self.wrong("no random numbers")(error.into()))?;
        let charter = v1::Charter {
            name: name.to_owned(),
            purpose: "Current, confirmed information on help for people who seek asylum or settle in Harrowmere."
                .to_owned(),
            principles: vec![
                "We list what we know ourselves, and confirm it at least twice a year.".to_owned(),
                "We never publish where a person in danger can be found.".to_owned(),
            ],
            founders: vec![self.org().0.to_vec()],
            vouches_needed: 1,
            objections_needed: 2,
            lease_days_default: 180,
            lease_days_max: 400,
            licence_url: "https://creativecommons.org/licenses/by/4.0/".to_owned(),
            nonce,
            ..Default::default()
        }
        .encode_to_vec();
        let network = fingerpost_proto::id::NetworkId::of_charter(&charter);
        let envelopes = self.entry(network, None)?;
        let request = v1::CreateNetworkRequest { charter, envelopes };
        partner.client.create_network(request).await.map(drop).map_err(DemoError::node("founding the network"))
    }

    /// A fresh invite to the network of `partner`, which this organisation runs.
    pub(super) async fn invite(&self, partner: &Partner) -> Result<InviteCode, DemoError> {
        let charter = charter_of(partner).await?;
        let seed = keys::fresh_seed().map_err(|error| self.wrong("a one-time key")(error.into()))?;
        let one_time = Signer::from_seed(&seed).map_err(|error| self.wrong("a one-time key")(error.into()))?;
        let expires = UnixHour::containing(clock::now_ms()).plus_days(1);
        let invitation = invitation(&self.identity, &charter.network, &one_time, expires);
        let request = v1::RegisterInviteRequest {
            network: charter.network.0.to_vec(),
            invitation: invitation.message().encode_to_vec(),
            carries: false,
        };
        partner.client.register_invite(request).await.map_err(DemoError::node("registering an invite"))?;
        Ok(InviteCode {
            network: charter.network,
            invitation,
            one_time_seed: seed.clone(),
            node_key: partner.node_key,
            addresses: partner.addresses.clone(),
            inviter_name: self.name().to_owned(),
            network_name: charter.text.name,
            carries: false,
        })
    }

    /// Joins with its own node.
    pub(super) async fn join(&self, partner: &Partner, invite: &InviteCode) -> Result<(), DemoError> {
        let envelopes = self.entry(invite.network, Some(invite))?;
        let request = v1::JoinRequest { code: invite.encode(), envelopes };
        partner.client.join(request).await.map_err(DemoError::node(format!("joining of {}", self.name())))?;
        // The first sync brings the members; only then does the node take this organisation's records.
        let started = Instant::now();
        while partner.share().await?.members < 2 {
            if started.elapsed() > START_WAIT {
                let reason = "the members did not arrive".to_owned();
                return Err(DemoError::Node { what: format!("joining of {}", self.name()), reason });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Joins through a neighbour's node that is in the network already.
    pub(super) async fn hand_in(&self, partner: &Partner, invite: &InviteCode) -> Result<(), DemoError> {
        let envelopes = self.entry(invite.network, Some(invite))?;
        let delivery = partner.client.publish(vec![v1::PublishRequest { envelopes }], |_| ()).await;
        let refused = delivery.results.iter().find(|result| !result.error.is_empty());
        match (delivery.broken, refused) {
            (None, None) => Ok(()),
            (Some(failure), _) => Err(DemoError::node(format!("joining of {}", self.name()))(failure)),
            (None, Some(result)) => {
                Err(DemoError::Node { what: format!("joining of {}", self.name()), reason: result.message.clone() })
            }
        }
    }

    /// Publishes a spreadsheet and returns how many records were new or changed. Every row must be good.
    pub(super) async fn publish(&self, partner: &Partner, file: &str, text: &str) -> Result<usize, DemoError> {
        let charter = charter_of(partner).await?;
        let context = ImportContext::new(self.org());
        let import = import::read_bytes(&[(file, text.as_bytes())], &context)
            .map_err(|error| DemoError::City(format!("{file}: {error}")))?;
        if import.rows_rejected > 0 {
            return Err(DemoError::City(format!(
                "{file}: {} rows are wrong: {:?}",
                import.rows_rejected, import.problems
            )));
        }
        let what = || format!("publishing {file}");
        let desk = Desk::open(&partner.client, &self.identity, &charter, clock::now_ms()).await;
        let desk = desk.map_err(DemoError::node(what()))?;
        let mut planner = desk.planner();
        import.drafts.into_iter().for_each(|draft| planner.draft(draft.into()));
        let report = desk.carry_out(&partner.client, planner.finish(), &mut Progress::silent()).await;
        let published = report.published();
        if report.exit() != fingerpost_cli::failure::Exit::Done {
            return Err(DemoError::Node { what: what(), reason: report.json().to_string() });
        }
        Ok(published)
    }
}

async fn charter_of(partner: &Partner) -> Result<Charter, DemoError> {
    let status = partner.client.status().await.map_err(DemoError::node(&partner.name))?;
    Charter::read(&status.charter)
        .map_err(|error| DemoError::Node { what: partner.name.clone(), reason: error.to_string() })
}

fn make_home(home: &Path) -> Result<(), DemoError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(home);
    system(format!("making {}", home.display()), made)
}

fn system<T>(what: impl Into<String>, result: std::io::Result<T>) -> Result<T, DemoError> {
    result.map_err(|source| DemoError::System { what: what.into(), source })
}
