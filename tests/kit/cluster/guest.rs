//! Organisations without a node, and who carries them.

use super::{ClusterError, Node};

impl Node {
    /// A code with which one organisation is carried by this node.
    pub fn host_code(&self) -> Result<String, ClusterError> {
        let codes = self.json(&["host", "code"])?;
        let code = codes["invites"][0]["code"].as_str();
        code.map(str::to_owned).ok_or_else(|| self.incomplete("host code", "code"))
    }

    /// An organisation that `host` carries, and its recovery words. No daemon runs in its home.
    pub fn guest(name: &str, host: &Node) -> Result<(Node, String), ClusterError> {
        let guest = Node::admin_only(name)?;
        let made = guest.json(&["init", "--name", name, "--hosted", "--yes"])?;
        let words = made["recovery_phrase"].as_str().ok_or_else(|| guest.incomplete("init", "recovery words"))?;
        let joined = guest.json(&["join", &host.host_code()?, "--yes", "--wait", "0"])?;
        if joined["standing"] == "member" && joined["hosted"] == true {
            Ok((guest, words.to_owned()))
        } else {
            Err(guest.incomplete("join", "membership over a host"))
        }
    }
}
