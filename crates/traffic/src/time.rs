//! Instants as logs write them, into microseconds since 1970: `17/May/2015:10:05:03 +0000`, RFC
//! 3339, and plain numbers. It must not know the clock.

use crate::limits::AT_US_MAX;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Any of the ways below.
pub(crate) fn instant(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return number(text);
    }
    common(text).or_else(|| {
        let at = text.parse::<Timestamp>().ok().or_else(|| {
            // Without an offset it is taken for UTC.
            let civil: DateTime = text.replacen(' ', "T", 1).parse().ok()?;
            Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
        })?;
        believed(u64::try_from(at.as_microsecond()).ok()?)
    })
}

/// As Apache and nginx write it: `17/May/2015:10:05:03 +0000`.
pub(crate) fn common(text: &str) -> Option<u64> {
    let (date, offset) = text.split_once(' ')?;
    let mut parts = date.split(['/', ':']);
    let mut next = || parts.next();
    let day = digits(next()?, 2)?;
    let month = next()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (year, hour) = (digits(next()?, 4)?, digits(next()?, 2)?);
    let (minute, second) = (digits(next()?, 2)?, digits(next()?, 2)?);
    if next().is_some() {
        return None;
    }
    let small = |n: u64| i8::try_from(n).ok();
    // A leap second is the last one before it.
    let civil = DateTime::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second.min(59))?,
        0,
    );
    let local = civil
        .ok()?
        .to_zoned(TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_second();
    let (sign, rest) = match offset.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let clock = digits(rest, 4)?;
    let ahead = i64::try_from(clock / 100 * 3_600 + clock % 100 * 60).ok()?;
    let second = u64::try_from(local - sign * ahead).ok()?;
    believed(second.checked_mul(1_000_000)?)
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970: told apart by their size.
pub(crate) fn number(text: &str) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let unit = match whole.len() {
        ..=11 => 1_000_000,
        12..=14 => 1_000,
        15..=17 => 1,
        _ => return believed(whole.parse::<u64>().ok()? / 1_000),
    };
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    believed(whole.checked_add(fraction(rest, unit)?)?)
}

/// `.25` of a unit, in whole parts of it.
fn fraction(text: &str, unit: u64) -> Option<u64> {
    let text = text.get(..text.len().min(9))?;
    if text.is_empty() {
        return Some(0);
    }
    let value = digits(text, text.len())?;
    let scale = 10_u64.pow(u32::try_from(text.len()).ok()?);
    Some(value * unit / scale)
}

fn digits(text: &str, count: usize) -> Option<u64> {
    let all = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

fn believed(at_us: u64) -> Option<u64> {
    (at_us <= AT_US_MAX).then_some(at_us)
}

/// `17/May/2015:10:05:03 +0000`, into `out`; the fraction of the second is lost.
pub(crate) fn push_common(out: &mut Vec<u8>, at_us: u64) {
    let second = i64::try_from(at_us.min(AT_US_MAX) / 1_000_000).unwrap_or_default();
    let at = Timestamp::from_second(second)
        .unwrap_or_default()
        .to_zoned(TimeZone::UTC);
    let month = MONTHS
        .get(usize::from(at.month().unsigned_abs()) - 1)
        .unwrap_or(&"Jan");
    let text = format!(
        "{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000",
        at.day(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    );
    out.extend_from_slice(text.as_bytes());
}

/// `2015-05-17T10`: the hour, for tables.
#[must_use]
pub fn hour_text(hour: u64) -> String {
    text_of(hour.saturating_mul(3_600_000_000), "%Y-%m-%dT%H")
}

/// `2015-05-17T10:05:03Z`.
#[must_use]
pub fn instant_text(at_us: u64) -> String {
    text_of(at_us, "%Y-%m-%dT%H:%M:%SZ")
}

fn text_of(at_us: u64, pattern: &str) -> String {
    let at = i64::try_from(at_us.min(AT_US_MAX)).unwrap_or_default();
    let at = Timestamp::from_microsecond(at).unwrap_or_default();
    at.to_zoned(TimeZone::UTC).strftime(pattern).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_all_kinds() {
        #[rustfmt::skip]
        let cases = [
            ("17/May/2015:10:05:03 +0000",     Some(1_431_857_103_000_000)),
            ("[17/May/2015:10:05:03 +0000]",   Some(1_431_857_103_000_000)),
            ("17/May/2015:12:05:03 +0200",     Some(1_431_857_103_000_000)),
            ("17/May/2015:04:35:03 -0530",     Some(1_431_857_103_000_000)),
            ("2015-05-17T10:05:03Z",           Some(1_431_857_103_000_000)),
            ("2015-05-17T12:05:03.25+02:00",   Some(1_431_857_103_250_000)),
            ("2015-05-17 10:05:03",            Some(1_431_857_103_000_000)),
            ("1431857103",                     Some(1_431_857_103_000_000)),
            ("1431857103.042",                 Some(1_431_857_103_042_000)),
            ("1431857103042",                  Some(1_431_857_103_042_000)),
            ("1431857103042007",               Some(1_431_857_103_042_007)),
            ("1431857103042007999",            Some(1_431_857_103_042_007)),
            ("31/Dec/2016:23:59:60 +0000",     Some(1_483_228_799_000_000)),
            ("30/Feb/2015:10:05:03 +0000",     None),
            ("17/Mai/2015:10:05:03 +0000",     None),
            ("17/May/2015:25:05:03 +0000",     None),
            ("17/May/2015:10:05:03",           None),
            ("17/May/1969:10:05:03 +0000",     None),
            ("yesterday",                      None),
            ("",                               None),
            ("99999999999999999999999",        None),
        ];
        for (text, expected) in cases {
            assert_eq!(instant(text), expected, "{text}");
        }
    }

    #[test]
    fn the_common_form_is_written_as_it_is_read() {
        for at in [0, 1_431_857_103_000_000, 253_402_207_199_000_000] {
            let mut out = Vec::new();
            push_common(&mut out, at);
            assert_eq!(common(std::str::from_utf8(&out).unwrap()), Some(at));
        }
    }
}
