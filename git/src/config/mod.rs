//! All of git's configuration for a repository, and what it says about references.
//!
//! The order is git's: system, user, repository, worktree, `GIT_CONFIG_COUNT`, `git -c`. What the
//! last one says counts.

mod environment;
mod hooks;
mod values;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix_config::file::includes;
use gix_config::file::includes::conditional;
use gix_config::file::init::Options as Reading;
use gix_config::path::interpolate;
use gix_config::{File, Source, source};
use reftable::escape::escaped;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, Durability, Options};

pub(crate) use self::hooks::ConfiguredHook;
use self::values::{boolean, integer, mode_of};
use crate::bytes;
use crate::error::{Error, Result};

/// So many files are looked at to find the one that is broken.
const MOST_INCLUDES: usize = 100;

/// Which references get a log without being told so: `core.logAllRefUpdates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum LogPolicy {
    /// None. What has a log keeps it.
    Never,
    /// Branches, remote-tracking branches, notes and `HEAD`.
    Usual,
    /// All.
    Always,
}

impl LogPolicy {
    /// Whether a change of `name` makes a log where there is none.
    #[must_use]
    pub fn creates_log(self, name: &[u8]) -> bool {
        let usual = [b"refs/heads/".as_slice(), b"refs/remotes/", b"refs/notes/"];
        match self {
            LogPolicy::Never => false,
            LogPolicy::Usual => name == b"HEAD" || usual.iter().any(|prefix| name.starts_with(prefix)),
            LogPolicy::Always => true,
        }
    }
}

/// All of git's configuration for a repository.
#[derive(Debug, Default)]
pub struct Config {
    /// In the order of all files, and last what the environment says.
    entries: Vec<Entry>,
}

/// A key, and its value.
#[derive(Debug)]
struct Entry {
    /// In lower case.
    section: String,
    /// As it is.
    subsection: Option<Vec<u8>>,
    /// In lower case.
    name: String,
    /// `None` for a key without `=`.
    value: Option<Vec<u8>>,
}

/// Where a repository has its configuration.
pub(crate) struct Places<'a> {
    pub(crate) git_dir: &'a Path,
    pub(crate) common_dir: &'a Path,
    /// `extensions.worktreeConfig`.
    pub(crate) of_worktree: bool,
    /// Whether what the repository includes is followed.
    pub(crate) follows_includes: bool,
    /// The full name of the branch that `HEAD` leads to.
    pub(crate) branch: Option<&'a [u8]>,
}

impl Config {
    /// What git reads where there is no repository: what the system, the user and the environment
    /// say. It is also what counts about a repository whose owner may be another user.
    ///
    /// # Errors
    /// If a file cannot be read or is damaged.
    pub fn without_repository() -> Result<Config> {
        let home = home();
        let follow = || includes::Options::follow(home_of(&home), conditional::Context::default());
        Ok(Config::of(&[read(global_sources(), follow())?, from_environment(follow())?]))
    }

    pub(crate) fn read(places: &Places<'_>) -> Result<Config> {
        let branch = places.branch.and_then(|name| <&gix_ref::FullNameRef>::try_from(bstr::BStr::new(name)).ok());
        let context = conditional::Context { git_dir: Some(places.git_dir), branch_name: branch };
        let home = home();
        let follow = || includes::Options::follow(home_of(&home), context);
        let global = read(global_sources(), follow())?;
        let worktree = places.of_worktree.then(|| (places.git_dir.join("config.worktree"), Source::Worktree));
        let own = [(places.common_dir.join("config"), Source::Local)].into_iter().chain(worktree);
        let includes = if places.follows_includes { follow() } else { includes::Options::no_follow() };
        let own = read(own.filter(|(path, _)| path.is_file()).collect(), includes)?;
        Ok(Config::of(&[global, own, from_environment(follow())?]))
    }

