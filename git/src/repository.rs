//! A repository: where its stores are, and what holds for them.
//!
//! A repository has one store, `reftable/` in the git directory. A linked worktree has a second one
//! in its own git directory, for the references that each worktree has for itself. Only the
//! configuration says whether that directory is the store: it may be left over from a migration, or
//! have the name by chance.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reftable::bytes::Reading;
use reftable::escape::{escaped, shell_word};
use reftable::{Durability, HashKind, Options, Stack, Target};

use crate::batch::Hook;
use crate::config::{Config, LogPolicy, Places};
use crate::discover::{Found, canonical, discover, git_dir_of, is_git_dir, named, read_common_dir, read_git_file};
use crate::error::{Error, Result, shown_path};
use crate::files::Files;
use crate::format::{self, Format, RefStorage};
use crate::lone_store::{LIST, STORE, has_list, is_store, ruin_around};
use crate::stores::{SECOND_LOCK, Stores, for_reading};
use crate::trust::{self, Trust};
use crate::view::{Dirs, View};

/// How long a writer waits for a lock if nobody says anything.
const USUAL_PATIENCE: Duration = Duration::from_secs(10);

/// A repository, or a store without one. Nothing has been opened.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The store of the repository, or the only one.
    shared: PathBuf,
    /// The store of a linked worktree.
    worktree: Option<PathBuf>,
    /// The repository around them.
    around: Option<Arc<Around>>,
}

#[derive(Debug)]
struct Around {
    found: Found,
    /// `GIT_DIR` named it: who sets that knows what is there.
    is_explicit: bool,
    /// Where the configuration is, and the objects.
    common_dir: PathBuf,
    /// Whether it is a linked worktree's.
    is_linked: bool,
    format: Format,
    trust: OnceLock<Trust>,
    config: OnceLock<Config>,
}

impl Repository {
    /// Finds the repository for a program that was told to start at `start`, or was told nothing.
    /// `GIT_DIR` decides, as it does for git; unless `start` is in another repository, which is an
    /// error. A store without a repository is found, too.
    ///
    /// # Errors
    /// If there is none, if its configuration is broken or of a kind that is not known, or if a
    /// `.git` file on the way leads nowhere.
    pub fn find(start: Option<&Path>) -> Result<Repository> {
        let dir = start.unwrap_or(Path::new("."));
        let common_dir = named("GIT_COMMON_DIR", dir).map(|dir| canonical(&dir)).transpose()?;
        if std::env::var_os("GIT_DIR").is_some_and(|value| value.is_empty()) {
            // git finds no repository there, so neither do callers that ask git next.
            return Err(Error::invalid("GIT_DIR is set, and empty; unset it, or name a git directory"));
        }
        let Some(git_dir) = named("GIT_DIR", dir) else { return Repository::around(dir, common_dir, true) };
        let git_dir = canonical(&git_dir)?;
        let git_dir = read_git_file(&git_dir)?.map_or(Ok(git_dir), |git_dir| canonical(&git_dir))?;
        if !is_git_dir(&git_dir)? {
            return Err(Error::file(&git_dir, "GIT_DIR names this, which is no git directory"));
        }
        let explicit = |common_dir| {
            let found = Found { git_dir: git_dir.clone(), top: None, git_file: None };
            Repository::of_found(found, common_dir, true)
        };
        let Some(start) = start else { return explicit(common_dir) };
        let start = canonical(start)?;
        match discover(&start)? {
            Some(other) if canonical(&other.git_dir)? != git_dir => {
                let message =
                    format!("GIT_DIR names another repository, {}; unset it, or go there", shown_path(&git_dir));
                Err(Error::file(&start, message))
            }
            Some(_) => Repository::around(&start, common_dir, true),
            None if has_list(&start) => {
                let message = format!("a store outside of {}, which GIT_DIR names; unset it", shown_path(&git_dir));
                Err(Error::file(&start, message))
            }
            None => explicit(common_dir),
        }
    }

    /// Finds the repository of `start`, whatever `GIT_DIR` says: a git directory, anything in a
    /// work tree, a store of a repository, or a store without a repository around it.
    ///
    /// # Errors
    /// As [`Repository::find`].
    pub fn at(start: &Path) -> Result<Repository> {
        Repository::around(start, None, false)
    }

