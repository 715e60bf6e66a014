//! Tests of `tail`.

use super::*;
use crate::testing::{Story, dump, open_log, write_journal};
use journal::faulty::FaultyDisk;
use std::collections::BTreeMap;
use tempfile::TempDir;

/// A journal in memory that holds a story, and a place for a projection.
struct Scene {
    story: Story,
    disk: FaultyDisk,
    folder: TempDir,
}

fn scene(seed: u64, entries: u64) -> Scene {
    let disk = FaultyDisk::sound(seed);
    let story = Story::play(seed, entries);
    write_journal(&mut open_log(&disk, 0xCE11), &story.entries);
    Scene {
        story,
        disk,
        folder: tempfile::tempdir().unwrap(),
    }
}

/// A writer that has published some digests and applied up to a number.
#[derive(Clone)]
struct Published {
    durable: u64,
    applied: u64,
    digests: BTreeMap<u64, u64>,
}

impl Lead for Published {
    fn durable_through(&self) -> u64 {
        self.durable
    }
    fn digest_after(&self, seq: u64) -> LeadDigest {
        match self.digests.get(&seq) {
            Some(digest) => LeadDigest::Is(*digest),
            None if self.applied < seq => LeadDigest::NotYet,
            None => LeadDigest::Unknown,
        }
    }
}

impl Scene {
    fn path(&self) -> PathBuf {
        self.folder.path().join("projection.db")
    }

    fn open(&self, options: FollowerOptions) -> Result<Tail<FaultyDisk>, FollowError> {
        let projection = open_projection(&self.path(), self.story.last())?;
        Tail::open(self.disk.clone(), projection, options)
    }

    fn lead(&self, durable: u64) -> Published {
        let digests = (1..)
            .zip(self.story.after.iter().map(|(_, digest)| *digest))
            .collect();
        Published {
            durable,
            applied: durable,
            digests,
        }
    }

    fn at_rest(&self, durable: u64) -> Arc<AtomicU64> {
        Arc::new(AtomicU64::new(durable))
    }

    /// The tables as one batch makes them.
    fn expected(&self) -> String {
        let path = self.folder.path().join("expected.db");
        let mut projection = Projection::open(&path).unwrap();
        projection
            .apply(&self.story.batch(1, self.story.last()))
            .unwrap();
        dump(&path)
    }
}

fn options(every: u64) -> FollowerOptions {
    FollowerOptions {
        snapshot_entries: every,
        digest_check_entries: 100,
        ..Default::default()
    }
}

fn follow(tail: &mut Tail<FaultyDisk>, lead: &impl Lead) {
    while tail.turn(lead).unwrap() != Turn::CaughtUp {
        tail.commit().unwrap();
    }
    tail.commit().unwrap();
    assert_eq!(tail.pending, [], "what is committed is not carried on");
}

#[test]
fn following_in_steps_and_restarts_gives_the_same_tables_as_a_rebuild() {
    let scene = scene(11, 2_500);
    for durable in (0..2_500).step_by(313).chain([2_500]) {
        // A new process each time; every second one dies with changes that it did not commit.
        let mut tail = scene.open(options(0)).unwrap();
        let lead = scene.lead(durable);
        tail.turn(&lead).unwrap();
        if durable % 2 == 0 {
            tail.commit().unwrap();
        }
    }
    let mut tail = scene.open(options(0)).unwrap();
    follow(&mut tail, &scene.at_rest(scene.story.last()));
    assert_eq!(tail.applied().seq.0, 2_500);
    assert_eq!(tail.applied().digest, scene.story.ledger.digest());
    assert_eq!(dump(&scene.path()), scene.expected());

    let mut reached = Vec::new();
    let applied = rebuild(&scene.disk, &scene.path(), 2_500, |seq| reached.push(seq)).unwrap();
    assert_eq!((applied.seq.0, reached.last()), (2_500, Some(&2_500)));
    assert_eq!(dump(&scene.path()), scene.expected());
}

