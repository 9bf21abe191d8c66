//! Moments on the command line and in git's configuration: when log entries expire.
//!
//! git takes almost anything for a date, and what it does not know for now. Where entries go for
//! good a word that is not understood is an error.

pub(crate) mod words;

use jiff::civil::{Date, DateTime};
use jiff::{Span, Timestamp, Zoned};

use crate::ident::local_zone;

const HELP: &str = "write '90.days.ago' or '90d', 'yesterday', a date such as 2026-01-31T12:00:00Z, '@' and seconds since 1970, 'all' or \
                    'never'";

/// Numbers below this are no seconds since 1970, for git neither.
const FIRST_SECOND: u64 = 100_000_000;

/// How far ahead of now a limit may be, in seconds: the clocks of two machines, or a date without
/// an offset, differ by less.
const A_DAY: u64 = 86_400;

/// Which entries expire: those from before this time, in seconds since 1970. `None`: none,
/// `u64::MAX`: all.
pub type Limit = Option<u64>;

/// Reads a limit: `never`, `all` or a moment that is at most a day after now.
///
/// # Errors
/// Says how to write it.
pub fn limit(text: &str) -> Result<Limit, String> {
    limit_at(text, &now())
}

/// Reads a moment that must be understood: what [`limit`] takes, and what `GIT_COMMITTER_DATE` may
/// be; also with dots in the place of spaces, as in `main@{07.04.2005.15:15:00.-0700}`.
///
/// # Errors
/// Says how to write it.
pub fn point(text: &str) -> Result<u64, String> {
    let dotted = || {
        let mut parts = text.splitn(4, '.');
        let date = [parts.next()?, parts.next()?, parts.next()?].join(".");
        Some(format!("{date} {}", parts.next()?.replace('.', " ")))
    };
    let exact = |text: &str| crate::ident::parse_date(text).ok().map(|(seconds, _)| seconds);
    if text == "now" {
        return moment("0.seconds.ago", &now());
    }
    exact(text).or_else(|| exact(&dotted()?)).map_or_else(|| moment(text, &now()), Ok)
}

/// Now, in the zone of this machine.
fn now() -> Zoned {
    Timestamp::now().to_zoned(local_zone())
}

fn limit_at(text: &str, now: &Zoned) -> Result<Limit, String> {
    match text.to_ascii_lowercase().as_str() {
        // As in git: all that is in a log has happened, so nothing in it is too new.
        "now" | "all" => Ok(Some(u64::MAX)),
        "never" | "false" => Ok(None),
        _ => past(text, moment(text, now)?, now).map(Some),
    }
}

/// Refuses a moment that has not come: all that is in a log would go, and nobody said so.
/// Milliseconds look like that, too.
fn past(text: &str, moment: u64, now: &Zoned) -> Result<u64, String> {
    let limit = u64::try_from(now.timestamp().as_second()).unwrap_or(0).saturating_add(A_DAY);
    if moment > limit {
        return Err(format!(
            "'{text}' is in the future; write 'all' or 'now' if every entry is to expire (times are in seconds)"
        ));
    }
    Ok(moment)
}

fn moment(text: &str, now: &Zoned) -> Result<u64, String> {
    match digits(text) {
        Some(seconds @ FIRST_SECOND..) => return Ok(seconds),
        Some(_) => return Err(format!("'{text}' has no unit; {HELP}")),
        None => {}
    }
    if let Some(seconds) = text.strip_prefix('@').and_then(digits) {
        return Ok(seconds);
    }
    let moment = match absolute(text, now) {
        Some(moment) => Some(moment),
        None => {
            let found = named(text, now).or_else(|| in_words(text, now)).or_else(|| span(text, now));
            found.or_else(|| words::moment(text, now)).map(|time| time.timestamp())
        }
    };
    let moment = moment.ok_or_else(|| format!("'{text}' is not understood; {HELP}"))?;
    u64::try_from(moment.as_second()).map_err(|_| format!("'{text}' is before 1970"))
}

