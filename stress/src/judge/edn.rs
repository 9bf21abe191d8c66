//! A history in the form that Elle (registers, `rw-register`) and Knossos (`multi-register`) read.
//!
//! Values are whole numbers from 1, in the order in which they first appear; what is absent is nil.
//! A change is a read of the value before and a write of the one after. Both tools take every value
//! for unique, and absence is not: references that are ever deleted are left out.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use super::event::{Event, Kind, MicroOp, Process, What};

/// The history, a map a line, and how many references were left out.
pub(crate) fn history(events: &[Event]) -> (String, usize) {
    let deleted = deleted(events);
    let mut values = Values::default();
    let mut out = String::new();
    // Where nothing is left of a transaction its completion must not be left either.
    for (index, event) in events.iter().enumerate() {
        let Some(line) = line(event, &deleted, &mut values) else { continue };
        // Writing to a string does not fail.
        let _ = writeln!(out, "{{:index {index}, :time {}, {line}}}", event.time);
    }
    (out, deleted.len())
}

fn deleted(events: &[Event]) -> BTreeSet<&str> {
    let all = events.iter().filter_map(Event::transaction).flatten();
    all.filter_map(|micro_op| match micro_op {
        MicroOp::Swap { name, new: None, .. } => Some(name.as_str()),
        _ => None,
    })
    .collect()
}

/// The numbers of values.
#[derive(Default)]
struct Values<'a>(HashMap<(&'a str, &'a str), usize>);

impl<'a> Values<'a> {
    fn of(&mut self, name: &'a str, value: Option<&'a String>) -> String {
        let Some(value) = value else { return "nil".to_owned() };
        let next = self.0.len() + 1;
        self.0.entry((name, value)).or_insert(next).to_string()
    }
}

/// Without its index and time; nothing for one of which nothing is left.
fn line<'a>(event: &'a Event, deleted: &BTreeSet<&str>, values: &mut Values<'a>) -> Option<String> {
    let kind = event.kind.name();
    let micro_ops = match (&event.what, event.process) {
        (What::Transaction(micro_ops), Process::Client(_)) => micro_ops,
        (What::Other { f, .. }, _) => {
            return Some(format!(":type :info, :process :nemesis, :f :{}, :value nil", keyword(f)));
        }
        (What::Transaction(_), Process::Nemesis) => return None,
    };
    let kept: Vec<&MicroOp> = micro_ops.iter().filter(|micro_op| !deleted.contains(micro_op.name())).collect();
    if kept.is_empty() {
        return None;
    }
    let value: Vec<String> = kept.into_iter().map(|micro_op| shown(micro_op, event.kind, values)).collect();
    let error = event.error.as_deref().map_or(String::new(), |error| format!(", :error {}", text(error)));
    Some(format!(":type :{kind}, :process {}, :f :txn, :value [{}]{error}", event.process, value.join(" ")))
}

/// What is read is known when it is done, and no sooner.
fn shown<'a>(micro_op: &'a MicroOp, kind: Kind, values: &mut Values<'a>) -> String {
    let known = kind == Kind::Ok;
    match micro_op {
        MicroOp::Read { name, value } => {
            let value = if known { values.of(name, value.as_ref()) } else { "nil".to_owned() };
            format!("[:r {} {value}]", text(name))
        }
        MicroOp::Swap { name, old, new } => {
            let old = if known { values.of(name, old.as_ref()) } else { "nil".to_owned() };
            format!("[:r {0} {old}] [:w {0} {1}]", text(name), values.of(name, new.as_ref()))
        }
    }
}

/// A string as EDN has it.
fn text(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// What may stand after a colon.
fn keyword(name: &str) -> String {
    let kept = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let name: String = name.chars().map(kept).collect();
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) { name } else { format!("x{name}") }
}

#[cfg(test)]
mod tests {
    use super::super::event::parse_all;
    use super::*;

    #[test]
    fn changes_are_reads_and_writes_of_numbers() {
        let text = r#"
{"time":1,"type":"invoke","process":1,"f":"txn","value":[["cas","a",null,"ff"],["cas","gone",null,"aa"]]}
{"time":2,"type":"ok","process":1,"f":"txn","value":[["cas","a",null,"ff"],["cas","gone",null,"aa"]]}
{"time":3,"type":"info","process":"nemesis","f":"kill","value":{"process":1}}
{"time":4,"type":"invoke","process":2,"f":"txn","value":[["cas","gone","aa",null]]}
{"time":5,"type":"invoke","process":3,"f":"txn","value":[["cas","a","ff","\"1"]]}
{"time":6,"type":"ok","process":3,"f":"txn","value":[["cas","a","ff","\"1"]]}
"#;
        let events = parse_all(text).unwrap();
        let (edn, left_out) = history(&events);
        assert_eq!(left_out, 1);
        let wanted = r#"{:index 0, :time 1, :type :invoke, :process 1, :f :txn, :value [[:r "a" nil] [:w "a" 1]]}
{:index 1, :time 2, :type :ok, :process 1, :f :txn, :value [[:r "a" nil] [:w "a" 1]]}
{:index 2, :time 3, :type :info, :process :nemesis, :f :kill, :value nil}
{:index 4, :time 5, :type :invoke, :process 3, :f :txn, :value [[:r "a" nil] [:w "a" 2]]}
{:index 5, :time 6, :type :ok, :process 3, :f :txn, :value [[:r "a" 1] [:w "a" 2]]}
"#;
        assert_eq!(edn, wanted);
    }
}
