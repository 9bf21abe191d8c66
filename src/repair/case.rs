//! What the list says, held against what is there.

use std::collections::BTreeSet;

use super::lines;
use super::problem::shown;
use super::survey::{ListSeen, LockSeen, Refused, Survey, TableSeen, Whole};
use crate::dir::Dir;
use crate::garbage::{GarbageTable, UnlistedTables};
use crate::list::{self, TableName};

/// A list that has the marker of a lock in it was a lock: a process that had lost its lock renamed
/// another one's.
const LOCK_MARKER: &[u8] = b"reftable lock ";

/// A table that is whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) name: &'a str,
    pub(super) whole: &'a Whole,
}

impl Candidate<'_> {
    pub(super) fn has_range_of(&self, other: &Candidate<'_>) -> bool {
        (self.whole.min, self.whole.max) == (other.whole.min, other.whole.max)
    }

    /// Whether it has no other update indexes than these, and the name of a table.
    pub(super) fn is_within(&self, (from, to): (u64, u64)) -> bool {
        let Whole { min, max, .. } = *self.whole;
        from <= min && min <= max && max <= to && TableName::parse(self.name).is_some()
    }
}

pub(super) fn intersect(a: &Whole, b: &Whole) -> bool {
    a.min <= b.max && b.min <= a.max
}

/// What the list names and cannot be read.
#[derive(Debug)]
pub(super) struct LostTable {
    pub(super) name: String,
    /// Its update indexes, if the name says.
    pub(super) range: Option<(u64, u64)>,
    pub(super) reason: String,
    /// Whether there is something of that name.
    pub(super) is_there: bool,
    /// So many listed tables are whole below it.
    below: usize,
}

/// A list and what it leads to.
#[derive(Debug)]
pub(super) struct ListCase<'a> {
    pub(super) survey: &'a Survey,
    /// Everything that keeps readers away.
    pub(super) reasons: Vec<String>,
    /// The listed tables that are whole: by their update indexes, or as listed where those overlap.
    pub(super) present: Vec<Candidate<'a>>,
    pub(super) lost: Vec<LostTable>,
    /// Whether the list is gone, or as good as gone.
    pub(super) says_nothing: bool,
    /// Whether the update indexes of listed tables overlap.
    pub(super) overlaps: Option<(&'a str, &'a str)>,
    /// What a person has to do before anything else.
    pub(super) blocked: Option<String>,
    /// Update indexes that no listed table has, and unlisted ones have exactly.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Tables that no list names and that are garbage, each before the one that is the proof for
    /// it. None while anything that the list names cannot be read.
    pub(super) garbage: Vec<GarbageTable>,
}

/// What is garbage beside a list that leads to a store, each before the one that is the proof for
/// it.
pub(super) fn garbage_tables(dir: &dyn Dir, survey: &Survey) -> Vec<GarbageTable> {
    let ListSeen::Read(_, contents) = &survey.list else { return Vec::new() };
    let Ok(listed) = list::parse(contents) else { return Vec::new() };
    if listed.iter().any(|name| survey.known(name).is_none()) {
        return Vec::new();
    }
    let listed = listed.iter().map(String::as_str).collect();
    UnlistedTables::among(dir, survey.tables().map(|(name, _)| name), &listed).garbage
}

