//! What the explorer promises: it finds mistakes that only a second crash shows, looks at no tree
//! twice, draws by the seed alone, and stops at its bounds.

#![cfg(test)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;

use reftable_crash::{
    Broken, Claims, Effort, Entry, Explorer, Found, Machine, Model, Op, Process, Tally, Tree, explore,
};

/// Two files that say the same, one replaced after the other, all synced.
fn two_files(process: &Process) -> io::Result<()> {
    process.publishes("both are 1", 1);
    for name in ["a", "b"] {
        process.write_new("new", b"1")?.sync()?;
        process.rename("new", name)?;
        process.sync_dir("")?;
    }
    process.acknowledges("both are 1", 1);
    Ok(())
}

fn two_zeros() -> Tree {
    let mut tree = Tree::default();
    tree.put("a", "0");
    tree.put("b", "0");
    tree
}

/// A finder of two that differ gives the second one the value of the first.
struct Equal {
    recover: fn(&Process, &[u8]) -> io::Result<()>,
}

impl Claims for Equal {
    fn recover(&self, process: &Process) -> Result<(), Broken> {
        let mend = || match process.read("a")? {
            a if a == process.read("b")? => Ok(()),
            a => (self.recover)(process, &a),
        };
        mend().map_err(|error| Broken::new('E', error.to_string()))
    }

    fn judge(&self, found: &Found<'_>) -> Result<(), Broken> {
        let read = |name| found.process().read(name).unwrap_or_default();
        let (a, b) = (read("a"), read("b"));
        if a == b && (a == b"0" || a == b"1") { Ok(()) } else { Err(Broken::new('B', format!("{a:?} and {b:?}"))) }
    }
}

fn replaces(process: &Process, a: &[u8]) -> io::Result<()> {
    let _left = process.remove("new");
    process.write_new("new", a)?.sync()?;
    process.rename("new", "b")?;
    process.sync_dir("")
}

/// What it recovers it acknowledges to nobody, but it empties the file first.
fn rewrites_in_place(process: &Process, a: &[u8]) -> io::Result<()> {
    process.remove("b")?;
    process.write_new("b", a)?;
    // Never found: it holds what was written last.
    process.write_new("done", b"")?.sync()
}

/// As above, and a finder of that may give up on it.
struct InPlace;

impl Claims for InPlace {
    fn recover(&self, process: &Process) -> Result<(), Broken> {
        Equal { recover: rewrites_in_place }.recover(process)
    }

    fn judge(&self, found: &Found<'_>) -> Result<(), Broken> {
        Equal { recover: rewrites_in_place }.judge(found)
    }
}

fn every_finder() -> Effort {
    Effort { nested: u64::MAX, nested_instants: usize::MAX, ..Effort::default() }
}

#[test]
fn a_recovery_that_can_be_crashed_is_fine() {
    for model in Model::ALL {
        let claims = Equal { recover: replaces };
        let tally = explore("two files", &two_zeros(), &two_files, &claims, (model, every_finder())).unwrap();
        assert!(tally.violations.is_empty(), "{}", tally.shortest().unwrap().story);
        assert!(tally.nested > 0, "{tally}");
    }
}

#[test]
fn a_recovery_that_cannot_be_crashed_is_found_by_crashing_it() {
    let with = |effort| explore("two files", &two_zeros(), &two_files, &InPlace, (Model::Kill, effort)).unwrap();
    let not_nested = with(Effort { nested: 0, ..Effort::default() });
    assert!(not_nested.violations.is_empty(), "the first crash shows it already");
    let shortest = with(every_finder());
    let shortest = shortest.shortest().unwrap();
    assert!(shortest.message.contains("who found the first crash"), "{}", shortest.message);
    assert!(shortest.story.contains("P90 removes b"), "{}", shortest.story);
}

/// Notes all trees that it is shown, and finds them all in order.
#[derive(Default)]
struct Notes(RefCell<Vec<String>>);

