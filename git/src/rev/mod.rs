//! Objects by any of the names that git knows for them, and what they are.
//!
//! References, their logs (`main@{1}`), what branches follow (`main@{upstream}`), and with the
//! feature `objects` ids of all lengths, what they lead to (`main~2^{tree}`) and the kinds of
//! objects are read here ([`read`]). For all else one `git cat-file` is asked ([`ask`]), which is
//! started for the first such question and answers all others, too: for what is in a tree
//! (`main:file`), for searches in messages, for ids that several objects begin with, for dates in
//! words that depend on a calendar, for what a partial clone has not fetched, and for steps through
//! history where replacements, grafts or a shallow clone make it another one.

mod ask;
mod entry;
mod read;
mod spec;

use std::collections::HashSet;
use std::process::Command;
#[cfg(feature = "objects")]
use std::sync::OnceLock;

use reftable::escape::escaped;
use reftable::{HashKind, ObjectId};

use crate::error::{Error, Result};
#[cfg(feature = "objects")]
use crate::objects::{ObjectKind, Objects};
use crate::repository::Repository;
use crate::view::View;
use ask::Answerer;
use read::{Miss, Reader};

/// How many digits of an id are shown where no git says so.
const USUAL_DIGITS: usize = 7;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit,
    Tag,
    Tree,
    Blob,
}

/// What knows the objects of a repository.
#[derive(Debug)]
pub struct Revisions {
    /// `None` if there is no repository around the store: then there are no objects.
    repository: Option<Repository>,
    hash: HashKind,
    /// Whether nobody wants to know if objects exist.
    is_unchecked: bool,
    /// `None` inside if only git can read them.
    #[cfg(feature = "objects")]
    objects: OnceLock<Option<Objects>>,
    answerer: Option<Answerer>,
    /// How many digits git shows of an id at least; `None` as long as nobody has asked.
    usual_digits: Option<usize>,
}

impl Revisions {
    /// For the objects of `repository`. Nothing is opened.
    #[must_use]
    pub fn of(repository: &Repository) -> Revisions {
        let hash = repository.format().map_or(HashKind::Sha1, |format| format.hash);
        let repository = repository.is_repository().then(|| repository.clone());
        Revisions { repository, ..Revisions::new(hash, false) }
    }

    /// Where there is a store, and no repository around it: a word is an id or a reference.
    #[must_use]
    pub fn without_objects(hash: HashKind) -> Revisions {
        Revisions::new(hash, true)
    }

    fn new(hash: HashKind, is_unchecked: bool) -> Revisions {
        Revisions {
            repository: None,
            hash,
            is_unchecked,
            #[cfg(feature = "objects")]
            objects: OnceLock::new(),
            answerer: None,
            usual_digits: None,
        }
    }

    /// Takes ids as they are: [`Batch::commit_checked`](crate::Batch::commit_checked) then looks
    /// for no object.
    #[must_use]
    pub fn unchecked(self) -> Revisions {
        Revisions { is_unchecked: true, ..self }
    }

    /// Whether there are objects to be asked about.
    #[must_use]
    pub fn has_objects(&self) -> bool {
        self.repository.is_some() && !self.is_unchecked
    }

    /// The hash of the ids.
    #[must_use]
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// The id that git reads `text` as; `None` if it stands for nothing. A full id need not be that
    /// of an object.
    ///
    /// # Errors
    /// If a reference or its log cannot be read, or git not be asked.
    pub fn id(&mut self, text: &[u8], view: &View) -> Result<Option<ObjectId>> {
        if let Some(id) = full_id(text, None) {
            if self.repository.is_some() && id.kind() != self.hash {
                let (kind, hash) = (id.kind(), self.hash);
                return Err(Error::invalid(format!("{id} is a {kind} id, the store has {hash} ids")));
            }
            return Ok(Some(id));
        }
        // '@' is HEAD, also where a branch is called so.
        if let Some(name) = view.expand(if text == b"@" { b"HEAD" } else { text })? {
            return view.resolve(&name);
        }
        let Some(repository) = &self.repository else { return Ok(None) };
        if text.is_empty() || text.contains(&b'\n') || text.contains(&0) {
            return Ok(None);
        }
        let reader = Reader {
            repository,
            view,
            hash: self.hash,
            #[cfg(feature = "objects")]
            objects: self.objects(),
        };
        match reader.id(text) {
            Ok(id) => Ok(Some(id)),
            Err(Miss::Nothing) if !self.is_partial() => Ok(None),
            Err(Miss::Nothing | Miss::AskGit) => Ok(self.ask(text)?.map(|(id, _)| id)),
            Err(Miss::Failed(error)) => Err(error),
        }
    }