    fn of(files: &[File]) -> Config {
        let mut entries = Vec::new();
        for section in files.iter().flat_map(File::sections) {
            let header = section.header();
            let subsection = header.subsection_name().map(|name| name.to_vec());
            let mut names: Vec<String> = section.value_names().map(|name| name.to_ascii_lowercase()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let (values, implicit) = (section.values(&name), section.value_implicit(&name) == Some(None));
                let values = values.into_iter().map(|value| Some(value.to_vec())).chain(implicit.then_some(None));
                let of = |value| Entry {
                    section: header.name().to_string().to_ascii_lowercase(),
                    subsection: subsection.clone(),
                    name: name.clone(),
                    value,
                };
                entries.extend(values.map(of));
            }
        }
        Config { entries }
    }

    /// All values of a key such as `core.fsync`, in order; `None` for a key without `=`.
    #[must_use]
    pub fn all(&self, key: &str) -> Vec<Option<Vec<u8>>> {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        self.all_of(section, None, name)
    }

    /// The same for keys with a part in the middle, such as the `merge` of the section `branch` of
    /// a branch. Only the part in the middle is compared as it is, by bytes.
    #[must_use]
    pub fn all_of(&self, section: &str, subsection: Option<&[u8]>, name: &str) -> Vec<Option<Vec<u8>>> {
        let is_meant = |entry: &&Entry| {
            entry.section.eq_ignore_ascii_case(section)
                && entry.subsection.as_deref() == subsection
                && entry.name.eq_ignore_ascii_case(name)
        };
        self.entries.iter().filter(is_meant).map(|entry| entry.value.clone()).collect()
    }

    /// The keys of a section in order: of each the part in the middle, `None` for `SECTION.NAME`;
    /// the name, in lower case; and the value.
    pub(crate) fn section(
        &self,
        section: &str,
    ) -> impl DoubleEndedIterator<Item = (Option<&[u8]>, &str, Option<&[u8]>)> {
        let is_meant = move |entry: &&Entry| entry.section.eq_ignore_ascii_case(section);
        let found = self.entries.iter().filter(is_meant);
        found.map(|entry| (entry.subsection.as_deref(), entry.name.as_str(), entry.value.as_deref()))
    }

    /// The value that counts, as [`Config::all`] has it.
    #[must_use]
    pub fn last(&self, key: &str) -> Option<Option<Vec<u8>>> {
        self.all(key).pop()
    }

