//! Days and times in words: `last.friday`, `10am yesterday`, `jan 5 2020`.
//!
//! git passes over words that it does not know, and takes what it has not understood for now. Here
//! each word must mean something.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, Zoned};

use super::{count_of, of_unit};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// The moment that `text` names; `None` if a word of it is not understood.
pub(super) fn moment(text: &str, now: &Zoned) -> Option<Zoned> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text.split([' ', '.', '_', ',']).filter(|word| !word.is_empty()).collect();
    let mut said = Said { now, moment: now.clone(), time: None, is_day_said: false, is_age: false };
    let mut left = (!words.is_empty()).then_some(words.as_slice())?;
    while !left.is_empty() {
        left = said.take(left)?;
    }
    said.end()
}

/// What was said so far.
struct Said<'a> {
    now: &'a Zoned,
    /// The day, at the time of now.
    moment: Zoned,
    /// A time of day.
    time: Option<Time>,
    is_day_said: bool,
    /// The last words were an age, such as `3 days`.
    is_age: bool,
}

impl Said<'_> {
    /// Takes the words of one thing, and returns the others.
    fn take<'w, 't>(&mut self, words: &'w [&'t str]) -> Option<&'w [&'t str]> {
        let was_age = std::mem::take(&mut self.is_age);
        match words {
            ["and", rest @ ..] if was_age && !rest.is_empty() => return Some(rest),
            ["ago", rest @ ..] if was_age => return Some(rest),
            ["yesterday", rest @ ..] => {
                self.go_back(Span::new().days(1))?;
                return Some(rest);
            }
            [hour, rest @ ..] if named_hour(hour).is_some() => {
                self.time = named_hour(hour);
                if !self.is_day_said && rest.is_empty() && self.time > Some(self.now.time()) {
                    self.go_back(Span::new().days(1))?;
                }
                return Some(rest);
            }
            [hour, half @ ("am" | "pm"), rest @ ..] => {
                self.time = Some(clock(&[*hour, *half].concat())?);
                return Some(rest);
            }
            [time, rest @ ..] if clock(time).is_some() => {
                self.time = clock(time);
                return Some(rest);
            }
            [count, day, rest @ ..] if count_of(count).is_some() && place(&WEEKDAYS, day).is_some() => {
                let days = days_to(place(&WEEKDAYS, day)?, count_of(count)?, self.now)?;
                self.go_back(Span::new().try_days(days).ok()?)?;
                self.is_age = true;
                return Some(rest);
            }
            [count, unit, rest @ ..] if count_of(count).and_then(|count| of_unit(count, unit)).is_some() => {
                self.go_back(of_unit(count_of(count)?, unit)?)?;
                self.is_age = true;
                return Some(rest);
            }
            _ => {}
        }
        let (date, rest) = date(words, self.now)?;
        self.moment = self.moment.with().date(date).build().ok()?;
        self.is_day_said = true;
        Some(rest)
    }

    fn go_back(&mut self, span: Span) -> Option<()> {
        self.moment = self.moment.checked_sub(span).ok()?;
        self.is_day_said = true;
        Some(())
    }

    fn end(self) -> Option<Zoned> {
        match self.time {
            Some(time) => self.moment.with().time(time).build().ok(),
            None => Some(self.moment),
        }
    }
}

fn named_hour(word: &str) -> Option<Time> {
    let hour = match word {
        "midnight" => 0,
        "noon" => 12,
        "tea" => 17,
        _ => return None,
    };
    Some(Time::constant(hour, 0, 0, 0))
}