    fn around(start: &Path, common_dir: Option<PathBuf>, judges_bare: bool) -> Result<Repository> {
        let start = canonical(start)?;
        let Some(found) = discover(&start)? else {
            if let Some(ruin) = ruin_around(&start) {
                // Its configuration still says whether this is its store, and of what kind.
                let found = Found { git_dir: ruin.to_owned(), top: None, git_file: None };
                let ruin = Repository::of_found(found, common_dir, false)?;
                ruin.check_storage()?;
                return Ok(Repository::store_alone(start, ruin.around));
            }
            return match is_store(&start) {
                true => Ok(Repository::store_alone(start, None)),
                false => Err(Error::file(&start, "neither in a git repository nor a reftable store")),
            };
        };
        if judges_bare && found.top.is_none() {
            check_bare(&found.git_dir)?;
        }
        let git_dir = found.git_dir.clone();
        let repo = Repository::of_found(found, common_dir, false)?;
        let has_list = has_list(&start);
        let may_be_store = has_list || start.ends_with(STORE);
        if may_be_store && repo.directories().any(|store| store.canonicalize().is_ok_and(|store| store == start)) {
            repo.check_storage()?;
            return Ok(Repository::store_alone(start, repo.around));
        }
        if has_list && git_dir_of(&start)?.is_none() {
            let message = format!(
                "has a table list, but is not the store of the repository around it, {}; to look into it, copy it to a \
                 place outside",
                shown_path(&git_dir)
            );
            return Err(Error::file(&start, message));
        }
        Ok(repo)
    }

    fn store_alone(shared: PathBuf, around: Option<Arc<Around>>) -> Repository {
        Repository { shared, worktree: None, around }
    }

    fn of_found(found: Found, common_dir: Option<PathBuf>, is_explicit: bool) -> Result<Repository> {
        let linked_to = read_common_dir(&found.git_dir)?;
        // As in git, GIT_COMMON_DIR moves the configuration and the objects, not the references.
        let common_dir = common_dir.or_else(|| linked_to.clone()).unwrap_or_else(|| found.git_dir.clone());
        let format = format::format(&common_dir)?;
        let is_linked = linked_to.is_some();
        let main = linked_to.as_ref().unwrap_or(&found.git_dir);
        let (main, own) = match &format.place {
            None => (main.clone(), found.git_dir.clone()),
            Some(place) => {
                let main = main.join(place);
                let own = main.join("worktrees").join(found.git_dir.file_name().unwrap_or_default());
                (main, own)
            }
        };
        let worktree = is_linked.then(|| own.join(STORE));
        let (trust, config) = (OnceLock::new(), OnceLock::new());
        let around = Around { found, is_explicit, common_dir, is_linked, format, trust, config };
        Ok(Repository { shared: main.join(STORE), worktree, around: Some(Arc::new(around)) })
    }

