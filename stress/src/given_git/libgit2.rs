//! `libgit2`: threads of one process on one repository, through the libgit2 that is given.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Git;
use crate::args::Libgit2Args;

/// What runs the threads; it loads the library.
const PROGRAM: &str = include_str!("../../drivers/libgit2_threads.c");

/// What came of all rounds with one library.
#[derive(Debug, Clone, Default)]
struct Count {
    made: u32,
    failed: u32,
    /// References that git does not see, or sees though they were deleted.
    lost: u32,
    took: Duration,
    longest_ms: u64,
    /// Why one of them failed.
    reason: Option<String>,
}

/// Returns whether nothing failed and nothing was lost with the library that was given first.
pub(crate) fn main(args: &Libgit2Args) -> Result<bool> {
    let at = tempfile::tempdir()?;
    let program = compile(at.path())?;
    let mut all = vec![Count::default(); args.library.len()];
    for _ in 0..args.rounds {
        for (library, count) in args.library.iter().zip(&mut all) {
            run(&program, library, args, count)?;
        }
    }
    for (library, count) in args.library.iter().zip(&all) {
        let Count { made, failed, lost, longest_ms, .. } = count;
        let rate = f64::from(*made) / count.took.as_secs_f64();
        let tried = made + failed;
        let name = library.display();
        writeln!(
            io::stdout(),
            "{name}: {failed} of {tried} failed, {lost} lost; {rate:.0} a second, {longest_ms} ms at most"
        )?;
        if let Some(reason) = &count.reason {
            writeln!(io::stdout(), "    {reason}")?;
        }
    }
    Ok(all.first().is_none_or(|count| count.failed == 0 && count.lost == 0))
}

fn compile(at: &Path) -> Result<PathBuf> {
    let (source, program) = (at.join("libgit2_threads.c"), at.join("libgit2_threads"));
    fs::write(&source, PROGRAM)?;
    let mut cc = Command::new("cc");
    cc.arg("-O2").arg("-o").arg(&program).arg(&source).args(["-lpthread", "-ldl"]);
    let output = cc.output().context("a C compiler is needed, as `cc`")?;
    if !output.status.success() {
        bail!("cc: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(program)
}

/// One round, on a repository of its own.
fn run(program: &Path, library: &Path, args: &Libgit2Args, count: &mut Count) -> Result<()> {
    let git = Git::with_repository(&args.git)?;
    let repository = git.repository();
    let library = library.canonicalize().with_context(|| format!("there is no {}", library.display()))?;
    let mut threads = Command::new(program);
    threads.arg(&library).arg(&repository).args([args.threads, args.changes].map(|number| number.to_string()));
    let start = Instant::now();
    let output = threads.env("HOME", git.at.path()).output()?;
    count.took += start.elapsed();
    if !output.status.success() {
        let (status, said) = (output.status, String::from_utf8_lossy(&output.stderr));
        bail!("threads with {}: {status}: {}", library.display(), said.trim());
    }
    let listed = git.run(&repository, &["for-each-ref", "--format=%(refname)"])?;
    let listed: BTreeSet<&str> = listed.lines().collect();
    git.run(&repository, &["fsck", "--no-dangling"])?;
    count.add(&String::from_utf8_lossy(&output.stdout), &listed)
}

impl Count {
    /// Adds what the threads tell, beside what git lists.
    fn add(&mut self, told: &str, listed: &BTreeSet<&str>) -> Result<()> {
        let mut there = BTreeSet::new();
        for line in told.lines() {
            match line.split_once(' ') {
                Some(("made", name)) => {
                    self.made += 1;
                    there.insert(name);
                }
                Some(("gone", name)) => {
                    there.remove(name);
                    self.lost += u32::from(listed.contains(name));
                }
                Some(("failed", what)) => {
                    self.failed += 1;
                    self.reason.get_or_insert_with(|| what.to_owned());
                }
                Some(("longest", ms)) => self.longest_ms = self.longest_ms.max(ms.parse()?),
                _ => bail!("the threads say {line:?}"),
            }
        }
        self.lost += there.iter().filter(|name| !listed.contains(*name)).count() as u32;
        Ok(())
    }
}
