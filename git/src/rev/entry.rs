//! Which entry of a log `main@{1}` or `main@{yesterday}` means, by git's rules.

use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};

use reftable::ObjectId;

use super::spec::number_of;
use crate::error::{Error, Result};
use crate::ident::parse_date;
use crate::view::{LogOrder, View};

/// From this number on it is a time: seconds since 1970.
const FIRST_SECOND: u64 = 100_000_000;

/// What of a log is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Where it was so many entries before the newest.
    Back(u64),
    /// Where it was at this time, in seconds since 1970.
    At(u64),
}

impl When {
    /// `None` for a moment in words that only git reads.
    pub(super) fn of(text: &[u8]) -> Option<When> {
        if let Some(number) = number_of(text) {
            let number = u64::try_from(number).ok()?;
            return Some(if number < FIRST_SECOND { When::Back(number) } else { When::At(number) });
        }
        moment(std::str::from_utf8(text).ok()?).map(When::At)
    }
}

/// A date with a time and a zone, or some time ago. What depends on where one is, or on how long a
/// month is, is left to git.
fn moment(text: &str) -> Option<u64> {
    let tail = |len: usize| text.len().checked_sub(len).and_then(|at| text.get(at..));
    let is_offset = |tail: &str| {
        tail.strip_prefix(['+', '-']).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'))
    };
    let has_zone = text.ends_with('Z') || tail(5).is_some_and(is_offset) || tail(6).is_some_and(is_offset);
    if has_zone && text.contains(':') {
        return parse_date(text).ok().map(|(seconds, _)| seconds);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let words: Vec<&str> = text.split([' ', '.']).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["now"] => Some(now),
        ["yesterday"] => now.checked_sub(86_400),
        [pairs @ .., "ago"] if !pairs.is_empty() => pairs.chunks(2).try_fold(now, |time, pair| {
            let [count, unit] = pair else { return None };
            let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
                "second" => 1,
                "minute" => 60,
                "hour" => 3_600,
                "day" => 86_400,
                "week" => 604_800,
                _ => return None,
            };
            let count = u64::try_from(number_of(count.as_bytes())?).ok()?;
            time.checked_sub(count.checked_mul(seconds)?)
        }),
        _ => None,
    }
}

/// Where a reference was, by its log; it is at `current` now. `None` if the log does not reach that
/// far.
///
/// Where the log has a gap, git believes the newer entry that an entry is missing, and not what the
/// older one says.
pub(super) fn find(view: &View, name: &[u8], when: When, current: Option<ObjectId>) -> Result<Option<ObjectId>> {
    // The old id of the entry that was seen last: it is newer than the next one.
    let mut newer: Option<ObjectId> = None;
    let mut oldest = None;
    let mut count = 0;
    let mut found = None;
    view.each_log_entry(name, LogOrder::NewestFirst, |entry| {
        let time = entry.time;
        let (is_it, is_exact) = match when {
            When::Back(number) => (number == count, false),
            When::At(limit) => (time <= limit, time == limit),
        };
        if is_it {
            let follows = newer.is_some_and(|old| !old.is_null());
            found = Some(if follows || is_exact { Some(entry.new) } else { current });
            return Ok::<_, Error>(ControlFlow::Break(()));
        }
        count += 1;
        newer = Some(entry.old);
        oldest = Some((entry.old, entry.new));
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(found) = found {
        return Ok(found);
    }
    Ok(match (when, oldest) {
        // A log without entries says nothing about what was before.
        (When::Back(0), None) => current,
        (When::Back(number), Some((old, _))) if number == count && !old.is_null() => Some(old),
        (When::At(_), Some((old, new))) => Some(if old.is_null() { new } else { old }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_that_say_no_zone_or_are_no_seconds_are_left_to_git() {
        for text in ["2023-11-14T22:13:20Z", "2023-11-14 23:43:20 +0130", "2023-11-14T23:43:20+01:30", "1700000000"] {
            assert_eq!(When::of(text.as_bytes()), Some(When::At(1_700_000_000)), "{text}");
        }
        assert_eq!(When::of(b"3"), Some(When::Back(3)));
        let now = moment("now").unwrap();
        for (text, ago) in [("yesterday", 86_400), ("2.hours.ago", 7_200), ("1 week 2 days ago", 777_600)] {
            assert!(now - ago - moment(text).unwrap() < 5, "{text}");
        }
        let odd = ["noon", "1.month.ago", "2023-11-14", "2023-11-14 22:13:20", "2.days", "ago", "", "last.week", "+"];
        for text in odd {
            assert_eq!(When::of(text.as_bytes()), None, "{text}");
        }
    }
}
