//! A list that fits what is there: the listed tables that are whole, and of the others those that
//! have the update indexes of what is lost, fill a gap, or come after all. Where that would be a
//! guess there is none.

use super::case::{Case, Member, intersect};
use super::problem::{Proposal, SetAside, shown};
use super::survey::{ListSeen, Seen};
use crate::list::LIST;

/// What a person can do where it is not known which tables belong to the store.
const FROM_A_COPY: &str = "restore the list, and what it names, from a copy of the repository";

/// Tables beside the list, and what they make needless: each with the table that has its update
/// indexes.
#[derive(Debug, Default)]
struct Filling<'a> {
    added: Vec<Member<'a>>,
    left_out: Vec<(&'a str, &'a str)>,
}

/// The list that fits; if there is none, what a person can do.
pub(super) fn propose(case: &Case<'_>) -> Result<Proposal, String> {
    if let Some(advice) = &case.blocked {
        return Err(advice.clone());
    }
    let filling = fill(case)?;
    let is_left_out = |member: &Member<'_>| filling.left_out.iter().any(|(name, _)| *name == member.name);
    let mut tables: Vec<Member<'_>> = case.present.iter().filter(|member| !is_left_out(member)).copied().collect();
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
        tables: tables.iter().map(|member| member.name.to_owned()).collect(),
    })
}

/// The tables beside the list that are beyond it, or have update indexes of what is lost.
///
/// A table whose update indexes include those of others has been merged from them. Two that have
/// some in common otherwise are of two histories.
fn fill<'a>(case: &Case<'a>) -> Result<Filling<'a>, String> {
    let wanted: Vec<Member<'a>> = case.unlisted().filter(|member| is_wanted(case, member)).collect();
    let mut filling = Filling::default();
    let spans = |outer: &Member<'_>, inner: &Member<'_>| {
        outer.whole.min <= inner.whole.min && inner.whole.max <= outer.whole.max && !outer.has_range_of(inner)
    };
    for member in &wanted {
        if member.whole.min > member.whole.max {
            return Err(format!("the update indexes of {} run backwards; {FROM_A_COPY}", shown(member.name)));
        }
        match wanted.iter().find(|other| spans(other, member)) {
            Some(outer) => filling.left_out.push((member.name, outer.name)),
            None => filling.added.push(*member),
        }
    }
    filling.added.retain(|added| !case.present.iter().any(|there| spans(there, added) || there.has_range_of(added)));
    filling.added.sort_unstable_by_key(|member| (member.whole.min, member.name));
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

fn ambiguous(a: &Member<'_>, b: &Member<'_>) -> String {
    format!(
        "{} and {} have update indexes in common, and it is not known which of them is current; {FROM_A_COPY}",
        shown(a.name),
        shown(b.name)
    )
}

fn is_wanted(case: &Case<'_>, member: &Member<'_>) -> bool {
    let (first, last) = (member.whole.min.min(member.whole.max), member.whole.min.max(member.whole.max));
    let fills = case.gaps.iter().any(|gap| member.is_within(*gap));
    fills || case.is_beyond(last) || case.lost_ranges().iter().any(|(from, to)| first <= *to && *from <= last)
}

fn two_hashes<'a>(tables: &[Member<'a>]) -> Option<(&'a str, &'a str)> {
    let first = tables.first()?;
    let other = tables.iter().find(|member| member.whole.hash != first.whole.hash)?;
    Some((first.name, other.name))
}

fn set_aside(case: &Case<'_>, filling: &Filling<'_>) -> Vec<SetAside> {
    let mut files = Vec::new();
    match &case.survey.list {
        ListSeen::Read(_, contents) if !contents.is_empty() => files.push(SetAside::damaged(LIST, "the old list")),
        ListSeen::Strange(what) => files.push(SetAside::damaged(LIST, *what)),
        _ => {}
    }
    for lost in case.lost.iter().filter(|lost| lost.is_there) {
        let readable = match case.survey.table(&lost.name) {
            Seen::Damaged(_, records) if *records > 0 => format!(" ({records} of its records can be read)"),
            _ => String::new(),
        };
        files.push(SetAside::damaged(&lost.name, format!("{}{readable}", lost.reason)));
    }
    let replaced = filling.left_out.iter();
    files.extend(replaced.map(|(name, by)| SetAside::unlisted(name, format!("{} has its update indexes", shown(by)))));
    files
}

/// What is lost for good, if these are the tables.
fn losses(case: &Case<'_>, tables: &[Member<'_>]) -> Vec<String> {
    let top = tables.iter().map(|member| member.whole.max).max().unwrap_or(0);
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
fn missing(min: u64, max: u64, tables: &[Member<'_>]) -> Vec<String> {
    let mut ranges: Vec<(u64, u64)> = tables.iter().map(|member| (member.whole.min, member.whole.max)).collect();
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
