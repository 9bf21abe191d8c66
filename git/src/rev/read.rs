//! Names for objects that are read without git: by the references and their logs, and with the
//! feature `objects` by the objects.

use std::env;
use std::ops::ControlFlow;
use std::path::Path;

use reftable::name::check;
use reftable::{HashKind, ObjectId};

use super::entry::{self, When};
use super::full_id;
#[cfg(feature = "objects")]
use super::spec::Peel;
use super::spec::{self, Base, Spec, Step};
use crate::error::{Error, Result};
#[cfg(feature = "objects")]
use crate::objects::{ObjectKind, Objects};
use crate::repository::Repository;
use crate::view::{Head, LogOrder, View};

/// Further back git is faster, which has a file for it.
const FAR: u32 = 1_000;

/// Why a name does not lead to an object.
pub(super) enum Miss {
    /// It stands for nothing.
    Nothing,
    /// Only git can tell.
    AskGit,
    /// What is to be read cannot be.
    Failed(Error),
}

impl From<Error> for Miss {
    fn from(error: Error) -> Miss {
        Miss::Failed(error)
    }
}

type Found<T> = Result<T, Miss>;

/// Who reads names.
pub(super) struct Reader<'a> {
    pub(super) repository: &'a Repository,
    pub(super) view: &'a View,
    pub(super) hash: HashKind,
    #[cfg(feature = "objects")]
    pub(super) objects: Option<&'a Objects>,
}

