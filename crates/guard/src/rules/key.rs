//! A rule's key as 64 bits. The texts in it are already under the process's keyed hash, so nobody
//! outside can choose two requests that meet; here they are only mixed, in the order of the parts.

use crate::facts::{Channel, Facts, Method, Part, RouteId, Value};
use crate::limits::KEY_PARTS_MAX;
use crate::rules::{Key, Missing};

/// The value of one part, as overrides and allow-lists name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartValue {
    /// Of buyer, device, address, API key, header or SKU.
    Text(Value),
    Route(RouteId),
    Method(Method),
    Channel(Channel),
}

/// A key's parts in place, and the rule's own salt, so that no two rules share tags.
#[derive(Clone, Debug)]
pub(super) struct KeyMaker {
    parts: [Part; KEY_PARTS_MAX],
    len: usize,
    missing: Missing,
    salt: u64,
}

/// Stands for a part that a request lacks; every value is above it.
const ANONYMOUS: u64 = 0;
/// Odd constants with balanced bits: the fractions of √2 and √3.
const MIX_A: u64 = 0x6a09_e667_f3bc_c909;
const MIX_B: u64 = 0xbb67_ae85_84ca_a73b;

impl KeyMaker {
    /// The key has at most [`KEY_PARTS_MAX`] parts: the check came before.
    pub(super) fn new(name: &str, key: &Key) -> KeyMaker {
        let mut parts = [Part::Buyer; KEY_PARTS_MAX];
        for (place, part) in parts.iter_mut().zip(&key.parts) {
            *place = *part;
        }
        let salt = name
            .bytes()
            .fold(MIX_B, |salt, byte| mix(salt, u64::from(byte) + 1));
        KeyMaker {
            parts,
            len: key.parts.len().min(KEY_PARTS_MAX),
            missing: key.missing,
            salt,
        }
    }

    /// `None`: a part is missing and the rule does not apply.
    #[inline(always)]
    pub(super) fn tag(&self, facts: &Facts) -> Option<u64> {
        self.tag_or(facts, self.missing)
    }

    /// `None`: a part is missing, whatever the rule makes of that.
    pub(super) fn tag_of_whole(&self, facts: &Facts) -> Option<u64> {
        self.tag_or(facts, Missing::Skip)
    }

    #[inline(always)]
    fn tag_or(&self, facts: &Facts, missing: Missing) -> Option<u64> {
        let mut tag = self.salt;
        for part in &self.parts[..self.len] {
            let value = match (value(*part, facts), missing) {
                (Some(value), _) => value,
                (None, Missing::Shared) => ANONYMOUS,
                (None, Missing::Skip) => return None,
            };
            tag = mix(tag, value);
        }
        Some(tag | u64::from(tag == 0))
    }

    /// The tag of a key that a configuration names; one value for each part.
    pub(super) fn tag_of(&self, values: &[PartValue]) -> u64 {
        let tag = values
            .iter()
            .fold(self.salt, |tag, value| mix(tag, value.word()));
        tag | u64::from(tag == 0)
    }
}

/// Below `percent` of a hundred, for that share of all keys. Independent of where the table puts
/// the key, because that looks at the bits unmixed.
#[inline]
pub(super) fn falls_under(tag: u64, percent: u8) -> bool {
    let fraction = mix(tag, MIX_A) >> 32;
    (fraction * 100) >> 32 < u64::from(percent)
}

impl PartValue {
    pub(super) fn fits(self, part: Part) -> bool {
        match self {
            PartValue::Route(_) => part == Part::Route,
            PartValue::Method(_) => part == Part::Method,
            PartValue::Channel(_) => part == Part::Channel,
            PartValue::Text(_) => !matches!(part, Part::Route | Part::Method | Part::Channel),
        }
    }

    #[inline]
    fn word(self) -> u64 {
        match self {
            PartValue::Text(value) => value.0.get(),
            PartValue::Route(route) => u64::from(route.0) + 1,
            PartValue::Method(method) => method as u64 + 1,
            PartValue::Channel(channel) => channel as u64 + 1,
        }
    }
}

#[inline]
fn value(part: Part, facts: &Facts) -> Option<u64> {
    let text = match part {
        Part::Buyer => facts.buyer,
        Part::Device => facts.device,
        Part::Address => facts.address,
        Part::ApiKey => facts.api_key,
        Part::Header(at) => facts.headers.get(usize::from(at)).copied().flatten(),
        Part::Sku => facts.sku,
        Part::Route => return Some(PartValue::Route(facts.route).word()),
        Part::Method => return Some(PartValue::Method(facts.method).word()),
        Part::Channel => return Some(PartValue::Channel(facts.channel).word()),
    };
    text.map(|value| value.0.get())
}

/// Both halves of the 128-bit product: every bit of either word reaches every bit of the result.
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ MIX_A) * u128::from(b ^ MIX_B);
    (product as u64) ^ ((product >> 64) as u64)
}
