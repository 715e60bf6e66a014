//! Little-endian numbers and short texts in bytes: what records and snapshots are made of.
//! Reading never panics and never allocates more than the input can hold.

use sale::{Currency, Millis, Money, Qty, SkuTerms, Text};
use std::num::NonZeroU32;

/// The bytes are not what the format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    pub what: &'static str,
    /// From the start of the bytes given.
    pub at: usize,
}

/// Appends to a buffer.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);
    fn u8(&mut self, v: u8) {
        self.put(&[v]);
    }
    fn u16(&mut self, v: u16) {
        self.put(&v.to_le_bytes());
    }
    fn u32(&mut self, v: u32) {
        self.put(&v.to_le_bytes());
    }
    fn u64(&mut self, v: u64) {
        self.put(&v.to_le_bytes());
    }
    fn i64(&mut self, v: i64) {
        self.put(&v.to_le_bytes());
    }
    fn u128(&mut self, v: u128) {
        self.put(&v.to_le_bytes());
    }
    fn text(&mut self, text: &Text) {
        let bytes = text.as_str().as_bytes();
        // Texts are at most 64 bytes.
        self.u8(bytes.len() as u8);
        self.put(bytes);
    }
    fn currency(&mut self, currency: Currency) {
        self.put(currency.as_str().as_bytes());
    }
    fn terms(&mut self, terms: &SkuTerms) {
        self.i64(terms.price.0);
        self.currency(terms.currency);
        self.u32(terms.buyer_limit.map_or(0, NonZeroU32::get));
        self.u64(terms.opens.0);
        self.u64(terms.closes.map_or(0, |closes| closes.0));
        self.u64(terms.hold.0);
    }
}

impl Put for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Reads from bytes, in order.
#[derive(Debug)]
pub(crate) struct Take<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! take_number {
    ($($name:ident: $number:ty),*) => {$(
        #[inline]
        pub(crate) fn $name(&mut self) -> Result<$number, Malformed> {
            Ok(<$number>::from_le_bytes(self.array()?))
        }
    )*};
}

impl<'a> Take<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Take<'a> {
        Take { bytes, at: 0 }
    }
    pub(crate) fn at(&self) -> usize {
        self.at
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }
    pub(crate) fn malformed<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { what, at: self.at })
    }
    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let found = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<N>());
        let Some(found) = found else {
            return self.malformed("the bytes end inside a field");
        };
        self.at += N;
        Ok(*found)
    }
    take_number!(u8: u8, u16: u16, u32: u32, u64: u64, i64: i64, u128: u128);
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let Some(found) = self.bytes.get(self.at..).and_then(|rest| rest.get(..len)) else {
            return self.malformed("the bytes end inside a field");
        };
        self.at += len;
        Ok(found)
    }
    pub(crate) fn text(&mut self) -> Result<Text, Malformed> {
        let at = self.at;
        let len = usize::from(self.u8()?);
        let text = std::str::from_utf8(self.bytes(len)?)
            .ok()
            .and_then(|t| Text::new(t).ok());
        text.ok_or(Malformed {
            what: "a text that is not 1 to 64 bytes of printable UTF-8",
            at,
        })
    }
    pub(crate) fn currency(&mut self) -> Result<Currency, Malformed> {
        let at = self.at;
        let code = std::str::from_utf8(self.bytes(3)?)
            .ok()
            .and_then(Currency::new);
        code.ok_or(Malformed {
            what: "a currency that is not three capital letters",
            at,
        })
    }
    pub(crate) fn terms(&mut self) -> Result<SkuTerms, Malformed> {
        Ok(SkuTerms {
            price: Money(self.i64()?),
            currency: self.currency()?,
            buyer_limit: NonZeroU32::new(self.u32()?),
            opens: sale::At(self.u64()?),
            closes: Some(sale::At(self.u64()?)).filter(|closes| closes.0 != 0),
            hold: Millis(self.u64()?),
        })
    }
    pub(crate) fn qty(&mut self) -> Result<Qty, Malformed> {
        Ok(Qty(self.u32()?))
    }
    pub(crate) fn money(&mut self) -> Result<Money, Malformed> {
        Ok(Money(self.i64()?))
    }
}