    /// The text that counts; `None` also if the key has no value.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Vec<u8>> {
        self.last(key).flatten()
    }

    /// Whether something is on.
    ///
    /// # Errors
    /// If the value is neither of git's words for it nor a number.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.last(key) else { return Ok(None) };
        boolean(value.as_deref()).map(Some).ok_or_else(|| wrong(key, value.as_deref(), "neither true nor false"))
    }

    /// A number, perhaps with one of the units `k`, `m` and `g`.
    ///
    /// # Errors
    /// If the value is none.
    pub fn integer(&self, key: &str) -> Result<Option<i64>> {
        let Some(value) = self.last(key) else { return Ok(None) };
        integer(value.as_deref().unwrap_or_default()).map(Some).ok_or_else(|| wrong(key, value.as_deref(), "no number"))
    }

    /// The mode of new files by `core.sharedRepository`; `None` if the umask decides. As in git a
    /// word (`group`, `all`) adds to what the umask of this process leaves, and a number is the
    /// mode.
    ///
    /// # Errors
    /// If the value is not understood, or takes something from the owner.
    pub fn permissions(&self) -> Result<Option<u32>> {
        const KEY: &str = "core.sharedRepository";
        let Some(value) = self.last(KEY) else { return Ok(None) };
        let mode = mode_of(value.as_deref()).map_err(|problem| wrong(KEY, value.as_deref(), problem))?;
        Ok(mode.bits())
    }

    /// Which references get a log; `None` if nothing is said: then it is [`LogPolicy::Usual`],
    /// in a bare repository [`LogPolicy::Never`].
    ///
    /// # Errors
    /// If the value is not understood.
    pub fn log_policy(&self) -> Result<Option<LogPolicy>> {
        const KEY: &str = "core.logAllRefUpdates";
        if self.text(KEY).is_some_and(|value| value.eq_ignore_ascii_case(b"always")) {
            return Ok(Some(LogPolicy::Always));
        }
        Ok(self.boolean(KEY)?.map(|is_on| if is_on { LogPolicy::Usual } else { LogPolicy::Never }))
    }

    /// What `core.fsync` says about references; `None` if it does not say anything. With
    /// *reference* (or *committed*, *added*, *all*) it is [`Durability::Full`]: git syncs less, and
    /// what is asked for is the same. With *none* or *-reference* nothing is synced.
    #[must_use]
    pub fn durability(&self) -> Option<Durability> {
        const WITH_REFERENCES: [&[u8]; 4] = [b"reference", b"committed", b"added", b"all"];
        let value = self.text("core.fsync")?;
        let words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let mut is_excluded = false;
        for word in words {
            // As in git, what is added counts wherever it stands.
            match word.strip_prefix(b"-") {
                None if WITH_REFERENCES.contains(&word) => return Some(Durability::Full),
                Some(word) if WITH_REFERENCES.contains(&word) => is_excluded = true,
                None if word == b"none" => is_excluded = true,
                _ => {}
            }
        }
        is_excluded.then_some(Durability::Off)
    }

    /// How long to wait for a lock: `reftable.lockTimeout`. `None` if nothing is said, `Some(None)`
    /// for ever.
    ///
    /// # Errors
    /// If the value is no number.
    pub fn lock_timeout(&self) -> Result<Option<Option<Duration>>> {
        let value = self.integer("reftable.lockTimeout")?;
        Ok(value.map(|milliseconds| u64::try_from(milliseconds).ok().map(Duration::from_millis)))
    }

    /// `options`, and over them what `reftable.*` says about how tables are written.
    ///
    /// # Errors
    /// If a value is not understood, or out of its range.
    pub fn apply(&self, options: Options) -> Result<Options> {
        let mut write = WriteOptions::default();
        if let Some(bytes) = self.within("reftable.blockSize", 64, 0xff_ffff)? {
            write = write.block_size(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        if let Some(records) = self.within("reftable.restartInterval", 1, 65_535)? {
            write = write.restart_interval(u16::try_from(records).unwrap_or(u16::MAX));
        }
        if let Some(has_index) = self.boolean("reftable.indexObjects")? {
            write = write.object_index(has_index);
        }
        let options = options.write(write);
        Ok(match self.within("reftable.geometricFactor", 0, 255)? {
            // 0 is git's word for its default.
            None | Some(0) => options,
            Some(factor) => {
                options.auto_compact(AutoCompact::Geometric(u8::try_from(factor).unwrap_or(u8::MAX).max(2)))
            }
        })
    }

    fn within(&self, key: &str, least: i64, most: i64) -> Result<Option<i64>> {
        match self.integer(key)? {
            // As git has it, 0 stands for the default.
            Some(0) => Ok(None),
            Some(value) if value < least || value > most => {
                Err(Error::invalid(format!("{key} is {value}, it must be {least} to {most}")))
            }
            value => Ok(value),
        }
    }

    /// Where hooks are, if not in the repository's `hooks`: `core.hooksPath`. A relative path is
    /// meant from where hooks run.
    #[must_use]
    pub fn hooks_path(&self) -> Option<PathBuf> {
        // To git the name of a hook stands behind it and a slash, so that nothing names no hooks.
        let in_root = || PathBuf::from("/");
        self.text("core.hooksPath").map(|value| if value.is_empty() { in_root() } else { expanded(&value) })
    }
}

fn wrong(key: &str, value: Option<&[u8]>, problem: &str) -> Error {
    let value = value.map_or_else(|| "without a value".to_owned(), |value| format!("'{}'", escaped(value)));
    Error::invalid(format!("{key} in git's configuration is {value}, which is {problem}"))
}

fn home() -> Option<PathBuf> {
    env::home_dir()
}

fn home_of(home: &Option<PathBuf>) -> interpolate::Context<'_> {
    interpolate::Context { home_dir: home.as_deref(), ..interpolate::Context::default() }
}

