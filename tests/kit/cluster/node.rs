//! One `fingerpostd` process and its home.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::clock::Clock;
use super::{Binaries, ClusterError, Reply, get, port, short_folder, wait_until};

/// Longest wait for a daemon to answer after its start, and to end after SIGTERM.
const START_WAIT: Duration = Duration::from_secs(30);
/// Lines of a daemon's log that an error or a panic shows.
const LOG_LINES_SHOWN: usize = 30;

/// Whether a part of the daemon listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// On a free loopback port that stays the same over restarts.
    #[default]
    Loopback,
    /// Not at all.
    Off,
}

/// How a node is set up.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Links from other nodes.
    pub peer: Listen,
    /// The HTTP feed.
    pub feed: Listen,
    /// More TOML for `fingerpostd.toml`, whole tables other than `[peer]` and `[feed]`.
    pub more: String,
    /// Parent folder of the home instead of `/tmp`, for homes on a particular disk; its path must be short.
    pub parent: Option<PathBuf>,
    /// A time of day of its own, for daemon and commands: [`Node::set_clock_ahead`].
    pub has_own_clock: bool,
}

/// What a command of the CLI said.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_default()
    }
}

/// One set, as `fingerpost status` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetState {
    /// `public` or `members`.
    pub audience: String,
    /// Fingerprint of all versions in it.
    pub fingerprint: String,
    /// Versions in it.
    pub count: u64,
    /// Records that readers can see.
    pub live: u64,
    /// Withdrawn records.
    pub withdrawn: u64,
}

/// What `fingerpost status` reports.
#[derive(Clone, Debug)]
pub struct Status {
    /// Public, then members.
    pub sets: Vec<SetState>,
    /// Links up.
    pub links: u64,
    /// Members of the network.
    pub members: u64,
    /// Everything, as printed.
    pub json: Value,
}

/// A home, and the daemon that runs in it while it runs.
pub struct Node {
    name: String,
    binaries: Binaries,
    // Removed when the node is dropped.
    folder: Option<TempDir>,
    home: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    feed: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    clock: Option<Clock>,
}

impl Node {
    /// Starts a node without an organisation; it answers when this returns.
    pub fn start(name: &str) -> Result<Node, ClusterError> {
        Node::start_with(name, &NodeOptions::default())
    }

    /// Starts a node set up like this.
    pub fn start_with(name: &str, options: &NodeOptions) -> Result<Node, ClusterError> {
        let mut node = Node::prepare(name, options)?;
        node.launch()?;
        Ok(node)
    }

    /// Makes home and configuration, and starts nothing.
    pub fn prepare(name: &str, options: &NodeOptions) -> Result<Node, ClusterError> {
        let (folder, home) = match &options.parent {
            Some(parent) => (None, parent.join("home")),
            None => {
                let folder = short_folder()?;
                let home = folder.path().join("h");
                (Some(folder), home)
            }
        };
        let mut node = Node::at(name, &home)?;
        if options.has_own_clock {
            node.clock = Some(Clock::new(home.with_extension("clock"))?);
        }
        node.folder = folder;
        let address = |listen: Listen| match listen {
            Listen::Loopback => port::free(),
            Listen::Off => None,
        };
        (node.peer, node.feed) = (address(options.peer), address(options.feed));
        let line = |address: Option<SocketAddr>| address.map_or("off".to_owned(), |address| address.to_string());
        let text = format!(
            "[peer]\nlisten = \"{}\"\n\n[feed]\nlisten = \"{}\"\n\n{}",
            line(node.peer),
            line(node.feed),
            options.more
        );
        fs::write(home.join("fingerpostd.toml"), text).map_err(ClusterError::system("fingerpostd.toml"))?;
        Ok(node)
    }

