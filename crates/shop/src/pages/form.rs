//! How values are written into links and sentences, and which links are followed.

use super::limits;
use jiff::Timestamp;

/// Where to go after signing in: a path of this site, else the hall. Anything a browser could
/// read as another site (`//host`, `/\host`, `https:`) is not followed.
pub fn safe_next(next: &str) -> &str {
    let mut bytes = next.bytes();
    let ours = next.len() <= limits::NEXT_BYTES_MAX
        && bytes.next() == Some(b'/')
        && bytes.next() != Some(b'/')
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { next } else { "/" }
}

/// Percent-encodes everything but unreserved characters: right in a path segment and in a query.
pub fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `11 November 2026, 00:00 UTC`; the script shows the reader's own time zone instead.
pub fn instant_text(at_ms: u64) -> String {
    stamp(at_ms, "%-d %B %Y, %H:%M UTC")
}

/// `11 Nov, 00:00 UTC`, for cards.
pub fn short_instant_text(at_ms: u64) -> String {
    stamp(at_ms, "%-d %b, %H:%M UTC")
}

/// For the `datetime` attribute.
pub(super) fn iso(at_ms: u64) -> String {
    stamp(at_ms, "%Y-%m-%dT%H:%M:%SZ")
}

fn stamp(at_ms: u64, format: &str) -> String {
    let at = i64::try_from(at_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "later".to_owned(), |at| at.strftime(format).to_string())
}

/// `10 minutes`, `90 seconds`, `2 hours`: whole units only, so that nothing is rounded away.
pub(super) fn duration_text(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (count, unit) = match seconds {
        0 => return "a moment".to_owned(),
        s if s % 86_400 == 0 => (s / 86_400, "day"),
        s if s % 3_600 == 0 => (s / 3_600, "hour"),
        s if s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// The start of a text, cut between words.
pub(super) fn summary(text: &str, chars_max: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= chars_max {
        return flat;
    }
    let cut: String = flat.chars().take(chars_max).collect();
    let whole = cut
        .rsplit_once(' ')
        .map_or(cut.as_str(), |(whole, _)| whole);
    format!("{}…", whole.trim_end_matches([',', '.', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for good in [
            "/",
            "/orders",
            "/p/A-1?x=1&y=2#buy",
            "/checkout?sku=%2F%2F&quantity=1",
        ] {
            assert_eq!(safe_next(good), good);
        }
        let long = format!("/{}", "a".repeat(limits::NEXT_BYTES_MAX));
        let bad = [
            "",
            "orders",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nb",
            "/a b",
            "/\t/evil.example",
            "/a\\b",
            "javascript:alert(1)",
            "/ä",
            long.as_str(),
        ];
        for bad in bad {
            assert_eq!(safe_next(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn instants_and_durations_read_well() {
        assert_eq!(
            instant_text(1_794_355_200_000),
            "11 November 2026, 00:00 UTC"
        );
        assert_eq!(short_instant_text(1_794_355_200_000), "11 Nov, 00:00 UTC");
        assert_eq!(iso(1_794_355_200_000), "2026-11-11T00:00:00Z");
        assert_eq!(instant_text(u64::MAX), "later");
        for (ms, text) in [
            (500, "a moment"),
            (1_000, "1 second"),
            (90_000, "90 seconds"),
            (600_000, "10 minutes"),
            (7_200_000, "2 hours"),
            (86_400_000, "1 day"),
        ] {
            assert_eq!(duration_text(ms), text);
        }
    }

    #[test]
    fn links_and_summaries() {
        assert_eq!(query_escape("A/b c?é\"<"), "A%2Fb%20c%3F%C3%A9%22%3C");
        assert_eq!(summary("one  two\nthree", 100), "one two three");
        assert_eq!(summary("one, two three", 6), "one…");
    }
}
