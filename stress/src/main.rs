//! Hammers one reference store from many processes, real git among them, and checks what came of
//! it.
//!
//! The parent makes a repository, starts itself again as workers, and waits. Each worker writes a
//! history of what it intended and what it was told. Afterwards the parent replays all histories
//! against the store.

mod args;
#[cfg(unix)]
mod bench;
#[cfg(all(unix, feature = "bucket"))]
mod bucket;
mod chaos;
mod checker;
mod crew;
#[cfg(unix)]
mod export;
mod git;
mod given_git;
mod history;
#[cfg(unix)]
mod html;
#[cfg(unix)]
mod judge;
mod list_lock;
mod metrics;
mod names;
mod neighbours;
mod object;
mod pack;
#[cfg(unix)]
mod power_cut;
mod progress;
mod repo;
mod report;
mod roles;
mod run;
#[cfg(unix)]
mod users;
mod violations;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

/// The workers and the checks went through, and all is well.
const CLEAN: u8 = 0;
/// Something that must never happen did.
const VIOLATED: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;
/// The run could not be carried out.
const FAILED: u8 = 3;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let result = match &args.command {
        Some(args::Command::Worker(worker)) => worker::main(worker),
        Some(args::Command::Neighbours(neighbours)) => neighbours::main(neighbours),
        Some(args::Command::Neighbour(neighbour)) => neighbours::ours::main(neighbour),
        #[cfg(unix)]
        Some(args::Command::PowerCut(power_cut)) => power_cut::main(power_cut),
        #[cfg(unix)]
        Some(args::Command::PowerJudge(judge)) => power_cut::judge_main(judge),
        #[cfg(all(unix, feature = "bucket"))]
        Some(args::Command::Bucket(bucket)) => bucket::main(bucket),
        #[cfg(all(unix, feature = "bucket"))]
        Some(args::Command::BucketMachine(machine)) => bucket::machine::main(machine),
        #[cfg(all(unix, feature = "bucket"))]
        Some(args::Command::BucketGuard(guard)) => bucket::guard::main(guard),
        Some(args::Command::Agents(agents)) => given_git::agents(agents),
        Some(args::Command::KillGit(kills)) => given_git::kills(kills),
        Some(args::Command::Loops(loops)) => given_git::loops(loops),
        Some(args::Command::Libgit2(libgit2)) => given_git::libgit2(libgit2),
        #[cfg(unix)]
        Some(args::Command::Check(check)) => bench::check(check),
        #[cfg(unix)]
        Some(args::Command::Driver(driver)) => bench::ours::main(driver),
        None => run::main(&args.run),
    };
    ExitCode::from(match result {
        Ok(true) => CLEAN,
        Ok(false) => VIOLATED,
        Err(error) => {
            // Nothing is left to be done about a standard error that cannot be written to.
            let _ = writeln!(io::stderr().lock(), "reftable-stress: {error:#}");
            if error.is::<args::Usage>() { USAGE } else { FAILED }
        }
    })
}