/// `10am`, `3:30pm`, `15:30`, `15:30:20`.
fn clock(word: &str) -> Option<Time> {
    let half = ["am", "pm"].into_iter().find(|half| word.ends_with(half));
    let digits = half.map_or(word, |half| word.strip_suffix(half).unwrap_or(word));
    if half.is_none() && !digits.contains(':') {
        return None;
    }
    let mut parts = digits.split(':');
    let hour: i8 = parts.next()?.parse().ok()?;
    let mut part = || parts.next().map_or(Some(0), |part| part.parse::<i8>().ok());
    let (minute, second) = (part()?, part()?);
    let hour = match half {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some("am") => hour % 12,
        Some(_) => hour % 12 + 12,
    };
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// The place of the name that begins like `word`, which may be plural.
fn place(names: &[&str], word: &str) -> Option<i64> {
    let is_meant = |name: &&str| word.len() >= 3 && (name.starts_with(word) || word.strip_suffix('s') == Some(name));
    (0..).zip(names).find(|(_, name)| is_meant(name)).map(|(place, _)| place)
}

/// How many days ago the last such day was, or that of so many weeks before; never today.
fn days_to(weekday: i64, count: i64, now: &Zoned) -> Option<i64> {
    let ago = i64::from(now.weekday().to_sunday_zero_offset()) - weekday;
    let weeks = count.checked_sub(i64::from(ago > 0))?;
    (count >= 1).then(|| weeks.checked_mul(7)?.checked_add(ago)).flatten()
}

fn number(word: &str) -> Option<i16> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

fn year(word: &str) -> Option<i16> {
    number(word).filter(|_| word.len() == 4)
}

/// `nov 14`, `14th november`.
fn month_and_day(first: &str, second: &str) -> Option<(i16, i16)> {
    let month = |word: &str| place(&MONTHS, word).and_then(|place| i16::try_from(place + 1).ok());
    let day = |word: &str| {
        let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        number(digits).filter(|day| (1..=31).contains(day))
    };
    month(first).zip(day(second)).or(month(second).zip(day(first)))
}

fn date_of(year: i16, month: i16, day: i16) -> Option<Date> {
    Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// Whether a word of letters says something of a day or a time.
pub(crate) fn is_of_calendar(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["am", "pm", "t", "z"].contains(&word.as_str())
        || place(&MONTHS, &word).is_some()
        || place(&WEEKDAYS, &word).is_some()
}

/// A day with a month's name and a year, and a time of day: `Tue Nov 14 22:13 2023`.
pub(crate) fn exact(text: &str) -> Option<DateTime> {
    let text = text.to_ascii_lowercase().replace(',', " ");
    let mut words: Vec<&str> = text.split_whitespace().collect();
    if words.first().is_some_and(|word| place(&WEEKDAYS, word).is_some()) {
        words.remove(0);
    }
    let [first, second, rest @ ..] = words.as_slice() else { return None };
    let (month, day) = month_and_day(first, second)?;
    let time = |words: &[&str]| match words {
        // What is behind the dot does not count.
        [time] => match time.split_once('.') {
            Some((time, fraction)) => number(fraction).and_then(|_| clock(time)),
            None => clock(time),
        },
        [time, half @ ("am" | "pm")] => clock(&[*time, *half].concat()),
        _ => None,
    };
    let before = rest.split_first().and_then(|(word, others)| year(word).zip(time(others)));
    let (year, time) = before.or_else(|| rest.split_last().and_then(|(word, others)| year(word).zip(time(others))))?;
    Some(date_of(year, month, day)?.to_datetime(time))
}

/// A date in one to three words, and the words after it.
fn date<'w, 't>(words: &'w [&'t str], now: &Zoned) -> Option<(Date, &'w [&'t str])> {
    // As in git, a month that has not come yet is one of last year.
    let usual = |month: i16| now.year() - i16::from(month > i16::from(now.month()));
    if let [first, second, rest @ ..] = words
        && let Some((month, day)) = month_and_day(first, second)
    {
        return Some(match rest.first().and_then(|word| year(word)) {
            Some(year) => (date_of(year, month, day)?, rest.get(1..)?),
            None => (date_of(usual(month), month, day)?, rest),
        });
    }
    let parts = |word: &str| word.split('/').map(number).collect::<Option<Vec<i16>>>();
    if let [word, rest @ ..] = words
        && let Some([first, second, third]) = parts(word).as_deref()
    {
        // 2019/01/05, or 01/05/2019.
        let date = if *first > 31 { date_of(*first, *second, *third) } else { date_of(*third, *first, *second) };
        return Some((date?, rest));
    }
    let [first, second, third, rest @ ..] = words else { return None };
    // 2019.01.05, or 5.1.2019.
    let date = match (year(first), year(third)) {
        (Some(year), _) => date_of(year, number(second)?, number(third)?),
        (None, Some(year)) => date_of(year, number(second)?, number(first)?),
        (None, None) => None,
    };
    Some((date?, rest))
}
