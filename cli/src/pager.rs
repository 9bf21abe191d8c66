//! A pager for those who read at a terminal: which one, and when, is git's choice.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use reftable_git::{Config, Repository};

use crate::cli::Cli;

/// What git's pagers are asked for, unless the user asks them for something else: to end by
/// themselves if all is on one screen, to leave colours, and not to clear the screen.
const SETTINGS: [(&str, &str); 2] = [("LESS", "FRX"), ("LV", "-c")];

/// Characters by which git knows that a pager is words for a shell.
const OF_A_SHELL: &str = "|&;<>()$`\\\"' \t\n*?[#~=%";

/// Whether output goes through a pager.
#[derive(Debug, Default)]
pub(crate) struct Paging {
    /// The user has asked for it, or for none.
    is_asked_for: Option<bool>,
    /// The pager, if it does.
    command: Option<OsString>,
}

impl Paging {
    /// What `cli` and the environment say, and the configuration of `repo`. One that cannot be read
    /// says nothing: without a pager it would not have been read.
    pub(crate) fn of(cli: &Cli, repo: Option<&Repository>) -> Paging {
        let is_asked_for = (cli.paginate || cli.no_pager).then_some(cli.paginate);
        if is_asked_for == Some(false) || !io::stdout().is_terminal() {
            return Paging { is_asked_for, command: None };
        }
        let config = repo.and_then(config_of);
        let usual = cli.command.pages() && !cli.json;
        let (is_wanted, own) = match is_asked_for {
            Some(_) => (true, None),
            None => of_command(cli.command.word(), config).unwrap_or((usual, None)),
        };
        let command = if is_wanted { pager(own, config) } else { None };
        Paging { is_asked_for, command }
    }

    /// For a page of help.
    pub(crate) fn of_help() -> Paging {
        let repo = Repository::find(None).ok();
        let config = repo.as_ref().and_then(config_of);
        let command = if io::stdout().is_terminal() { pager(None, config) } else { None };
        Paging { is_asked_for: None, command }
    }

    /// The pager.
    pub(crate) fn command(&self) -> Option<&OsStr> {
        self.command.as_deref()
    }

    /// Lets `git`, to which no word has been given yet, do the same.
    pub(crate) fn hand_over(&self, git: &mut Command) {
        match (self.is_asked_for, &self.command) {
            (Some(false), _) => drop(git.arg("--no-pager")),
            (_, Some(pager)) => drop(git.arg("--paginate").env("GIT_PAGER", pager)),
            (Some(true), None) => drop(git.arg("--paginate")),
            (None, None) => {}
        }
    }
}

/// The configuration, if a program that it names may be run: in another user's repository it may
/// not.
fn config_of(repo: &Repository) -> Option<&Config> {
    repo.check_trust().ok()?;
    repo.config().ok().flatten()
}

/// What `pager.WORD` says: whether, and with which pager; `None` if it says nothing.
fn of_command(word: &str, config: Option<&Config>) -> Option<(bool, Option<OsString>)> {
    let (config, key) = (config?, format!("pager.{word}"));
    match config.boolean(&key) {
        Ok(is_wanted) => is_wanted.map(|is_wanted| (is_wanted, None)),
        Err(_) => config.text(&key).map(|pager| (true, Some(os_string(pager)))),
    }
}

/// The pager that git would choose; `None` for no pager.
fn pager(own: Option<OsString>, config: Option<&Config>) -> Option<OsString> {
    let configured = || own.or_else(|| config?.text("core.pager").map(os_string));
    let found = env::var_os("GIT_PAGER").or_else(configured).or_else(|| env::var_os("PAGER"));
    let found = found.unwrap_or_else(|| "less".into());
    (!found.is_empty() && found != "cat").then_some(found)
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// A pager at work.
#[derive(Debug)]
pub(crate) struct Pager {
    child: Child,
    /// `None` once all is said.
    input: Option<ChildStdin>,
}

impl Pager {
    /// Starts `command`. From now on Ctrl-C is for the pager: it would be left alone at the
    /// terminal if this process ended.
    pub(crate) fn start(command: &OsStr) -> io::Result<Pager> {
        let is_plain = command.to_str().is_some_and(|text| !text.contains(|c| OF_A_SHELL.contains(c)));
        let mut pager = if is_plain { Command::new(command) } else { Command::new("sh") };
        if !is_plain {
            pager.arg("-c").arg(command);
        }
        pager.envs(SETTINGS.into_iter().filter(|(name, _)| env::var_os(name).is_none()));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGQUIT] {
            signal_hook::flag::register(signal, Arc::default())?;
        }
        let failed = |error| io::Error::other(format!("the pager '{}' cannot be run: {error}", command.display()));
        let mut child = pager.stdin(Stdio::piped()).spawn().map_err(failed)?;
        let input = child.stdin.take();
        Ok(Pager { child, input })
    }
}

impl Write for Pager {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.input.as_mut().map_or(Err(io::ErrorKind::BrokenPipe.into()), |input| input.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Waits until the reader has seen enough.
impl Drop for Pager {
    fn drop(&mut self) {
        self.input = None;
        let _whatever_it_says = self.child.wait();
    }
}
