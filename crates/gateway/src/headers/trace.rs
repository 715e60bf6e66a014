//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): each request carries the trace it
//! belongs to and, as parent, whoever handed it on last.

use super::Sink;
use crate::upstream::Dice;
use hyper::header::HeaderMap;

pub(super) const TRACEPARENT: &str = "traceparent";
pub(super) const TRACESTATE: &str = "tracestate";

/// A valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: u128,
    pub span_id: u64,
    pub flags: u8,
}

impl TraceParent {
    /// `None` if it is none: wrong length, letters, version or an id of zeros. Versions after
    /// `00` may say more behind the flags, as the standard wants it read.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<TraceParent> {
        let (version, rest) = (hex(value.get(..2)?)?, value.get(2..55)?);
        let dashes = rest[0] == b'-' && rest[33] == b'-' && rest[50] == b'-';
        let length = match version {
            0 => value.len() == 55,
            1..0xff => value.len() == 55 || value[55] == b'-',
            _ => false,
        };
        let parsed = TraceParent {
            trace_id: hex(&rest[1..33])?,
            span_id: hex(&rest[34..50])? as u64,
            flags: hex(&rest[51..53])? as u8,
        };
        let valid = dashes && length && parsed.trace_id != 0 && parsed.span_id != 0;
        valid.then_some(parsed)
    }

    /// The one valid `traceparent` of a head.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let first = all.next()?;
        if all.next().is_some() {
            return None;
        }
        TraceParent::parse(first.as_bytes())
    }

    /// As version `00`.
    #[must_use]
    pub fn write(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..35], self.trace_id);
        write_hex(&mut text[36..52], u128::from(self.span_id));
        write_hex(&mut text[53..55], u128::from(self.flags));
        text
    }
}

/// Lower-case hexadecimal only, as the standard wants it.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(value))
    })
}

fn write_hex(into: &mut [u8], mut value: u128) {
    for digit in into.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// The client's trace with a span of ours as its newest, or a trace that begins here. Without a
/// valid parent `tracestate` means nothing, so it goes too.
pub(super) fn pass_on(headers: Option<&HeaderMap>, dice: &Dice, sink: &mut impl Sink) {
    let before = headers.and_then(TraceParent::of);
    let ours = TraceParent {
        trace_id: before.map_or_else(
            || u128::from(dice.throw()) << 64 | u128::from(dice.throw() | 1),
            |before| before.trace_id,
        ),
        span_id: dice.throw() | 1,
        // Sampled or not is decided by who began; what begins here is not sampled elsewhere.
        flags: before.map_or(0, |before| before.flags & 1),
    };
    sink.line(TRACEPARENT, &ours.write());
    let states = headers.filter(|_| before.is_some());
    for value in states
        .into_iter()
        .flat_map(|headers| headers.get_all(TRACESTATE))
    {
        sink.line(TRACESTATE, value.as_bytes());
    }
}
