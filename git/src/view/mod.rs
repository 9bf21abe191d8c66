//! Reading the stores of a repository as if they were one.

mod listing;
mod logs;

use std::fs;
use std::io;
use std::iter::Peekable;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reftable::bytes::Reading;
use reftable::escape::escaped;
use reftable::snapshot::OwnedRefs;
use reftable::{HashKind, ObjectId, Ref, RefView, Refs, Snapshot, Stack, Target};

use crate::bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::files::Files;
use crate::names::{self, Home, Place};
use crate::stores::for_reading;

pub use listing::Listing;
pub use logs::LogOrder;

/// How many symbolic references in a row are followed, as in git.
const MAX_DEPTH: usize = 5;

/// A state of all stores of a repository. Each is consistent in itself, as git's are.
///
/// Names are git's: of another worktree `worktrees/NAME/HEAD`, of the main one
/// `main-worktree/HEAD`. `FETCH_HEAD` and `MERGE_HEAD` are read from their files. References that a
/// repository keeps in files are read when they are asked for: there a view is no state.
#[derive(Debug)]
pub struct View {
    backend: Backend,
    /// `None` if there is no repository around the store.
    dirs: Option<Arc<Dirs>>,
}

#[derive(Debug)]
enum Backend {
    Tables { shared: Box<Snapshot>, worktree: Option<Box<Snapshot>> },
    Files(Files),
}

/// Where a repository has what is not in its stores.
#[derive(Debug)]
pub(crate) struct Dirs {
    pub(crate) git_dir: PathBuf,
    /// The directory that has the store, and `worktrees/` with those of the worktrees.
    pub(crate) main: PathBuf,
}

/// What `HEAD` says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(::serde::Serialize, ::serde::Deserialize),
    serde(tag = "kind", rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum Head {
    /// It leads to a branch.
    Branch {
        /// The full name.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde::name"))]
        name: Vec<u8>,
        /// What the branch points at.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde::id"))]
        id: ObjectId,
    },
    /// It leads to a branch that has no commit yet.
    Unborn {
        /// The full name.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde::name"))]
        name: Vec<u8>,
    },
    /// It is at an object itself.
    Detached {
        /// That object.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde::id"))]
        id: ObjectId,
    },
}

impl Head {
    /// The branch without `refs/heads/`, born or not; `None` if detached.
    #[must_use]
    pub fn branch(&self) -> Option<&[u8]> {
        match self {
            Head::Branch { name, .. } | Head::Unborn { name } => {
                Some(name.strip_prefix(b"refs/heads/").unwrap_or(name))
            }
            Head::Detached { .. } => None,
        }
    }

    /// The object, unless the branch is unborn.
    #[must_use]
    pub fn id(&self) -> Option<ObjectId> {
        match self {
            Head::Branch { id, .. } | Head::Detached { id } => Some(*id),
            Head::Unborn { .. } => None,
        }
    }
}

/// Where following symbolic references has led.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chain {
    /// The symbolic references on the way, each with its target.
    pub links: Vec<(Vec<u8>, Vec<u8>)>,
    /// The name that is not symbolic.
    pub name: Vec<u8>,
    /// What it points at; `None` if it does not exist.
    pub target: Option<Target>,
}

impl From<Snapshot> for View {
    /// A state of a store that is in no repository, wherever it is.
    fn from(snapshot: Snapshot) -> View {
        View::of_tables(snapshot, None, None)
    }
}

impl Chain {
    /// Follows `name` through what `get` knows.
    pub(crate) fn from(name: &[u8], mut get: impl FnMut(&[u8]) -> Result<Option<Ref>>) -> Result<Chain> {
        let mut chain = Chain { links: Vec::new(), name: name.to_vec(), target: None };
        loop {
            match get(&chain.name)?.map(|found| found.target) {
                Some(Target::Symbolic(next)) => {
                    let link = std::mem::replace(&mut chain.name, next.clone());
                    chain.links.push((link, next));
                }
                target => {
                    chain.target = target;
                    return Ok(chain);
                }
            }
            if chain.links.len() > MAX_DEPTH {
                let name = escaped(name);
                return Err(Error::not_found(format!("'{name}' leads through too many symbolic references")));
            }
        }
    }

