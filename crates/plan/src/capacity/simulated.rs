//! An independent judge of the capacity model: queues that are simulated request by request, and
//! know nothing of any law. Their own saturation is what the predicted knee is held against.

use super::usl::{NotShown, Step, fit};

/// Numbers for tests (Marsaglia 2003, xorshift64).
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

/// What serves: so many at once, each for `mean_s` on average; `serial` of it behind one lock.
#[derive(Clone, Copy)]
struct Queue {
    servers: usize,
    mean_s: f64,
    serial: f64,
    constant: bool,
}

/// Independent arrivals at `rate` for `seconds`; what a load generator would report.
fn step(queue: Queue, rate: f64, seconds: f64, dice: &mut Dice) -> Step {
    let mut free = vec![0.0f64; queue.servers];
    let mut lock = 0.0f64;
    let (mut now, mut latency, mut answered, mut sent) = (0.0, 0.0, 0u64, 0u64);
    loop {
        now += dice.exponential(1.0 / rate);
        if now > seconds {
            break;
        }
        sent += 1;
        let work = match queue.constant {
            true => queue.mean_s,
            false => dice.exponential(queue.mean_s),
        };
        let first = (0..free.len())
            .min_by(|a, b| free[*a].total_cmp(&free[*b]))
            .unwrap();
        let begins = now.max(free[first]);
        let alone = begins + work * (1.0 - queue.serial);
        let ends = if queue.serial > 0.0 {
            lock = lock.max(alone) + work * queue.serial;
            lock
        } else {
            alone
        };
        free[first] = ends;
        // Those that end after the window are not answered in it.
        if ends <= seconds {
            answered += 1;
            latency += ends - now;
        }
    }
    Step {
        offered_per_s: sent as f64 / seconds,
        answered_per_s: answered as f64 / seconds,
        mean_ms: latency / answered.max(1) as f64 * 1e3,
    }
}

/// The rate that it really answers under thrice what it can.
fn saturated(queue: Queue) -> f64 {
    let most = queue.servers as f64 / queue.mean_s;
    step(queue, most * 3.0, 60.0, &mut Dice(77)).answered_per_s
}

const QUEUES: [(&str, Queue); 6] = [
    (
        "one",
        Queue {
            servers: 1,
            mean_s: 0.005,
            serial: 0.0,
            constant: false,
        },
    ),
    (
        "four",
        Queue {
            servers: 4,
            mean_s: 0.02,
            serial: 0.0,
            constant: false,
        },
    ),
    (
        "four, even work",
        Queue {
            servers: 4,
            mean_s: 0.02,
            serial: 0.0,
            constant: true,
        },
    ),
    (
        "sixteen",
        Queue {
            servers: 16,
            mean_s: 0.04,
            serial: 0.0,
            constant: false,
        },
    ),
    (
        "sixty-four",
        Queue {
            servers: 64,
            mean_s: 0.1,
            serial: 0.0,
            constant: false,
        },
    ),
    (
        "a lock",
        Queue {
            servers: 8,
            mean_s: 0.02,
            serial: 0.25,
            constant: false,
        },
    ),
];

#[test]
fn the_predicted_knee_is_within_a_tenth_of_the_simulated_one() {
    for (name, queue) in QUEUES {
        let real = saturated(queue);
        // As a search goes: doubling, one step too far, and back to between.
        let shares = [0.1, 0.2, 0.4, 0.8, 1.6, 1.2, 1.06, 0.93, 0.97];
        for seed in 1..6 {
            let mut dice = Dice(seed * 7_919);
            let steps = shares.map(|share| step(queue, real * share, 20.0, &mut dice));
            let shown = fit(&steps).unwrap_or_else(|why| panic!("{name}: {}", why.sentence()));
            let off = shown.knee.per_s / real - 1.0;
            assert!(off.abs() < 0.1, "{name}: {off:+.3} of {real}: {shown:?}");
            assert!(
                shown.knee.low <= real * 1.05 && shown.knee.high >= real * 0.95,
                "{name}: {shown:?} does not hold {real}"
            );
        }
    }
}

#[test]
fn what_never_came_near_its_knee_is_not_guessed() {
    for (name, queue) in QUEUES {
        let real = saturated(queue);
        let mut dice = Dice(5);
        let steps =
            [0.05, 0.1, 0.2, 0.3, 0.4].map(|share| step(queue, real * share, 20.0, &mut dice));
        let refused = fit(&steps);
        let shown = matches!(&refused, Ok(shown) if (shown.knee.per_s / real - 1.0).abs() > 0.1);
        assert!(!shown, "{name}: {refused:?} of {real}");
    }
    let quick = QUEUES[4].1;
    let steps = [0.1, 0.2, 0.3, 0.4].map(|share| step(quick, 640.0 * share, 20.0, &mut Dice(5)));
    let why = fit(&steps).unwrap_err();
    assert!(matches!(why, NotShown::NoBend { .. }), "{why:?}");
}
