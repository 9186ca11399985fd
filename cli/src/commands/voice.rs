//! Saying something as an organisation: signs one statement about itself or another, and hands it in.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use fingerpost_proto::v1::publish_result::Outcome;

use crate::client::{Admin, NodeClient};
use crate::failure::{Exit, Failure};
use crate::identity::{Identity, agreed_network};
use crate::output::moment::now_ms;
use crate::publish::{check_clocks, check_newest};
use crate::session::Session;
use crate::statements::statement_version;

/// An organisation at its node, about to say something.
pub(super) struct Voice {
    pub(super) identity: Identity,
    pub(super) charter: Charter,
    pub(super) node: NodeClient,
    clock: Hlc,
}

impl Voice {
    /// Loads the identity and connects. Errors: also when clocks differ, or the node is in another network.
    pub(super) async fn open(session: &Session) -> Result<Voice, Failure> {
        let (identity, node) = session.identity().await?;
        let status = node.status().await?;
        let charter = agreed_network(&session.home, &status.network)?;
        let now = now_ms();
        check_clocks(now, status.clock_ms)?;
        let clock = Hlc(status.hlc_max);
        check_newest(now, clock)?;
        Ok(Voice { identity, charter, node, clock })
    }

    /// Signs and hands in. `subject` is whom it is about, `None`: the organisation itself. An empty body takes back what was said.
    ///
    /// Errors: when the node does not take it, in its words.
    pub(super) async fn say(&mut self, kind: Kind, subject: Option<&OrgId>, body: &[u8]) -> Result<(), Failure> {
        self.clock = self.clock.next(now_ms());
        let version = statement_version(&self.identity, self.charter.network, self.clock, kind, subject, body)
            .map_err(|error| Failure::new(Exit::Invalid, "the statement cannot be signed").caused_by(&error))?;
        let request = v1::PublishRequest { envelopes: vec![version.envelope().to_vec()] };
        let delivery = self.node.publish(vec![request], |_| ()).await;
        if let Some(broken) = delivery.broken {
            return Err(broken);
        }
        let Some(result) = delivery.results.into_iter().next() else {
            return Err(Failure::new(Exit::Partial, "the node did not answer"));
        };
        match result.outcome() {
            Outcome::Published | Outcome::Duplicate => Ok(()),
            Outcome::Superseded => Err(Failure::new(Exit::Conflict, "a later statement in this place is known")
                .because("somebody else of your organisation said something about it at the same time")
                .hint("see how it stands: fingerpost why ORG; then run the command again")),
            Outcome::Rejected | Outcome::Unspecified => {
                Err(Failure::new(Exit::of_rejection(&result.error), "the node did not take the statement")
                    .because(result.message))
            }
        }
    }
}