    /// What it says if it is that of `HEAD`.
    pub(crate) fn into_head(self) -> Result<Head> {
        match (self.target.as_ref().and_then(Target::id), self.links.is_empty()) {
            (Some(id), true) => Ok(Head::Detached { id }),
            (Some(id), false) => Ok(Head::Branch { name: self.name, id }),
            (None, false) => Ok(Head::Unborn { name: self.name }),
            (None, true) => Err(Error::not_found("there is no HEAD: is this a git repository?")),
        }
    }
}

impl View {
    pub(crate) fn of_tables(shared: Snapshot, worktree: Option<Snapshot>, dirs: Option<Arc<Dirs>>) -> View {
        View { backend: Backend::Tables { shared: Box::new(shared), worktree: worktree.map(Box::new) }, dirs }
    }

    pub(crate) fn of_files(files: Files, dirs: Arc<Dirs>) -> View {
        View { backend: Backend::Files(files), dirs: Some(dirs) }
    }

    /// The state of one store; `None` for files. Without a linked worktree there is only one.
    pub(crate) fn snapshot(&self, place: Place) -> Option<&Snapshot> {
        match (&self.backend, place) {
            (Backend::Tables { worktree: Some(worktree), .. }, Place::Worktree) => Some(worktree),
            (Backend::Tables { shared, .. }, _) => Some(shared),
            (Backend::Files(_), _) => None,
        }
    }

    /// Whether both are of the same state.
    pub(crate) fn is_at(&self, other: &View) -> bool {
        let at = |view: &View, place| view.snapshot(place).map(Snapshot::update_index);
        [Place::Shared, Place::Worktree].iter().all(|place| at(self, *place) == at(other, *place))
    }

    /// The hash of all ids, once there is a table.
    #[must_use]
    pub fn hash(&self) -> Option<HashKind> {
        match &self.backend {
            Backend::Tables { shared, worktree } => shared.hash().or_else(|| worktree.as_ref()?.hash()),
            Backend::Files(files) => Some(files.hash()),
        }
    }

    /// What `HEAD` says: a branch, one that is not born yet, or an object.
    ///
    /// # Errors
    /// If there is no `HEAD`, or it leads through too many symbolic references.
    pub fn head(&self) -> Result<Head> {
        self.follow(b"HEAD")?.into_head()
    }

