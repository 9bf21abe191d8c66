//! `reftable`: git's reftable stores on the command line.
//!
//! `cli` has the arguments, `commands` has one file for each subcommand, `watch` shows long work.
//! What git's rules are is in the crate `reftable-git`: where the stores are, what the
//! configuration says, how names are followed and changes planned.

mod bucket;
mod cli;
mod commands;
mod expiry;
mod failure;
mod json;
mod output;
mod pager;
mod watch;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::Cli;
use failure::{Failure, Voice};
use output::Out;
use pager::Paging;

fn main() -> ExitCode {
    let mut words: Vec<OsString> = env::args_os().skip(1).collect();
    if let Some(word) = words.iter_mut().find(|word| *word == "--end-of-options") {
        // What git's scripts write for '--'.
        *word = "--".into();
    }
    let voice = cli::voice_of(subcommand(&words));
    let cli = match Cli::try_parse_from(std::iter::once(OsString::from("reftable")).chain(words.iter().cloned())) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &words, voice),
    };
    // What git would say of a store in a bucket nobody knows.
    let voice = if bucket::address(cli.dir.as_deref()).is_some() { Voice::Own } else { voice };
    let mut out = Out::new(cli.json);
    let result = commands::run(&cli, &mut out);
    // What was found before a failure is shown before the failure.
    let flushed = out.finish().map_err(Failure::from);
    match result.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code.into(),
        Err(failure) => {
            output::fail(&failure, voice, cli.json);
            if let Failure::Interrupted(signal, _) = failure {
                // As the signal would have ended it, so that a shell stops, too; now that nothing
                // is left behind.
                let _goes_on_if_it_cannot = signal_hook::low_level::emulate_default_handler(signal);
            }
            failure.code(voice).into()
        }
    }
}

/// The first word that is no option, nor the value of `-C`.
fn subcommand(words: &[OsString]) -> &str {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_str().unwrap_or_default() {
            "-C" => drop(words.next()),
            option if option.starts_with('-') => {}
            word => return word,
        }
    }
    ""
}

/// Says what is wrong with the arguments, or what was asked for: a page of help, or the version.
fn refuse(error: &clap::Error, words: &[OsString], voice: Voice) -> ExitCode {
    let is_asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if words.iter().any(|word| word == "--json") && !is_asked_for {
        let message = error.to_string();
        let message = message.strip_prefix("error: ").unwrap_or(&message).trim_end().to_owned();
        let failure = Failure::Arguments(message);
        output::fail(&failure, voice, true);
        return failure.code(voice).into();
    }
    let _nobody_listens = if is_asked_for { print_page(error, words) } else { error.print() };
    if is_asked_for { ExitCode::SUCCESS } else { Failure::Arguments(String::new()).code(voice).into() }
}

/// Prints the version or a page of help. The long ones go through a pager, as git's do.
fn print_page(error: &clap::Error, words: &[OsString]) -> io::Result<()> {
    let mut out = Out::new(false);
    let without = ["-h", "-P", "--no-pager"];
    if error.kind() == ErrorKind::DisplayHelp && words.iter().all(|word| !without.iter().any(|flag| word == flag)) {
        out.page(Paging::of_help());
    }
    out.write_all(error.to_string().as_bytes())?;
    out.finish()
}
