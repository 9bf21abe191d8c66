//! The committer of a reflog entry, and the time: from the environment, as git takes it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reftable::Ident;

use crate::config::Config;
use crate::error::{Error, Result};

/// The committer, from `GIT_COMMITTER_NAME`, `GIT_COMMITTER_EMAIL` and `GIT_COMMITTER_DATE`; else
/// from `committer.*` and `user.*` in `config`, else from the system.
///
/// # Errors
/// If the date is not understood.
pub fn committer(config: Option<&Config>) -> Result<Ident> {
    let configured = |what: &str| {
        let value = |section: &str| config?.text(&format!("{section}.{what}")).filter(|value| !value.is_empty());
        value("committer").or_else(|| value("user"))
    };
    let user = || first_of(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| b"unknown".to_vec());
    let name = first_of(&["GIT_COMMITTER_NAME"]).or_else(|| configured("name")).unwrap_or_else(user);
    let email = first_of(&["GIT_COMMITTER_EMAIL"]).or_else(|| configured("email")).or_else(|| first_of(&["EMAIL"]));
    let email = email.unwrap_or_else(|| {
        let host = host_name();
        [user().as_slice(), b"@", host.trim().as_bytes()].concat()
    });
    let (time, time_zone) = match env::var("GIT_COMMITTER_DATE") {
        Ok(date) if !date.is_empty() => parse_date(&date)?,
        _ => now(),
    };
    Ok(Ident { name: clean(&name), email: clean(&email), time, time_zone })
}

/// A reason as git stores it: runs of white space become one space.
#[must_use]
pub fn one_line(reason: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = reason.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).collect();
    words.join(b" ".as_slice())
}

/// `+0130` for 130.
#[must_use]
pub fn zone_text(time_zone: i16) -> String {
    format!("{time_zone:+05}")
}

fn first_of(names: &[&str]) -> Option<Vec<u8>> {
    let value = names.iter().find_map(|name| env::var_os(name).filter(|value| !value.is_empty()))?;
    Some(value.into_encoded_bytes())
}

fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| fs::read_to_string(file).ok())
        .or_else(|| env::var("HOSTNAME").or_else(|_| env::var("COMPUTERNAME")).ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Without the characters that end a name or an address.
fn clean(text: &[u8]) -> Vec<u8> {
    let kept: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'<' | b'>' | b'\n' | 0)).collect();
    kept.trim_ascii().to_vec()
}

/// The zone of this machine, from one file. Asking for it by its name would read all of the
/// time-zone database.
fn local_zone() -> TimeZone {
    let of_file = |path: PathBuf| TimeZone::tzif("", &fs::read(path).ok()?).ok();
    let found = match env::var("TZ").as_deref().map(|name| name.strip_prefix(':').unwrap_or(name)) {
        Err(_) => of_file("/etc/localtime".into()),
        Ok("" | "UTC" | "UTC0") => Some(TimeZone::UTC),
        // A name that leads out of the directory leads to a file, as for the C library.
        Ok(name) => of_file(Path::new("/usr/share/zoneinfo").join(name)).or_else(|| TimeZone::posix(name).ok()),
    };
    found.unwrap_or_else(TimeZone::system)
}

fn now() -> (u64, i16) {
    let now = Timestamp::now().to_zoned(local_zone());
    (u64::try_from(now.timestamp().as_second()).unwrap_or(0), time_zone(now.offset().seconds()))
}

/// An offset in seconds as log entries have it: `130` is an hour and a half east.
pub(crate) fn time_zone(seconds: i32) -> i16 {
    let minutes = seconds / 60;
    i16::try_from(minutes / 60 * 100 + minutes % 60).unwrap_or(0)
}

