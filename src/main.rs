//! The fleet command: parse, run, exit status.

use clap::Parser as _;
use clap::error::ErrorKind;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use fleet::cli::{Cli, Command};
use fleet::commands::context::{Context, tell};
use fleet::commands::{
    adopt, caretaker, completions, cp, doctor, down, exec, history, journal, kubeconfig, list, man, new,
    openrc, orphans, proxy, pvc, rm, shell, status, trust, tunnel, up,
};
use fleet::complete;
use fleet::exit::{Exit, Failure};
use fleet::history::Record;
use fleet::interrupt::Interrupt;
use fleet::report;

fn main() -> Exit {
    if complete::answer() {
        return Exit::Done;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: they go to standard output. A closed pipe is nobody's trouble.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
                _ => Exit::Usage,
            };
        }
    };
    if let Command::Caretaker = cli.command {
        // It waits most of its life, and has a runtime once it needs one.
        return end(caretaker::run());
    }
    open_as_many_as_allowed();
    let mut threads = match cli.command {
        // What comes from the engine is handed to one other thread, which shows it. Whoever hands it on has it at once then, and no
        // thread wakes another one up for each piece.
        Command::Exec(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match threads.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(Failure::failed(&error))),
    };
    let result = end(runtime.block_on(run(cli)));
    // A blocking task that hangs (a name that does not resolve) must not keep a finished command from ending.
    runtime.shutdown_background();
    result
}

/// A few connections for each hub, all at once, are more than most systems allow a process that does not ask for it (1024),
/// once there are hundreds of hubs. Where it cannot be had, the hubs that were left out are told as not seen.
fn open_as_many_as_allowed() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen().map_err(|error| Failure::failed(&error))?;
    let context = Context { config: cli.config, interrupt, history: Record::default() };
    let result = Box::pin(dispatch(cli.command, &context)).await;
    context.ends(match &result {
        Ok(exit) => *exit,
        Err(failure) => failure.exit,
    });
    result
}

async fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::New(args) => new::run(&args, context).await,
        Command::Adopt(args) => Box::pin(adopt::run(&args, context)).await,
        Command::Up(args) => up::run(&args, context).await,
        Command::Down(args) => down::run(&args, context).await,
        Command::List(args) => list::run(&args, context).await,
        Command::Status(args) => status::run(&args, context).await,
        Command::Exec(args) => exec::run(&args, context).await,
        Command::Cp(args) => Box::pin(cp::run(&args, context)).await,
        Command::Shell(args) => shell::run(&args, context).await,
        Command::Pvc(args) => pvc::run(&args, context).await,
        Command::Kubeconfig(args) => kubeconfig::run(&args, context).await,
        Command::Proxy(args) => proxy::run(&args, context).await,
        Command::Openrc(args) => openrc::run(&args, context).await,
        Command::Tunnel(args) => tunnel::run(&args, context).await,
        Command::Trust(args) => Box::pin(trust::run(&args, context)).await,
        Command::Orphans(args) => orphans::run(&args, context).await,
        Command::Journal(args) => journal::run(&args, context),
        Command::History(args) => history::run(&args, context),
        Command::Rm(args) => rm::run(&args, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Caretaker => caretaker::run(),
    }
}

fn end(result: Result<Exit, Failure>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            tell(&report::failure(&failure));
            failure.exit
        }
    }
}
