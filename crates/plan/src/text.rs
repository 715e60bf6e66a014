//! Numbers and instants as the plan's sentences and files have them. The calendar is that of
//! RFC 3339, in UTC; no clock is asked.

use picture::thousands;

/// Requests a second.
#[must_use]
pub fn rate(per_s: f64) -> String {
    if per_s >= 100.0 || per_s == 0.0 {
        format!("{}/s", thousands(per_s.round() as u64))
    } else {
        format!("{per_s:.1}/s")
    }
}

/// Year, month, day, hour and minute of a minute since 1970.
#[must_use]
pub fn calendar(minute: i64) -> (i64, u32, u32, u32, u32) {
    let (days, left) = (minute.div_euclid(1_440), minute.rem_euclid(1_440));
    // From days to a date: H. Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let small = |value: i64| u32::try_from(value).unwrap_or(0);
    (
        year,
        small(month),
        small(day),
        small(left / 60),
        small(left % 60),
    )
}

/// A minute since 1970 as RFC 3339 has it.
#[must_use]
pub fn instant(minute: i64) -> String {
    let (year, month, day, hour, min) = calendar(minute);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{min:02}:00Z")
}

/// Milliseconds since 1970 as RFC 3339 has it, to the second.
#[must_use]
pub fn instant_ms(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    let whole = instant(seconds.div_euclid(60));
    let second = seconds.rem_euclid(60);
    whole.replace(":00Z", &format!(":{second:02}Z"))
}

/// A text that YAML and JSON read alike.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_of_the_calendar() {
        for (minute, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:00Z"),
            (29_941_620, "2026-12-05T19:00:00Z"),
            (28_487_519, "2024-02-29T23:59:00Z"),
        ] {
            assert_eq!(instant(minute), text);
        }
        assert_eq!(instant_ms(61_999), "1970-01-01T00:01:01Z");
    }

    #[test]
    fn quotes_hold() {
        assert_eq!(quoted("a\"b\\\n\u{7}"), "\"a\\\"b\\\\\\n\\u0007\"");
    }
}