    /// Makes a read-only mirror's home with these codes, and starts nothing. Returns it with its node key.
    pub fn prepare_mirror(name: &str, codes: &[&str]) -> Result<(Node, String), ClusterError> {
        let node = Node::prepare(name, &NodeOptions { peer: Listen::Off, ..NodeOptions::default() })?;
        let mut command = Command::new(&node.binaries.daemon);
        command.arg("mirror").arg("--home").arg(&node.home).args(codes);
        let output = command.output().map_err(ClusterError::system("fingerpostd mirror"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let key = said.lines().find_map(|line| line.strip_prefix("Key ")).map(|key| key.trim().to_owned());
        let key = key.ok_or_else(|| node.incomplete("fingerpostd mirror", "key"))?;
        Ok((node, key))
    }

    /// An admin's home without a daemon: an organisation that a neighbour's node hosts.
    pub fn admin_only(name: &str) -> Result<Node, ClusterError> {
        let folder = short_folder()?;
        let mut node = Node::at(name, &folder.path().join("h"))?;
        node.folder = Some(folder);
        Ok(node)
    }

    fn at(name: &str, home: &Path) -> Result<Node, ClusterError> {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(home);
        made.map_err(ClusterError::system(home.display().to_string()))?;
        Ok(Node {
            name: name.to_owned(),
            binaries: Binaries::find()?,
            folder: None,
            home: home.to_owned(),
            log: home.join("daemon.log"),
            child: None,
            feed: None,
            peer: None,
            clock: None,
        })
    }

    /// Starts the daemon in this home, on the same ports as before, and waits until it answers.
    pub fn launch(&mut self) -> Result<(), ClusterError> {
        self.spawn()?;
        self.wait_until_answering(START_WAIT)
    }

    /// Starts the daemon and does not wait for it.
    pub fn spawn(&mut self) -> Result<(), ClusterError> {
        self.kill_nine();
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log: File = log.map_err(ClusterError::system(self.log.display().to_string()))?;
        let child = self.daemon_command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.map_err(ClusterError::system("fingerpostd"))?);
        Ok(())
    }

    /// Waits until a daemon that was [spawned](Node::spawn) answers.
    pub fn wait_until_answering(&mut self, timeout: Duration) -> Result<(), ClusterError> {
        let waited = wait_until(timeout, || {
            if let Some(status) = self.exit_status()? {
                return Err(ClusterError::Ended { name: self.name.clone(), status, log: self.log_end() });
            }
            // The socket of a daemon that was killed is left behind: only an answer counts.
            Ok(self.cli(&["status", "-o", "json"])?.code == 0)
        });
        waited.map(drop)
    }

    /// The command that runs the daemon in this home, for tests that watch it themselves.
    pub fn daemon_command(&self) -> Command {
        let mut command = Command::new(&self.binaries.daemon);
        command.arg("run").arg("--home").arg(&self.home);
        self.clock.iter().for_each(|clock| clock.rule(&mut command));
        command
    }

    /// Sets the time of day of its machine so many seconds ahead of everybody's; behind, when negative. Also while the daemon runs.
    ///
    /// Errors: it has no [clock of its own](NodeOptions::has_own_clock).
    pub fn set_clock_ahead(&self, seconds: i64) -> Result<(), ClusterError> {
        self.clock.as_ref().ok_or_else(|| self.incomplete("node", "clock of its own"))?.set_ahead(seconds)
    }

    /// Name of the node and its organisation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Home of the daemon and of its admin.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The admin socket.
    pub fn socket(&self) -> PathBuf {
        self.home.join("admin.sock")
    }

    /// Address for links; `None` when it does not listen.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// `http://ADDRESS` of the feed; `None` when there is none.
    pub fn feed_url(&self) -> Option<String> {
        self.feed.map(|address| format!("http://{address}"))
    }

    /// Process id of the daemon while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// True while a daemon was started here and not stopped.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// How the daemon ended by itself; `None` while it runs.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>, ClusterError> {
        match &mut self.child {
            Some(child) => child.try_wait().map_err(ClusterError::system("waiting for fingerpostd")),
            None => Ok(None),
        }
    }