    /// One reference as it is stored.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn get(&self, name: &[u8]) -> Result<Option<Ref>> {
        match (Home::of(name), &self.dirs) {
            (Home::File(file), Some(dirs)) => read_pseudo_ref(&dirs.git_dir, file),
            _ => self.stored(name),
        }
    }

    /// The same, but from the stores whatever the name is.
    pub(crate) fn stored(&self, name: &[u8]) -> Result<Option<Ref>> {
        let found = match &self.backend {
            Backend::Files(files) => return files.get(name),
            Backend::Tables { .. } => self.with_home(name, |snapshot, name| snapshot.get(name))?.flatten(),
        };
        Ok(found.map(|found| Ref { name: name.to_vec(), ..found }))
    }

    /// Looks into the store that has `name`; `None` if there is no such store.
    fn with_home<T>(&self, name: &[u8], look: impl Fn(&Snapshot, &[u8]) -> reftable::Result<T>) -> Result<Option<T>> {
        let Backend::Tables { shared, worktree } = &self.backend else { return Ok(None) };
        let own = worktree.as_ref().unwrap_or(shared);
        match Home::of(name) {
            Home::Shared(name) | Home::Main(name) => Ok(Some(look(shared, name)?)),
            Home::Own(name) | Home::File(name) => Ok(Some(look(own, name)?)),
            Home::Worktree { worktree, name } => {
                let Some(dirs) = self.dirs.as_ref().filter(|_| !matches!(worktree, b"" | b"." | b"..")) else {
                    return Ok(None);
                };
                let store = dirs.main.join("worktrees").join(bytes::to_path(worktree)).join("reftable");
                if !store.is_dir() {
                    return Ok(None);
                }
                Ok(Some(look(&Stack::open(&store, for_reading(Reading::Checked))?.snapshot()?, name)?))
            }
        }
    }

    /// Follows `name` to the first reference that is not symbolic.
    ///
    /// # Errors
    /// If that takes more than five steps: git gives up then, too.
    pub fn follow(&self, name: &[u8]) -> Result<Chain> {
        Chain::from(name, |name| self.get(name))
    }

    /// The same, but only through what is in the stores.
    pub(crate) fn follow_stored(&self, name: &[u8]) -> Result<Chain> {
        Chain::from(name, |name| self.stored(name))
    }

    /// The object that `name` leads to, through symbolic references; `None` if it leads nowhere.
    ///
    /// # Errors
    /// As [`View::follow`].
    pub fn resolve(&self, name: &[u8]) -> Result<Option<ObjectId>> {
        Ok(self.follow(name)?.target.and_then(|target| target.id()))
    }

    /// The object that the annotated tag that `name` leads to is of, if that is stored; else as
    /// [`View::resolve`]. git stores it for all tags, and in files for packed ones.
    ///
    /// # Errors
    /// As [`View::follow`].
    pub fn peel(&self, name: &[u8]) -> Result<Option<ObjectId>> {
        Ok(self.follow(name)?.target.and_then(|target| target.as_view().peeled().or(target.id())))
    }

    /// The full name that git reads `short` as: `main` as `refs/heads/main` unless there is a tag
    /// of that name, and so on.
    ///
    /// # Errors
    /// If a reference cannot be read.
    pub fn expand(&self, short: &[u8]) -> Result<Option<Vec<u8>>> {
        for name in names::candidates(short) {
            if self.leads_somewhere(&name)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The shortest name that git reads as `full` and as nothing else: what git prints if
    /// `core.warnAmbiguousRefs` is true, as it is by default.
    ///
    /// # Errors
    /// If a reference cannot be read.
    pub fn shorten(&self, full: &[u8]) -> Result<Vec<u8>> {
        self.shortest_of(names::shorter(full), full)
    }

    /// The shortest name that git reads as `full`, though it may warn that there are others: what
    /// git prints if `core.warnAmbiguousRefs` is false, and for `symbolic-ref --short`.
    ///
    /// # Errors
    /// If a reference cannot be read.
    pub fn shorten_loosely(&self, full: &[u8]) -> Result<Vec<u8>> {
        self.shortest_of(names::shorter_loosely(full), full)
    }

    fn shortest_of(&self, shorter: Vec<(&[u8], Vec<Vec<u8>>)>, full: &[u8]) -> Result<Vec<u8>> {
        'shorter: for (short, others) in shorter {
            for other in others {
                if self.leads_somewhere(&other)? {
                    continue 'shorter;
                }
            }
            return Ok(short.to_vec());
        }
        Ok(full.to_vec())
    }

    fn leads_somewhere(&self, name: &[u8]) -> Result<bool> {
        if reftable::name::check(name).is_err() {
            return Ok(false);
        }
        match self.resolve(name) {
            Ok(found) => Ok(found.is_some()),
            // A loop leads nowhere.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Hands all references whose names start with `prefix` to `each`, by name: those of this
    /// worktree and the shared ones.
    ///
    /// # Errors
    /// Those of `each`, and if a reference cannot be read.
    pub fn refs<E: From<reftable::Error> + From<Error>>(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&RefView<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk(prefix, prefix, |found| each(found).map(ControlFlow::Continue)).map(drop)
    }

    /// The same from the name `from` on, which is at least `prefix`, until `each` breaks.
    fn walk<E: From<reftable::Error> + From<Error>>(
        &self,
        prefix: &[u8],
        from: &[u8],
        each: impl FnMut(&RefView<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        match &self.backend {
            Backend::Files(files) => {
                let mut refs = files.refs(prefix)?;
                refs.retain(|found| found.name.as_slice() >= from);
                give(refs, each)
            }
            Backend::Tables { shared, worktree } => {
                let open = |snapshot: &Snapshot| {
                    let mut refs = snapshot.prefix(prefix)?;
                    if from > prefix {
                        refs.seek(from)?;
                    }
                    Ok(refs)
                };
                walk(shared, worktree.as_deref(), open, each)
            }
        }
    }

    /// Hands all references that store `id` or have it as peeled id to `each`, by name.
    ///
    /// # Errors
    /// Those of `each`, and if a reference cannot be read.
    pub fn pointing_at<E: From<reftable::Error> + From<Error>>(
        &self,
        id: &ObjectId,
        mut each: impl FnMut(&RefView<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let each = |found: &RefView<'_>| each(found).map(ControlFlow::Continue);
        match &self.backend {
            Backend::Files(files) => {
                let mut refs = files.refs(b"")?;
                refs.retain(|found| {
                    found.target.id() == Some(*id)
                        || found.target.as_view().peeled().is_some_and(|peeled| peeled == *id)
                });
                give(refs, each)
            }
            Backend::Tables { shared, worktree } => {
                walk(shared, worktree.as_deref(), |snapshot| snapshot.pointing_at(id), each)
            }
        }
        .map(drop)
    }
}

fn view_of(found: &Ref) -> RefView<'_> {
    RefView { name: &found.name, update_index: found.update_index, target: found.target.as_view() }
}

fn give<E>(
    refs: Vec<Ref>,
    mut each: impl FnMut(&RefView<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<ControlFlow<()>, E> {
    for found in &refs {
        if each(&view_of(found))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn walk<E: From<reftable::Error>>(
    shared: &Snapshot,
    worktree: Option<&Snapshot>,
    open: impl Fn(&Snapshot) -> reftable::Result<Refs>,
    mut each: impl FnMut(&RefView<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<ControlFlow<()>, E> {
    let mut shared = open(shared)?;
    let Some(worktree) = worktree else {
        let done = shared.try_for_each(|found| match each(&found) {
            Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) => ControlFlow::Break(None),
            Err(error) => ControlFlow::Break(Some(error)),
        })?;
        return match done {
            ControlFlow::Break(Some(error)) => Err(error),
            ControlFlow::Break(None) => Ok(ControlFlow::Break(())),
            ControlFlow::Continue(()) => Ok(ControlFlow::Continue(())),
        };
    };
    let worktree = open(worktree)?.into_iter().peekable();
    for found in (Merged { shared: shared.into_iter().peekable(), worktree }) {
        if each(&view_of(&found?))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// `FETCH_HEAD` may have many lines; the first one begins with the id that counts.
fn read_pseudo_ref(git_dir: &Path, name: &[u8]) -> Result<Option<Ref>> {
    let path = git_dir.join(bytes::to_path(name));
    let contents = match fs::read(&path) {
        Ok(contents) => contents,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file(&path, error)),
    };
    if let Some(target) = contents.strip_prefix(b"ref:") {
        return Ok(Some(Ref { name: name.to_vec(), update_index: 0, target: Target::symbolic(target.trim_ascii()) }));
    }
    let word = contents.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let id = std::str::from_utf8(word).ok().and_then(|word| word.parse::<ObjectId>().ok());
    // git leaves an empty FETCH_HEAD behind when there was nothing to fetch.
    if id.is_none() && !contents.is_empty() {
        return Err(Error::file(&path, "does not begin with an id"));
    }
    Ok(id.map(|id| Ref { name: name.to_vec(), update_index: 0, target: Target::Id(id) }))
}

/// The references of both stores, by name; of each store those that belong there.
struct Merged {
    shared: Peekable<OwnedRefs>,
    worktree: Peekable<OwnedRefs>,
}

impl Iterator for Merged {
    type Item = reftable::Result<Ref>;

    fn next(&mut self) -> Option<reftable::Result<Ref>> {
        let worktree = &mut self.worktree;
        skip_foreign(&mut self.shared, Place::Shared);
        skip_foreign(worktree, Place::Worktree);
        let own_is_next = match (self.shared.peek(), worktree.peek()) {
            (Some(Ok(shared)), Some(Ok(own))) => own.name < shared.name,
            (Some(Err(_)), _) | (_, None) => false,
            (_, Some(_)) => true,
        };
        if own_is_next { worktree.next() } else { self.shared.next() }
    }
}

/// The main worktree's `HEAD` is in the shared store, for example; a linked worktree has its own.
fn skip_foreign(refs: &mut Peekable<OwnedRefs>, place: Place) {
    while refs.next_if(|item| item.as_ref().is_ok_and(|found| Place::of(&found.name) != place)).is_some() {}
}