/// A date as git reads it where it wants one exactly: what it prints in any of its formats, ISO
/// 8601, RFC 2822, `SECONDS ZONE`. Without a zone it is local time; a date needs a time of day.
pub(crate) fn parse_date(text: &str) -> Result<(u64, i16)> {
    let text = text.trim();
    let raw = text.strip_prefix('@').unwrap_or(text);
    let parsed = raw.split_once(' ').and_then(|(seconds, zone)| Some((seconds.parse().ok()?, parse_zone(zone)?)));
    if let Some(date) = parsed {
        return Ok(date);
    }
    let wrong = || {
        Error::invalid(format!(
            "invalid date format: {text}: GIT_COMMITTER_DATE is to be such as '2026-01-31 12:00:00 +0100', or '@' and \
             seconds since 1970"
        ))
    };
    let zoned = text.rsplit_once(' ').and_then(|(local, zone)| Some((local_time(local)?, parse_zone(zone)?)));
    if let Some((local, zone)) = zoned {
        let offset = (i64::from(zone / 100) * 60 + i64::from(zone % 100)) * 60;
        let time = local.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
        let seconds = time.timestamp().as_second().checked_sub(offset).and_then(|seconds| u64::try_from(seconds).ok());
        return Ok((seconds.ok_or_else(wrong)?, zone));
    }
    if let Some(local) = local_time(text) {
        let time = local.to_zoned(local_zone()).map_err(|_| wrong())?;
        let seconds = u64::try_from(time.timestamp().as_second()).map_err(|_| wrong())?;
        return Ok((seconds, time_zone(time.offset().seconds())));
    }
    // A day alone says no moment, and what is said relative to now is not exact.
    let has_time = text.contains(':') || text.bytes().filter(u8::is_ascii_digit).count() > 8;
    let time = gix_date::parse(text, None).ok().filter(|_| has_time).ok_or_else(wrong)?;
    Ok((u64::try_from(time.seconds).map_err(|_| wrong())?, time_zone(time.offset)))
}

/// `2005-05-26 23:30`, also with seconds, a `T` between, and dots or slashes in the date; without
/// a zone.
fn local_time(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once([' ', 'T'])?;
    let numbers: Vec<&str> = date.split(['-', '.', '/']).collect();
    let [year, month, day] = numbers.as_slice() else { return None };
    // As git reads them, years come first if they have four digits, else last: 26.05.2005,
    // 05/26/2005.
    let (year, month, day) = match (year.len(), date.contains('.'), date.contains('/')) {
        (4, ..) => (year, month, day),
        (_, true, _) => (day, month, year),
        (_, _, true) => (day, year, month),
        _ => return None,
    };
    let mut parts = time.split(':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = parts.next().map_or(Some(0), |second| second.split('.').next()?.parse().ok())?;
    if parts.next().is_some() {
        return None;
    }
    DateTime::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?, hour, minute, second, 0).ok()
}

fn parse_zone(text: &str) -> Option<i16> {
    let well_formed = text.len() == 5 && text.starts_with(['+', '-']);
    well_formed.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_git_writes_them() {
        assert_eq!(parse_date("1700000000 +0130").unwrap(), (1_700_000_000, 130));
        assert_eq!(parse_date("@1700000000 -0800").unwrap(), (1_700_000_000, -800));
        for (text, zone) in [
            ("2023-11-14T22:13:20Z", 0),
            ("2023-11-14 23:43:20 +0130", 130),
            ("2023-11-14T23:43:20+01:30", 130),
            ("Tue Nov 14 14:13:20 2023 -0800", -800),
            ("Tue, 14 Nov 2023 22:13:20 +0000", 0),
            ("1700000000", 0),
        ] {
            assert_eq!(parse_date(text).unwrap(), (1_700_000_000, zone), "{text}");
        }
        for text in ["yesterday", "2 days ago", "2023-11-14", "", "now", "2023-13-14 22:13:20"] {
            assert!(parse_date(text).is_err(), "{text}");
        }
        let (utc, dotted) = (parse_date("2023-11-14 22:13").unwrap(), parse_date("14.11.2023 22:13:00").unwrap());
        assert_eq!((utc, utc), (dotted, parse_date("11/14/2023 22:13").unwrap()));
    }

    #[test]
    fn zones_have_a_sign_and_four_digits() {
        assert_eq!(zone_text(130), "+0130");
        assert_eq!(zone_text(-30), "-0030");
        assert_eq!(zone_text(0), "+0000");
    }

    #[test]
    fn reasons_become_one_line() {
        assert_eq!(one_line(b" a \n b\t\tc\n"), b"a b c");
    }
}