    /// The other worktrees of this repository, as far as they can be found.
    ///
    /// # Errors
    /// If the list of them cannot be read.
    pub fn worktrees(&self) -> Result<Vec<Repository>> {
        let Some(around) = &self.around else { return Ok(Vec::new()) };
        let dir = around.common_dir.join("worktrees");
        let mut git_dirs = Vec::new();
        if around.is_linked {
            git_dirs.push(around.common_dir.clone());
        }
        match fs::read_dir(&dir) {
            Ok(entries) => git_dirs.extend(entries.filter_map(|entry| Some(entry.ok()?.path()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file(&dir, error)),
        }
        let own = canonical(&around.found.git_dir)?;
        let is_other = |dir: &PathBuf| canonical(dir).is_ok_and(|dir| dir != own);
        Ok(git_dirs.iter().filter(|dir| is_other(dir)).filter_map(|dir| Repository::at(dir).ok()).collect())
    }

    /// Makes sure that the references are in a reftable store.
    ///
    /// # Errors
    /// If the configuration says that they are elsewhere, or the store is missing.
    pub fn check_storage(&self) -> Result<()> {
        let Some(around) = &self.around else { return Ok(()) };
        if around.format.refs != RefStorage::Reftable {
            let unused = if self.shared.is_dir() { ", and its 'reftable' directory is not in use" } else { "" };
            let message = format!(
                "by its configuration this repository does not keep its references in the reftable format{unused}; \
                 'git refs migrate --ref-format=reftable' converts it"
            );
            return Err(Error::file(&around.found.git_dir, message));
        }
        if !self.shared.is_dir() {
            return Err(Error::file(&self.shared, "the store that the repository's configuration names is missing"));
        }
        Ok(())
    }

    /// The git directory; that of a linked worktree is its own. `None` for a store without a
    /// repository.
    #[must_use]
    pub fn git_dir(&self) -> Option<&Path> {
        self.around.as_ref().map(|around| around.found.git_dir.as_path())
    }

    /// The repository's common directory, if there is a repository around the stores.
    #[must_use]
    pub fn common_dir(&self) -> Option<&Path> {
        self.around.as_ref().map(|around| around.common_dir.as_path())
    }

    /// The format, by the repository's configuration.
    #[must_use]
    pub fn format(&self) -> Option<&Format> {
        self.around.as_ref().map(|around| &around.format)
    }

    /// The store of the repository, or the only one.
    #[must_use]
    pub fn shared(&self) -> &Path {
        &self.shared
    }

    /// The stores' directories, the shared one first.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.shared.as_path()).chain(self.worktree.as_deref())
    }

    /// Whether there is a repository around the stores.
    #[must_use]
    pub fn is_repository(&self) -> bool {
        self.around.is_some()
    }

    /// Whether its owner may decide what this process does. A repository that `GIT_DIR` names is
    /// trusted, as git trusts it, and so is a store without a repository, which decides nothing.
    ///
    /// # Errors
    /// If the user's configuration cannot be read.
    pub fn trust(&self) -> Result<Trust> {
        let Some(around) = self.around.as_ref().filter(|around| !around.is_explicit) else { return Ok(Trust::Full) };
        if let Some(trust) = around.trust.get() {
            return Ok(*trust);
        }
        let trust = trust::of(&around.found)?;
        Ok(*around.trust.get_or_init(|| trust))
    }

    /// Makes sure that the repository may be written to.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`](crate::ErrorKind) if it is another user's.
    pub fn check_trust(&self) -> Result<()> {
        self.trusted_or("nothing is written to it")
    }

    /// `git` for this repository, to which arguments can be added; `None` without a repository. A
    /// git that is told where the repository is asks no more whose it is, and runs what its owner
    /// has configured.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`](crate::ErrorKind) if it is another user's.
    pub fn git_command(&self) -> Result<Option<Command>> {
        let Some(git_dir) = self.git_dir() else { return Ok(None) };
        self.trusted_or("git, which would run what its owner has configured, is not started in it")?;
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(git_dir);
        Ok(Some(command))
    }

    fn trusted_or(&self, what: &str) -> Result<()> {
        let (Some(around), Trust::Reduced) = (&self.around, self.trust()?) else { return Ok(()) };
        let place = around.found.top.as_ref().unwrap_or(&around.found.git_dir);
        let message = format!(
            "{}: another user's repository, {what}; if you trust its owner: git config --global --add safe.directory {}",
            shown_path(place),
            shell_word(place.as_os_str().as_encoded_bytes())
        );
        Err(Error::untrusted(message))
    }

    /// All of git's configuration for it; read once. In a repository that is not trusted, what it
    /// includes is left out.
    ///
    /// # Errors
    /// If a file is broken: with its name and line.
    pub fn config(&self) -> Result<Option<&Config>> {
        let Some(around) = &self.around else { return Ok(None) };
        if let Some(config) = around.config.get() {
            return Ok(Some(config));
        }
        self.config_on(self.branch().as_deref()).map(Some)
    }

    /// The same, where one knows what `HEAD` leads to. Without a repository nothing is configured.
    pub(crate) fn config_on(&self, branch: Option<&[u8]>) -> Result<&Config> {
        static NONE: OnceLock<Config> = OnceLock::new();
        let Some(around) = &self.around else { return Ok(NONE.get_or_init(Config::default)) };
        if let Some(config) = around.config.get() {
            return Ok(config);
        }
        let places = Places {
            git_dir: &around.found.git_dir,
            common_dir: &around.common_dir,
            of_worktree: around.format.worktree_config,
            follows_includes: self.trust()? == Trust::Full,
            branch,
        };
        let config = Config::read(&places)?;
        Ok(around.config.get_or_init(|| config))
    }

    /// What `HEAD` leads to, for conditional includes; `None` also if that cannot be read.
    fn branch(&self) -> Option<Vec<u8>> {
        match self.view(Reading::Checked).ok()?.get(b"HEAD").ok()??.target {
            Target::Symbolic(name) => Some(name),
            _ => None,
        }
    }

    /// Which references get a log without being told so.
    ///
    /// # Errors
    /// As [`Repository::config`], and if the value is not understood.
    pub fn log_policy(&self) -> Result<LogPolicy> {
        let (Some(around), Some(config)) = (&self.around, self.config()?) else { return Ok(LogPolicy::Never) };
        let is_bare = !around.is_linked && around.format.is_bare.unwrap_or(around.found.top.is_none());
        let usual = if is_bare { LogPolicy::Never } else { LogPolicy::Usual };
        Ok(config.log_policy()?.unwrap_or(usual))
    }

    /// Opens the stores to write to them, as the configuration says: the modes of new files, and
    /// how tables are made. Waits for a lock as long as `patience` says; `None` is for ever.
    ///
    /// # Errors
    /// In a repository that is not trusted; if the configuration is broken; if a store cannot be
    /// opened.
    pub fn open(&self, options: &Options, patience: Option<Duration>) -> Result<Stores> {
        self.check_trust()?;
        let options = match self.config()? {
            Some(config) => config.apply(options.clone())?.permissions(config.permissions()?),
            None => options.clone(),
        };
        // Readers take what is there; what is written must be what git reads.
        let options = self.hash().map_or(options.clone(), |hash| options.hash(hash));
        let mut stores = self.open_with(&options, patience).map_err(|error| self.of_other_hash(error))?;
        if self.is_repository() {
            stores.log_policy = self.log_policy()?;
            stores.hook = self.hook()?;
        }
        Ok(stores)
    }

    /// `error`, unless it is that a store has other ids than the repository.
    fn of_other_hash(&self, error: Error) -> Error {
        let is_other = error.store().is_some_and(|error| error.kind() == reftable::ErrorKind::Invalid);
        let Some(around) = self.around.as_ref().filter(|_| is_other) else { return error };
        let config = around.common_dir.join("config");
        Error::broken(format!("{error}, and extensions.objectFormat in {} is what git believes", shown_path(&config)))
    }

    /// Opens the stores to write to them, as the configuration says in everything:
    /// [`Repository::open`] with [`Repository::durability`] and [`Repository::patience`].
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn open_to_write(&self) -> Result<Stores> {
        self.open(&Options::default().durability(self.durability()?), self.patience()?)
    }

    /// What survives a power failure: what `core.fsync` says of references, else
    /// [`Durability::Full`].
    ///
    /// # Errors
    /// As [`Repository::config`].
    pub fn durability(&self) -> Result<Durability> {
        Ok(self.config()?.and_then(Config::durability).unwrap_or_default())
    }

    /// How long to wait for a lock, `None` for ever: `reftable.lockTimeout`, else ten seconds. So
    /// long some thousand commits of others take, or a slow disk.
    ///
    /// # Errors
    /// As [`Repository::config`], and if the value is no number.
    pub fn patience(&self) -> Result<Option<Duration>> {
        let configured = self.config()?.map(Config::lock_timeout).transpose()?.flatten();
        Ok(configured.unwrap_or(Some(USUAL_PATIENCE)))
    }

    /// The repository's objects, to look whether references may point at them:
    /// [`Stores::with_objects`].
    ///
    /// # Errors
    /// If there is no repository, or its directory of objects cannot be read.
    #[cfg(feature = "objects")]
    pub fn objects(&self) -> Result<crate::objects::Objects> {
        let missing = || Error::file(&self.shared, "a store without a repository has no objects");
        let around = self.around.as_ref().ok_or_else(missing)?;
        crate::objects::Objects::open(&around.common_dir, around.format.hash)
    }

    /// The hook that has a say in transactions, if there is one.
    fn hook(&self) -> Result<Option<Hook>> {
        let (Some(around), Some(config)) = (&self.around, self.config()?) else { return Ok(None) };
        let hooks = config.hooks_path().unwrap_or_else(|| around.common_dir.join("hooks"));
        // As in git, a hook runs at the top of the work tree, or in a bare git directory.
        let dir = around.found.top.as_ref().unwrap_or(&around.found.git_dir);
        Hook::find(config, &hooks, &canonical(&around.found.git_dir)?, dir)
    }

    fn dirs(&self) -> Option<Arc<Dirs>> {
        let around = self.around.as_ref()?;
        let main = self.shared.parent().unwrap_or(&self.shared).to_owned();
        Some(Arc::new(Dirs { git_dir: around.found.git_dir.clone(), main }))
    }

    fn open_with(&self, options: &Options, patience: Option<Duration>) -> Result<Stores> {
        self.check_storage()?;
        let open = |dir: &PathBuf, patience| Stack::open(dir, self.options(dir, options).lock_timeout(patience));
        let shared = open(&self.shared, patience)?;
        let short = Some(patience.map_or(SECOND_LOCK, |patience| patience.min(SECOND_LOCK)));
        let worktree = self.worktree.as_ref().map(|dir| Ok::<_, Error>((open(dir, patience)?, open(dir, short)?)));
        Ok(Stores::new(shared, worktree.transpose()?, options.clone(), patience, self.hash(), self.dirs()))
    }

    /// What the configuration says goes for a store without tables, which says nothing itself.
    fn options(&self, store: &Path, options: &Options) -> Options {
        let is_empty = fs::symlink_metadata(store.join(LIST)).map_or(true, |list| list.len() == 0);
        match self.hash().filter(|_| is_empty) {
            Some(hash) => options.clone().hash(hash),
            None => options.clone(),
        }
    }

    /// The hash of the repository's ids, if there is a repository.
    fn hash(&self) -> Option<HashKind> {
        self.around.as_ref().map(|around| around.format.hash)
    }

    /// Opens the stores only to read them. No configuration but the format is read for that.
    ///
    /// # Errors
    /// If a store cannot be opened.
    pub fn open_to_read(&self, options: &Options) -> Result<Stores> {
        self.open_with(options, Some(Duration::ZERO))
    }

    /// What is in the repository now, in stores or in files, for those who only read.
    ///
    /// # Errors
    /// If a store cannot be opened or read.
    pub fn view(&self, reading: Reading) -> Result<View> {
        if let (Some(around), Some(dirs)) = (&self.around, self.dirs())
            && around.format.refs == RefStorage::Files
        {
            return Ok(View::of_files(self.files(around), dirs));
        }
        self.open_to_read(&for_reading(reading))?.view()
    }

    fn files(&self, around: &Around) -> Files {
        // They are where the stores would be.
        let common = self.shared.parent().unwrap_or(&around.found.git_dir);
        let own = self.worktree.as_deref().and_then(Path::parent).unwrap_or(common);
        Files::new(own, common, around.format.hash)
    }
}

/// Refuses a bare repository that was met on the way up if the user wants to name those himself
/// (`safe.bareRepository`): it may have come with a clone.
fn check_bare(git_dir: &Path) -> Result<()> {
    let path = git_dir.as_os_str().as_encoded_bytes();
    let contains = |part: &[u8]| path.windows(part.len()).any(|window| window == part);
    if git_dir.ends_with(".git") || contains(b"/.git/worktrees/") || contains(b"/.git/modules/") {
        return Ok(());
    }
    match Config::without_repository()?.text("safe.bareRepository").as_deref() {
        None | Some(b"all") => Ok(()),
        Some(b"explicit") => {
            let message = "a bare repository, which GIT_DIR would have to name (safe.bareRepository is 'explicit')";
            Err(Error::untrusted(format!("{}: {message}", shown_path(git_dir))))
        }
        Some(other) => {
            Err(Error::invalid(format!("safe.bareRepository is '{}', not 'all' or 'explicit'", escaped(other))))
        }
    }
}
