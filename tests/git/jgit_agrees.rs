//! A third opinion: JGit, the implementation in Java that the format comes from, reads what we
//! write, and we read what it writes. Its tables are laid out otherwise than git's and ours: logs
//! alone begin after the header, one level of index makes one long block, blocks need not be
//! aligned.
//!
//! Without a JDK and JGit's archive the tests say SKIPPED; with `REFTABLE_REQUIRE_JGIT` set they
//! fail. `REFTABLE_JGIT` is the class path; by default it is that of Debian's `libjgit-java`, which
//! has JGit 4.11.9.
//!
//! What JGit 4.11 does not do, and these tests therefore keep away from:
//!
//! - It knows format version 1 only, hence SHA-1.
//! - Look-ups in logs do not find entries in git's and our own tables: they are not asked for.
//!   Listings of logs are.
//! - A table of logs alone whose log block has the file header in it, as git and we write it, has
//!   no logs for it: our logs come with references.
//! - The index must have one root block: a larger table of this library may have up to three side
//!   by side, and then look-ups fail.
//! - It seems to take blocks for aligned if the header states a block size. Tables without padding
//!   (`WriteOptions::padding`), which state it all the same, as those of git's C library do, it
//!   reads only if they have one block of references.
//! - Asked for the references that point at an object it leaves out the tags that lead to it.
//! - The time zone is a number of minutes in its tables, where git writes hours and minutes in
//!   decimal digits. We read what is there; it reads the two bytes after.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, OnceLock};

use crate::support::effort::loudly;
use crate::support::tables::{LogRow, RefRow, logs, refs, write};
use crate::support::{self, Random, assert_verifies, contents, entry, id, quick, table_names};
use reftable::compact::{Compact, Expiry};
use reftable::merge::{Merged, Tombstones};
use reftable::table::{Table, WriteOptions};
use reftable::{AutoCompact, Expect, HashKind, LogEntry, ObjectId, Stack, Target};

const HASH: HashKind = HashKind::Sha1;
const MIN: u64 = 3;
const MAX: u64 = 12;

/// JGit at work: one process for many tables.
struct Jgit {
    child: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
}

fn class_path() -> String {
    let debian = "/usr/share/java/org.eclipse.jgit.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar";
    std::env::var("REFTABLE_JGIT").unwrap_or_else(|_| debian.to_owned())
}

/// The driver, compiled once; why not, where it cannot be.
fn compiled() -> Result<PathBuf, String> {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jgit-{}", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/git/jgit/Tables.java");
    let mut javac = Command::new("javac");
    let output = javac.args(["-nowarn", "-cp", &class_path(), "-d"]).arg(&to).arg(source).output();
    match output {
        Ok(output) if output.status.success() => Ok(to),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("javac: {error}")),
    }
}

