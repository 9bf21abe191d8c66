//! `reftable`: git's reftable stores on the command line.
//!
//! `cli` has the arguments, `repo` finds the stores, `view` reads them as one, `batch` changes them, and
//! `commands` has one file for each subcommand.

mod batch;
mod cli;
mod commands;
mod failure;
mod ident;
mod json;
mod output;
mod repo;
mod time;
mod view;

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
            failure.code().into()
        }
    }
}
