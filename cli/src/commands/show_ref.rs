//! `reftable show-ref`

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::str::FromStr;

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::escaped;
use reftable::{ObjectId, Ref, Target};
use reftable_git::{Repository, Revisions, View};

use super::exists::exists;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{Out, warn};

/// List references as 'git show-ref' does
///
/// Symbolic references are followed. A name is shown if it is, or ends with, one of the patterns,
/// whole parts of names only. Exits with 1 if nothing is shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable show-ref main
  reftable show-ref --verify --quiet refs/heads/main
  reftable show-ref --tags --dereference
  reftable show-ref --hash=8 --branches")]
pub(crate) struct ShowRef {
    /// The last parts of names; with --verify and --exists full names
    patterns: Vec<OsString>,

    /// Also HEAD, whatever the patterns
    #[arg(long)]
    head: bool,

    /// Only branches; with --tags also those
    #[arg(long, alias = "heads")]
    branches: bool,

    /// Only tags; with --branches also those
    #[arg(long)]
    tags: bool,

    /// Also what annotated tags lead to
    #[arg(short, long)]
    dereference: bool,

    /// Only the ids; with N as with --abbrev=N
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "", value_name = "N")]
    hash: Option<String>,

    /// The same as --hash
    #[arg(short = 's')]
    only_ids: bool,

    /// So many digits of ids, or more if it takes more to tell them apart; without N as many as git
    /// prints (core.abbrev). Ids in JSON are whole
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "", value_name = "N",
          overrides_with = "no_abbrev")]
    abbrev: Option<String>,

    #[arg(long, hide = true)]
    no_abbrev: bool,

    /// Patterns are full names, all of which must exist
    #[arg(long)]
    verify: bool,

    /// Answer with 2 if the reference does not exist, be what it points at there or not
    #[arg(long)]
    exists: bool,

    /// Print those lines of the standard input that end with a reference that does not exist
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "", value_name = "PATTERN")]
    exclude_existing: Option<OsString>,

    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

impl ShowRef {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let modes = [
            ("--exclude-existing", self.exclude_existing.is_some()),
            ("--verify", self.verify),
            ("--exists", self.exists),
        ];
        let given: Vec<&str> = modes.iter().filter(|(_, is_given)| *is_given).map(|(mode, _)| *mode).collect();
        match given.as_slice() {
            [] => self.list(repo, out),
            ["--verify"] => self.verify(repo, out),
            ["--exists"] => match self.patterns.as_slice() {
                [name] => exists(name, repo),
                _ => Err(Failure::usage("--exists requires exactly one reference")),
            },
            [_] => self.exclude_existing(repo, out),
            [first, second] => Err(Failure::usage(format!("options '{first}' and '{second}' cannot be used together"))),
            [others @ .., last] => {
                let others = others.join("', '");
                Err(Failure::usage(format!("options '{others}', and '{last}' cannot be used together")))
            }
        }
    }

    fn list(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let view = repo.view(Reading::Copied)?;
        let mut shown = Shown::new(&view, repo, self)?;
        if self.head
            && let Some(head) = view.get(b"HEAD")?
        {
            shown.show(&head, out)?;
        }
        let prefixes: &[&str] = match (self.branches, self.tags) {
            (false, false) => &["refs/"],
            (true, false) => &["refs/heads/"],
            (false, true) => &["refs/tags/"],
            (true, true) => &["refs/heads/", "refs/tags/"],
        };
        for prefix in prefixes {
            view.refs(prefix.as_bytes(), |found| -> Result<(), Failure> {
                if self.is_wanted(found.name) { shown.show(&found.to_ref(), out) } else { Ok(()) }
            })?;
        }
        Ok(if shown.count == 0 { Code::Git(1) } else { Code::Done })
    }

    fn is_wanted(&self, name: &[u8]) -> bool {
        let matches = |pattern: &OsString| {
            let before = name.strip_suffix(pattern.as_encoded_bytes());
            before.is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
        };
        self.patterns.is_empty() || self.patterns.iter().any(matches)
    }

    fn verify(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let view = repo.view(Reading::Checked)?;
        if self.patterns.is_empty() {
            return Err(Failure::usage("--verify requires a reference"));
        }
        let mut shown = Shown::new(&view, repo, self)?;
        for name in &self.patterns {
            let bytes = name.as_encoded_bytes();
            let is_safe = bytes.starts_with(b"refs/") || bytes.iter().all(|b| b.is_ascii_uppercase() || *b == b'_');
            let found = if is_safe { view.get(bytes)? } else { None };
            let before = shown.count;
            if let Some(found) = found {
                shown.show(&found, out)?;
            }
            if shown.count == before {
                return match self.quiet {
                    true => Ok(Code::Git(1)),
                    false => Err(Failure::not_found(format!("'{}' - not a valid ref", escaped(bytes)))),
                };
            }
        }
        Ok(Code::Done)
    }

    fn exclude_existing(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        if out.wants_json() {
            return Err(Failure::usage("'show-ref --exclude-existing' prints lines of its input, and no objects"));
        }
        let prefix = self.exclude_existing.as_ref().map(|text| text.as_encoded_bytes()).unwrap_or_default();
        let mut names = BTreeSet::new();
        let view = repo.view(Reading::Copied)?;
        view.refs(b"refs/", |found| -> Result<(), Failure> {
            // As for git, what leads nowhere does not exist.
            if view.resolve(found.name).ok().flatten().is_some() {
                names.insert(found.name.to_vec());
            }
            Ok(())
        })?;
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map_err(|error| Failure::broken(format!("cannot read the standard input: {error}")))?;
            let line = line.strip_suffix(b"^{}").unwrap_or(&line);
            let name = line.rsplit(u8::is_ascii_whitespace).next().unwrap_or_default();
            if !name.starts_with(prefix) {
                continue;
            }
            if !name.contains(&b'/') || reftable::name::check(name).is_err() {
                warn(&format!("ref '{}' ignored", escaped(name)), out);
            } else if !names.contains(name) {
                out.write_all(line)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(Code::Done)
    }
}

