//! What each command does. One file a command; each ends with an [`Exit`] or a [`Failure`].

mod accept;
mod block;
mod completions;
mod confirm;
mod device;
mod heads;
mod host;
mod hosted;
mod id;
mod import;
mod init;
mod invite;
mod join;
mod leave;
mod list;
mod members;
mod mirror;
mod network;
mod object;
mod outcome;
mod peers;
mod phrase;
mod receipts;
mod record;
mod recover;
mod redact;
mod revoke;
mod show;
mod status;
mod turn;
mod voice;
mod vouch;
mod who_sees;
mod why;
mod withdraw;

use crate::args::{Cli, Command, NetworkCommand};
use crate::failure::{Exit, Failure};
use crate::output::Printer;
use crate::session::Session;

/// Runs the command and prints what went wrong, if anything did.
pub fn run(cli: Cli) -> Exit {
    let printer = Printer::new(cli.global.output, cli.global.color);
    let done = runtime().and_then(|runtime| runtime.block_on(perform(cli, printer.clone())));
    done.unwrap_or_else(|failure| {
        printer.failure(&failure);
        failure.exit()
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Invalid, "the system gave no resources to start").caused_by(&error))
}

async fn perform(cli: Cli, printer: Printer) -> Result<Exit, Failure> {
    let session = Session::new(&cli.global, printer)?;
    match cli.command {
        Command::Init(args) => init::run(&session, args).await,
        Command::Network { command: NetworkCommand::Create(args) } => network::create(&session, args).await,
        Command::Invite(args) => invite::run(&session, args, false).await,
        Command::Join(args) => join::run(&session, args).await,
        Command::Host { command } => host::run(&session, command).await,
        Command::Move(args) => hosted::run(&session, args).await,
        Command::Import(args) => import::run(&session, args).await,
        Command::Template => session.printer.raw(crate::import::template()).map(|()| Exit::Done),
        Command::List(args) => list::run(&session, args).await,
        Command::Show(args) => show::run(&session, args).await,
        Command::WhoSees(args) => who_sees::run(&session, args).await,
        Command::Withdraw(args) => withdraw::run(&session, args).await,
        Command::Redact(args) => redact::run(&session, args).await,
        Command::Receipts(args) => receipts::run(&session, args).await,
        Command::Confirm(args) => confirm::run(&session, args).await,
        Command::Status => status::run(&session).await,
        Command::Peers => peers::run(&session).await,
        Command::Heads => heads::run(&session).await,
        Command::Members => members::run(&session).await,
        Command::Why(args) => why::run(&session, args).await,
        Command::Vouch(args) => vouch::run(&session, args).await,
        Command::Object(args) => object::run(&session, args).await,
        Command::Leave(args) => leave::run(&session, args).await,
        Command::Block(args) => block::run(&session, args).await,
        Command::Mirror { command } => mirror::run(&session, command).await,
        Command::Device { command } => device::run(&session, command).await,
        Command::Revoke(args) => revoke::run(&session, args).await,
        Command::Recover(args) => recover::run(&session, args).await,
        Command::Id(args) => id::run(&session, args),
        Command::Completions { shell } => completions::run(&session.printer, shell),
    }
}