    /// Whether there is an object `id`.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn exists(&mut self, id: ObjectId) -> Result<bool> {
        Ok(self.kind(id)?.is_some())
    }

    /// The word for what the object `id` is, such as `commit`; `None` if there is none.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn type_name(&mut self, id: ObjectId) -> Result<Option<&'static str>> {
        Ok(self.kind(id)?.map(|kind| match kind {
            Kind::Commit => "commit",
            Kind::Tag => "tag",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
        }))
    }

    /// What the object `id` is; `None` if there is none.
    pub(crate) fn kind(&mut self, id: ObjectId) -> Result<Option<Kind>> {
        #[cfg(feature = "objects")]
        match self.objects().map(|objects| objects.kind(&id)) {
            Some(Ok(Some(kind))) => return Ok(Some(kind.into())),
            Some(Ok(None)) if !self.is_partial() => return Ok(None),
            _ => {}
        }
        Ok(self.ask(id.to_string().as_bytes())?.map(|(_, kind)| kind))
    }

    /// The object that the annotated tag `id` leads to in the end; `None` for what is no tag.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn peeled(&mut self, id: ObjectId) -> Result<Option<ObjectId>> {
        if self.kind(id)? != Some(Kind::Tag) {
            return Ok(None);
        }
        #[cfg(feature = "objects")]
        if let Some(Ok(peeled)) = self.objects().map(|objects| objects.peel(&id)) {
            return Ok(Some(peeled));
        }
        Ok(self.ask(format!("{id}^{{}}").as_bytes())?.map(|(id, _)| id))
    }

    /// The first digits of `id`: at least so many, and so many that no other object begins with
    /// them. `None` is for as many as git shows at least, by `core.abbrev`; without a repository,
    /// seven.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn abbreviated(&mut self, id: ObjectId, least: Option<usize>) -> Result<String> {
        let text = id.to_string();
        let least = least.map_or_else(|| self.usual_digits(), Ok)?;
        for length in least..text.len() {
            let Some(digits) = text.get(..length) else { break };
            if self.repository.is_none() || self.ask(digits.as_bytes())?.is_some_and(|(found, _)| found == id) {
                return Ok(digits.to_owned());
            }
        }
        Ok(text)
    }

    /// As many as git shows of an id that no other begins like.
    fn usual_digits(&mut self) -> Result<usize> {
        if let Some(digits) = self.usual_digits {
            return Ok(digits);
        }
        let git = self.git_command()?;
        let digits = git.map_or(Ok(USUAL_DIGITS), |git| ask::usual_digits(git, self.hash))?;
        Ok(*self.usual_digits.insert(digits))
    }

    /// The commits from which history leads to these objects, and they themselves.
    ///
    /// # Errors
    /// If git cannot be asked, or does not find its way.
    pub(crate) fn reachable_from(&self, tips: &[ObjectId]) -> Result<HashSet<ObjectId>> {
        if tips.is_empty() {
            return Ok(HashSet::new());
        }
        self.git_command()?.map_or(Ok(HashSet::new()), |git| ask::reachable_from(git, tips, self.hash))
    }

    /// Whether the object exists, with all that is in it if it is a commit; not its history.
    pub(crate) fn is_complete(&mut self, id: ObjectId) -> Result<bool> {
        let kind = self.kind(id)?;
        if kind != Some(Kind::Commit) {
            return Ok(kind.is_some());
        }
        self.git_command()?.map_or(Ok(true), |git| ask::is_complete(git, id))
    }

    fn git_command(&self) -> Result<Option<Command>> {
        Ok(self.repository.as_ref().map(Repository::git_command).transpose()?.flatten())
    }

    #[cfg(feature = "objects")]
    fn objects(&self) -> Option<&Objects> {
        let repository = self.repository.as_ref()?;
        self.objects.get_or_init(|| repository.objects().ok()).as_ref()
    }

    /// Whether git may fetch what is missing.
    fn is_partial(&self) -> bool {
        let config = self.repository.as_ref().map(Repository::config);
        match config {
            Some(Ok(Some(config))) => {
                config.last("extensions.partialClone").is_some()
                    || config.section("remote").any(|(remote, key, _)| remote.is_some() && key == "promisor")
            }
            Some(Err(_)) => true,
            _ => false,
        }
    }

    fn ask(&mut self, question: &[u8]) -> Result<Option<(ObjectId, Kind)>> {
        let failed = |error| {
            let question = escaped(question);
            Error::broken(format!("'{question}': git, which knows the objects, cannot be asked: {error}"))
        };
        if self.answerer.is_none() {
            let Some(git) = self.git_command()? else { return Ok(None) };
            self.answerer = Some(Answerer::start(git).map_err(failed)?);
        }
        let Some(answerer) = &mut self.answerer else { return Ok(None) };
        let answer = answerer.ask(question).map_err(failed)?;
        let mut words = answer.split(|byte| *byte == b' ');
        let (id, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(full_id(id, Some(self.hash)).zip(kind_of(kind)))
    }
}

#[cfg(feature = "objects")]
impl From<ObjectKind> for Kind {
    fn from(kind: ObjectKind) -> Kind {
        match kind {
            ObjectKind::Commit => Kind::Commit,
            ObjectKind::Tag => Kind::Tag,
            ObjectKind::Tree => Kind::Tree,
            ObjectKind::Blob => Kind::Blob,
        }
    }
}

/// An id in full, of this hash if one is given.
fn full_id(text: &[u8], hash: Option<HashKind>) -> Option<ObjectId> {
    let id: ObjectId = std::str::from_utf8(text).ok()?.parse().ok()?;
    hash.is_none_or(|hash| hash == id.kind()).then_some(id)
}

fn kind_of(word: &[u8]) -> Option<Kind> {
    match word {
        b"commit" => Some(Kind::Commit),
        b"tag" => Some(Kind::Tag),
        b"tree" => Some(Kind::Tree),
        b"blob" => Some(Kind::Blob),
        _ => None,
    }
}
