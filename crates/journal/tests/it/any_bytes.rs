//! Segments, the description and snapshots changed in every way: an opening is refused, or gives
//! batches that were written, in order from the first one; and it never panics.

use crate::helpers::*;
use crate::mutate::{Edit, apply, edits};
use journal::faulty::FaultyDisk;
use journal::{Folder, survey};
use proptest::prelude::*;

/// Some whole records later and lengths that lie, beside random bytes.
const WORDS: &[&str] = &[
    "\0",
    "\0\0\0\0\0\0\0\0",
    "\u{7f}\u{7f}\u{7f}\u{7f}",
    "\u{1}\0\0\0",
];

fn written() -> (FaultyDisk, Vec<Vec<u8>>) {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    // Two segments.
    let payloads: Vec<Vec<u8>> = (1..=8).map(|seed| bytes(seed, 1_400)).collect();
    for payload in &payloads {
        put(&mut log, 1, payload);
    }
    drop(log);
    (disk, payloads)
}

fn judge(disk: &FaultyDisk, payloads: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let seen = survey(disk, 1);
    if let Ok((log, recovery)) = try_open(disk) {
        drop(log);
        // Whoever only looks sees what whoever opens finds.
        prop_assert!(seen.is_ok_and(|seen| seen.last == recovery.last));
        let batches = read_all(disk, recovery.last);
        prop_assert!(batches.len() <= payloads.len());
        for (batch, payload) in batches.iter().zip(payloads) {
            prop_assert_eq!(&batch.payload, payload);
        }
        let firsts: Vec<u64> = batches.iter().map(|batch| batch.first).collect();
        let expected: Vec<u64> = (1..=batches.len() as u64).collect();
        prop_assert_eq!(firsts, expected);
    }
    Ok(())
}

fn changed(disk: &FaultyDisk, name: &str, edits: &[Edit]) -> FaultyDisk {
    let disk = disk.fork();
    let before = disk.content(Folder::Journal, name).unwrap();
    disk.replace(Folder::Journal, name, apply(&before, edits));
    disk
}

proptest! {
    #[test]
    fn files_of_the_journal(changes in edits(WORDS), random in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let (disk, payloads) = written();
        prop_assert_eq!(survey(&disk, 1).unwrap().last, 8);
        let names = journal::Disk::list(&disk, Folder::Journal).unwrap();
        prop_assert!(names.len() >= 3, "{:?}", names);
        for name in &names {
            judge(&changed(&disk, name, &changes), &payloads)?;
            let other = disk.fork();
            other.replace(Folder::Journal, name, random.clone());
            judge(&other, &payloads)?;
        }
    }
}