impl Jgit {
    /// `None` where there is no JGit.
    fn start() -> Option<Jgit> {
        static CLASSES: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let classes = match CLASSES.get_or_init(compiled) {
            Ok(classes) => classes,
            Err(error) => {
                let message = "a JDK and JGit 4.11 are needed (Debian: default-jdk-headless, libjgit-java)";
                assert!(std::env::var_os("REFTABLE_REQUIRE_JGIT").is_none(), "{message}: {error}");
                loudly(&format!("SKIPPED: {message}"));
                return None;
            }
        };
        let path = format!("{}:{}", class_path(), classes.display());
        let mut java = Command::new("java");
        java.args(["-XX:TieredStopAtLevel=1", "-cp", &path, "Tables"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = java.spawn().unwrap();
        let (ask, told) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Jgit { child, ask, told })
    }

    fn run(&mut self, command: &str) -> Vec<String> {
        writeln!(self.ask, "{command}").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(
                self.told.read_line(&mut line).unwrap() > 0,
                "JGit has failed: {}",
                &command[..command.len().min(300)]
            );
            match line.trim_end_matches('\n') {
                "end" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    fn write(&mut self, path: &Path, config: &Config, refs: &[RefRow], logs: &[LogRow]) {
        let (path, Config { ref_block, log_block, restart, levels, aligned, objects }) = (path.display(), config);
        let head = format!(
            "write\t{path}\t{MIN}\t{MAX}\t{ref_block}\t{log_block}\t{restart}\t{levels}\t{aligned}\t{objects}\n"
        );
        let rows = printed(refs, logs).into_iter().map(|row| row + "\n").collect::<String>();
        self.run(&format!("{head}{rows}end"));
    }

    /// The rows of a stack of tables, and what points at each id.
    fn read(&mut self, tables: &[PathBuf]) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
        let paths: String = tables.iter().map(|path| format!("\t{}", path.display())).collect();
        let (at, rows): (Vec<_>, Vec<_>) =
            self.run(&format!("read{paths}")).into_iter().partition(|line| line.starts_with("at\t"));
        let words = at.iter().map(|line| line.split('\t').skip(1).map(str::to_owned).collect::<Vec<_>>());
        (rows, words.map(|mut words| (words.remove(0), words)).collect())
    }
}

impl Drop for Jgit {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What JGit calls its configuration.
#[derive(Debug, Clone, Copy)]
struct Config {
    ref_block: u32,
    log_block: u32,
    restart: u16,
    /// 0: as many as it takes.
    levels: u32,
    aligned: bool,
    objects: bool,
}

const CONFIGS: [Config; 12] = {
    const fn of(ref_block: u32, log_block: u32, restart: u16, levels: u32, aligned: bool, objects: bool) -> Config {
        Config { ref_block, log_block, restart, levels, aligned, objects }
    }
    [
        of(4096, 8192, 16, 0, true, true),
        of(4096, 8192, 16, 1, true, true),
        of(4096, 8192, 16, 0, false, true),
        of(4096, 8192, 16, 1, false, false),
        of(512, 1024, 16, 0, true, true),
        of(512, 1024, 16, 1, true, true),
        of(512, 1024, 4, 2, true, true),
        of(512, 1024, 1, 0, false, true),
        of(512, 1024, 64, 1, false, true),
        of(1000, 300, 16, 1, true, false),
        of(65536, 65536, 64, 0, true, true),
        of(256, 65536, 16, 0, true, true),
    ]
};

fn printed(refs: &[RefRow], logs: &[LogRow]) -> Vec<String> {
    let reference = |(name, index, target): &RefRow| {
        let target = match target {
            None => "none".to_owned(),
            Some(Target::Id(id)) => format!("id\t{id}"),
            Some(Target::Tag { id, peeled }) => format!("tag\t{id}\t{peeled}"),
            Some(Target::Symbolic(name)) => format!("sym\t{}", String::from_utf8_lossy(name)),
            Some(other) => panic!("{other}"),
        };
        format!("ref\t{name}\t{index}\t{target}")
    };
    let log = |(name, index, entry): &LogRow| {
        let Some(LogEntry { old, new, committer, message }) = entry else {
            return format!("log\t{name}\t{index}\tnone");
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (who, email) = (text(&committer.name), text(&committer.email));
        let message = text(message.strip_suffix(b"\n").unwrap_or(message));
        let (time, zone) = (committer.time, committer.time_zone);
        format!("log\t{name}\t{index}\t{old}\t{new}\t{who}\t{email}\t{time}\t{zone}\t{message}")
    };
    refs.iter().map(reference).chain(logs.iter().map(log)).collect()
}

/// As JGit reads them.
fn without_zones(refs: &[RefRow], logs: &[LogRow]) -> Vec<String> {
    let mut logs = logs.to_vec();
    logs.iter_mut().filter_map(|row| row.2.as_mut()).for_each(|entry| entry.committer.time_zone = 0);
    printed(refs, &logs)
}

/// References and logs of all kinds.
fn rows(seed: u64, ref_count: u64, log_count: u64) -> (Vec<RefRow>, Vec<LogRow>) {
    let mut random = Random(seed);
    let mut refs = Vec::new();
    for number in 0..ref_count {
        let target = match random.below(8) {
            0 => None,
            1 => Some(Target::symbolic("refs/heads/main")),
            2 => Some(Target::Tag { id: id(HASH, number), peeled: id(HASH, 5000 + random.below(30)) }),
            3 => Some(Target::Id(id(HASH, random.below(30)))),
            _ => Some(Target::Id(id(HASH, number))),
        };
        refs.push((format!("refs/heads/{number:05}"), MIN + random.below(MAX - MIN + 1), target));
    }
    if ref_count > 0 {
        refs.push(("refs/heads/main".to_owned(), MIN, Some(Target::Id(id(HASH, 1)))));
    }
    let mut logs = Vec::new();
    for number in 0..log_count {
        for index in [MAX, MAX - 3, MIN].into_iter().take(1 + random.below(3) as usize) {
            let message = format!("message {} of {number}", "long ".repeat(random.below(9) as usize));
            let entry = (random.below(9) > 0).then(|| entry(HASH, random.below(30), number + 1, message));
            logs.push((format!("refs/heads/{number:05}"), index, entry));
        }
    }
    (refs, logs)
}

fn store(dir: &Path, tables: &[PathBuf]) {
    let name = |(number, path): (u64, &PathBuf)| {
        let table = Table::open(path, std::fs::read(path).unwrap()).unwrap();
        let (min, max) = (table.header().min_update_index, table.header().max_update_index);
        let name = format!("0x{min:012x}-0x{max:012x}-{number:08x}.ref");
        std::fs::copy(path, dir.join(&name)).unwrap();
        name + "\n"
    };
    let list: String = (0..).zip(tables).map(name).collect();
    std::fs::write(dir.join("tables.list"), list).unwrap();
}

/// What we read of one table of JGit's is what it was given; `verify` is content, and a merge with
/// a table of this library keeps everything.
fn check_table_of_jgit(path: &Path, config: &Config, ref_rows: &[RefRow], log_rows: &[LogRow]) {
    let table = Arc::new(Table::open(path, std::fs::read(path).unwrap()).unwrap());
    let merged = Merged::new(vec![table]);
    assert_eq!(refs(&merged, "", Tombstones::Show), ref_rows, "{config:?}");
    let log_rows: Vec<LogRow> = log_rows.to_vec();
    assert_eq!(logs(&merged, "", Tombstones::Show), log_rows, "{config:?}");
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[path.to_owned()]);
    for copies in [true, false] {
        let write = WriteOptions::default().block_size(config.ref_block);
        let options = quick().auto_compact(AutoCompact::Off).compact_at_once(0).write(write);
        let stack = Stack::open(dir.path(), options).unwrap();
        if copies {
            assert_eq!(stack.verify().unwrap().findings, [], "{config:?}");
        }
        let before = contents::of_stack(&stack);
        let snapshot = stack.snapshot().unwrap();
        for found in before.refs.iter().step_by(7) {
            assert_eq!(snapshot.get(&found.name).unwrap().as_ref(), Some(found));
        }
        for number in (0..60).chain(1000..1010).chain(5000..5030) {
            let id = id(HASH, number);
            assert_eq!(contents::pointing_at(&snapshot, &id), contents::scan_for(&before, &id), "{config:?}");
        }
        for log in before.logs.iter().step_by(31) {
            assert!(contents::log(&snapshot, &log.refname).contains(log));
        }
        let mut tx = stack.transaction();
        tx.set("refs/heads/00000-ours", Expect::Any, id(HASH, 1));
        tx.commit().unwrap();
        let what = if copies { Compact::all() } else { Compact::Rewrite { expiry: Expiry::default() } };
        stack.compact(what).unwrap().unwrap();
        assert_verifies(&stack);
        let mut after = contents::of_stack(&stack);
        after.refs.retain(|found| found.name != b"refs/heads/00000-ours");
        let mut before = before;
        before.refs.retain(|found| found.name != b"refs/heads/00000-ours");
        assert_eq!(after, before, "{config:?}");
    }
}

#[test]
fn we_read_what_jgit_writes() {
    let Some(mut jgit) = Jgit::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jgit.ref");
    let mut shapes = Vec::new();
    for (seed, config) in CONFIGS.iter().enumerate() {
        for (ref_count, log_count) in [(0, 1), (0, 400), (1, 1), (3, 0), (700, 0), (2500, 500)] {
            let (ref_rows, log_rows) = rows(seed as u64, ref_count, log_count);
            jgit.write(&path, config, &ref_rows, &log_rows);
            check_table_of_jgit(&path, config, &ref_rows, &log_rows);
            shapes.push(Shape::of(&path));
        }
    }
    // Else this shows less than it says.
    assert!(shapes.iter().any(|shape| shape.logs_apart && shape.log_index));
    assert!(shapes.iter().any(|shape| shape.long_index && shape.objects));
    assert!(shapes.iter().any(|shape| !shape.is_aligned && shape.objects));
}

/// What makes a table of JGit's other than one of this library's.
struct Shape {
    logs_apart: bool,
    log_index: bool,
    long_index: bool,
    objects: bool,
    is_aligned: bool,
}

impl Shape {
    fn of(path: &Path) -> Shape {
        let table = Table::open(path, std::fs::read(path).unwrap()).unwrap();
        let (footer, size) = (table.footer(), u64::from(table.header().block_size));
        let root = table.block_at(footer.ref_index).unwrap().unwrap();
        Shape {
            logs_apart: footer.log == 24,
            log_index: footer.log_index > 0,
            long_index: footer.ref_index > 0 && size > 0 && root.len() > size && root.padding() > 0,
            objects: footer.obj > 0,
            is_aligned: size > 0,
        }
    }
}

#[test]
fn jgit_reads_what_we_write() {
    let Some(mut jgit) = Jgit::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.ref");
    // Large enough blocks for one root.
    for (size, most) in [(256, 12), (4096, 3000), (65536, 3000)] {
        for (interval, objects) in [(16, true), (1, true), (64, false)] {
            for (ref_count, log_count) in [(1, 0), (3, 4), (12, 12), (3000, 700)] {
                let options = WriteOptions::default().block_size(size).restart_interval(interval);
                let options = options.object_index(objects);
                let (ref_rows, log_rows) = rows(u64::from(size), ref_count.min(most), log_count.min(most));
                let (bytes, _) = write(HASH, MIN..=MAX, &options, &ref_rows, &log_rows).unwrap();
                std::fs::write(&path, bytes).unwrap();
                let (seen, pointing) = jgit.read(std::slice::from_ref(&path));
                assert_eq!(seen, without_zones(&ref_rows, &log_rows), "{options:?}");
                check_pointing(&pointing, &ref_rows);
            }
        }
    }
}

/// What JGit finds for each id is what points at it directly.
fn check_pointing(pointing: &BTreeMap<String, Vec<String>>, rows: &[RefRow]) {
    for (hex, names) in pointing {
        let id: ObjectId = hex.parse().unwrap();
        let has = |row: &&RefRow| row.2.as_ref().and_then(Target::id) == Some(id);
        let expected: Vec<&str> = rows.iter().filter(has).map(|row| row.0.as_str()).collect();
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{hex}");
    }
}

/// A stack of both: tables of this library, what is merged of them, and one of JGit's between.
#[test]
fn both_read_a_stack_of_both() {
    let Some(mut jgit) = Jgit::start() else { return };
    let (dir, at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = at.path().join("jgit.ref");
    let (ref_rows, log_rows) = rows(5, 900, 100);
    jgit.write(&path, &CONFIGS[5], &ref_rows, &log_rows);
    store(dir.path(), std::slice::from_ref(&path));
    let stack = Stack::open(dir.path(), quick().auto_compact(AutoCompact::Off)).unwrap();
    let mut agree = |stack: &Stack| {
        let paths: Vec<PathBuf> = table_names(dir.path()).iter().map(|name| dir.path().join(name)).collect();
        let contents = contents::of_stack(stack);
        let refs: Vec<RefRow> = contents.refs.iter().map(support::tables::as_row).collect();
        let logs: Vec<LogRow> = contents.logs.iter().map(support::tables::as_log_row).collect();
        let (seen, _) = jgit.read(&paths);
        let seen: Vec<String> = seen.into_iter().filter(|row| !row.ends_with("\tnone")).collect();
        assert_eq!(seen, without_zones(&refs, &logs));
    };
    for number in 0..6 {
        let mut tx = stack.transaction();
        tx.set(format!("refs/heads/new-{number}"), Expect::Absent, id(HASH, number)).reflog(support::ident(), "ours");
        tx.delete(format!("refs/heads/{:05}", 3 * number + 1), Expect::Any);
        tx.commit().unwrap();
        agree(&stack);
    }
    stack.compact(Compact::all()).unwrap().unwrap();
    assert_verifies(&stack);
    agree(&stack);
}
