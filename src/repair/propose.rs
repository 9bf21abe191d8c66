//! A list that fits what is there: the listed tables that are whole, and of the others those that
//! have the update indexes of what is lost, fill a gap, or come after all. Where that would be a
//! guess there is none.

use super::case::{Candidate, ListCase, intersect};
use super::problem::{Proposal, SetAside, shown};
use super::survey::{ListSeen, TableSeen};
use crate::list::LIST;

/// What a person can do where it is not known which tables belong to the store.
const FROM_A_COPY: &str = "restore the list, and what it names, from a copy of the repository";

/// Tables beside the list, and what they make needless: each with the table that has its update
/// indexes.
#[derive(Debug, Default)]
struct Filling<'a> {
    added: Vec<Candidate<'a>>,
    left_out: Vec<(&'a str, &'a str)>,
}

/// The list that fits; if there is none, what a person can do.
pub(super) fn propose(case: &ListCase<'_>) -> Result<Proposal, String> {
    if let Some(advice) = &case.blocked {
        return Err(advice.clone());
    }
    let filling = fill(case)?;
    let is_left_out = |candidate: &Candidate<'_>| filling.left_out.iter().any(|(name, _)| *name == candidate.name);
    let mut tables: Vec<Candidate<'_>> =
        case.present.iter().filter(|candidate| !is_left_out(candidate)).copied().collect();
    for added in &filling.added {
        let at = tables.iter().rposition(|below| below.whole.max < added.whole.min).map_or(0, |below| below + 1);
        tables.insert(at, *added);
    }
    if let Some((table, other)) = two_hashes(&tables) {
        return Err(format!("{} and {} hold ids of different lengths; {FROM_A_COPY}", shown(table), shown(other)));
    }
    if tables.is_empty() && case.lost.len() > 1 {
        return Err(format!("of {} tables none can be read; {FROM_A_COPY}", case.lost.len()));
    }
    Ok(Proposal {
        set_aside: set_aside(case, &filling),
        losses: losses(case, &tables),
        tables: tables.iter().map(|candidate| candidate.name.to_owned()).collect(),
    })
}

/// The tables beside the list that are beyond it, or have update indexes of what is lost.
///
/// A table whose update indexes include those of others has been merged from them. Two that have
/// some in common otherwise are of two histories.
fn fill<'a>(case: &ListCase<'a>) -> Result<Filling<'a>, String> {
    let wanted: Vec<Candidate<'a>> = case.unlisted().filter(|candidate| is_wanted(case, candidate)).collect();
    let mut filling = Filling::default();
    let spans = |outer: &Candidate<'_>, inner: &Candidate<'_>| {
        outer.whole.min <= inner.whole.min && inner.whole.max <= outer.whole.max && !outer.has_range_of(inner)
    };
    for candidate in &wanted {
        if candidate.whole.min > candidate.whole.max {
            return Err(format!("the update indexes of {} run backwards; {FROM_A_COPY}", shown(candidate.name)));
        }
        match wanted.iter().find(|other| spans(other, candidate)) {
            Some(outer) => filling.left_out.push((candidate.name, outer.name)),
            None => filling.added.push(*candidate),
        }
    }
    filling.added.retain(|added| !case.present.iter().any(|there| spans(there, added) || there.has_range_of(added)));
    filling.added.sort_unstable_by_key(|candidate| (candidate.whole.min, candidate.name));
    for pair in filling.added.windows(2) {
        if let [a, b] = pair
            && intersect(a.whole, b.whole)
        {
            return Err(ambiguous(a, b));
        }
    }
    for added in &filling.added {
        for there in case.present.iter().filter(|there| intersect(there.whole, added.whole)) {
            // Of a store that can be read nothing is replaced by what is older.
            if !spans(added, there) || (!case.is_broken() && added.whole.modified < there.whole.modified) {
                return Err(ambiguous(there, added));
            }
            filling.left_out.push((there.name, added.name));
        }
    }
    Ok(filling)
}

