//! `fingerpostd`: the Fingerpost node.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use fingerpost_daemon::config::Config;
use fingerpost_daemon::daemon::Daemon;
use fingerpost_daemon::mirror::MirrorSources;
use fingerpost_daemon::{demo, log};

/// glibc's allocator keeps much of what one thread allocated and another freed: with a million records it took 706 MiB where
/// this one takes 546.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Stores, gossips and serves the signed directory of a Fingerpost network.
#[derive(Parser)]
#[command(name = "fingerpostd", version = VERSION, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (protocol level 1)");
const _: () = assert!(fingerpost_proto::PROTOCOL_LEVEL == 1, "VERSION names the protocol level");

#[derive(Subcommand)]
enum Command {
    /// Run a node until it is stopped (Ctrl-C or SIGTERM).
    ///
    /// The home directory is made when it is absent. It holds the node key, the store, the admin socket and, if you
    /// put one there, fingerpostd.toml.
    Run {
        #[command(flatten)]
        home: Home,
    },
    /// Make a home for a read-only mirror: a copy of everything public, which needs no membership and publishes nothing.
    ///
    /// CODE is what the operator of a member's node gets from `fingerpost mirror code`; several codes are several sources. Prints
    /// this mirror's key: the operator of each source allows it. `fingerpostd run` with the same home starts the mirror.
    Mirror {
        #[command(flatten)]
        home: Home,
        /// fpm1:…, one for each source.
        #[arg(required = true, value_name = "CODE")]
        codes: Vec<String>,
    },
    /// Start three partner nodes on this machine, publish an invented city's directory at them, and stay up.
    ///
    /// Everything is made in a temporary folder and deleted at the end. The exit code is 0 only if all nodes held the
    /// same set.
    Demo {
        /// End by itself after this time, for example 20s or 5m; otherwise Ctrl-C ends it.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasting: Option<Duration>,
    },
    /// Rewrite the store of a node that is not running, which gives dead disk space back.
    Compact {
        #[command(flatten)]
        home: Home,
    },
}

#[derive(clap::Args)]
struct Home {
    /// Home directory of the node.
    #[arg(long = "home", env = "FINGERPOST_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
}

impl Home {
    fn path(self) -> Result<PathBuf, String> {
        let default = || std::env::home_dir().map(|home| home.join(".fingerpost"));
        self.home.or_else(default).ok_or_else(|| "no home directory; name one with --home".to_owned())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = fingerpost_cli::core_dump::forbid() {
        eprintln!("Warning: a crash could write keys to the disk: {error}");
    }
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run { home } => run(home).await,
        Command::Mirror { home, codes } => mirror(home, &codes),
        Command::Demo { lasting } => demo(lasting).await,
        Command::Compact { home } => compact(home).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("Error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(home: Home) -> Result<(), String> {
    let home = home.path()?;
    let config = Config::load(&home).map_err(|error| error.to_string())?;
    log::start(&config.log)?;
    #[cfg(feature = "canaries")]
    tracing::warn!("this build is for tests: its rules can be taken out; never let it talk to other nodes");
    let signals = Signals::new()?;
    let daemon = Daemon::start(&home, &config).await.map_err(|error| error.to_string())?;
    signals.wait().await;
    daemon.stop().await;
    Ok(())
}

fn mirror(home: Home, codes: &[String]) -> Result<(), String> {
    let home = home.path()?;
    let (key, sources) = MirrorSources::prepare(&home, codes).map_err(|error| error.to_string())?;
    println!("Mirror        {}", home.display());
    println!("Network       {}", sources.network);
    for source in &sources.sources {
        println!("Source        {} at {}", source.node_key, source.addresses.join(", "));
    }
    println!("Key           {key}");
    eprintln!("Next: the operator of each source runs: fingerpost mirror allow {key} --label \"NAME OF YOUR SITE\"");
    eprintln!("Next: fingerpostd run --home {}", home.display());
    Ok(())
}

async fn demo(lasting: Option<Duration>) -> Result<(), String> {
    let signals = Signals::new()?;
    // Short: the path of a unix socket has little room.
    let folder = tempfile::Builder::new().prefix("fingerpost-").tempdir().map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let ended = async {
        match lasting {
            Some(lasting) => {
                tokio::select! { () = signals.wait() => {}, () = tokio::time::sleep(lasting) => {} }
            }
            None => signals.wait().await,
        }
    };
    demo::run(folder.path(), &program, ended).await.map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| "write a time such as 20s, 5m or 1h".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "the time must not be negative".to_owned())
}

async fn compact(home: Home) -> Result<(), String> {
    let home = home.path()?;
    let mut config = Config::load(&home).map_err(|error| error.to_string())?;
    log::start(&config.log)?;
    (config.peer.listen, config.feed.listen) = (None, None);
    let daemon = Daemon::start(&home, &config).await.map_err(|error| error.to_string())?;
    let compacted = daemon.compact().await;
    daemon.stop().await;
    let (before, after) = compacted?;
    println!("store compacted: {} MiB before, {} MiB now", before >> 20, after >> 20);
    Ok(())
}

/// What ends a daemon.
struct Signals {
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Signals, String> {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        Ok(Signals { terminate: terminate.map_err(|error| format!("cannot listen for signals: {error}"))? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
