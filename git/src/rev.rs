//! Objects by any of the names that git knows for them, and what they are.
//!
//! A full id, and a reference by its full or short name, are read here. For all else (`HEAD~1`,
//! `main:file`, an abbreviated id) and for the kinds of objects, one `git cat-file` is asked, which
//! is started for the first such question and answers all others, too.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use reftable::escape::escaped;
use reftable::{HashKind, ObjectId};

use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::view::View;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit,
    Tag,
    Tree,
    Blob,
}

/// Who knows the objects of a repository.
#[derive(Debug)]
pub struct Revisions {
    /// `None` if there is no repository around the store: then there are no objects.
    git_dir: Option<OsString>,
    hash: HashKind,
    /// Whether nobody wants to know if objects exist.
    is_unchecked: bool,
    answerer: Option<Answerer>,
}

#[derive(Debug)]
struct Answerer {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.questions = None;
        let _it_ends_with_its_input = self.child.wait();
    }
}

impl Revisions {
    /// For the objects of `repository`. Nothing is opened.
    #[must_use]
    pub fn of(repository: &Repository) -> Revisions {
        let git_dir = repository.git_dir().map(|dir| dir.as_os_str().to_owned());
        let hash = repository.format().map_or(HashKind::Sha1, |format| format.hash);
        Revisions { git_dir, hash, is_unchecked: false, answerer: None }
    }

    /// Where there is a store, and no repository around it: a word is an id or a reference.
    #[must_use]
    pub fn without_objects(hash: HashKind) -> Revisions {
        Revisions { git_dir: None, hash, is_unchecked: true, answerer: None }
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
        self.git_dir.is_some() && !self.is_unchecked
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
    /// If a reference cannot be read, or git not be asked.
    pub fn id(&mut self, text: &[u8], view: &View) -> Result<Option<ObjectId>> {
        if let Some(id) = full_id(text, None) {
            if self.git_dir.is_some() && id.kind() != self.hash {
                let (kind, hash) = (id.kind(), self.hash);
                return Err(Error::invalid(format!("{id} is a {kind} id, the store has {hash} ids")));
            }
            return Ok(Some(id));
        }
        if let Some(name) = view.expand(text)? {
            return view.resolve(&name);
        }
        if text.is_empty() || text.contains(&b'\n') || text.contains(&0) || self.git_dir.is_none() {
            return Ok(None);
        }
        Ok(self.ask(text)?.map(|(id, _)| id))
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
        Ok(self.ask(format!("{id}^{{}}").as_bytes())?.map(|(id, _)| id))
    }

    /// The commits from which history leads to these objects, and they themselves.
    ///
    /// # Errors
    /// If git cannot be asked, or does not find its way.
    pub(crate) fn reachable_from(&self, tips: &[ObjectId]) -> Result<HashSet<ObjectId>> {
        let Some(git_dir) = self.git_dir.as_ref().filter(|_| !tips.is_empty()) else { return Ok(HashSet::new()) };
        let failed = |what: &dyn std::fmt::Display| Error::broken(format!("git rev-list, which knows history: {what}"));
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(git_dir).args(["rev-list", "--stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let wanted: String = tips.iter().map(|tip| format!("{tip}\n")).collect();
        if let Some(mut input) = child.stdin.take() {
            input.write_all(wanted.as_bytes()).map_err(|error| failed(&error))?;
        }
        let output = child.wait_with_output().map_err(|error| failed(&error))?;
        if !output.status.success() {
            return Err(failed(&output.status));
        }
        Ok(output.stdout.split(|byte| *byte == b'\n').filter_map(|id| full_id(id, Some(self.hash))).collect())
    }

    /// Whether the object exists, with all that is in it if it is a commit; not its history.
    pub(crate) fn is_complete(&mut self, id: ObjectId) -> Result<bool> {
        match (self.kind(id)?, &self.git_dir) {
            (Some(Kind::Commit), Some(git_dir)) => {
                let mut command = Command::new("git");
                command.arg("--git-dir").arg(git_dir).args(["rev-list", "--quiet", "--objects", "--no-walk"]);
                command.arg(id.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let failed = |error| Error::broken(format!("git rev-list, which knows what is in {id}: {error}"));
                Ok(command.status().map_err(failed)?.success())
            }
            (kind, _) => Ok(kind.is_some()),
        }
    }

    fn ask(&mut self, question: &[u8]) -> Result<Option<(ObjectId, Kind)>> {
        let failed = |what: &dyn std::fmt::Display| {
            let question = escaped(question);
            Error::broken(format!("'{question}': git, which knows the objects, cannot be asked: {what}"))
        };
        let Some(git_dir) = &self.git_dir else { return Ok(None) };
        if self.answerer.is_none() {
            self.answerer = Some(Answerer::start(git_dir).map_err(|error| failed(&error))?);
        }
        let Some(answerer) = &mut self.answerer else { return Ok(None) };
        let answer = answerer.ask(question).map_err(|error| failed(&error))?;
        let mut words = answer.split(|byte| *byte == b' ');
        let (id, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(full_id(id, Some(self.hash)).zip(kind_of(kind)))
    }
}

impl Answerer {
    fn start(git_dir: &OsString) -> std::io::Result<Answerer> {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(git_dir).args(["cat-file", "--batch-check=%(objectname) %(objecttype)"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let questions = child.stdin.take();
        let answers = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(Answerer { child, questions, answers: BufReader::new(answers) })
    }

    fn ask(&mut self, question: &[u8]) -> std::io::Result<Vec<u8>> {
        let questions = self.questions.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        questions.write_all(&[question, b"\n"].concat())?;
        let mut answer = Vec::new();
        self.answers.read_until(b'\n', &mut answer)?;
        match answer.pop() {
            Some(b'\n') => Ok(answer),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
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
