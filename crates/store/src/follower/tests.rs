//! Tests of `follower`.

use super::*;
use crate::projection::{Projection, ProjectionReader};
use crate::testing::{Story, dump, open_log, write_journal};
use journal::RealDisk;
use journal::faulty::FaultyDisk;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

const SOON: Duration = Duration::from_secs(30);

fn expected(story: &Story) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("expected.db");
    let mut projection = Projection::open(&path).unwrap();
    projection.apply(&story.batch(1, story.last())).unwrap();
    dump(&path)
}

fn quiet() -> FollowerOptions {
    FollowerOptions {
        snapshot_entries: 0,
        ..FollowerOptions::default()
    }
}

fn must_not_end(error: FollowError) {
    panic!("the follower must go on: {error}");
}

#[test]
fn the_projection_follows_a_growing_journal() {
    let (story, disk) = (Story::play(21, 2_000), FaultyDisk::sound(21));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.db");
    let mut log = open_log(&disk, 0xCE11);
    let durable = Arc::new(AtomicU64::new(0));
    let lead = Arc::clone(&durable);
    let follower = Follower::start(disk.clone(), &path, lead, quiet(), must_not_end).unwrap();
    assert!(
        !follower.wait_for(1, Duration::ZERO),
        "there is nothing yet"
    );
    for through in [600, 601, 2_000] {
        write_journal(&mut log, &story.entries[..through]);
        durable.store(through as u64, Ordering::Release);
        assert!(follower.wait_for(through as u64, SOON));
        let reader = ProjectionReader::open(&path).unwrap();
        assert_eq!(reader.applied().unwrap().seq.0, through as u64);
    }
    let stats = follower.stats();
    assert_eq!(
        stats.applied_at_ms.load(Ordering::Relaxed),
        story.entries[1_999].at.0
    );
    assert!(stats.changes.load(Ordering::Relaxed) > 2_000);
    assert_eq!(follower.applied(), 2_000);
    follower.stop();
    assert_eq!(dump(&path), expected(&story));
}

#[test]
fn without_anybody_waiting_it_commits_soon_all_the_same() {
    let (story, disk) = (Story::play(22, 300), FaultyDisk::sound(22));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.db");
    write_journal(&mut open_log(&disk, 0xCE11), &story.entries);
    let durable = Arc::new(AtomicU64::new(300));
    let follower = Follower::start(disk, &path, durable, quiet(), must_not_end).unwrap();
    let deadline = Instant::now() + SOON;
    while follower.applied() < 300 {
        assert!(Instant::now() < deadline, "nothing was committed");
        std::thread::yield_now();
    }
    assert_eq!(
        follower.stats().batches.load(Ordering::Relaxed),
        1,
        "a trickle is one batch"
    );
}

#[test]
fn damage_ends_the_follower_and_says_so() {
    let (story, disk) = (Story::play(23, 300), FaultyDisk::sound(23));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.db");
    write_journal(&mut open_log(&disk, 0xCE11), &story.entries);
    let (tell, told) = mpsc::channel();
    let ended = move |error: FollowError| tell.send(error.to_string()).unwrap();
    // More is said to be durable than there is.
    let durable = Arc::new(AtomicU64::new(301));
    let follower = Follower::start(disk, &path, durable, quiet(), ended).unwrap();
    assert!(
        told.recv_timeout(SOON)
            .unwrap()
            .contains("is damaged at byte")
    );
    let start = Instant::now();
    assert!(!follower.wait_for(301, SOON));
    assert!(start.elapsed() < SOON, "nobody waits for it in vain");
}

const CHILD: &str = "SEAWALL_TEST_FOLLOWER_FOLDER";
const CHILD_LAST: u64 = 8_000;

/// The other half of the next test: a process of its own, started with a folder to follow in. The
/// journal becomes durable for it bit by bit; it prints each number that it has committed.
#[test]
fn as_a_child_it_follows_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let folder = Path::new(&folder);
    let durable = Arc::new(AtomicU64::new(CHILD_LAST));
    let path = folder.join("projection.db");
    let options = FollowerOptions {
        snapshot_entries: 2_000,
        digest_check_entries: 500,
        ..quiet()
    };
    // The projection may have come as far as all that is durable; then it goes on in steps.
    let applied = Projection::open(&path).unwrap().applied().unwrap().seq.0;
    durable.store(applied, Ordering::Release);
    let disk = RealDisk::new(folder);
    let follower =
        Follower::start(disk, &path, Arc::clone(&durable), options, must_not_end).unwrap();
    let mut last = applied;
    while last < CHILD_LAST {
        // Batches end before each fifth entry.
        let next = (last / 5 * 5 + 204).min(CHILD_LAST);
        durable.store(next, Ordering::Release);
        assert!(follower.wait_for(next, SOON));
        last = next;
        println!("\ncommitted {last}");
    }
}

#[test]
fn killed_again_and_again_it_applies_everything_once() {
    let story = Story::play(24, CHILD_LAST);
    let folder = tempfile::tempdir().unwrap();
    write_journal(
        &mut open_log(&RealDisk::new(folder.path()), 0xCE11),
        &story.entries,
    );
    let mut kills = 0;
    for round in 0.. {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "follower::tests::as_a_child_it_follows_until_it_is_killed",
            ])
            .args(["--nocapture", "--test-threads=1"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut committed = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        // Killed in its next transaction, some rounds after the first commit, some after more.
        if committed
            .nth(round % 3)
            .is_some_and(|last| last < CHILD_LAST)
        {
            child.kill().unwrap();
            kills += 1;
        }
        drop(committed);
        let status = child.wait().unwrap();
        if status.success() {
            break;
        }
        assert_eq!(
            status.code(),
            None,
            "the child ends by the signal or well: {status}"
        );
        assert!(round < 200, "it never arrives");
    }
    assert!(kills >= 3, "it was killed only {kills} times");
    assert_eq!(dump(&folder.path().join("projection.db")), expected(&story));
}