    /// Ends the daemon with SIGKILL. Does nothing when none runs.
    pub fn kill_nine(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill, and waiting still collects it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends SIGTERM and waits until the daemon has ended.
    pub fn terminate(&mut self) -> Result<ExitStatus, ClusterError> {
        let Some(child) = &mut self.child else { return Ok(ExitStatus::from_raw(0)) };
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(process) = process {
            kill_process(process, Signal::TERM).map_err(|error| ClusterError::system("SIGTERM")(error.into()))?;
        }
        let mut status = None;
        wait_until(START_WAIT, || {
            status = child.try_wait().map_err(ClusterError::system("waiting for fingerpostd"))?;
            Ok(status.is_some())
        })?;
        self.child = None;
        Ok(status.unwrap_or_default())
    }

    /// The command that runs the CLI in this home, for tests that watch it themselves.
    pub fn cli_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binaries.cli);
        command.arg("--home").arg(&self.home).args(arguments).env_remove("FINGERPOST_HOME");
        self.clock.iter().for_each(|clock| clock.rule(&mut command));
        command
    }

    /// Runs the CLI in this home. Errors: only when it cannot be run; see [`Output::code`].
    pub fn cli(&self, arguments: &[&str]) -> Result<Output, ClusterError> {
        self.cli_with_input(arguments, "")
    }

    /// The same, with `input` on standard input: a few words, less than a pipe holds.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Result<Output, ClusterError> {
        let mut child = self
            .cli_command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(ClusterError::system("fingerpost"))?;
        if let Some(mut pipe) = child.stdin.take() {
            // A command that reads nothing may have ended already.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(ClusterError::system("fingerpost"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Ok(Output { code, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs the CLI; anything but exit code 0 is an error.
    pub fn ok(&self, arguments: &[&str]) -> Result<Output, ClusterError> {
        let output = self.cli(arguments)?;
        if output.code == 0 {
            return Ok(output);
        }
        let (name, arguments) = (self.name.clone(), arguments.join(" "));
        Err(ClusterError::Command { name, arguments, code: output.code, stderr: output.stderr })
    }

    /// Runs the CLI with `-o json` and returns what it printed; anything but exit code 0 is an error.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, ClusterError> {
        let output = self.ok(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&output.stdout).map_err(|_| self.incomplete(arguments.join(" "), "JSON"))
    }

    /// State of the node.
    pub fn status(&self) -> Result<Status, ClusterError> {
        let json = self.json(&["status"])?;
        let set = |set: &Value| {
            Some(SetState {
                audience: set["audience"].as_str()?.to_owned(),
                fingerprint: set["fingerprint"].as_str()?.to_owned(),
                count: set["count"].as_u64()?,
                live: set["live"].as_u64()?,
                withdrawn: set["withdrawn"].as_u64()?,
            })
        };
        let sets = json["sets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let sets: Option<Vec<SetState>> = sets.iter().map(set).collect();
        let sets = sets.ok_or_else(|| self.incomplete("status", "sets"))?;
        let number = |part: &str| json[part].as_u64().ok_or_else(|| self.incomplete("status", part));
        Ok(Status { sets, links: number("links")?, members: number("members")?, json: json.clone() })
    }

    /// Id of the organisation of this home.
    pub fn organisation(&self) -> Result<String, ClusterError> {
        let id = self.json(&["id"])?;
        id["organisation"].as_str().map(str::to_owned).ok_or_else(|| self.incomplete("id", "organisation"))
    }

    /// An invite for one organisation.
    pub fn invite(&self) -> Result<String, ClusterError> {
        let invites = self.json(&["invite"])?;
        let code = invites["invites"][0]["code"].as_str();
        code.map(str::to_owned).ok_or_else(|| self.incomplete("invite", "code"))
    }

    /// Joins the network of an invite, and does not wait for its records.
    pub fn join(&self, invite: &str) -> Result<(), ClusterError> {
        self.ok(&["join", invite, "--yes", "--wait", "0"]).map(drop)
    }

    /// Writes `csv` into a file and imports it.
    pub fn import(&self, csv: &str) -> Result<Output, ClusterError> {
        let file = self.home.join("import.csv");
        fs::write(&file, csv).map_err(ClusterError::system("import.csv"))?;
        self.cli(&["import", &file.display().to_string(), "-o", "json"])
    }

    /// Gets a page of the feed.
    pub fn feed(&self, path: &str) -> Result<Reply, ClusterError> {
        let base_url = self.feed_url().ok_or_else(|| self.incomplete("node", "feed"))?;
        get(&base_url, path)
    }

    /// The end of the daemon's log.
    pub fn log_end(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// The daemon's whole log, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn incomplete(&self, answer: impl Into<String>, part: &str) -> ClusterError {
        ClusterError::Incomplete { name: self.name.clone(), answer: answer.into(), part: part.to_owned() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill_nine();
        if std::thread::panicking() {
            eprintln!("---- {} logged ----\n{}", self.name, self.log_end());
        }
    }
}