/// What is shown, one reference after the other.
struct Shown<'a> {
    view: &'a View,
    revisions: Revisions,
    words: &'a ShowRef,
    /// How many digits of ids are shown.
    digits: Digits,
    count: u64,
}

/// How many digits of ids are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    All,
    /// At least so many; `None` for as many as git shows.
    Some(Option<usize>),
}

/// What git asks for at least.
const FEWEST_DIGITS: usize = 4;

impl FromStr for Digits {
    type Err = Failure;

    /// Reads the value of an option: nothing, or a number.
    fn from_str(text: &str) -> Result<Digits, Failure> {
        match text.parse::<i64>() {
            _ if text.is_empty() => Ok(Digits::Some(None)),
            Ok(0) => Ok(Digits::All),
            Ok(number) => Ok(Digits::Some(Some(usize::try_from(number).unwrap_or(0).max(FEWEST_DIGITS)))),
            Err(_) => {
                Err(Failure::Arguments(format!("a number of digits is expected, not '{}'", escaped(text.as_bytes()))))
            }
        }
    }
}

impl ShowRef {
    /// `--hash` alone says nothing about it.
    fn digits(&self) -> Result<Digits, Failure> {
        match (&self.hash, &self.abbrev) {
            (Some(digits), _) if !digits.is_empty() => digits.parse(),
            (_, Some(digits)) => digits.parse(),
            _ => Ok(Digits::All),
        }
    }
}

impl<'a> Shown<'a> {
    fn new(view: &'a View, repo: &Repository, words: &'a ShowRef) -> Result<Shown<'a>, Failure> {
        Ok(Shown { view, revisions: Revisions::of(repo), words, digits: words.digits()?, count: 0 })
    }

    fn digits_of(&mut self, id: ObjectId) -> Result<String, Failure> {
        Ok(match self.digits {
            Digits::All => id.to_string(),
            Digits::Some(least) => self.revisions.abbreviated(id, least)?,
        })
    }

    /// Shows a reference, unless it leads nowhere.
    fn show(&mut self, found: &Ref, out: &mut Out) -> Result<(), Failure> {
        let target = match &found.target {
            Target::Symbolic(_) => self.view.follow(&found.name).ok().and_then(|chain| chain.target),
            direct => Some(direct.clone()),
        };
        let Some((id, target)) = target.and_then(|target| Some((target.id()?, target))) else { return Ok(()) };
        self.count += 1;
        if self.revisions.has_objects() && !self.revisions.exists(id)? {
            let name = escaped(&found.name);
            return Err(Failure::broken(format!("git show-ref: bad ref {name} ({id})")));
        }
        if self.words.quiet {
            return Ok(());
        }
        let peeled = match target.as_view().peeled() {
            _ if !self.words.dereference => None,
            None if self.revisions.has_objects() => self.revisions.peeled(id)?,
            peeled => peeled,
        };
        if out.wants_json() {
            let object = Object::of("reference").put_text("name", &found.name).put("id", id.to_string());
            return Ok(out.json(&object.put_some("peeled", peeled.map(|id| id.to_string())).build())?);
        }
        let only_id = self.words.only_ids || self.words.hash.is_some();
        print(&self.digits_of(id)?, &found.name, b"", only_id, out)?;
        match peeled {
            Some(peeled) => Ok(print(&self.digits_of(peeled)?, &found.name, b"^{}", false, out)?),
            None => Ok(()),
        }
    }
}

fn print(id: &str, name: &[u8], after: &[u8], only_id: bool, out: &mut Out) -> io::Result<()> {
    if only_id {
        return writeln!(out, "{id}");
    }
    write!(out, "{id} ")?;
    out.write_all(name)?;
    out.write_all(after)?;
    out.write_all(b"\n")
}
