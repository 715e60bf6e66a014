//! What happened, folded into one number: the same seed must give the same number. On demand each
//! event is printed as well.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub digest: u64,
    pub events: u64,
    pub print: bool,
    /// How often each outcome and each fault occurred.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Trace {
    pub fn note(&mut self, at: u64, what: &'static str, numbers: &[u64]) {
        self.events += 1;
        self.fold(at);
        for byte in what.bytes() {
            self.fold(u64::from(byte));
        }
        for number in numbers {
            self.fold(*number);
        }
        if self.print {
            println!("{at:>7} {what} {numbers:?}");
        }
    }
    pub fn count(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry(what).or_default() += times;
        }
    }
    /// Notes and counts one.
    pub fn happened(&mut self, at: u64, what: &'static str, numbers: &[u64]) {
        self.note(at, what, numbers);
        self.count(what, 1);
    }
    fn fold(&mut self, value: u64) {
        self.digest = (self.digest ^ value)
            .rotate_left(23)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