fn global_sources() -> Vec<(PathBuf, Source)> {
    let kinds = [source::Kind::GitInstallation, source::Kind::System, source::Kind::Global];
    let mut found = Vec::new();
    for source in kinds.iter().flat_map(|kind| kind.sources()) {
        let path = source.storage_location(&mut |name| env::var_os(name)).filter(|path| path.is_file());
        found.extend(path.map(|path| (path, *source)));
    }
    found
}

/// Reads files one after the other, so that an error can name the one that has it.
fn read(sources: Vec<(PathBuf, Source)>, includes: includes::Options<'_>) -> Result<File> {
    let mut all = File::default();
    for (path, source) in sources {
        let mut file = File::from_path_no_includes(path.clone(), source)
            .map_err(|error| Error::configuration(&path, error.iter_errors()))?;
        let options = Reading { includes, ..Reading::default() };
        file.resolve_includes(options)
            .map_err(|error| broken_include(&path).unwrap_or(Error::configuration(&path, error.iter_errors())))?;
        all.append(file).map_err(|error| Error::configuration(&path, error.iter_errors()))?;
    }
    Ok(all)
}

/// What the environment says, and what that includes. As in git a relative path has nothing that it
/// could be relative to.
fn from_environment(includes: includes::Options<'_>) -> Result<File> {
    let mut file = environment::read()?;
    let wrong = |error: &dyn std::fmt::Display| Error::invalid(format!("include.path of the environment: {error}"));
    let options = Reading { includes, ..Reading::default() };
    file.resolve_includes(options).map_err(|error| {
        let causes: Vec<String> = error.iter_errors().map(ToString::to_string).collect();
        wrong(&causes.join(": "))
    })?;
    Ok(file)
}

/// The error of the first file that `path` includes, with or without a condition, and that is
/// broken: what reads them does not say which it is.
fn broken_include(path: &Path) -> Option<Error> {
    let mut left = vec![path.to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = left.pop().filter(|_| seen.len() < MOST_INCLUDES) {
        let file = match File::from_path_no_includes(path.clone(), Source::Local) {
            Ok(file) => file,
            Err(error) => return Some(Error::configuration(&path, error.iter_errors())),
        };
        for name in ["include", "includeIf"] {
            for section in file.sections_by_name(name).into_iter().flatten() {
                for value in section.values("path") {
                    let included = path.with_file_name("").join(expanded(&value));
                    if included.is_file() && !seen.contains(&included) {
                        left.push(included.clone());
                        seen.push(included);
                    }
                }
            }
        }
    }
    None
}

/// A path of the configuration, with the home directory for `~/`.
pub(crate) fn expanded(value: &[u8]) -> PathBuf {
    match value.strip_prefix(b"~/") {
        Some(rest) => home().unwrap_or_default().join(bytes::to_path(rest)),
        None => bytes::to_path(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_synced_if_any_word_says_so() {
        let read = |value: &str| {
            let text = format!("[core]\n\tfsync = {value}\n");
            Config::of(&[File::try_from(text.as_str()).unwrap()]).durability()
        };
        for value in ["reference", "objects, committed", "all", "none,added", "-reference,reference"] {
            assert_eq!(read(value), Some(Durability::Full), "{value}");
        }
        for value in ["none", "-reference", "objects,-added", "-all"] {
            assert_eq!(read(value), Some(Durability::Off), "{value}");
        }
        for value in ["", "default", "objects", "loose-object,-pack", "references"] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
