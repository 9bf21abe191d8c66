//! What of `list` is left to `git for-each-ref`: whatever takes objects, and the rest of git's
//! language of formats. git then reads the store itself.

use std::ffi::{OsStr, OsString};

use clap::Args;
use reftable_git::Repository;

use super::handed_over::become_git;
use super::list::List;
use crate::failure::{Code, Failure};
use crate::output::Out;

/// Options that take objects.
#[derive(Debug, Args)]
#[command(next_help_heading = "By 'git for-each-ref'")]
pub(super) struct ByGit {
    /// Only references from whose commit history leads to this one (HEAD)
    #[arg(long, value_name = "COMMIT", num_args = 0..=1, default_missing_value = "HEAD")]
    contains: Vec<OsString>,

    /// Only references from whose commit history does not lead to this one
    #[arg(long, value_name = "COMMIT", num_args = 0..=1, default_missing_value = "HEAD")]
    no_contains: Vec<OsString>,

    /// Only references to whose commit history leads from this one (HEAD)
    #[arg(long, value_name = "COMMIT", num_args = 0..=1, default_missing_value = "HEAD")]
    merged: Vec<OsString>,

    /// Only references to whose commit history does not lead from this one
    #[arg(long, value_name = "COMMIT", num_args = 0..=1, default_missing_value = "HEAD")]
    no_merged: Vec<OsString>,

    /// Quote fields for a shell
    #[arg(short, long)]
    shell: bool,

    /// Quote fields for Perl
    #[arg(short, long)]
    perl: bool,

    /// Quote fields for Python
    #[arg(long)]
    python: bool,

    /// Quote fields for Tcl
    #[arg(long)]
    tcl: bool,

    /// When colours that a format asks for are printed: always, never, or auto
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    color: Option<OsString>,

    #[arg(long, hide = true, overrides_with = "color")]
    no_color: bool,
}

impl ByGit {
    fn commits(&self) -> [(&'static str, &[OsString]); 4] {
        [
            ("--contains", &self.contains),
            ("--no-contains", &self.no_contains),
            ("--merged", &self.merged),
            ("--no-merged", &self.no_merged),
        ]
    }

    fn quoting(&self) -> impl Iterator<Item = &'static str> {
        let styles = [("--shell", self.shell), ("--perl", self.perl), ("--python", self.python), ("--tcl", self.tcl)];
        styles.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name)
    }

    /// An option that only git understands, if there is one. A colour is none: only formats have
    /// colours.
    pub(super) fn first(&self) -> Option<&'static str> {
        let commits = self.commits().into_iter().find(|(_, commits)| !commits.is_empty());
        commits.map(|(name, _)| name).or_else(|| self.quoting().next())
    }

    fn words(&self) -> Vec<OsString> {
        let commits = self.commits().into_iter().flat_map(|(name, commits)| with_values(name, commits));
        let flags = self.quoting().chain(self.no_color.then_some("--no-color")).map(OsString::from);
        commits.chain(flags).chain(with_values("--color", &self.color)).collect()
    }
}

/// `NAME=VALUE` for each value.
pub(super) fn with_values<'a, V>(
    name: &'a str,
    values: impl IntoIterator<Item = &'a V> + 'a,
) -> impl Iterator<Item = OsString> + 'a
where
    V: AsRef<OsStr> + ?Sized + 'a,
{
    values.into_iter().map(move |value| {
        let mut word = OsString::from(format!("{name}="));
        word.push(value);
        word
    })
}

/// Becomes `git for-each-ref` with the words of `list`; `why` says what is not known here.
pub(super) fn hand_over(
    list: &List,
    why: &str,
    as_git: bool,
    repo: &Repository,
    out: &mut Out,
) -> Result<Code, Failure> {
    if let Some(ours) = list.ours_alone(out.wants_json()) {
        return Err(Failure::usage(format!("{why}: 'git for-each-ref' knows more, but not {ours}")));
    }
    become_git(repo, &format!("{why}: 'git for-each-ref' knows more"), out, |git| {
        git.arg("for-each-ref").args(list.words_of_git(as_git)).args(list.by_git.words());
        git.arg("--").args(&list.patterns);
    })
}