/// A number of digits alone. What is too large for a number is later than all others.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A date with or without a time and an offset. As in git it is local time without an offset, and
/// at this time of day without a time.
fn absolute(text: &str, now: &Zoned) -> Option<Timestamp> {
    let local = |time: DateTime| time.to_zoned(now.time_zone().clone()).ok().map(|time| time.timestamp());
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    if let Ok(time) = text.parse::<DateTime>() {
        // A date alone is read as one at midnight, too.
        let is_date = text.parse::<Date>().is_ok() && !text.contains(':');
        return local(if is_date { time.date().to_datetime(now.time()) } else { time });
    }
    text.parse::<Date>().ok().and_then(|date| local(date.to_datetime(now.time())))
}

fn named(text: &str, now: &Zoned) -> Option<Zoned> {
    let hour = match text.to_ascii_lowercase().as_str() {
        "yesterday" => return now.checked_sub(Span::new().days(1)).ok(),
        "midnight" => 0,
        "noon" => 12,
        "tea" => 17,
        _ => return None,
    };
    let time = now.with().hour(hour).minute(0).second(0).subsec_nanosecond(0).build().ok()?;
    if time <= *now { Some(time) } else { time.checked_sub(Span::new().days(1)).ok() }
}

/// git's `2.weeks.3.days.ago`: counts and units in turn, between any of ` ._-`, with or without the
/// last word. A `-` that joins nothing is a sign: no such age is.
fn in_words(text: &str, now: &Zoned) -> Option<Zoned> {
    let text = text.to_ascii_lowercase();
    let is_signed = [" -", ".-", "_-", "--"].iter().any(|sign| text.contains(sign)) || text.starts_with('-');
    if is_signed {
        return None;
    }
    let mut words: Vec<&str> = text.split([' ', '.', '_', '-']).filter(|word| !word.is_empty()).collect();
    if words.last() == Some(&"ago") {
        words.pop();
    }
    let mut time = (!words.is_empty()).then(|| now.clone())?;
    for pair in words.chunks(2) {
        let [count, unit] = pair else { return None };
        time = time.checked_sub(of_unit(count_of(count)?, unit)?).ok()?;
    }
    Some(time)
}

fn count_of(word: &str) -> Option<i64> {
    const NAMES: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let named = || (1..).zip(NAMES).find(|(_, name)| *name == word).map(|(count, _)| count);
    match word {
        "last" => Some(1),
        _ if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
        _ => named(),
    }
}

fn of_unit(count: i64, unit: &str) -> Option<Span> {
    let span = Span::new();
    match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => span.try_seconds(count),
        "minute" => span.try_minutes(count),
        "hour" => span.try_hours(count),
        "day" => span.try_days(count),
        "week" => span.try_weeks(count),
        "month" => span.try_months(count),
        "year" => span.try_years(count),
        _ => return None,
    }
    .ok()
}

