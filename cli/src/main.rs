//! `reftable`: git's reftable stores on the command line.
//!
//! `cli` has the arguments, `commands` has one file for each subcommand, `watch` shows long work.
//! What git's rules are is in the crate `reftable-git`: where the stores are, what the
//! configuration says, how names are followed and changes planned.

mod cli;
mod commands;
mod expiry;
mod failure;
mod json;
mod output;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use failure::Failure;
use output::Out;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Out::new();
    let result = commands::run(&cli, &mut out);
    // What was found before a failure is shown before the failure.
    let flushed = out.flush().map_err(Failure::from);
    match result.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code.into(),
        Err(failure) => {
            if let Some(message) = failure.message() {
                output::complain(&message);
            }
            if let Failure::Interrupted(signal, _) = failure {
                // As the signal would have ended it, so that a shell stops, too; now that nothing
                // is left behind.
                let _goes_on_if_it_cannot = signal_hook::low_level::emulate_default_handler(signal);
            }
            failure.code().into()
        }
    }
}
