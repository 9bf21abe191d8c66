//! All of git's configuration for a repository, and what it says about references.
//!
//! The order is git's: system, user, repository, worktree, `GIT_CONFIG_COUNT`, `git -c`. What the
//! last one says counts.

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

use crate::bytes;
use crate::error::{Error, Result};

/// Which references get a log without being told so: `core.logAllRefUpdates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug)]
pub struct Config {
    files: File,
    /// What the environment says: keys with the section and the last part in lower case.
    overrides: Vec<Override>,
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
    /// What the user and the system say, and not the repository: its owner may be somebody else.
    pub(crate) fn read_protected() -> Result<Config> {
        let files =
            read(global_sources(), includes::Options::follow(home_of(&home()), conditional::Context::default()))?;
        Ok(Config { files, overrides: overrides()? })
    }

    pub(crate) fn read(places: &Places<'_>) -> Result<Config> {
        let branch = places.branch.and_then(|name| <&gix_ref::FullNameRef>::try_from(bstr::BStr::new(name)).ok());
        let context = conditional::Context { git_dir: Some(places.git_dir), branch_name: branch };
        let home = home();
        let follow = || includes::Options::follow(home_of(&home), context);
        let mut files = read(global_sources(), follow())?;
        let worktree = places.of_worktree.then(|| (places.git_dir.join("config.worktree"), Source::Worktree));
        let own = [(places.common_dir.join("config"), Source::Local)].into_iter().chain(worktree);
        let includes = if places.follows_includes { follow() } else { includes::Options::no_follow() };
        let own = read(own.filter(|(path, _)| path.is_file()).collect(), includes)?;
        files.append(own).map_err(|error| Error::configuration(places.common_dir, error.iter_errors()))?;
        Ok(Config { files, overrides: overrides()? })
    }

    /// All values of a key such as `core.fsync`, in order; `None` for a key without `=`.
    #[must_use]
    pub fn all(&self, key: &str) -> Vec<Option<Vec<u8>>> {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        let mut values = Vec::new();
        for section in self.files.sections_by_name(section).into_iter().flatten() {
            if section.header().subsection_name().is_some() || !section.contains_value_name(name) {
                continue;
            }
            values.extend(section.values(name).into_iter().map(|value| Some(value.to_vec())));
            if section.value_implicit(name) == Some(None) {
                values.push(None);
            }
        }
        let key = key.to_ascii_lowercase();
        values
            .extend(self.overrides.iter().filter(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value.clone()));
        values
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

    /// The mode bits that `core.sharedRepository` asks for; `None` if the umask decides.
    ///
    /// # Errors
    /// If the value is not understood, or takes something from the owner.
    pub fn permissions(&self) -> Result<Option<u32>> {
        const KEY: &str = "core.sharedRepository";
        let Some(value) = self.last(KEY) else { return Ok(None) };
        mode_of(value.as_deref()).map_err(|problem| wrong(KEY, value.as_deref(), problem))
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
    /// what is asked for is the same.
    #[must_use]
    pub fn durability(&self) -> Option<Durability> {
        let value = self.text("core.fsync")?;
        let mut is_synced = false;
        for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|word| !word.is_empty()) {
            let (word, adds) = word.strip_prefix(b"-").map_or((word, true), |word| (word, false));
            match word {
                b"none" => is_synced = false,
                b"reference" | b"committed" | b"added" | b"all" => is_synced = adds,
                _ => {}
            }
        }
        Some(if is_synced { Durability::Full } else { Durability::Off })
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
        let value = self.text("core.hooksPath")?;
        Some(match value.strip_prefix(b"~/") {
            Some(rest) => home().unwrap_or_default().join(bytes::to_path(rest)),
            None => bytes::to_path(&value),
        })
    }

    pub(crate) fn files(&self) -> &File {
        &self.files
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
        file.resolve_includes(options).map_err(|error| Error::configuration(&path, error.iter_errors()))?;
        all.append(file).map_err(|error| Error::configuration(&path, error.iter_errors()))?;
    }
    Ok(all)
}

/// A key, and its value unless it has none, which means true.
type Override = (Vec<u8>, Option<Vec<u8>>);

/// What `GIT_CONFIG_COUNT` and `git -c` say.
fn overrides() -> Result<Vec<Override>> {
    let mut overrides = Vec::new();
    if let Some(count) = env::var_os("GIT_CONFIG_COUNT").filter(|count| !count.is_empty()) {
        let count = count.to_str().and_then(|count| count.parse::<u16>().ok());
        let count = count.ok_or_else(|| Error::invalid("GIT_CONFIG_COUNT is no number"))?;
        for number in 0..count {
            let of = |what| {
                let name = format!("GIT_CONFIG_{what}_{number}");
                let missing = || Error::invalid(format!("{name} is missing, and GIT_CONFIG_COUNT is {count}"));
                env::var_os(&name).ok_or_else(missing)
            };
            overrides.push((normal_key(of("KEY")?.as_encoded_bytes()), Some(of("VALUE")?.as_encoded_bytes().to_vec())));
        }
    }
    if let Some(parameters) = env::var_os("GIT_CONFIG_PARAMETERS") {
        let bogus = || Error::invalid("GIT_CONFIG_PARAMETERS is not as git writes it");
        overrides.extend(parameters_of(parameters.as_encoded_bytes()).ok_or_else(bogus)?);
    }
    Ok(overrides)
}

/// `'key=value'` of older versions of git, `'key'='value'` and `'key'` of newer ones, with spaces
/// between them.
fn parameters_of(mut text: &[u8]) -> Option<Vec<Override>> {
    let mut parameters = Vec::new();
    loop {
        text = text.trim_ascii_start();
        if text.is_empty() {
            return Some(parameters);
        }
        let (key, rest) = unquote(text)?;
        if let Some(rest) = rest.strip_prefix(b"=") {
            let (value, rest) = if rest.starts_with(b"'") { unquote(rest)? } else { (Vec::new(), rest) };
            text = rest;
            parameters.push((normal_key(&key), Some(value)));
        } else {
            text = rest;
            let (key, value) = match key.iter().position(|byte| *byte == b'=') {
                Some(at) => (key.get(..at)?.to_vec(), key.get(at + 1..).map(<[u8]>::to_vec)),
                None => (key, None),
            };
            parameters.push((normal_key(&key), value));
        }
    }
}

/// A word in single quotes, as a shell reads it, and what follows it.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text.strip_prefix(b"'")?;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\'')?;
        word.extend_from_slice(rest.get(..end)?);
        rest = rest.get(end + 1..)?;
        match rest {
            [b'\\', escaped @ (b'\'' | b'!'), b'\'', after @ ..] => {
                word.push(*escaped);
                rest = after;
            }
            _ => return Some((word, rest)),
        }
    }
}