/// `90d`, `2w`, `1y 6mo`: that long ago. Not `3m`: it means minutes to one reader and months to
/// another.
fn span(text: &str, now: &Zoned) -> Option<Zoned> {
    let lower = text.to_ascii_lowercase();
    let text = lower.strip_suffix("ago").unwrap_or(&lower).trim();
    let is_ambiguous = text.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word == "m");
    if is_ambiguous || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let span = text.parse::<Span>().ok().filter(|span| !span.is_negative())?;
    now.checked_sub(span).ok()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const NOW: i64 = 1_700_000_000;
    const DAY: u64 = 86_400;

    fn read(text: &str) -> Result<Limit, String> {
        limit_at(text, &Timestamp::from_second(NOW).unwrap().to_zoned(TimeZone::UTC))
    }

    #[test]
    fn moments_are_given_in_many_ways() {
        let now = NOW as u64;
        for (text, expected) in [
            ("1600000000", 1_600_000_000),
            ("@1234", 1234),
            ("2023-11-14", now),
            ("2023-11-13", now - DAY),
            ("2023-11-14T22:13:20Z", now),
            ("2023-11-14T22:13:20", now),
            ("2023-11-14 22:13:20", now),
            ("2023-11-14T23:43:20+01:30", now),
            ("now", u64::MAX),
            ("all", u64::MAX),
            ("90d", now - 90 * DAY),
            ("2w", now - 14 * DAY),
            ("2 weeks ago", now - 14 * DAY),
            ("90.days.ago", now - 90 * DAY),
            ("90.days", now - 90 * DAY),
            ("2.Weeks.ago", now - 14 * DAY),
            ("one_week-two.days ago", now - 9 * DAY),
            ("3 hours ago", now - 3 * 3600),
            ("10.minutes.ago", now - 600),
            ("last.day", now - DAY),
            ("yesterday", now - DAY),
            ("noon", 1_699_963_200),
            ("midnight", 1_699_920_000),
            ("tea", 1_699_981_200),
            ("1.month.ago", 1_697_321_600),
            ("1y", 1_668_464_000),
        ] {
            assert_eq!(read(text), Ok(Some(expected)), "{text}");
        }
        assert_eq!((read("never"), read("False")), (Ok(None), Ok(None)));
    }

    /// The seconds are git's (`GIT_TEST_DATE_NOW=1700000000 git rev-parse --since=...`).
    #[test]
    fn days_and_times_are_named_as_git_reads_them() {
        for (text, ago) in [
            ("last.friday", 345_600),
            ("last tuesday", 604_800),
            ("2.fridays.ago", 950_400),
            ("10am", 44_000),
            ("3:30pm", 24_200),
            ("12:00", 36_800),
            ("noon yesterday", 123_200),
            ("yesterday noon", 123_200),
            ("10.am.yesterday", 130_400),
            ("6am last friday", 404_000),
            ("jan 5", 27_043_200),
            ("Jan.5.2020", 121_737_600),
            ("5 jan 2020", 121_737_600),
            ("2019-01-05", 153_273_600),
            ("01/05/2019", 153_273_600),
            ("5.1.2019", 153_273_600),
            ("2019/01/05", 153_273_600),
            ("2019.01.05", 153_273_600),
            ("2019-01-05 12:00", 153_310_400),
            ("2 weeks and 3 days ago", 1_468_800),
            ("1 year 2 months ago", 36_806_400),
            ("last month", 2_678_400),
        ] {
            assert_eq!(read(text), Ok(Some(NOW as u64 - ago)), "{text}");
        }
        // git takes these for now, or for another time than they say.
        for text in ["friday", "today", "january", "a week ago", "fortnight", "25:00", "13pm", "jan 32", "1.13.2019"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_expires_nothing() {
        let odd = "90 0 7 20260101 99999999 90x 3m 3.m.ago 90.dais.ago 3.fortnights.ago ago days.ago 90..ago 90.days.90 soon \
                   tomorrow 90.days.hence P90D true yes 2026-13-01 1969-01-01 90.days.ago.please";
        let signed = "-90d -5.days -5.days.ago 2.weeks.-3.days --5.days -1.day -yesterday +5.days 5d_-3d @-1 @+1";
        let spaced =
            ["", " ", "90 days from now", "in 90 days", "- 5 days", " -5 days", "2 weeks - 3 days", "1h ago ago"];
        for text in [odd, signed].iter().flat_map(|texts| texts.split(' ')).chain(spaced) {
            let error = read(text).unwrap_err();
            assert!(error.contains("write '90.days.ago'") || error.contains("before 1970"), "{text}: {error}");
        }
        assert!(read("90").unwrap_err().contains("has no unit"));
    }

    #[test]
    fn no_time_that_has_not_come_stands_for_all() {
        let milliseconds = "1700000000000";
        let digits = "202601010000 2026010112 99999999999999999999999 18446744073709551615 18446744073709551616";
        let marked = "@1700000000000 @99999999999999999999999 @1700086401 1700086401";
        let dates = "2023-11-16 2023-11-15T22:13:21Z 2023-11-15T22:13:21 9999-01-01 2023-11-15T22:13:20-00:01";
        for text in [milliseconds, digits, marked, dates].iter().flat_map(|texts| texts.split(' ')) {
            let error = read(text).unwrap_err();
            assert!(error.contains("is in the future") && error.contains("'all' or 'now'"), "{text}: {error}");
        }
        // A day is what clocks and offsets may differ by.
        assert_eq!(read("1700086400"), Ok(Some(1_700_086_400)));
        assert_eq!(read("2023-11-15"), Ok(Some(1_700_086_400)));
    }
}