impl Claims for Notes {
    fn judge(&self, found: &Found<'_>) -> Result<(), Broken> {
        let names = found.tree.names.keys().map(|name| format!("{name}={:?}", found.tree.read(name)));
        let expected = format!("{:?} {:?}", found.allowed(), names.collect::<Vec<_>>());
        self.0.borrow_mut().push(expected);
        Ok(())
    }
}

/// Makes more choices than can be tried.
fn many_files(process: &Process) -> io::Result<()> {
    (0..20).try_for_each(|number| process.write_new(&format!("f{number}"), b"x").map(drop))
}

fn noted(effort: Effort) -> (Tally, Vec<String>) {
    let notes = Notes::default();
    let tally = explore("many", &Tree::default(), &many_files, &notes, (Model::OnlySynced, effort)).unwrap();
    (tally, notes.0.into_inner())
}

#[test]
fn no_tree_is_judged_twice_where_the_same_is_expected() {
    let (tally, notes) = noted(Effort::default());
    assert_eq!(notes.iter().collect::<BTreeSet<_>>().len(), notes.len());
    assert_eq!(tally.states, notes.len());
    assert!(tally.sampled > 0, "{tally}");
}

#[test]
fn what_is_drawn_depends_on_the_seed_alone() {
    let of = |seed| noted(Effort { seed, ..Effort::default() }).1;
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
}

#[test]
fn it_stops_at_its_bounds() {
    let (tally, _) = noted(Effort { most_states: 100, beyond: 0, ..Effort::default() });
    assert_eq!(tally.states, 100);
    let (tally, _) = noted(Effort { most_states: 100, beyond: 1, ..Effort::default() });
    assert!((101..200).contains(&tally.states) && tally.beyond > 0, "{tally}");
    let all_wrong = |_: &Process| Ok(());
    let most = Effort { most_violations: 1, ..Effort::default() };
    struct Nothing;
    impl Claims for Nothing {
        fn judge(&self, _: &Found<'_>) -> Result<(), Broken> {
            Err(Broken::new('A', "nothing is good enough"))
        }
    }
    let tally = explore("wrong", &Tree::default(), &all_wrong, &Nothing, (Model::Kill, most)).unwrap();
    assert_eq!((tally.violations.len(), tally.states), (1, 1));
}

#[test]
fn a_log_that_does_not_fit_is_said_to_be_wrong() {
    let op = Op::SyncFile { path: "gone".into(), file: 7 };
    let log = [Entry { process: 1, op, acknowledged: 0, published: 0 }];
    let mut explorer = Explorer::new("strange", Model::OnlySynced, Effort::default());
    explorer.explore((&Tree::default(), &log, 1), &Notes::default());
    let tally = explorer.finish();
    assert_eq!(tally.shortest().unwrap().claim, '?');
    assert!(tally.shortest().unwrap().message.contains("file 7"), "{}", tally.shortest().unwrap().message);
}

#[test]
fn two_processes_at_once_are_one_run() {
    let machine = Machine::new(Tree::default());
    let (one, two) = (machine.process(1), machine.process(2));
    machine.before_call(1, 1, move || drop(two.write_new("two", b"2").unwrap()));
    one.write_new("one", b"1").unwrap();
    let order: Vec<_> = machine.log().iter().map(|entry| entry.process).collect();
    assert_eq!(order, [1, 2, 2, 1]);
    assert!(!machine.forget_plans(1), "it has come");
}

#[test]
fn what_is_acknowledged_may_be_seen() {
    let machine = Machine::new(Tree::default());
    machine.process(1).acknowledges("one", 1);
    let last = machine.log().pop().unwrap();
    assert_eq!((last.acknowledged, last.published), (1, 1));
    // A dead process says nothing.
    machine.kill(1);
    machine.process(1).publishes("two", 2);
    assert_eq!(machine.log().pop().unwrap().published, 1);
}
