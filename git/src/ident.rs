//! The committer of a reflog entry, and the time: from the environment, as git takes it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reftable::Ident;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::time::words;

/// The committer, from `GIT_COMMITTER_NAME`, `GIT_COMMITTER_EMAIL` and `GIT_COMMITTER_DATE`; else
/// from `committer.*` and `user.*` in `config`, else from the system. As in git a variable that is
/// empty counts, and an empty name is that of the login.
///
/// # Errors
/// If the date is not understood.
pub fn committer(config: Option<&Config>) -> Result<Ident> {
    let configured = |key: &str| config.and_then(|config| config.text(key));
    let given = |variable: &str, what: &str| {
        let of_committer = || configured(&format!("committer.{what}")).filter(|value| !value.is_empty());
        let variable = env::var_os(variable).map(OsString::into_encoded_bytes);
        variable.or_else(of_committer).or_else(|| configured(&format!("user.{what}")))
    };
    let name = given("GIT_COMMITTER_NAME", "name").unwrap_or_else(|| User::own().full_name);
    let name = if name.is_empty() { User::own().login } else { name };
    let email = given("GIT_COMMITTER_EMAIL", "email").or_else(|| first_of(&["EMAIL"]));
    let email = email.unwrap_or_else(|| [User::own().login.as_slice(), b"@", &mail_host()].concat());
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

/// Numbers below this are no seconds since 1970, for git neither.
const FIRST_SECOND: i64 = 100_000_000;

/// Who runs this process.
struct User {
    login: Vec<u8>,
    full_name: Vec<u8>,
}

impl User {
    /// What the system's list of users says; for those who are not in it, the environment.
    fn own() -> User {
        let listed = fs::read("/etc/passwd").ok().and_then(|list| User::of_list(&list, user_id()?));
        listed.unwrap_or_else(|| {
            let login = first_of(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| b"unknown".to_vec());
            User { full_name: login.clone(), login }
        })
    }

    /// The user of this number.
    fn of_list(list: &[u8], id: u32) -> Option<User> {
        let id = id.to_string();
        list.split(|byte| *byte == b'\n').find_map(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            let [login, _, number, _, about, ..] = fields.as_slice() else { return None };
            (*number == id.as_bytes()).then(|| User { login: login.to_vec(), full_name: full_name(about, login) })
        })
    }
}

/// The first part of what the system says about a user, where `&` stands for the login.
fn full_name(about: &[u8], login: &[u8]) -> Vec<u8> {
    let name = about.split(|byte| *byte == b',').next().unwrap_or_default();
    let mut capital = login.to_vec();
    capital.iter_mut().take(1).for_each(|first| first.make_ascii_uppercase());
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'&').collect();
    parts.join(capital.as_slice()).trim_ascii().to_vec()
}

