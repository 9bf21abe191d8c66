//! The files of a run: one repository and one directory of histories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use reftable::{Expect, Ident, ObjectId, Stack, Target};

use crate::args::Shared;
use crate::object::{Mint, Minted};
use crate::{git, names, pack};

/// The seconds of every log entry: the time of day decides nothing here.
const TIME: u64 = 1_700_000_000;

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The directory of the run.
    pub(crate) root: PathBuf,
}

impl Layout {
    /// The work tree.
    pub(crate) fn work_tree(&self) -> PathBuf {
        self.root.join("repository")
    }

    /// The `.git` directory.
    pub(crate) fn git_dir(&self) -> PathBuf {
        self.work_tree().join(".git")
    }

    /// The store.
    pub(crate) fn store(&self) -> PathBuf {
        self.git_dir().join("reftable")
    }

    /// The history of one process.
    pub(crate) fn history(&self, process: &str) -> PathBuf {
        self.root.join("history").join(format!("{process}.jsonl"))
    }
}

/// A repository with all accounts in it, before any process works on it.
#[derive(Debug)]
pub(crate) struct Repository {
    /// Where it is.
    pub(crate) layout: Layout,
    /// The commits that the accounts start from, as messages.
    pub(crate) opening: Vec<String>,
}

/// The committer of log entries.
pub(crate) fn ident(process: &str) -> Ident {
    Ident::new(process, "stress@example.org", TIME)
}

impl Repository {
    /// Makes one in `root`, with git if there is one.
    pub(crate) fn create(root: &Path, shared: &Shared, with_git: bool) -> Result<Repository> {
        let layout = Layout { root: root.to_owned() };
        fs::create_dir_all(layout.root.join("history")).context("cannot create the directory of histories")?;
        if with_git {
            init(&layout, shared)?;
        } else {
            fs::create_dir_all(layout.store()).context("cannot create the store")?;
        }
        let opening = open_accounts(&layout, shared)?;
        Ok(Repository { layout, opening })
    }

    /// Gives git the commits with these messages, so that no reference and no log entry points at
    /// nothing.
    pub(crate) fn add_objects(&self, shared: &Shared, texts: &[&str]) -> Result<()> {
        let pack = pack::pack(shared.hash(), texts.iter().copied())?;
        let path = self.layout.root.join("objects.pack");
        fs::write(&path, pack).context("cannot write the pack")?;
        let file = fs::File::open(&path).context("cannot open the pack")?;
        let output = git::command(&self.layout.work_tree())
            .args(["index-pack", "--stdin"])
            .stdin(Stdio::from(file))
            .output()
            .context("cannot run git index-pack")?;
        if !output.status.success() {
            bail!("git refuses our objects: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        fs::remove_file(&path).context("cannot remove the pack")
    }
}

fn init(layout: &Layout, shared: &Shared) -> Result<()> {
    let format = format!("--object-format={}", shared.hash());
    let work_tree = layout.work_tree();
    fs::create_dir_all(&work_tree).context("cannot create the work tree")?;
    git::output(&work_tree, &["init", "--quiet", "--ref-format=reftable", "--initial-branch=main", &format])?;
    git::output(&work_tree, &["config", "core.logAllRefUpdates", "always"])?;
    git::output(&work_tree, &["commit", "--quiet", "--allow-empty", "-m", "nothing yet"])?;
    Ok(())
}

fn open_accounts(layout: &Layout, shared: &Shared) -> Result<Vec<String>> {
    let stack = Stack::open(layout.store(), shared.options())?;
    let mut mint = Mint::new(shared.hash(), "opening");
    let mut tx = stack.transaction();
    let mut texts = Vec::new();
    for number in 0..names::ACCOUNTS {
        let Minted { id, text } = mint.with_amount(names::OPENING)?;
        tx.set(names::account(number), Expect::Absent, id);
        texts.push(text);
    }
    tx.reflog(ident("opening"), "opening");
    tx.commit().context("cannot open the accounts")?;
    if stack.snapshot()?.get("HEAD")?.is_none() {
        let mut head = stack.transaction();
        head.set("HEAD", Expect::Absent, Target::symbolic("refs/heads/main"));
        head.commit().context("cannot write HEAD")?;
    }
    Ok(texts)
}

/// An id as our histories have it.
pub(crate) fn parse(hex: &str) -> Result<ObjectId> {
    Ok(hex.parse()?)
}
