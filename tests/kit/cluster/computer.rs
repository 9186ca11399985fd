//! A second computer of an organisation: keys of its own, no node.

use std::fs;

use serde_json::Value;

use super::{ClusterError, Node, Output};

/// A computer of an organisation, without a node of its own: it talks to that of `at`.
pub struct Computer<'a> {
    /// Its home.
    pub home: Node,
    /// The node that it talks to.
    pub at: &'a Node,
}

impl<'a> Computer<'a> {
    /// A computer with an empty home.
    pub fn new(name: &str, at: &'a Node) -> Result<Computer<'a>, ClusterError> {
        Ok(Computer { home: Node::admin_only(name)?, at })
    }

    /// Runs the CLI in its home, at the node.
    pub fn cli(&self, arguments: &[&str]) -> Result<Output, ClusterError> {
        self.cli_with_input(arguments, "")
    }

    /// The same, with `input` on standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Result<Output, ClusterError> {
        let socket = self.at.socket().display().to_string();
        self.home.cli_with_input(&[&["--node", &socket], arguments].concat(), input)
    }

    /// Runs the CLI and returns what it printed; anything but exit code 0 is an error.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, ClusterError> {
        let output = self.cli(&[arguments, &["-o", "json"]].concat())?;
        if output.code == 0 {
            return Ok(output.json());
        }
        let (name, arguments) = (self.home.name().to_owned(), arguments.join(" "));
        Err(ClusterError::Command { name, arguments, code: output.code, stderr: output.stderr })
    }

    /// Imports a sheet.
    pub fn import(&self, csv: &str) -> Result<Output, ClusterError> {
        let file = self.home.home().join("sheet.csv");
        fs::write(&file, csv).map_err(ClusterError::system("sheet.csv"))?;
        self.cli(&["import", &file.display().to_string(), "-o", "json"])
    }

    /// Asks `with_root` to list this computer. Returns the start of its key.
    pub fn be_added(
        &self,
        org: &str,
        with_root: &dyn Fn(&[&str]) -> Result<Value, ClusterError>,
        label: &str,
    ) -> Result<String, ClusterError> {
        let request = self.json(&["device", "request", org, "--yes"])?;
        let code = request["code"].as_str().ok_or_else(|| self.home.incomplete("device request", "code"))?;
        let added = with_root(&["device", "add", code, "--label", label, "--yes"])?;
        let key = request["key"].as_str().filter(|key| added["key"] == **key && key.len() > 16);
        Ok(key.ok_or_else(|| self.home.incomplete("device add", "key"))?[..16].to_owned())
    }
}
