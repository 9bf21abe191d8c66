//! Moments on the command line.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Reads a moment, as seconds since 1970: a number of them, a date with or without a time and an offset (UTC without),
/// `now`, or a span such as `90d` or `2 weeks`, which is that long before `now`.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<u64, String> {
    // As in git: all that is in a log has happened, so nothing in it is too new.
    if text == "now" || text == "all" {
        return Ok(u64::MAX);
    }
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let moment = absolute(text)
        .or_else(|| before(text, now))
        .ok_or("not a time: use seconds since 1970, a date such as 2025-01-31T12:00:00Z, 'now', or a span as '90d'")?;
    u64::try_from(moment.as_second()).map_err(|_| "before 1970".to_owned())
}

fn absolute(text: &str) -> Option<Timestamp> {
    let in_utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp());
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    if let Ok(time) = text.parse::<DateTime>() {
        return in_utc(time);
    }
    text.parse::<Date>().ok().and_then(|date| in_utc(date.to_datetime(jiff::civil::Time::midnight())))
}

fn before(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.strip_suffix("ago").unwrap_or(text).trim();
    let span = text.parse::<Span>().ok()?.abs();
    Some(now.to_zoned(TimeZone::UTC).checked_sub(span).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_given_in_many_ways() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let read = |text| parse(text, now).unwrap();
        assert_eq!(read("1234"), 1234);
        assert_eq!(read("2023-11-14"), 1_699_920_000);
        assert_eq!(read("2023-11-14T22:13:20Z"), 1_700_000_000);
        assert_eq!(read("2023-11-14T22:13:20"), 1_700_000_000);
        assert_eq!(read("2023-11-14T23:43:20+01:30"), 1_700_000_000);
        assert_eq!(read("now"), u64::MAX);
        assert_eq!(read("90d"), 1_700_000_000 - 90 * 86400);
        assert_eq!(read("2w"), 1_700_000_000 - 14 * 86400);
        assert_eq!(read("2 weeks ago"), 1_700_000_000 - 14 * 86400);
        assert!(parse("soon", now).is_err());
        assert!(parse("1969-01-01", now).is_err());
    }
}
