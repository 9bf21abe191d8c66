//! Each pattern that no order explains, by hand.

use super::claims::Claim;
use super::event::{Event, Kind, MicroOp, Process, What, parse_all};
use super::judge;

/// A line: `1 invoke a:0>1 b:0>2` changes two references, `2 ok a=1` has read one; 0 is absent.
fn event(line: &str) -> Event {
    let value = |text: &str| (text != "0").then(|| text.to_owned());
    let mut words = line.split_whitespace();
    let process = Process::Client(words.next().unwrap().parse().unwrap());
    let kind = match words.next().unwrap() {
        "invoke" => Kind::Invoke,
        "ok" => Kind::Ok,
        "fail" => Kind::Fail,
        _ => Kind::Info,
    };
    let micro_op = |word: &str| match word.split_once('=') {
        Some((name, read)) => MicroOp::Read { name: name.to_owned(), value: value(read) },
        None => {
            let (name, change) = word.split_once(':').unwrap();
            let (old, new) = change.split_once('>').unwrap();
            MicroOp::Swap { name: name.to_owned(), old: value(old), new: value(new) }
        }
    };
    // A reader that comes when all is over has a number from 90.
    let driver = matches!(process, Process::Client(90..)).then(|| "final".to_owned());
    Event { time: 0, kind, process, driver, error: None, what: What::Transaction(words.map(micro_op).collect()) }
}

fn history(lines: &[&str]) -> Vec<Event> {
    lines.iter().map(|line| event(line)).collect()
}

/// Which claims are broken, and the lines that show the first finding.
fn broken(lines: &[&str]) -> Vec<(Claim, Vec<usize>)> {
    let verdict = judge(&history(lines)).unwrap();
    let broken = verdict.claims.into_iter().filter(|judged| judged.broken > 0);
    broken.map(|judged| (judged.claim, judged.findings[0].events.clone())).collect()
}

const BEGIN: [&str; 2] = ["0 invoke a:0>1 b:0>2", "0 ok a:0>1 b:0>2"];

fn after_begin(lines: &[&str]) -> Vec<(Claim, Vec<usize>)> {
    broken(&[&BEGIN[..], lines].concat())
}

