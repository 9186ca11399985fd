//! An organisation that publishes in this process, through the same code as the command line's.

use std::path::Path;

use fingerpost_cli::client::Admin;
use fingerpost_cli::client::NodeClient;
use fingerpost_cli::identity::{Identity, agreed_network};
use fingerpost_cli::output::moment::now_ms;
use fingerpost_cli::progress::Progress;
use fingerpost_cli::publish::{Desk, Draft, Plan};
use fingerpost_proto::network::charter::Charter;

use crate::Failure;

/// An organisation with a connection to its node.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// Its card and device key.
    pub(crate) identity: Identity,
    charter: Charter,
    node: NodeClient,
}

/// Versions that are ready to be signed and sent.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    desk: Desk<'a>,
    node: &'a NodeClient,
    /// What would be signed.
    pub(crate) plan: Plan,
}

impl Publisher {
    /// Opens the organisation that lives in `home`, at the node behind `socket`.
    pub(crate) async fn open(home: &Path, socket: &Path) -> Result<Publisher, Failure> {
        let node = NodeClient::connect(socket, home).await?;
        let charter = agreed_network(home, &node.status().await?.network)?;
        Ok(Publisher { identity: Identity::load(home)?, charter, node })
    }

    /// Asks the node for what is published and plans the rest. Errors: also when a draft cannot be signed.
    pub(crate) async fn prepare(&self, drafts: Vec<Draft>) -> Result<Prepared<'_>, Failure> {
        let desk = Desk::open(&self.node, &self.identity, &self.charter, now_ms()).await?;
        let mut planner = desk.planner();
        drafts.into_iter().for_each(|draft| planner.draft(draft));
        let plan = planner.finish();
        match plan.problems.first() {
            Some(problem) => Err(format!("{}: {}", problem.local_id, problem.reason).into()),
            None => Ok(Prepared { desk, node: &self.node, plan }),
        }
    }
}

impl Prepared<'_> {
    /// Signs, sends, and returns when the node has acknowledged everything. Errors: when it took less than everything.
    pub(crate) async fn publish(self) -> Result<(), Failure> {
        let wanted = self.plan.changes.len();
        let report = self.desk.carry_out(self.node, self.plan, &mut Progress::silent()).await;
        if report.published() == wanted {
            return Ok(());
        }
        let reason = report.rejected.first().map(|refused| refused.reason.clone());
        let broken = report.broken.as_ref().map(|failure| failure.to_string());
        Err(format!("{} of {wanted} published: {:?}", report.published(), reason.or(broken)).into())
    }
}
