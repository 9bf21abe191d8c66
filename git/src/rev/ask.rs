//! What is asked of git about objects: their other names, and history. Each `command` is
//! [`Repository::git_command`](crate::Repository::git_command).

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use reftable::{HashKind, ObjectId};

use super::full_id;
use crate::error::{Error, Result};

/// One `git cat-file`, which answers questions one by one.
#[derive(Debug)]
pub(super) struct Answerer {
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

impl Answerer {
    pub(super) fn start(mut command: Command) -> io::Result<Answerer> {
        command.args(["cat-file", "--batch-check=%(objectname) %(objecttype)"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let questions = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Answerer { child, questions, answers: BufReader::new(answers) })
    }

    pub(super) fn ask(&mut self, question: &[u8]) -> io::Result<Vec<u8>> {
        let questions = self.questions.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        questions.write_all(&[question, b"\n"].concat())?;
        let mut answer = Vec::new();
        self.answers.read_until(b'\n', &mut answer)?;
        match answer.pop() {
            Some(b'\n') => Ok(answer),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// How many digits git shows of an id that no other begins like.
pub(super) fn usual_digits(mut command: Command, hash: HashKind) -> Result<usize> {
    let failed = |what: &dyn std::fmt::Display| Error::broken(format!("git rev-parse, which shortens ids: {what}"));
    command.args(["rev-parse", "--short"]).arg(ObjectId::null(hash).to_string());
    let output = command.stderr(Stdio::null()).output().map_err(|error| failed(&error))?;
    match output.stdout.trim_ascii().len() {
        digits @ 1.. if output.status.success() => Ok(digits),
        _ => Err(failed(&output.status)),
    }
}

/// The commits from which history leads to these objects, and they themselves.
pub(super) fn reachable_from(mut command: Command, tips: &[ObjectId], hash: HashKind) -> Result<HashSet<ObjectId>> {
    let failed = |what: &dyn std::fmt::Display| Error::broken(format!("git rev-list, which knows history: {what}"));
    command.args(["rev-list", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let wanted: String = tips.iter().map(|tip| format!("{tip}\n")).collect();
    if let Some(mut input) = child.stdin.take() {
        input.write_all(wanted.as_bytes()).map_err(|error| failed(&error))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    Ok(output.stdout.split(|byte| *byte == b'\n').filter_map(|id| full_id(id, Some(hash))).collect())
}

/// Whether a commit exists with all that is in it; not its history.
pub(super) fn is_complete(mut command: Command, id: ObjectId) -> Result<bool> {
    command.args(["rev-list", "--quiet", "--objects", "--no-walk"]);
    command.arg(id.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let failed = |error| Error::broken(format!("git rev-list, which knows what is in {id}: {error}"));
    Ok(command.status().map_err(failed)?.success())
}
