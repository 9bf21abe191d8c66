//! `reftable`: git's reftable stores on the command line.
//!
//! `cli` has the arguments, `repo` finds the stores where `config` says that there are some, `view`
//! reads them as one, `batch` changes them, `retry` when others were faster, `watch` shows long
//! work, `commands` has one file for each subcommand.

mod batch;
mod cli;
mod commands;
mod config;
mod expiry;
mod failure;
mod ident;
mod json;
mod output;
mod repo;
mod retry;
mod time;
mod view;
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
