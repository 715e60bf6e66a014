//! The breaker.

use guard::limits::BREAKER_BUCKETS;
use guard::{
    Breaker, BreakerCause, BreakerConfig, BreakerOverride, BreakerState, BreakerTicket, Ended,
    Nanos,
};
use proptest::prelude::*;

const CONFIG: BreakerConfig = BreakerConfig {
    window: Nanos(1_000),
    volume_min: 4,
    failed_permille_max: 500,
    slow_permille_max: 750,
    slow_after: Nanos(50),
    failed_in_row_max: 5,
    rest: Nanos(400),
    rest_max: Nanos(3_000),
    probes_in_flight_max: 2,
    probes_good: 3,
    probe_lost_after: Nanos(900),
};

/// Every result of this state, kept for ever and counted anew at each question.
struct Model {
    state: BreakerState,
    results: Vec<(u64, bool, bool)>,
    row: u32,
    trips: u32,
    rested_at: u64,
    until: u64,
    out: u32,
    good: u32,
    last: u64,
    epoch: u32,
}

impl Model {
    fn change(&mut self, to: BreakerState) {
        self.state = to;
        self.results.clear();
        self.row = 0;
        self.epoch += 1;
    }

    /// Whether it lets through, and in which epoch.
    fn ask(&mut self, now: u64) -> Option<u32> {
        match self.state {
            BreakerState::Passing | BreakerState::ForcedPassing => {}
            BreakerState::ForcedTripped => return None,
            BreakerState::Tripped if now < self.until => return None,
            BreakerState::Tripped => {
                self.change(BreakerState::Probing);
                (self.out, self.good, self.last) = (1, 0, now);
            }
            BreakerState::Probing if self.out < 2 => {
                self.out += 1;
                self.last = now;
            }
            BreakerState::Probing if now - self.last < 900 => return None,
            BreakerState::Probing => {
                self.change(BreakerState::Probing);
                (self.out, self.good, self.last) = (1, 0, now);
            }
        }
        Some(self.epoch)
    }

    /// Whether it trips, which sets no `until`: that is the dice's.
    fn done(&mut self, now: u64, epoch: u32, latency: u64, ended: Ended) -> bool {
        let (failed, slow) = (
            matches!(ended, Ended::Failed | Ended::TimedOut),
            latency > 50,
        );
        if epoch != self.epoch {
            return false;
        }
        if self.state == BreakerState::Probing {
            self.out -= 1;
        }
        if ended == Ended::Dropped && !slow {
            return false;
        }
        let trips = match self.state {
            BreakerState::Probing => {
                self.good += 1;
                if !failed && !slow && self.good == 3 {
                    self.change(BreakerState::Passing);
                    return false;
                }
                failed || slow
            }
            BreakerState::Passing => {
                self.results.push((now, failed, slow));
                self.row = if failed { self.row + 1 } else { 0 };
                let bucket = 1_000 / BREAKER_BUCKETS as u64;
                let recent = |at: u64| at / bucket + BREAKER_BUCKETS as u64 > now / bucket;
                let seen = || self.results.iter().filter(|r| recent(r.0));
                let of = seen().count();
                let failed = seen().filter(|r| r.1).count();
                let slow = seen().filter(|r| r.2).count();
                self.row >= 5 || of >= 4 && (failed * 2 > of || slow * 4 > of * 3)
            }
            _ => false,
        };
        if trips
            && self.state == BreakerState::Passing
            && now.saturating_sub(self.rested_at) > 3_000
        {
            self.trips = 0;
        }
        trips
    }
}