impl Reader<'_> {
    /// The id that `text` names.
    pub(super) fn id(&self, text: &[u8]) -> Found<ObjectId> {
        match self.read(text) {
            Err(Miss::Nothing) if spec::may_be_a_date(text) => Err(Miss::AskGit),
            found => found,
        }
    }

    fn read(&self, text: &[u8]) -> Found<ObjectId> {
        let Spec { base, steps } = spec::parse(text).ok_or(Miss::AskGit)?;
        let mut id = match base {
            Base::Word(word) => self.word(word)?,
            Base::Logged { name, when } => self.logged(name, when)?,
            Base::Prior(number) => {
                let left = self.prior(number)?;
                match full_id(&left, Some(self.hash)) {
                    Some(id) => id,
                    None => self.object_at(&self.expand(&left)?.ok_or(Miss::Nothing)?)?,
                }
            }
            base => self.object_at(&self.name_of(&base)?.ok_or(Miss::Nothing)?)?,
        };
        if !steps.is_empty() && self.is_history_rewritten()? {
            return Err(Miss::AskGit);
        }
        for step in steps {
            id = self.step(id, step)?;
        }
        Ok(id)
    }

    fn object_at(&self, name: &[u8]) -> Found<ObjectId> {
        // A loop leads nowhere.
        match self.view.resolve(name) {
            Ok(found) => found.ok_or(Miss::Nothing),
            Err(error) if error.kind() == crate::ErrorKind::NotFound => Err(Miss::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    fn word(&self, word: &[u8]) -> Found<ObjectId> {
        if let Some(id) = full_id(word, Some(self.hash)) {
            return Ok(id);
        }
        if let Some(name) = self.expand(word)? {
            return self.object_at(&name);
        }
        match spec::abbreviated(word) {
            Some(digits) => self.abbreviated(digits),
            // It may name what is in a tree, or in the index.
            None if word.contains(&b':') => Err(Miss::AskGit),
            None => Err(Miss::Nothing),
        }
    }

    /// The full name of a reference, also of `@`.
    fn expand(&self, word: &[u8]) -> Result<Option<Vec<u8>>> {
        self.view.expand(if word == b"@" { b"HEAD" } else { word })
    }

    /// The full name of the reference that is meant; `None` for none.
    fn name_of(&self, base: &Base<'_>) -> Found<Option<Vec<u8>>> {
        match base {
            Base::Word(word) => Ok(self.expand(word)?),
            Base::Prior(number) => Ok(self.expand(&self.prior(*number)?)?),
            Base::Upstream(branch) => {
                let Some(branch) = self.branch(branch)? else { return Ok(None) };
                let upstream = self.repository.upstream(&branch)?;
                Ok(upstream.and_then(|upstream| upstream.tracking))
            }
            Base::Logged { .. } => Ok(None),
        }
    }

    /// The full name of a branch that is called so before `@{upstream}`.
    fn branch(&self, word: &[u8]) -> Found<Option<Vec<u8>>> {
        let short = match spec::parse(word).ok_or(Miss::AskGit)?.base {
            Base::Word(b"" | b"@" | b"HEAD") => {
                return Ok(match self.view.head()? {
                    Head::Branch { name, .. } | Head::Unborn { name } => Some(name),
                    Head::Detached { .. } => None,
                });
            }
            Base::Prior(number) => self.prior(number)?,
            _ => word.to_vec(),
        };
        Ok(Some([b"refs/heads/".as_slice(), &short].concat()))
    }

    /// What was left with the switch before the last `number - 1` ones: a branch, or an id.
    fn prior(&self, number: usize) -> Found<Vec<u8>> {
        let (mut left, mut found) = (number, None);
        self.view.each_log_entry(b"HEAD", LogOrder::NewestFirst, |entry| {
            if let Some(from) = switched_from(entry.message) {
                left -= 1;
                if left == 0 {
                    found = Some(from.to_vec());
                    return Ok::<_, Error>(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        found.ok_or(Miss::Nothing)
    }

    fn logged(&self, name: &[u8], when: &[u8]) -> Found<ObjectId> {
        let when = When::of(when).ok_or(Miss::AskGit)?;
        let log = self.log_of(name)?.ok_or(Miss::Nothing)?;
        let current = self.view.resolve(&log)?;
        entry::find(self.view, &log, when, current)?.ok_or(Miss::Nothing)
    }

    /// The name whose log is meant: that of a reference which exists, or of what it leads to.
    /// Without a name it is the current branch.
    fn log_of(&self, name: &[u8]) -> Found<Option<Vec<u8>>> {
        let base = spec::parse(name).filter(|spec| spec.steps.is_empty()).ok_or(Miss::AskGit)?.base;
        let candidates: Vec<Vec<u8>> = match base {
            Base::Word(b"") => {
                let head = self.view.follow(b"HEAD")?;
                return Ok(head.target.is_some().then_some(head.name));
            }
            Base::Word(b"@") => vec![b"HEAD".to_vec()],
            Base::Word(word) => crate::names::candidates(word).collect(),
            base => self.name_of(&base)?.into_iter().collect(),
        };
        for name in candidates.into_iter().filter(|name| check(name).is_ok()) {
            let Ok(chain) = self.view.follow(&name) else { continue };
            if chain.target.is_none() {
                continue;
            }
            for name in [name, chain.name] {
                if self.view.log_exists(&name)? {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }

    /// Whether git sees other objects, or other parents, than there are: that is its own affair.
    fn is_history_rewritten(&self) -> Result<bool> {
        let is_set = |name| env::var_os(name).is_some();
        let Some(common_dir) = self.repository.common_dir() else { return Ok(false) };
        let has = |file: &str| common_dir.join(Path::new(file)).symlink_metadata().is_ok_and(|file| file.len() > 0);
        if ["GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE"].into_iter().any(is_set)
            || has("shallow")
            || has("info/grafts")
        {
            return Ok(true);
        }
        if is_set("GIT_NO_REPLACE_OBJECTS") {
            return Ok(false);
        }
        let mut is_replaced = false;
        let replaced = crate::view::Listing::default().pattern("refs/replace/");
        self.view.list(&replaced, |_| {
            is_replaced = true;
            Ok::<_, Error>(ControlFlow::Break(()))
        })?;
        Ok(is_replaced)
    }
}

/// What a log entry of `HEAD` says was left.
fn switched_from(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(b"checkout: moving from ")?;
    let end = rest.windows(4).position(|part| part == b" to ")?;
    rest.get(..end)
}

#[cfg(not(feature = "objects"))]
impl Reader<'_> {
    #[expect(clippy::unused_self, reason = "with the feature it has objects")]
    fn abbreviated(&self, _digits: &[u8]) -> Found<ObjectId> {
        Err(Miss::AskGit)
    }

    #[expect(clippy::unused_self, reason = "with the feature it has objects")]
    fn step(&self, _from: ObjectId, step: Step) -> Found<ObjectId> {
        let (Step::Parent(_) | Step::Ancestor(_) | Step::Peel(_)) = step;
        let _git_knows_it = FAR;
        Err(Miss::AskGit)
    }
}

/// What cannot be read of objects is git's to say.
#[cfg(feature = "objects")]
impl Reader<'_> {
    fn objects(&self) -> Found<&Objects> {
        self.objects.ok_or(Miss::AskGit)
    }

    fn abbreviated(&self, digits: &[u8]) -> Found<ObjectId> {
        match self.objects()?.abbreviated(digits) {
            Ok(found) if found.len() > 1 => Err(Miss::AskGit),
            Ok(found) => found.into_iter().next().ok_or(Miss::Nothing),
            Err(_) => Err(Miss::AskGit),
        }
    }

    fn step(&self, from: ObjectId, step: Step) -> Found<ObjectId> {
        match step {
            Step::Peel(peel) => self.peel(from, peel),
            Step::Parent(0) | Step::Ancestor(0) => self.peel(from, Peel::Commit),
            Step::Parent(number) => {
                let parents = self.parents(self.peel(from, Peel::Commit)?)?;
                let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
                parents.get(at).copied().ok_or(Miss::Nothing)
            }
            Step::Ancestor(number) if number > FAR => Err(Miss::AskGit),
            Step::Ancestor(number) => {
                let mut id = self.peel(from, Peel::Commit)?;
                for _ in 0..number {
                    id = self.parents(id)?.first().copied().ok_or(Miss::Nothing)?;
                }
                Ok(id)
            }
        }
    }

    fn parents(&self, commit: ObjectId) -> Found<Vec<ObjectId>> {
        self.objects()?.parents(&commit).map_err(|_| Miss::AskGit)
    }

    fn peel(&self, from: ObjectId, peel: Peel) -> Found<ObjectId> {
        let objects = self.objects()?;
        let kind = |id: &ObjectId| objects.kind(id).map_err(|_| Miss::AskGit)?.ok_or(Miss::Nothing);
        let mut id = from;
        for _ in 0..FAR {
            let found = kind(&id)?;
            id = match (peel, found) {
                (Peel::Any, _)
                | (Peel::Commit, ObjectKind::Commit)
                | (Peel::Tag, ObjectKind::Tag)
                | (Peel::Tree, ObjectKind::Tree)
                | (Peel::Blob, ObjectKind::Blob)
                | (Peel::NoTag, ObjectKind::Commit | ObjectKind::Tree | ObjectKind::Blob) => return Ok(id),
                (_, ObjectKind::Tag) => objects.read_tag(&id).map_err(|_| Miss::AskGit)?,
                (Peel::Tree, ObjectKind::Commit) => objects.tree(&id).map_err(|_| Miss::AskGit)?,
                _ => return Err(Miss::Nothing),
            };
        }
        Err(Miss::AskGit)
    }
}
