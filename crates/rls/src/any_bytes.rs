//! What arrives as a call: arbitrary bytes, and messages that were changed. A call is taken only if
//! its frame says exactly what it holds, and then it says the same when it is written again.

use crate::Entries;
use crate::grpc::unframed;
use crate::message::{Descriptor, Entry, HealthRequest, Override, Request, UInt64, Unit};
use crate::mutate::{apply, edits, text};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

fn good() -> Vec<u8> {
    let entry = |key: &str, value: &str| Entry {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let message = Request {
        domain: "seawall".to_owned(),
        descriptors: vec![
            Descriptor {
                entries: vec![entry("user_id", "ann"), entry("remote_address", "10.0.0.1")],
                limit: Some(Override {
                    requests_per_unit: 7,
                    unit: Unit::Minute as i32,
                }),
                hits_addend: Some(UInt64 { value: 3 }),
                is_negative_hits: false,
            },
            Descriptor {
                entries: vec![entry("generic_key", "order")],
                ..Descriptor::default()
            },
        ],
        hits_addend: 1,
    };
    framed(&message.encode_to_vec())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

fn judge(body: Vec<u8>) -> Result<(), TestCaseError> {
    let body = Bytes::from(body);
    if let Ok(message) = unframed::<Request>(&body) {
        prop_assert_eq!(body[0], 0, "nothing compressed is read");
        prop_assert_eq!(&body[1..5], (body.len() as u32 - 5).to_be_bytes());
        // Fields that are not ours are passed over, so bytes may differ, and meaning may not.
        let again = framed(&message.encode_to_vec());
        prop_assert_eq!(unframed::<Request>(&again.into()).ok(), Some(message));
    }
    let _ = unframed::<HealthRequest>(&body);
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_a_call_or_none(
        changes in edits(&["\0", "\n", "\u{1}", "\u{12}\0", "\u{7f}\u{7f}\u{7f}\u{7f}", "seawall"]),
        random in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let good = good();
        prop_assert!(unframed::<Request>(&good.clone().into()).is_ok());
        judge(apply(&good, &changes))?;
        // The same with a frame that fits, so that the message itself is read.
        judge(framed(&apply(&good[5..], &changes)))?;
        judge(random.clone())?;
        judge(framed(&random))?;
    }

    /// The names that an operator gives to entries: `key=attribute`.
    #[test]
    fn any_bytes_are_a_name_or_a_problem(
        changes in edits(&["=", "header:", "buyer", " ", ",", "é"]),
        random in "\\PC{0,40}",
    ) {
        for line in [text(&apply(b"user_id=buyer", &changes)), random] {
            if let Err(problem) = Entries::parse([&*line]) {
                prop_assert!(!problem.to_string().is_empty());
            }
        }
    }
}