#[cfg(unix)]
fn user_id() -> Option<u32> {
    Some(rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn user_id() -> Option<u32> {
    None
}

/// Where mail for the users of this machine goes, as far as files say it: DNS is not asked.
fn mail_host() -> Vec<u8> {
    let first_line = |file: &str| {
        let text = fs::read(file).ok()?;
        text.split(|byte| *byte == b'\n').next().filter(|line| !line.is_empty()).map(<[u8]>::to_vec)
    };
    if let Some(name) = first_line("/etc/mailname") {
        return name;
    }
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"].iter().find_map(|file| first_line(file));
    let host = host.or_else(|| first_of(&["HOSTNAME", "COMPUTERNAME"])).unwrap_or_else(|| b"localhost".to_vec());
    let is_full = |name: &[u8]| name.contains(&b'.');
    if is_full(&host) {
        return host;
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let full = hosts.lines().find_map(|line| {
        let mut names = line.split('#').next()?.split_ascii_whitespace().skip(1).map(str::as_bytes);
        let first = names.clone().next()?;
        names.any(|name| name == host).then(|| first.to_vec())
    });
    full.filter(|name| is_full(name)).unwrap_or_else(|| [host.as_slice(), b".(none)"].concat())
}

/// Without the characters that end a name or an address, and without punctuation around it.
fn clean(text: &[u8]) -> Vec<u8> {
    let is_crud = |byte: &u8| *byte <= b' ' || b",:;<>\"\\'".contains(byte);
    let Some(first) = text.iter().position(|byte| !is_crud(byte)) else { return Vec::new() };
    let last = text.iter().rposition(|byte| !is_crud(byte)).unwrap_or(first);
    let kept = text.get(first..=last).unwrap_or_default();
    kept.iter().copied().filter(|byte| !matches!(byte, b'<' | b'>' | b'\n' | 0)).collect()
}

/// The zone of this machine, from one file. Asking for it by its name would read all of the
/// time-zone database.
pub(crate) fn local_zone() -> TimeZone {
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
    if let Ok(seconds @ FIRST_SECOND..) = raw.parse::<i64>() {
        let time = Timestamp::from_second(seconds).map_err(|error| Error::invalid(format!("{text}: {error}")))?;
        let zone = time_zone(time.to_zoned(local_zone()).offset().seconds());
        return Ok((u64::try_from(seconds).unwrap_or(0), zone));
    }
    let wrong = || {
        Error::invalid(format!(
            "invalid date format: {text}: GIT_COMMITTER_DATE is to be such as '2026-01-31 12:00:00 +0100', or '@' and \
             seconds since 1970"
        ))
    };
    let local = |text: &str| local_time(text).or_else(|| words::exact(text));
    let zoned = text.rsplit_once(' ').and_then(|(time, zone)| Some((local(time)?, parse_zone(zone)?)));
    let before_z = || text.strip_suffix('Z').filter(|time| time.ends_with(|last: char| last.is_ascii_digit()));
    let zoned = zoned.or_else(|| Some((local(before_z()?)?, 0)));
    let named = || without_named_zone(text).and_then(|(rest, zone)| Some((local(&rest)?, zone)));
    let zoned = zoned.or_else(named);
    if let Some((time, zone)) = zoned {
        let offset = (i64::from(zone / 100) * 60 + i64::from(zone % 100)) * 60;
        let time = time.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
        let seconds = time.timestamp().as_second().checked_sub(offset).and_then(|seconds| u64::try_from(seconds).ok());
        return Ok((seconds.ok_or_else(wrong)?, zone));
    }
    if let Some(time) = local(text) {
        let time = time.to_zoned(local_zone()).map_err(|_| wrong())?;
        let seconds = u64::try_from(time.timestamp().as_second()).map_err(|_| wrong())?;
        return Ok((seconds, time_zone(time.offset().seconds())));
    }
    // The name of a zone would be passed over, and the moment be another one.
    let mut letters = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    if !letters.all(words::is_of_calendar) {
        return Err(wrong());
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
    // What is behind the dot does not count, but must be digits: a zone may be there.
    let whole = |second: &str| {
        let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
        second.parse().ok().filter(|_| fraction.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let second = parts.next().map_or(Some(0), whole)?;
    if parts.next().is_some() {
        return None;
    }
    DateTime::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?, hour, minute, second, 0).ok()
}

/// The zones that git knows by a name, with one offset for all of the world.
const ZONES: [(&str, i16); 22] = [
    ("utc", 0),
    ("gmt", 0),
    ("wet", 0),
    ("bst", 100),
    ("cet", 100),
    ("met", 100),
    ("cest", 200),
    ("mest", 200),
    ("eet", 200),
    ("eest", 300),
    ("jst", 900),
    ("nzst", 1200),
    ("nzdt", 1300),
    ("est", -500),
    ("edt", -400),
    ("cst", -600),
    ("cdt", -500),
    ("mst", -700),
    ("mdt", -600),
    ("pst", -800),
    ("pdt", -700),
    ("hst", -1000),
];

/// The text without the name of a zone, which is a word, or stands at the end of a time: `22:13
/// EST`, `22:13EST`. `date` prints it before the year.
fn without_named_zone(text: &str) -> Option<(String, i16)> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    for word in &mut words {
        let time = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let name = word.strip_prefix(time)?;
        let known = ZONES.iter().find(|(zone, _)| zone.eq_ignore_ascii_case(name));
        if let Some((_, offset)) = known.filter(|_| time.is_empty() || time.contains(':')) {
            *word = time;
            return Some((words.join(" ").trim_end().to_owned(), *offset));
        }
    }
    None
}

/// `+0130`, `+01:30`, or `Z`.
fn parse_zone(text: &str) -> Option<i16> {
    let digits = text.replace(':', "");
    let well_formed = digits.len() == 5 && digits.starts_with(['+', '-']);
    if text == "Z" { Some(0) } else { well_formed.then(|| digits.parse().ok()).flatten() }
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
            ("Tue, 14 Nov 2023 22:13:20 GMT", 0),
            ("Tue Nov 14 17:13:20 EST 2023", -500),
            ("2023-11-14 17:13:20.5est", -500),
            ("15 Nov 2023 07:13:20 JST", 900),
        ] {
            assert_eq!(parse_date(text).unwrap(), (1_700_000_000, zone), "{text}");
        }
        // A zone that is not known is not passed over.
        for text in ["14 Nov 2023 22:13:20 MSK", "Tue, 14 Nov 2023 22:13 X", "Tue Nov 14 22:13:20 AST 2023"] {
            assert!(parse_date(text).is_err(), "{text}");
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