impl<'a> ListCase<'a> {
    pub(super) fn of(dir: &dyn Dir, survey: &'a Survey) -> ListCase<'a> {
        let mut case = ListCase {
            survey,
            reasons: Vec::new(),
            present: Vec::new(),
            lost: Vec::new(),
            says_nothing: false,
            overlaps: None,
            blocked: None,
            gaps: Vec::new(),
            garbage: garbage_tables(dir, survey),
        };
        let listed = case.read_list();
        case.resolve(&listed);
        case.says_nothing = case.present.is_empty() && !case.lost.iter().any(|lost| lost.range.is_some());
        if case.says_nothing {
            case.count_damaged();
        }
        case.sort();
        case
    }

    /// Whether a table is garbage, by proof.
    pub(super) fn is_garbage(&self, name: &str) -> bool {
        self.garbage.iter().any(|table| table.name == name)
    }

    /// Whether readers refuse it.
    pub(super) fn is_broken(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// The names in the list, if need be without what does not belong there.
    fn read_list(&mut self) -> Vec<String> {
        let has_tables = self.survey.tables().any(|(name, _)| !self.is_garbage(name));
        match &self.survey.list {
            ListSeen::Missing if has_tables => {
                self.reasons.push("the table list is missing, but there are tables".into())
            }
            ListSeen::Missing => {}
            ListSeen::Strange(what) => self.reasons.push(format!("the table list cannot be read: {what}")),
            ListSeen::Unreadable(Refused { reason, advice }) => {
                self.reasons.push(format!("the table list cannot be read: {reason}"));
                self.blocked = Some((*advice).to_owned());
            }
            ListSeen::Read(_, contents) => match list::parse(contents) {
                Ok(names) if names.is_empty() && has_tables => {
                    self.reasons.push("the table list is empty, but there are tables".into());
                }
                Ok(names) => return names,
                Err(_) if contents.starts_with(LOCK_MARKER) => {
                    self.reasons.push("the table list is the lock of a process whose own lock was removed".into());
                }
                Err(error) => {
                    self.reasons.push(format!("{} (at offset {})", error.message(), error.offset().unwrap_or(0)));
                    return lines::names(contents);
                }
            },
        }
        Vec::new()
    }

    /// Finds the table of each name.
    fn resolve(&mut self, listed: &[String]) {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let known: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
        for name in listed {
            if !seen.insert(name) {
                self.reasons.push(format!("the list names {} twice", shown(name)));
                continue;
            }
            let survey = self.survey;
            let (reason, is_there) = match survey.table(name) {
                TableSeen::Whole(_) => {
                    self.push_present(name);
                    continue;
                }
                TableSeen::Missing => {
                    let others = survey.tables().filter(|(other, seen)| {
                        matches!(seen, TableSeen::Whole(_)) && !known.contains(other) && !self.has(other)
                    });
                    if let Some(near) = lines::near(name, others.map(|(other, _)| other)) {
                        let near = near.to_owned();
                        self.reasons.push(format!(
                            "there is no {}, but {}, which differs little",
                            shown(name),
                            shown(&near)
                        ));
                        self.push_present(&near);
                        continue;
                    }
                    ("there is no such file".to_owned(), false)
                }
                TableSeen::Damaged(reason, _) => (reason.clone(), true),
                TableSeen::Strange(what) => ((*what).to_owned(), true),
                TableSeen::Unreadable(refused) => {
                    // The reason stands among the reasons already.
                    self.blocked.get_or_insert(format!("{} is not readable: {}", shown(name), refused.advice));
                    (refused.reason.clone(), true)
                }
            };
            self.reasons.push(format!("the table {}, which the list names, cannot be read: {reason}", shown(name)));
            self.push_lost(name, reason, is_there);
        }
        if self.reasons.len() > 10 {
            let more = self.reasons.len() - 10;
            self.reasons.truncate(10);
            self.reasons.push(format!("and {more} more"));
        }
    }

    fn push_present(&mut self, name: &str) {
        let found = self.survey.known(name);
        self.present.extend(found.map(|(name, whole)| Candidate { name, whole }));
    }

    fn push_lost(&mut self, name: &str, reason: String, is_there: bool) {
        let range = TableName::parse(name).map(|table| (table.min, table.max)).filter(|(min, max)| min <= max);
        self.lost.push(LostTable { name: name.to_owned(), range, reason, is_there, below: self.present.len() });
    }

    fn has(&self, name: &str) -> bool {
        self.present.iter().any(|candidate| candidate.name == name)
    }

    /// Where no list says which tables count, damaged ones may have counted.
    fn count_damaged(&mut self) {
        let survey = self.survey;
        for (name, seen) in survey.tables() {
            match seen {
                TableSeen::Damaged(reason, _) if !self.lost.iter().any(|lost| lost.name == name) => {
                    self.push_lost(name, reason.clone(), true);
                }
                TableSeen::Unreadable(Refused { reason, advice }) => {
                    let unreadable = format!("{} is not readable ({reason}): {advice}", shown(name));
                    self.blocked.get_or_insert(unreadable);
                }
                _ => {}
            }
        }
    }

    /// Puts the tables into the order of their update indexes, if there is one.
    fn sort(&mut self) {
        let rises = |candidates: &[Candidate<'_>]| {
            candidates.windows(2).all(|pair| matches!(pair, [below, above] if below.whole.max < above.whole.min))
                && candidates.iter().all(|candidate| candidate.whole.min <= candidate.whole.max)
        };
        if rises(&self.present) {
            return;
        }
        let mut sorted = self.present.clone();
        sorted.sort_by_key(|candidate| (candidate.whole.min, candidate.whole.max));
        if rises(&sorted) {
            self.reasons.push("the list has the tables in the wrong order: not by their update indexes".into());
            self.present = sorted;
        } else {
            let mut pairs = self.present.windows(2);
            let pair = pairs.find(|pair| matches!(pair, [below, above] if below.whole.max >= above.whole.min));
            self.overlaps = pair.and_then(|pair| Some((pair.first()?.name, pair.last()?.name)));
        }
    }

    /// The tables that are whole and in no list.
    pub(super) fn unlisted(&self) -> impl Iterator<Item = Candidate<'a>> + '_ {
        let listed: BTreeSet<&str> = self.present.iter().map(|candidate| candidate.name).collect();
        self.survey.tables().filter_map(move |(name, seen)| match seen {
            TableSeen::Whole(whole) if !listed.contains(name) && !self.is_garbage(name) => {
                Some(Candidate { name, whole })
            }
            _ => None,
        })
    }

    /// Whether an update index is beyond all that the list leads to.
    pub(super) fn is_beyond(&self, index: u64) -> bool {
        self.present.iter().all(|candidate| candidate.whole.max < index)
    }

    /// Tables that fit the list, unless a process may be about to list them.
    pub(super) fn note_fitting(&mut self) {
        if self.is_broken() || self.survey.lock == LockSeen::Held {
            return;
        }
        self.note_beyond();
        self.note_gaps();
    }

    /// Tables in a gap of the list that they fill: it has lost lines.
    fn note_gaps(&mut self) {
        self.gaps = self.gaps_between().into_iter().filter(|gap| self.is_filled(*gap)).collect();
        for gap in &self.gaps {
            let fitting: Vec<String> = self
                .unlisted()
                .filter(|candidate| candidate.is_within(*gap))
                .map(|candidate| shown(candidate.name))
                .collect();
            self.reasons.push(format!(
                "the list does not name {}, which fit between the tables that it names: it may have lost lines",
                fitting.join(", ")
            ));
        }
    }

    /// The update indexes before and between the listed tables that none of these has.
    fn gaps_between(&self) -> Vec<(u64, u64)> {
        if self.overlaps.is_some() {
            return Vec::new();
        }
        let mut next = 1;
        let mut gaps = Vec::new();
        for candidate in &self.present {
            if let Some(last) = candidate.whole.min.checked_sub(1).filter(|last| next <= *last) {
                gaps.push((next, last));
            }
            next = candidate.whole.max.saturating_add(1);
        }
        gaps
    }

    /// Whether unlisted tables have all of these update indexes. Some of them are not enough: git
    /// drops tables whose changes cancel each other, and a part of those would bring back what was
    /// deleted.
    fn is_filled(&self, gap: (u64, u64)) -> bool {
        let within = self.unlisted().filter(|candidate| candidate.is_within(gap));
        let mut ranges: Vec<(u64, u64)> = within.map(|candidate| (candidate.whole.min, candidate.whole.max)).collect();
        ranges.sort_unstable();
        let mut next = Some(gap.0);
        for (min, max) in ranges {
            match next {
                Some(free) if min <= free => next = max.checked_add(1).map(|above| above.max(free)),
                _ => break,
            }
        }
        next.is_none_or(|free| free > gap.1)
    }

    /// Tables beyond the list: an older list has come back.
    fn note_beyond(&mut self) {
        let beyond: Vec<String> = self
            .unlisted()
            .filter(|candidate| TableName::parse(candidate.name).is_some() && self.is_beyond(candidate.whole.max))
            .map(|candidate| shown(candidate.name))
            .collect();
        if !beyond.is_empty() {
            let reason = format!(
                "the list ends before {}: a power failure, or a person, may have brought back an older list",
                beyond.join(", ")
            );
            self.reasons.push(reason);
        }
    }

    /// The update indexes of what cannot be read; where they are not known, all between the tables
    /// around it.
    pub(super) fn lost_ranges(&self) -> Vec<(u64, u64)> {
        let range = |lost: &LostTable| {
            let before = lost.below.checked_sub(1).and_then(|below| self.present.get(below));
            let from = before.map_or(0, |candidate| candidate.whole.max.saturating_add(1));
            let to = self.present.get(lost.below).map_or(u64::MAX, |candidate| candidate.whole.min.saturating_sub(1));
            lost.range.unwrap_or((from, to))
        };
        self.lost.iter().map(range).collect()
    }
}