#[test]
fn whoever_completes_other_changes_than_it_has_begun_is_no_history() {
    let line = |kind: &str, name: &str| {
        format!(r#"{{"type":"{kind}","process":1,"f":"txn","value":[["cas","{name}",null,"1"]]}}"#)
    };
    let events = |ended: &str| parse_all(&format!("{}\n{}\n", line("invoke", "a"), line("ok", ended))).unwrap();
    assert!(judge(&events("a")).is_ok());
    let twice = parse_all(&(line("invoke", "a").replace("]]", r#"],["cas","a","1","2"]]"#) + "\n")).unwrap();
    assert!(judge(&twice).unwrap_err().to_string().contains("twice in one transaction"));
    assert!(judge(&events("b")).unwrap_err().to_string().contains("event 2: process 1 completes other changes"));
}

#[test]
fn what_one_order_explains_is_well() {
    let well = after_begin(&[
        "1 invoke a:1>3 b:2>4",
        "2 invoke",
        "2 ok a=1 b=2",
        "3 invoke",
        "1 ok a:1>3 b:2>4",
        "3 ok a=3 b=4",
        "4 invoke a:3>5",
        "4 info a:3>5",
        "5 invoke b:2>9",
        "5 fail b:2>9",
        "6 invoke c:0>1",
        "6 ok c:0>1",
        "6 invoke c:1>0",
        "6 ok c:1>0",
        "6 invoke c:0>2",
        "6 ok c:0>2",
        "90 invoke",
        "90 ok a=3 b=4 c=2",
    ]);
    assert_eq!(well, []);
}

#[test]
fn an_acknowledged_change_that_is_not_there_is_lost() {
    let lost = after_begin(&["1 invoke a:1>3", "1 ok a:1>3", "90 invoke", "90 ok a=1 b=2"]);
    assert_eq!(lost, [(Claim::Kept, vec![2, 3, 4, 5])]);
}

#[test]
fn of_two_changes_of_one_value_one_is_lost() {
    let lost = after_begin(&["1 invoke a:1>3", "2 invoke a:1>4", "1 ok a:1>3", "2 ok a:1>4"]);
    assert_eq!(lost, [(Claim::Kept, vec![2, 3, 4, 5])]);
}

#[test]
fn a_reading_that_goes_back_is_not_in_order() {
    let stale = after_begin(&["1 invoke a:1>3", "1 ok a:1>3", "2 invoke", "2 ok a=1", "90 invoke", "90 ok a=3 b=2"]);
    assert_eq!(stale, [(Claim::Ordered, vec![2, 3, 4, 5])]);
}

#[test]
fn one_change_of_a_transaction_without_the_other_is_a_part() {
    let part = after_begin(&["1 invoke a:1>3 b:2>4", "2 invoke", "2 ok a=3 b=2", "1 ok a:1>3 b:2>4"]);
    assert_eq!(part, [(Claim::Whole, vec![2, 3, 4, 5])]);
    let of_the_unknown = after_begin(&["1 invoke a:1>3 b:2>4", "1 info a:1>3 b:2>4", "90 invoke", "90 ok a=3 b=2"]);
    assert_eq!(of_the_unknown, [(Claim::Whole, vec![2, 3, 4, 5])]);
    let overwritten = after_begin(&[
        "1 invoke a:1>3 b:2>4",
        "1 ok a:1>3 b:2>4",
        "2 invoke a:3>5",
        "2 ok a:3>5",
        "90 invoke",
        "90 ok a=5 b=2",
    ]);
    assert_eq!(overwritten, [(Claim::Whole, vec![2, 3, 6, 7])]);
}

#[test]
fn what_was_refused_and_is_there_is_found() {
    let there = after_begin(&["1 invoke a:1>3", "1 fail a:1>3", "90 invoke", "90 ok a=3 b=2"]);
    assert_eq!(there, [(Claim::Honest, vec![2, 3, 4, 5])]);
}

#[test]
fn what_nobody_wrote_is_found() {
    assert_eq!(after_begin(&["90 invoke", "90 ok a=7 b=2"]), [(Claim::Honest, vec![2, 3])]);
}

#[test]
fn what_was_built_upon_has_happened() {
    let lost = after_begin(&["1 invoke a:1>3", "2 invoke a:3>4", "2 ok a:3>4", "90 invoke", "90 ok a=1 b=2"]);
    // The first may have come at any time; the second was acknowledged, and builds upon it.
    assert_eq!(lost, [(Claim::Kept, vec![2, 3, 4, 5, 6])]);
}

#[test]
fn a_reference_that_comes_and_goes_is_not_absent_while_it_is_there() {
    let life = ["1 invoke c:0>3", "1 ok c:0>3", "2 invoke", "2 ok c=0", "1 invoke c:3>0", "1 ok c:3>0"];
    assert_eq!(after_begin(&life), [(Claim::Ordered, vec![2, 3, 4, 5])]);
    let later = [&life[..2], &life[4..], &life[2..4]].concat();
    assert_eq!(after_begin(&later), []);
    let twice = ["1 invoke c:0>3", "1 ok c:0>3", "2 invoke c:0>4", "2 ok c:0>4", "1 invoke c:3>0", "1 ok c:3>0"];
    assert_eq!(after_begin(&twice), [(Claim::Ordered, vec![2, 3, 4, 5])]);
    let unknown = ["1 invoke c:0>3", "1 ok c:0>3", "2 invoke c:3>0", "2 info c:3>0", "90 invoke", "90 ok c=0"];
    assert_eq!(after_begin(&unknown), []);
}

#[test]
fn two_readings_in_different_orders_are_a_cycle() {
    let cycle = after_begin(&[
        "1 invoke a:1>3",
        "2 invoke b:2>4",
        "3 invoke",
        "4 invoke",
        "3 ok a=3 b=2",
        "4 ok a=1 b=4",
        "1 ok a:1>3",
        "2 ok b:2>4",
    ]);
    assert_eq!(cycle, [(Claim::Ordered, vec![2, 3, 4, 5, 6, 7, 8, 9])]);
}

#[test]
fn what_changes_nothing_is_a_reading() {
    assert_eq!(after_begin(&["1 invoke a:1>1", "1 ok a:1>1", "90 invoke", "90 ok a=1 b=2"]), []);
    let stale = after_begin(&["1 invoke a:1>3", "1 ok a:1>3", "2 invoke a:1>1", "2 ok a:1>1"]);
    assert_eq!(stale, [(Claim::Ordered, vec![2, 3, 4, 5])]);
    assert_eq!(after_begin(&["1 invoke a:1>3", "1 ok a:1>3", "2 invoke a:1>1", "2 fail a:1>1"]), []);
}

#[test]
fn a_history_of_nothing_is_not_judged() {
    assert!(judge(&[]).is_err());
    assert!(judge(&history(&["1 invoke a:0>1", "1 fail a:0>1"])).is_err());
    assert!(judge(&history(&["1 invoke a:0>1", "1 ok a:0>1", "2 invoke b:0>1", "2 invoke a:0>1"])).is_err());
    assert!(judge(&history(&["1 invoke a:0>1", "1 ok a:0>1", "2 invoke a:2>1", "2 ok a:2>1"])).is_err());
}

#[test]
fn histories_of_others_need_no_names_of_drivers() {
    let text = r#"
{"type":"invoke","process":1,"f":"txn","value":[["cas","x",null,1]]}
{"type":"ok","process":1,"f":"txn","value":[["cas","x",null,1]]}
{"type":"invoke","process":2,"f":"txn","value":[["r","x",null]]}
{"type":"ok","process":2,"f":"txn","value":[["r","x",null]]}
"#;
    let verdict = judge(&parse_all(text).unwrap()).unwrap();
    assert_eq!(verdict.count(), 1);
}