#[test]
fn snapshots_are_written_checked_and_started_from() {
    let scene = scene(12, 3_000);
    let mut tail = scene.open(options(500)).unwrap();
    // The end of a batch: the next one is not durable yet.
    follow(&mut tail, &scene.lead(2_004));
    let written: Vec<u64> = tail
        .snapped
        .iter()
        .map(|snapped| match snapped {
            Snapped::Written {
                seq,
                pruned_bytes: 0,
                ..
            } => *seq,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(written, [500, 1_000, 1_500, 2_000]);
    let snapshots = Snapshots::new(scene.disk.clone(), 0xCE11);
    assert_eq!(snapshots.list().unwrap(), [1_500, 2_000], "two stay");
    drop(tail);
    let mut tail = scene.open(options(500)).unwrap();
    assert_eq!(tail.applied().seq.0, 2_004);
    assert_eq!(tail.replayed().0, 2_000, "it starts from the newest");
    follow(&mut tail, &scene.lead(3_000));
    assert_eq!(tail.ledger.digest(), scene.story.ledger.digest());
    assert_eq!(dump(&scene.path()), scene.expected());
}

#[test]
fn a_pruned_journal_still_carries_the_projection_but_no_rebuild() {
    let scene = scene(13, 3_000);
    let pruning = FollowerOptions {
        prune_journal: true,
        ..options(500)
    };
    let mut tail = scene.open(pruning).unwrap();
    follow(&mut tail, &scene.lead(2_900));
    let pruned = tail.snapped.iter().any(
        |snapped| matches!(snapped, Snapped::Written { pruned_bytes, .. } if *pruned_bytes > 0),
    );
    assert!(pruned, "{:?}", tail.snapped);
    drop(tail);
    let mut tail = scene.open(pruning).unwrap();
    follow(&mut tail, &scene.lead(3_000));
    assert_eq!(dump(&scene.path()), scene.expected());
    drop(tail);

    let error = rebuild(&scene.disk, &scene.path(), 3_000, |_| ()).unwrap_err();
    assert!(
        matches!(error, FollowError::HistoryPruned { applied: 0, .. }),
        "{error}"
    );
    assert_eq!(
        dump(&scene.path()),
        scene.expected(),
        "the old tables are still there"
    );
}

#[test]
fn a_state_that_differs_from_the_writers_is_told() {
    let scene = scene(14, 500);
    let mut lead = scene.lead(500);
    let theirs = lead.digests.get_mut(&300).unwrap();
    *theirs ^= 1;
    let mut tail = scene.open(options(100)).unwrap();
    let error = tail.turn(&lead).unwrap_err();
    assert!(
        matches!(error, FollowError::Diverged { seq: 300, .. }),
        "{error}"
    );
    let snapshots = Snapshots::new(scene.disk.clone(), 0xCE11);
    assert_eq!(
        snapshots.list().unwrap(),
        [100, 200],
        "none is made of a state in doubt"
    );
}

#[test]
fn the_writers_digest_is_waited_for() {
    let scene = scene(14, 500);
    let mut lead = scene.lead(500);
    lead.applied = 250;
    let kept: Vec<u64> = (251..=500)
        .filter_map(|seq| lead.digests.remove(&seq))
        .collect();
    let mut tail = scene.open(options(100)).unwrap();
    assert_eq!(tail.turn(&lead).unwrap(), Turn::Waiting);
    assert_eq!(tail.replayed().0, 300);
    assert_eq!(
        tail.turn(&lead).unwrap(),
        Turn::Waiting,
        "as long as it takes"
    );
    lead.digests.extend((251..).zip(kept));
    assert_eq!(tail.turn(&lead).unwrap(), Turn::CaughtUp);
    assert_eq!(tail.replayed().0, 500);
}

#[test]
fn tables_of_another_journal_are_told() {
    let scene = scene(15, 400);
    let other = Story::play(16, 400);
    let mut projection = Projection::open(&scene.path()).unwrap();
    projection.apply(&other.batch(1, 200)).unwrap();
    drop(projection);
    let mut tail = scene.open(options(0)).unwrap();
    let error = tail.turn(&scene.at_rest(400)).unwrap_err();
    assert!(
        matches!(error, FollowError::OtherJournal { seq: 200, .. }),
        "{error}"
    );
    let error = open_projection(&scene.path(), 150).err().unwrap();
    assert!(
        matches!(
            error,
            FollowError::Ahead {
                applied: 200,
                durable: 150,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        rebuild(&scene.disk, &scene.path(), 400, |_| ())
            .unwrap()
            .seq
            .0,
        400
    );
    assert_eq!(dump(&scene.path()), scene.expected());
}

#[test]
fn a_failed_commit_can_be_tried_again() {
    let scene = scene(17, 600);
    let mut tail = scene.open(options(0)).unwrap();
    tail.turn(&scene.at_rest(600)).unwrap();
    let other = rusqlite::Connection::open(scene.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    tail.projection.do_not_wait_for_locks();
    let error = tail.commit().unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert_eq!(tail.applied().seq.0, 0);
    other.execute_batch("ROLLBACK").unwrap();
    tail.commit().unwrap();
    assert_eq!(dump(&scene.path()), scene.expected());
}

#[test]
fn a_snapshot_that_cannot_be_written_stops_nothing() {
    let scene = scene(18, 1_000);
    let mut tail = scene.open(options(300)).unwrap();
    scene.disk.fail_sync_in(0);
    follow(&mut tail, &scene.lead(1_000));
    assert!(
        matches!(&tail.snapped[0], Snapped::Failed { seq: 300, .. }),
        "{:?}",
        tail.snapped
    );
    assert!(
        matches!(&tail.snapped[1], Snapped::Written { seq: 600, .. }),
        "{:?}",
        tail.snapped
    );
    assert_eq!(dump(&scene.path()), scene.expected());
}

/// The engine's own sequencer writes and publishes; the replica must come to the same digests.
#[test]
fn the_sequencer_and_the_replica_agree() {
    const LAST: u64 = 100_500;
    let disk = FaultyDisk::sound(19);
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(&disk, 0xCE11);
    let mut sequencer = engine::Sequencer::new(log, Ledger::new());
    let view = Arc::clone(sequencer.view());
    let story = Story::play(19, 2_000);
    let commands = story.entries.iter().map(|entry| entry.command.clone());
    let ticks = std::iter::repeat(Command::Tick);
    let mut taken = 0;
    let mut commands = commands.chain(ticks);
    while view.applied().0 < LAST {
        let now = sale::At(1_794_400_000_000 + 50 * taken);
        taken += 1;
        for command in commands.by_ref().take(100) {
            engine::enter(&view, &command);
            assert!(!matches!(
                sequencer.offer(command, (), now),
                engine::Offered::Full(..)
            ));
        }
        sequencer.write(now, |(), _| ()).unwrap();
        sequencer.sync().unwrap();
        sequencer.apply(|(), _| ());
    }
    let projection = open_projection(&folder.path().join("projection.db"), LAST).unwrap();
    let options = FollowerOptions {
        snapshot_entries: 100_000,
        ..Default::default()
    };
    let mut tail = Tail::open(disk.clone(), projection, options).unwrap();
    assert!(
        view.marked(Seq(100_000)).is_some(),
        "the engine has published a digest"
    );
    follow(&mut tail, &view);
    assert_eq!(tail.applied().digest, view.ledger().digest());
    assert!(matches!(
        &tail.snapped[..],
        [Snapped::Written { seq: 100_000, .. }]
    ));
    let recovered = engine::recover(&disk, 0xCE11, view.durable().0, |_| ()).unwrap();
    assert_eq!(
        recovered.snapshot,
        Some(Seq(100_000)),
        "the engine starts from our snapshot"
    );
    assert_eq!(recovered.ledger.digest(), view.ledger().digest());
}