/// The section and the last part in lower case; what is between them counts as it is.
fn normal_key(key: &[u8]) -> Vec<u8> {
    let first = key.iter().position(|byte| *byte == b'.').unwrap_or(key.len());
    let last = key.iter().rposition(|byte| *byte == b'.').unwrap_or(first);
    let is_between = |at: usize| at > first && at < last;
    key.iter().enumerate().map(|(at, byte)| if is_between(at) { *byte } else { byte.to_ascii_lowercase() }).collect()
}

fn boolean(value: Option<&[u8]>) -> Option<bool> {
    let Some(value) = value else { return Some(true) };
    match value.to_ascii_lowercase().as_slice() {
        b"true" | b"yes" | b"on" => Some(true),
        b"" | b"false" | b"no" | b"off" => Some(false),
        number => integer(number).map(|number| number != 0),
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let factor = match text.bytes().last()?.to_ascii_lowercase() {
        b'k' => 1 << 10,
        b'm' => 1 << 20,
        b'g' => 1 << 30,
        _ => 1,
    };
    let digits = if factor == 1 { text } else { text.get(..text.len() - 1)? };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

/// `None` as argument is a key without a value, which is true.
fn mode_of(value: Option<&[u8]>) -> Result<Option<u32>, &'static str> {
    const GROUP: u32 = 0o660;
    const ALL: u32 = 0o664;
    let Some(value) = value else { return Ok(Some(GROUP)) };
    match value {
        b"umask" => return Ok(None),
        b"group" => return Ok(Some(GROUP)),
        b"all" | b"world" | b"everybody" => return Ok(Some(ALL)),
        _ => {}
    }
    let octal = std::str::from_utf8(value).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    match octal {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(GROUP)),
        Some(2) => Ok(Some(ALL)),
        Some(mode) if mode & 0o600 == 0o600 => Ok(Some(mode & 0o666)),
        Some(_) => Err("no mode with which the owner reads and writes"),
        None => match boolean(Some(value)) {
            Some(is_shared) => Ok(is_shared.then_some(GROUP)),
            None => Err("neither a mode nor true or false"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_repositories_are_named_in_many_ways() {
        for (value, mode) in [
            (None, Some(0o660)),
            (Some("group"), Some(0o660)),
            (Some("TRUE"), Some(0o660)),
            (Some("1"), Some(0o660)),
            (Some("all"), Some(0o664)),
            (Some("everybody"), Some(0o664)),
            (Some("2"), Some(0o664)),
            (Some("0640"), Some(0o640)),
            (Some("0777"), Some(0o666)),
            (Some("umask"), None),
            (Some("false"), None),
            (Some("0"), None),
        ] {
            assert_eq!(mode_of(value.map(str::as_bytes)), Ok(mode), "{value:?}");
        }
        // git refuses these, too.
        for value in ["0060", "often", "GROUP", ""] {
            assert_eq!(mode_of(Some(value.as_bytes())).is_err(), !value.is_empty(), "{value}");
        }
    }

    #[test]
    fn what_git_is_told_with_c_is_read_in_its_old_and_its_new_form() {
        let read = |text: &str| parameters_of(text.as_bytes());
        let one =
            |key: &str, value: Option<&str>| (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()));
        assert_eq!(read("'core.a=b c'"), Some(vec![one("core.a", Some("b c"))]));
        let two = vec![one("core.fsync", Some("it's")), one("x.Y.z", None)];
        assert_eq!(read(r"'Core.FSync'='it'\''s' 'x.Y.Z'"), Some(two));
        assert_eq!(read("'a.b'="), Some(vec![one("a.b", Some(""))]));
        assert_eq!(read(""), Some(Vec::new()));
        assert_eq!((read("a.b=c"), read("'a.b")), (None, None));
    }

    #[test]
    fn numbers_have_units() {
        let read = |text: &str| integer(text.as_bytes());
        assert_eq!(
            [read("4k"), read("-1"), read("2M"), read("x"), read("")],
            [Some(4096), Some(-1), Some(2 << 20), None, None]
        );
        assert_eq!(read("9223372036854775807k"), None);
    }
}
