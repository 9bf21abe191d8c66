//! How long it takes to tell the branch: in a process that is there, and as a process of its own
//! beside git's. A plain program: `cargo bench -p reftable-git --bench head`.
//!
//! Each round does everything once, one after the other, so that a load on the machine meets all
//! alike; medians are printed.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reftable::bytes::Reading;
use reftable_git::{Head, Repository};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const REFERENCES: usize = 10_000;
const ROUNDS: usize = 200;
/// So often each round does what takes microseconds.
const REPETITIONS: u32 = 100;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("nothing") => Ok(()),
        Some("head") => {
            let head = Repository::find(None)?.head()?;
            stdout().write_all(head.branch().unwrap_or_default())?;
            Ok(())
        }
        _ => measure(),
    }
}

fn git(dir: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=A U Thor", "-c", "user.email=author@example.com"]).args(args).current_dir(dir);
    let output = command.output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned().into()) }
}

/// A repository with many references in a table, and one small table more.
fn make(top: &Path) -> Result<PathBuf> {
    git(top, &["init", "-q", "-b", "main", "--ref-format=reftable", "repo"])?;
    let repo = top.join("repo");
    git(&repo, &["commit", "-q", "--allow-empty", "-m", "first"])?;
    let stores = Repository::at(&repo)?.open_to_write()?;
    let id = stores.view()?.resolve(b"HEAD")?.ok_or("no HEAD")?;
    let changes = (0..REFERENCES).map(|number| {
        let name = format!("refs/tags/v{number}");
        reftable_git::Change::set(name, reftable::Expect::Absent, id)
    });
    reftable_git::Batch { changes: changes.collect(), ..Default::default() }.commit(&stores)?;
    git(&repo, &["commit", "-q", "--allow-empty", "-m", "second"])?;
    fs::create_dir_all(repo.join("a/b"))?;
    Ok(repo)
}

/// The time of one of many repetitions.
fn each(mut act: impl FnMut() -> Result<Head>) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..REPETITIONS {
        black_box(act()?);
    }
    Ok(start.elapsed() / REPETITIONS)
}

fn process(program: &Path, args: &[&str], dir: &Path) -> Result<Duration> {
    let start = Instant::now();
    let status = Command::new(program).args(args).current_dir(dir).stdout(Stdio::null()).status()?;
    let elapsed = start.elapsed();
    if status.success() { Ok(elapsed) } else { Err(format!("{program:?} {args:?}: {status}").into()) }
}

fn measure() -> Result<()> {
    let top = std::env::temp_dir().join(format!("reftable-head-{}", std::process::id()));
    fs::create_dir_all(&top)?;
    let measured = measure_in(&top);
    fs::remove_dir_all(&top)?;
    measured
}

fn measure_in(top: &Path) -> Result<()> {
    let repo = make(top)?;
    let below = repo.join("a/b");
    let me = std::env::current_exe()?;
    let known = Repository::at(&repo)?;
    git(top, &["init", "-q", "-b", "main", "--ref-format=reftable", "small"])?;
    git(&top.join("small"), &["commit", "-q", "--allow-empty", "-m", "first"])?;
    let git = Path::new("git");
    let small = Repository::at(&top.join("small"))?;
    let rows = [
        "read HEAD, repository known, one table",
        "read HEAD, repository known, two tables",
        "the same by opening the store",
        "find the repository and read HEAD",
        "a process that does nothing",
        "a process that tells the branch",
        "two processes of git: symbolic-ref, rev-parse",
    ];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        let round = [
            each(|| Ok(small.head()?))?,
            each(|| Ok(known.head()?))?,
            each(|| Ok(known.view(Reading::Mapped)?.head()?))?,
            each(|| Ok(Repository::at(&below)?.head()?))?,
            process(&me, &["nothing"], &below)?,
            process(&me, &["head"], &below)?,
            process(git, &["symbolic-ref", "--short", "HEAD"], &below)? + process(git, &["rev-parse", "HEAD"], &below)?,
        ];
        times.iter_mut().zip(round).for_each(|(times, time)| times.push(time));
    }
    for (row, times) in rows.iter().zip(&mut times) {
        times.sort_unstable();
        let of = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e6;
        writeln!(stdout(), "{row:50} median {:8.1} us, a tenth within {:8.1} us", of(50), of(10))?;
    }
    Ok(())
}
