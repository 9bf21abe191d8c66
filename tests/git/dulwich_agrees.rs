//! A second opinion: dulwich, an implementation in Python that shares no code with git or us, reads
//! what we write, and we read what it writes, in one stack.
//!
//! Without Python and dulwich the tests say SKIPPED; with `REFTABLE_REQUIRE_DULWICH` set they fail.
//! `REFTABLE_PYTHON` names the interpreter.
//!
//! What dulwich 1.2 does not do, and these tests therefore keep away from:
//!
//! - It knows format version 1 only, hence SHA-1, and of a table only the first reference block; it
//!   does not know logs. Blocks after the first are looked for 28 bytes too far on.
//! - It does not look at the restarts. Records end, for it, at the first bytes `00 00 1c` of a
//!   block.
//! - Its variable-length integers of two and more bytes are not those of the format. So a suffix of
//!   a name has at most 31 bytes, reading and writing; the target of a symbolic reference, 127.
//! - A block it writes has two restarts at most, the second at the second record, shared bytes or
//!   not: a batch without HEAD as its first name has a restart that is none. We report that as
//!   damage.
//! - The names of its tables have the time of day where the update indexes should be, except in
//!   batches. `verify` reports that; reading does not depend on it. (It sorts the list by those
//!   names. So after a commit of this library on top of its tables, which have the larger names,
//!   its next write would get the order wrong; after a compaction it does not.)
//! - It locks nothing. A batch removes all tables but its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::effort::loudly;
use crate::support::git::{self, Repo};
use crate::support::{assert_verifies, contents, id, quick, table_names};
use reftable::compact::Compact;
use reftable::verify::Severity;
use reftable::{AutoCompact, ErrorKind, Expect, HashKind, Options, Snapshot, Stack, Target};

const HASH: HashKind = HashKind::Sha1;

/// Reads commands and carries them out. `list` prints name, value and peeled value of each
/// reference.
const DRIVER: &str = r#"
import sys
from dulwich.reftable import ReftableRefsContainer

refs = ReftableRefsContainer(sys.argv[1])

def value(name):
    try:
        return refs.read_loose_ref(name)
    except KeyError:
        return None

def run(command, words):
    if command == b"set":
        assert refs.set_if_equals(words[0], value(words[0]), words[1])
    elif command == b"add":
        assert refs.add_if_new(words[0], words[1])
    elif command == b"delete":
        assert refs.remove_if_equals(words[0], value(words[0]))
    elif command == b"symbolic":
        refs.set_symbolic_ref(words[0], words[1])
    elif command == b"pack":
        refs.add_packed_refs(dict(zip(words[::2], words[1::2])))
    elif command == b"list":
        for name in sorted(refs.allkeys()):
            if value(name) is not None:
                peeled = refs.get_peeled(name) or b"-"
                sys.stdout.buffer.write(b"\t".join([name, value(name), peeled]) + b"\n")
    else:
        raise ValueError(command)

lines = [line.split() for line in sys.stdin.buffer]
if lines[0][0] == b"batch":
    with refs.batch_update():
        for command, *words in lines[1:]:
            run(command, words)
else:
    for command, *words in lines:
        run(command, words)
"#;

fn python() -> Command {
    Command::new(std::env::var_os("REFTABLE_PYTHON").unwrap_or_else(|| "python3".into()))
}

