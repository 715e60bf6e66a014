//! Cookies of devices: the door's own, and everything that looks nearly like one.

use super::{Device, HeaderMap, cookie};
use crate::door::Hasher;
use crate::mutate::{apply, edits};
use hmac::{Hmac, KeyInit};
use hyper::header::{COOKIE, HeaderValue};
use proptest::prelude::*;

fn device(key: u8) -> Device {
    Device {
        cookie: "device".to_owned(),
        issue: true,
        seconds: 60,
        key: Hmac::new_from_slice(&[key; 32]).expect("any length"),
    }
}

fn sent(value: &[u8]) -> Option<HeaderMap> {
    let line = [b"a=b; device=", value].concat();
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_bytes(&line).ok()?);
    Some(headers)
}

proptest! {
    /// Only what this door gave is a device: whoever could make one would have a new allowance
    /// with each request.
    #[test]
    fn any_bytes_are_no_device(
        changes in edits(&["A", "_", "-", "=", ";", " ", "device=", "\"", "%41"]),
        random in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let (ours, hasher) = (device(7), Hasher::default());
        let (none, given) = ours.of(&HeaderMap::new(), &hasher, true);
        prop_assert!(none.is_none(), "nobody has been seen with it yet");
        let given = given.unwrap();
        let good = given.to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
        let headers = sent(good.as_bytes()).unwrap();
        let (known, again) = ours.of(&headers, &hasher, true);
        prop_assert!(known.is_some() && again.is_none());
        let (other_door, anew) = device(8).of(&headers, &hasher, true);
        prop_assert!(other_door.is_none() && anew.is_some(), "of another door");
        for value in [apply(good.as_bytes(), &changes), random] {
            let Some(headers) = sent(&value) else { continue };
            if cookie(&headers, "device") == Some(&*good) {
                continue;
            }
            let (known, anew) = ours.of(&headers, &hasher, true);
            prop_assert!(known.is_none() && anew.is_some(), "{:?}", value);
        }
    }
}