fn ended(number: u8) -> Ended {
    match number {
        0..6 => Ended::Ok,
        6..9 => Ended::Failed,
        9 => Ended::TimedOut,
        _ => Ended::Dropped,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_a_list_of_results(
        steps in prop::collection::vec((0_u8..40, 0_u8..12, 0_u64..90, 0_u64..250), 1..500),
        seed: u64,
    ) {
        let mut breaker = Breaker::new(CONFIG, seed);
        let mut model = Model {
            state: BreakerState::Passing, results: Vec::new(), row: 0, trips: 0, rested_at: 0,
            until: 0, out: 0, good: 0, last: 0, epoch: 0,
        };
        let mut out: Vec<(BreakerTicket, u32)> = Vec::new();
        let mut now = 0;
        for (kind, end, latency, pause) in steps {
            now += pause * u64::from(kind % 5 == 0);
            let at = Nanos(now);
            match kind {
                0..18 => {
                    let may = breaker.look(at).is_ok();
                    let ticket = breaker.ask(at);
                    prop_assert_eq!(may, ticket.is_ok(), "look and ask agree");
                    let expected = model.ask(now);
                    prop_assert_eq!(ticket.is_ok(), expected.is_some(), "{:?}", model.state);
                    match (ticket, expected) {
                        (Ok(ticket), Some(epoch)) => out.push((ticket, epoch)),
                        (Err(refusal), _) if model.state == BreakerState::Tripped => {
                            prop_assert_eq!(refusal.retry_after.0, model.until - now);
                        }
                        _ => {}
                    }
                }
                18..39 if !out.is_empty() => {
                    let (ticket, epoch) = out.swap_remove(usize::from(end) % out.len());
                    let end = ended(end);
                    breaker.done(at, ticket, Nanos(latency), end);
                    if model.done(now, epoch, latency, end) {
                        let backoff = (400_u64 << model.trips.min(16)).min(3_000);
                        model.trips += 1;
                        model.change(BreakerState::Tripped);
                        let event = std::iter::from_fn(|| breaker.take_event()).last();
                        let rest = event.expect("tripping is an event").rest.0;
                        prop_assert!(rest >= backoff / 2 && rest <= backoff, "{rest} {backoff}");
                        model.until = now + rest;
                        model.rested_at = now + rest;
                    }
                }
                39 => {
                    let (wish, to) = match end % 3 {
                        0 => (BreakerOverride::Auto, BreakerState::Passing),
                        1 => (BreakerOverride::Passing, BreakerState::ForcedPassing),
                        _ => (BreakerOverride::Tripped, BreakerState::ForcedTripped),
                    };
                    breaker.force(at, wish);
                    let forced = matches!(
                        model.state,
                        BreakerState::ForcedPassing | BreakerState::ForcedTripped
                    );
                    if to != model.state && (forced || wish != BreakerOverride::Auto) {
                        model.change(to);
                        model.trips = 0;
                    }
                }
                _ => {}
            }
            prop_assert_eq!(breaker.state(), model.state);
            while breaker.take_event().is_some() {}
        }
    }
}

#[test]
fn one_outage_from_end_to_end() {
    let mut breaker = Breaker::new(CONFIG, 1);
    let early = breaker.ask(Nanos(0)).expect("passing");
    for at in 1..=5 {
        let ticket = breaker.ask(Nanos(at)).expect("passing");
        breaker.done(Nanos(at), ticket, Nanos(1), Ended::Failed);
        if at == 4 {
            break;
        }
    }
    assert_eq!(breaker.state(), BreakerState::Tripped);
    let event = breaker.take_event().expect("an event");
    let cause = BreakerCause::FailedShare { failed: 4, of: 4 };
    assert_eq!((event.from, event.cause), (BreakerState::Passing, cause));
    let refusal = breaker.ask(Nanos(5)).expect_err("it rests");
    let probing = Nanos(5).plus(refusal.retry_after);
    let probe = breaker.ask(probing).expect("a probe");
    breaker.done(probing, early, Nanos(1), Ended::Failed);
    assert_eq!(
        breaker.state(),
        BreakerState::Probing,
        "stale results count for nothing"
    );
    assert!(breaker.ask(probing).is_ok());
    assert!(breaker.ask(probing).is_err(), "two probes at a time");
    breaker.done(probing, probe, Nanos(1), Ended::Dropped);
    for _ in 0..3 {
        let probe = breaker.ask(probing).expect("a place for a probe");
        breaker.done(probing, probe, Nanos(1), Ended::Ok);
    }
    assert_eq!(breaker.state(), BreakerState::Passing);
}

#[test]
fn trips_in_a_row_rest_longer_until_it_held() {
    let mut breaker = Breaker::new(CONFIG, 7);
    let mut now = 0;
    // Passes, fails at once, and tells how long it rests.
    let mut outage = |now: &mut u64| {
        while breaker.state() != BreakerState::Passing {
            match breaker.ask(Nanos(*now)) {
                Ok(probe) => breaker.done(Nanos(*now), probe, Nanos(1), Ended::Ok),
                Err(refusal) => *now += refusal.retry_after.0,
            }
        }
        *now += 1;
        while breaker.state() == BreakerState::Passing {
            let ticket = breaker.ask(Nanos(*now)).expect("passing");
            breaker.done(Nanos(*now), ticket, Nanos(1), Ended::Failed);
        }
        let last = std::iter::from_fn(|| breaker.take_event()).last();
        last.expect("tripped").rest.0
    };
    for (least, most) in [
        (200, 400),
        (400, 800),
        (800, 1_600),
        (1_500, 3_000),
        (1_500, 3_000),
    ] {
        let rest = outage(&mut now);
        assert!(
            (least..=most).contains(&rest),
            "{rest} is not in {least}..={most}"
        );
    }
    // It comes back, and holds for longer than the longest rest.
    now += 10_000;
    let rest = outage(&mut now);
    assert!((200..=400).contains(&rest), "{rest} after it held");
}

#[test]
fn events_are_bounded_and_the_lost_are_counted() {
    let mut breaker = Breaker::new(CONFIG, 1);
    for at in 0..10 {
        let wish = [BreakerOverride::Tripped, BreakerOverride::Auto][at as usize % 2];
        breaker.force(Nanos(at), wish);
    }
    let taken: Vec<u64> = std::iter::from_fn(|| breaker.take_event())
        .map(|e| e.at.0)
        .collect();
    assert_eq!(taken, [0, 1, 2, 3]);
    assert_eq!(breaker.events_lost(), 6);
}

#[test]
fn rests_of_breakers_that_trip_together_are_spread() {
    let rest = |seed| {
        let mut breaker = Breaker::new(CONFIG, seed);
        for _ in 0..4 {
            let ticket = breaker.ask(Nanos(0)).expect("passing");
            breaker.done(Nanos(0), ticket, Nanos(1), Ended::Failed);
        }
        breaker.take_event().expect("tripped").rest.0
    };
    let mut rests: Vec<u64> = (0..100).map(rest).collect();
    rests.sort_unstable();
    assert!(rests[0] >= 200 && rests[99] <= 400, "{rests:?}");
    assert!(rests[99] - rests[0] > 150, "{rests:?}");
    rests.dedup();
    assert!(rests.len() > 50, "{rests:?}");
}