fn is_there() -> bool {
    let found = python().args(["-c", "import dulwich.reftable"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let message = "a Python with dulwich is needed; REFTABLE_PYTHON names it";
    assert!(std::env::var_os("REFTABLE_REQUIRE_DULWICH").is_none(), "{message}");
    loudly(&format!("SKIPPED: {message}"));
    false
}

/// A directory with a `reftable` directory in it, as a repository has one.
struct Shared {
    root: tempfile::TempDir,
}

impl Shared {
    fn new() -> Shared {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("reftable")).unwrap();
        Shared { root }
    }

    fn path(&self) -> std::path::PathBuf {
        self.root.path().join("reftable")
    }

    fn stack(&self) -> Stack {
        self.open(quick().auto_compact(AutoCompact::Off))
    }

    fn open(&self, options: Options) -> Stack {
        Stack::open(self.path(), options).unwrap()
    }

    fn dulwich(&self, commands: &str) -> String {
        dulwich(self.root.path(), commands)
    }

    fn agree(&self) -> Listing {
        agree(self.root.path())
    }
}

/// What both sides show of a reference: its value, and its peeled value where there is one.
type Listing = BTreeMap<String, (String, String)>;

fn dulwich(git_dir: &Path, commands: &str) -> String {
    let mut command = python();
    command.args(["-c", DRIVER]).arg(git_dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn as_dulwich_lists(snapshot: &Snapshot) -> Listing {
    let refs = contents::of(snapshot).refs;
    let shown = |target: Target| match target {
        Target::Id(id) => (id.to_string(), id.to_string()),
        Target::Tag { id, peeled } => (id.to_string(), peeled.to_string()),
        other => (other.to_string(), "-".to_owned()),
    };
    refs.into_iter().map(|found| (found.name_lossy().into_owned(), shown(found.target))).collect()
}

/// Both list the same. Returns it.
fn agree(git_dir: &Path) -> Listing {
    let mut theirs = Listing::new();
    for line in dulwich(git_dir, "list\n").lines() {
        let [name, value, peeled] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        theirs.insert(name.to_owned(), (value.to_owned(), peeled.to_owned()));
    }
    let stack = Stack::open(git_dir.join("reftable"), quick()).unwrap();
    let ours = as_dulwich_lists(&stack.snapshot().unwrap());
    assert_eq!(ours, theirs);
    ours
}

fn hex(number: u64) -> String {
    id(HASH, number).to_string()
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.keys().map(String::as_str).collect()
}

fn commit(stack: &Stack, fill: impl FnOnce(&mut reftable::Transaction)) {
    let mut tx = stack.transaction();
    fill(&mut tx);
    assert!(tx.commit().unwrap().compaction.is_none_or(|compaction| compaction.is_ok()));
}

/// `verify` finds that names of tables do not state their update indexes, and nothing else.
fn verifies_but_for_names(stack: &Stack) {
    for finding in stack.verify().unwrap().findings {
        assert!(finding.message.contains("the name states update indexes"), "{finding}");
        assert_eq!(finding.severity, Severity::Note);
    }
}

/// References of all kinds in three tables.
fn fill(stack: &Stack) {
    commit(stack, |tx| {
        tx.set("HEAD", Expect::Absent, Target::symbolic("refs/heads/main"));
        for number in 0..30 {
            tx.set(format!("refs/heads/{number:02}"), Expect::Absent, id(HASH, number));
        }
        tx.set("refs/heads/main", Expect::Absent, id(HASH, 100));
    });
    commit(stack, |tx| {
        tx.set("refs/tags/v1", Expect::Absent, Target::Tag { id: id(HASH, 101), peeled: id(HASH, 102) });
        tx.set("refs/heads/main", Expect::Exists, id(HASH, 103));
        tx.set("refs/remotes/origin/HEAD", Expect::Absent, Target::symbolic("refs/remotes/origin/main"));
    });
    commit(stack, |tx| {
        tx.delete("refs/heads/07", Expect::Exists).delete("refs/heads/29", Expect::Exists);
        tx.set("refs/tags/v2", Expect::Absent, Target::Tag { id: id(HASH, 104), peeled: id(HASH, 102) });
    });
}

#[test]
fn dulwich_reads_what_we_write() {
    if !is_there() {
        return;
    }
    let shared = Shared::new();
    let stack = shared.stack();
    fill(&stack);
    assert_eq!(table_names(&shared.path()).len(), 3);
    let listing = shared.agree();
    assert_eq!(listing.len(), 33);
    assert_eq!(listing["refs/tags/v1"], (hex(101), hex(102)));
    assert_eq!(listing["refs/heads/main"].0, hex(103));
    assert_eq!(listing["HEAD"].0, "ref: refs/heads/main");
    stack.compact(Compact::all()).unwrap().unwrap();
    assert_eq!(shared.agree(), listing);
}

/// Merged above the bottom, so that tombstones stay in the table.
#[test]
fn dulwich_reads_our_tombstones() {
    if !is_there() {
        return;
    }
    let shared = Shared::new();
    let stack = shared.stack();
    fill(&stack);
    let automatic = shared.open(quick());
    for number in 0..4 {
        commit(&automatic, |tx| {
            tx.delete(format!("refs/heads/1{number}"), Expect::Exists);
        });
        shared.agree();
    }
    assert!(table_names(&shared.path()).len() < 7);
    assert_eq!(shared.agree().len(), 29);
    assert_verifies(&stack);
}

#[test]
fn we_read_what_dulwich_writes() {
    if !is_there() {
        return;
    }
    let shared = Shared::new();
    let (one, two, three) = (hex(1), hex(2), hex(3));
    shared.dulwich(&format!(
        "set refs/heads/main {one}\nsymbolic HEAD refs/heads/main\nadd refs/heads/next {two}\nadd refs/tags/light {one}\n\
         delete refs/heads/next\nset refs/heads/main {three}\nsymbolic refs/remotes/origin/HEAD refs/remotes/origin/x\n"
    ));
    assert_eq!(table_names(&shared.path()).len(), 7, "a table for each");
    let listing = shared.agree();
    assert_eq!(names(&listing), ["HEAD", "refs/heads/main", "refs/remotes/origin/HEAD", "refs/tags/light"]);
    assert_eq!(listing["refs/heads/main"].0, three);
    let stack = shared.stack();
    assert_eq!(stack.snapshot().unwrap().get("refs/heads/next").unwrap(), None);
    verifies_but_for_names(&stack);
}

#[test]
fn we_read_what_dulwich_packs() {
    if !is_there() {
        return;
    }
    let shared = Shared::new();
    let pairs: String = (0..20).map(|number| format!(" refs/heads/{number:02} {}", hex(number))).collect();
    shared.dulwich(&format!("pack{pairs}\n"));
    assert_eq!(table_names(&shared.path()).len(), 1);
    let listing = shared.agree();
    assert_eq!(listing.len(), 21, "HEAD comes with them");
    verifies_but_for_names(&shared.stack());
    for number in 0..20 {
        assert_eq!(listing[&format!("refs/heads/{number:02}")].0, hex(number));
    }
}

/// What it packs above other tables begins with update index 1 again: from 1 to 2 above 1 to 3. The
/// list decides.
#[test]
fn we_read_what_dulwich_packs_above_other_tables() {
    if !is_there() {
        return;
    }
    let shared = Shared::new();
    let pairs = |first: u64, names: &[&str]| -> String {
        names.iter().zip(first..).map(|(name, number)| format!(" refs/heads/{name} {}", hex(number))).collect()
    };
    shared.dulwich(&format!("pack{}\n", pairs(1, &["a", "b", "c"])));
    shared.dulwich(&format!("pack{}\n", pairs(11, &["b", "d"])));
    let listing = shared.agree();
    assert_eq!((&listing["refs/heads/b"].0, listing.len()), (&hex(11), 5));
    let stack = shared.stack();
    assert!(
        stack.verify().unwrap().findings.iter().any(|finding| finding.message.contains("begins with update index 1"))
    );
    let most = stack.snapshot().unwrap().update_index();
    assert!(stack.snapshot().unwrap().tables()[1].header().max_update_index < most);
    commit(&stack, |tx| {
        tx.set("refs/heads/b", Expect::Is(id(HASH, 11).into()), id(HASH, 21));
    });
    assert_eq!(stack.snapshot().unwrap().update_index(), most + 1);
    assert_eq!(as_dulwich_lists(&stack.snapshot().unwrap())["refs/heads/b"].0, hex(21));
    stack.compact(Compact::all()).unwrap().unwrap();
    assert_verifies(&stack);
    assert_eq!(shared.agree()["refs/heads/b"].0, hex(21));
}

/// A batch is one table with all references in it, those that we wrote, too: tags with what they
/// lead to.
#[test]
fn we_read_a_batch_of_dulwich_over_our_tables() {
    if !is_there() {
        return;
    }
    let shared = Shared::new();
    fill(&shared.stack());
    let (one, two) = (hex(201), hex(202));
    shared.dulwich(&format!("batch\nset refs/heads/00 {one}\ndelete refs/heads/01\nset refs/heads/batch {two}\n"));
    assert_eq!(table_names(&shared.path()).len(), 1);
    let listing = shared.agree();
    assert_eq!(listing.len(), 33);
    assert_eq!(listing["refs/tags/v1"], (hex(101), hex(102)));
    assert_eq!((&listing["refs/heads/00"].0, &listing["refs/heads/batch"].0), (&one, &two));
    let stack = shared.stack();
    assert_verifies(&stack);
    commit(&stack, |tx| {
        tx.delete("refs/heads/batch", Expect::Is(id(HASH, 202).into()));
    });
    assert_eq!(shared.agree().len(), 32);
}

#[test]
fn we_commit_on_top_of_its_tables_and_compact_them() {
    if !is_there() {
        return;
    }
    let shared = Shared::new();
    let (one, two) = (hex(1), hex(2));
    let commands = format!(
        "set refs/heads/main {one}\nsymbolic HEAD refs/heads/main\nset refs/heads/next {two}\nset refs/heads/gone {one}\n\
         delete refs/heads/gone\n"
    );
    shared.dulwich(&commands);
    let stack = shared.stack();
    commit(&stack, |tx| {
        tx.set("refs/heads/main", Expect::Is(id(HASH, 1).into()), id(HASH, 3));
        tx.set("refs/tags/v1", Expect::Absent, Target::Tag { id: id(HASH, 4), peeled: id(HASH, 5) });
        tx.set("refs/heads/gone", Expect::Absent, id(HASH, 6));
        tx.delete("refs/heads/next", Expect::Exists);
    });
    assert_eq!(table_names(&shared.path()).len(), 6);
    let listing = shared.agree();
    assert_eq!(names(&listing), ["HEAD", "refs/heads/gone", "refs/heads/main", "refs/tags/v1"]);
    assert_eq!((&listing["refs/heads/main"].0, &listing["refs/heads/gone"].0), (&hex(3), &hex(6)));
    verifies_but_for_names(&stack);

    assert_eq!(stack.compact(Compact::all()).unwrap().unwrap().merged.len(), 6);
    assert_eq!(shared.agree(), listing);
    assert_verifies(&stack);

    // Back and forth.
    shared.dulwich(&format!("set refs/heads/main {one}\ndelete refs/heads/gone\nadd refs/heads/more {two}\n"));
    let listing = shared.agree();
    assert_eq!(names(&listing), ["HEAD", "refs/heads/main", "refs/heads/more", "refs/tags/v1"]);
    let automatic = shared.open(quick());
    commit(&automatic, |tx| {
        tx.set("refs/heads/most", Expect::Absent, id(HASH, 7));
    });
    assert_eq!(shared.agree().len(), 5);
    stack.compact(Compact::all()).unwrap();
    assert_eq!(shared.agree().len(), 5);
    assert_verifies(&stack);
}

/// A batch whose first two names share bytes: the second is a restart all the same. This is what
/// our message is for.
#[test]
fn a_restart_of_dulwich_that_is_none_is_named() {
    if !is_there() {
        return;
    }
    let shared = Shared::new();
    shared.dulwich(&format!("batch\nset refs/heads/a {}\nset refs/heads/b {}\n", hex(1), hex(2)));
    let findings = shared.stack().verify().unwrap().findings;
    assert!(findings.iter().any(|found| found.message.contains("a restart shares bytes")), "{findings:?}");
    let error = shared.stack().snapshot().unwrap().get("refs/heads/b").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.path().is_some() && error.offset().is_some(), "{error}");
}

#[test]
fn git_reads_the_stack_of_all_three() {
    if !is_there() || !git::is_there() {
        return;
    }
    let repo = Repo::with(HASH, &["core.logAllRefUpdates=false"], true);
    let ids = repo.commits(6);
    let git_dir = repo.work_tree().join(".git");
    repo.git(["update-ref", "refs/heads/git", &ids[0]]);
    dulwich(&git_dir, &format!("set refs/heads/dulwich {}\nset refs/heads/both {}\n", ids[1], ids[1]));
    agree(&git_dir);
    repo.assert_reads_equal();
    let stack = repo.open(quick().auto_compact(AutoCompact::Off));
    commit(&stack, |tx| {
        tx.set("refs/heads/ours", Expect::Absent, ids[2].parse::<reftable::ObjectId>().unwrap());
        tx.set("refs/heads/both", Expect::Exists, ids[3].parse::<reftable::ObjectId>().unwrap());
    });
    agree(&git_dir);
    repo.assert_reads_equal();
    repo.git(["update-ref", "refs/heads/both", &ids[4]]);
    repo.git(["update-ref", "-d", "refs/heads/git"]);
    agree(&git_dir);
    repo.assert_reads_equal();
    stack.compact(Compact::all()).unwrap();
    let listing = agree(&git_dir);
    assert_eq!(names(&listing), ["HEAD", "refs/heads/both", "refs/heads/dulwich", "refs/heads/ours"]);
    repo.assert_reads_equal();
    repo.assert_fsck();
    // What git has packed, dulwich adds to.
    dulwich(&git_dir, &format!("delete refs/heads/both\nset refs/heads/dulwich {}\n", ids[5]));
    agree(&git_dir);
    repo.assert_reads_equal();
    repo.git(["pack-refs"]);
    assert_eq!(agree(&git_dir).len(), 3);
    repo.assert_reads_equal();
}