fn ambiguous(a: &Candidate<'_>, b: &Candidate<'_>) -> String {
    format!(
        "{} and {} have update indexes in common, and it is not known which of them is current; {FROM_A_COPY}",
        shown(a.name),
        shown(b.name)
    )
}

fn is_wanted(case: &ListCase<'_>, candidate: &Candidate<'_>) -> bool {
    let (first, last) = (candidate.whole.min.min(candidate.whole.max), candidate.whole.min.max(candidate.whole.max));
    let fills = case.gaps.iter().any(|gap| candidate.is_within(*gap));
    fills || case.is_beyond(last) || case.lost_ranges().iter().any(|(from, to)| first <= *to && *from <= last)
}

fn two_hashes<'a>(tables: &[Candidate<'a>]) -> Option<(&'a str, &'a str)> {
    let first = tables.first()?;
    let other = tables.iter().find(|candidate| candidate.whole.hash != first.whole.hash)?;
    Some((first.name, other.name))
}

fn set_aside(case: &ListCase<'_>, filling: &Filling<'_>) -> Vec<SetAside> {
    let mut files = Vec::new();
    match &case.survey.list {
        ListSeen::Read(_, contents) if !contents.is_empty() => files.push(SetAside::damaged(LIST, "the old list")),
        ListSeen::Strange(what) => files.push(SetAside::damaged(LIST, *what)),
        _ => {}
    }
    for lost in case.lost.iter().filter(|lost| lost.is_there) {
        let readable = match case.survey.table(&lost.name) {
            TableSeen::Damaged(_, records) if *records > 0 => format!(" ({records} of its records can be read)"),
            _ => String::new(),
        };
        files.push(SetAside::damaged(&lost.name, format!("{}{readable}", lost.reason)));
    }
    let replaced = filling.left_out.iter();
    files.extend(replaced.map(|(name, by)| SetAside::unlisted(name, format!("{} has its update indexes", shown(by)))));
    files
}

/// What is lost for good, if these are the tables.
fn losses(case: &ListCase<'_>, tables: &[Candidate<'_>]) -> Vec<String> {
    let top = tables.iter().map(|candidate| candidate.whole.max).max().unwrap_or(0);
    let mut losses = Vec::new();
    for lost in &case.lost {
        let Some((min, max)) = lost.range else { continue };
        let missing = missing(min, max, tables);
        if missing.is_empty() {
            continue;
        }
        losses.push(match min > top {
            true => format!("this drops every change after update index {top}"),
            false => format!(
                "what {} changed at {} is lost, and older values show again",
                shown(&lost.name),
                missing.join(", ")
            ),
        });
    }
    if case.says_nothing {
        let gaps = missing(1, top, tables);
        if !gaps.is_empty() {
            losses.push(format!("no table has {}: what they changed, if they did, is lost", gaps.join(", ")));
        }
    }
    if tables.is_empty() {
        losses.push("the store will be empty".to_owned());
    }
    losses.dedup();
    losses
}

/// The update indexes from `min` to `max` that no table has, in words.
fn missing(min: u64, max: u64, tables: &[Candidate<'_>]) -> Vec<String> {
    let mut ranges: Vec<(u64, u64)> =
        tables.iter().map(|candidate| (candidate.whole.min, candidate.whole.max)).collect();
    ranges.sort_unstable();
    ranges.retain(|(from, to)| *from <= max && min <= *to);
    ranges.push((max.saturating_add(1), u64::MAX));
    let (mut next, mut missing) = (min, Vec::new());
    for (from, to) in ranges {
        match from.checked_sub(1) {
            Some(last) if last > next => missing.push(format!("update indexes {next} to {last}")),
            Some(last) if last == next => missing.push(format!("update index {next}")),
            _ => {}
        }
        next = next.max(to.saturating_add(1));
    }
    missing
}
