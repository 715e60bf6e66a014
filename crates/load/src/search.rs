//! The highest rate that holds: grow, bisect, confirm.
//!
//! What a target served while it was offered too much is near what it can: the next try goes there,
//! and then halves what is left, so that a target which breaks down under load is found as well.
//!
//! Pure: it says which rate to try next and is told what came of it. A step that failed is tried
//! once more before it counts, because one bad window may be somebody else's; a step that held is
//! not, because the answer is confirmed at the end, over longer windows. If the generator was the
//! limit, what held before is a lower bound and nothing more. It must not know how a rate is tried.

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The first rate, a second.
    pub start_per_s: f64,
    /// Never tried above.
    pub most_per_s: f64,
    /// The answer lies this close to the first rate that failed, as a share of it.
    pub precision: f64,
    /// Longer windows at the answer that must hold.
    pub confirmations: u32,
}

/// What a window at one rate came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Held,
    /// The target did not keep the objective. `far`: by so much that a second look is not needed.
    Failed {
        far: bool,
        served_per_s: u64,
    },
    /// Nothing can be said of the target.
    Invalid(String),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Try this rate; `long`: to confirm.
    Try {
        per_s: f64,
        long: bool,
    },
    Done(Found),
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// `held_per_s` held and was confirmed; `failed_per_s` did not hold.
    Between {
        held_per_s: f64,
        failed_per_s: f64,
    },
    /// Everything held that could be tried.
    AtLeast {
        held_per_s: f64,
        why: String,
    },
    /// Not even the first rate held.
    Below {
        failed_per_s: f64,
    },
    Invalid {
        why: String,
    },
}

/// Confirmations may move the answer down so often before the target counts as drifting.
const RETREATS_MAX: u32 = 4;
/// Windows at one rate that said nothing of the target, before the generator counts as the limit: a
/// neighbour may have been busy for as long as one or two.
const INVALID_WINDOWS_MAX: u32 = 3;

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    settings: Settings,
    /// The highest that held and the lowest that failed.
    held: Option<f64>,
    failed: Option<f64>,
    /// Answers a second when it failed last.
    served: Option<f64>,
    trying: f64,
    /// The same rate once more.
    again: bool,
    /// Windows in a row that said nothing.
    invalid: u32,
    confirmed: u32,
    confirming: bool,
    retreats: u32,
    done: Option<Found>,
}

impl Search {
    #[must_use]
    pub fn new(settings: Settings) -> Search {
        let start = settings.start_per_s.min(settings.most_per_s);
        Search {
            settings,
            held: None,
            failed: None,
            served: None,
            trying: start,
            again: false,
            invalid: 0,
            confirmed: 0,
            confirming: false,
            retreats: 0,
            done: None,
        }
    }

    #[must_use]
    pub fn next(&self) -> Next {
        match &self.done {
            Some(found) => Next::Done(found.clone()),
            None => Next::Try {
                per_s: self.trying,
                long: self.confirming,
            },
        }
    }

    /// What the try that [`Search::next`] asked for came to.
    pub fn tell(&mut self, told: Told) {
        let invalid = std::mem::take(&mut self.invalid) + 1;
        match told {
            Told::Held if self.confirming => self.confirmed_once(),
            Told::Held => self.held_at(),
            Told::Failed { far: false, .. } if !self.again => self.again = true,
            Told::Failed { .. } if self.confirming => self.retreat(),
            Told::Failed { served_per_s, .. } => self.failed_at(served_per_s as f64),
            Told::Invalid(_) if invalid < INVALID_WINDOWS_MAX => self.invalid = invalid,
            Told::Invalid(why) => self.give_up(why),
        }
    }

    fn held_at(&mut self) {
        self.again = false;
        self.held = Some(self.trying);
        match self.failed {
            None if self.trying >= self.settings.most_per_s => self.confirm(),
            None => self.trying = (self.trying * 2.0).min(self.settings.most_per_s),
            Some(failed) => self.between(self.trying, failed),
        }
    }

    fn failed_at(&mut self, served: f64) {
        self.again = false;
        let failed = self.failed.map_or(self.trying, |f| f.min(self.trying));
        self.failed = Some(failed);
        self.served = Some(served);
        match self.held {
            Some(held) => self.between(held, failed),
            // The start was too high: look below it, but not for ever.
            None if failed <= self.settings.start_per_s / 64.0 => {
                self.done = Some(Found::Below {
                    failed_per_s: failed,
                });
            }
            None => self.trying = failed / 2.0,
        }
    }

    fn between(&mut self, held: f64, failed: f64) {
        let (span, half) = (failed - held, self.settings.precision * failed / 2.0);
        if span <= half * 2.0 {
            self.confirm();
            return;
        }
        let guess = self
            .served
            .filter(|served| *served > held * 0.95 && *served < failed);
        self.trying = match guess {
            // If it fails here the answer is found.
            Some(served) if served < held + half => held / (1.0 - self.settings.precision * 0.9),
            Some(served) => served.min(failed - half),
            None => held + span / 2.0,
        };
    }

    fn confirm(&mut self) {
        self.confirming = true;
        self.again = false;
        self.trying = self.held.unwrap_or(self.trying);
        if self.confirmed >= self.settings.confirmations {
            self.finish();
        }
    }

    fn confirmed_once(&mut self) {
        self.again = false;
        self.confirmed += 1;
        if self.confirmed >= self.settings.confirmations {
            self.finish();
        }
    }

    /// What held for a short while does not hold for a longer one.
    fn retreat(&mut self) {
        self.again = false;
        self.retreats += 1;
        self.confirmed = 0;
        self.failed = Some(self.trying);
        if self.retreats > RETREATS_MAX {
            let why = format!(
                "the target drifts: {} rates that held did not hold when they were confirmed",
                self.retreats
            );
            self.done = Some(Found::Invalid { why });
            return;
        }
        self.trying *= 1.0 - self.settings.precision;
        self.held = Some(self.trying);
    }

    fn give_up(&mut self, why: String) {
        self.done = Some(match self.held {
            Some(held_per_s) if !self.confirming => Found::AtLeast { held_per_s, why },
            Some(_) | None => Found::Invalid { why },
        });
    }

    fn finish(&mut self) {
        let held_per_s = self.held.unwrap_or(self.trying);
        self.done = Some(match self.failed {
            Some(failed_per_s) => Found::Between {
                held_per_s,
                failed_per_s,
            },
            None => Found::AtLeast {
                held_per_s,
                why: "nothing above was to be tried".to_owned(),
            },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const SETTINGS: Settings = Settings {
        start_per_s: 50.0,
        most_per_s: 1e6,
        precision: 0.04,
        confirmations: 2,
    };

    /// Runs a search against a target; the tries it took come with what was found.
    fn search(settings: Settings, mut target: impl FnMut(f64, bool) -> Told) -> (Found, usize) {
        let mut search = Search::new(settings);
        for tries in 0.. {
            match search.next() {
                Next::Done(found) => return (found, tries),
                Next::Try { per_s, long } => {
                    assert!(per_s <= settings.most_per_s && tries < 100);
                    search.tell(target(per_s, long));
                }
            }
        }
        unreachable!()
    }

    fn holds(is: bool) -> Told {
        let failed = Told::Failed {
            far: false,
            served_per_s: 0,
        };
        if is { Told::Held } else { failed }
    }

    #[test]
    fn a_knee_anywhere_is_found_within_the_precision() {
        for knee in [0.9, 7.0, 49.0, 50.0, 51.0, 333.0, 1_000.0, 47_123.0] {
            let (found, tries) = search(SETTINGS, |rate, _| holds(rate <= knee));
            let Found::Between {
                held_per_s,
                failed_per_s,
            } = found
            else {
                panic!("{knee}: {found:?}");
            };
            assert!(held_per_s <= knee && knee < failed_per_s);
            assert!(held_per_s >= knee * 0.95, "{knee}: {held_per_s}");
            assert!(tries <= 40, "{knee}: {tries} tries");
        }
    }

    #[test]
    fn what_was_served_under_too_much_load_shortens_the_way() {
        for (knee, collapsed) in [(1_370.0, 1.0), (1_370.0, 0.4), (1_370.0, 1.3)] {
            let (found, tries) = search(SETTINGS, |rate, _| match rate <= knee {
                true => Told::Held,
                false => Told::Failed {
                    far: rate > knee * 1.2,
                    served_per_s: (knee * collapsed) as u64,
                },
            });
            let Found::Between { held_per_s, .. } = found else {
                panic!("{found:?}");
            };
            assert!(held_per_s <= knee && held_per_s >= knee * 0.95);
            let most = if collapsed == 1.0 { 13 } else { 18 };
            assert!(tries <= most, "{collapsed}: {tries} tries");
        }
    }

    #[test]
    fn one_bad_window_in_ten_does_not_move_the_answer_far() {
        let mut rng = Rng::new(5);
        let mut sum = 0.0;
        for _ in 0..200 {
            let noisy = |rate: f64, _| holds(rate <= 1_000.0 && rng.unit() > 0.1);
            match search(SETTINGS, noisy).0 {
                Found::Between { held_per_s, .. } => sum += held_per_s,
                other => panic!("{other:?}"),
            }
        }
        assert!(sum / 200.0 > 930.0, "{}", sum / 200.0);
    }

    #[test]
    fn the_generator_as_the_limit_is_a_lower_bound() {
        let (found, _) = search(SETTINGS, |rate, _| match rate > 3_000.0 {
            true => Told::Invalid("busy".into()),
            false => Told::Held,
        });
        let why = "busy".to_owned();
        let wanted = Found::AtLeast {
            held_per_s: 1_600.0,
            why,
        };
        assert_eq!(found, wanted);
        let (found, tries) = search(SETTINGS, |_, _| Told::Invalid("busy".into()));
        assert!(matches!(found, Found::Invalid { .. }));
        assert_eq!(tries, 3);
        // Two bad windows in a row are somebody else's.
        let mut windows = 0;
        let (found, _) = search(SETTINGS, |rate, _| {
            windows += 1;
            match windows % 3 {
                0 => holds(rate <= 1_000.0),
                _ => Told::Invalid("busy".into()),
            }
        });
        assert!(matches!(found, Found::Between { held_per_s, .. } if held_per_s >= 950.0));
    }

    #[test]
    fn the_most_is_never_passed_and_nothing_holds_below_something() {
        let most = Settings {
            most_per_s: 300.0,
            ..SETTINGS
        };
        let (found, _) = search(most, |_, _| Told::Held);
        assert!(matches!(found, Found::AtLeast { held_per_s, .. } if held_per_s == 300.0));
        let (found, _) = search(SETTINGS, |_, _| holds(false));
        assert!(matches!(found, Found::Below { .. }));
    }

    #[test]
    fn a_target_that_never_holds_for_long_drifts() {
        let (found, _) = search(SETTINGS, |rate, long| holds(rate <= 1_000.0 && !long));
        assert!(matches!(found, Found::Invalid { why } if why.contains("drifts")));
        // Longer windows that hold a little less move the answer down.
        let (found, _) = search(SETTINGS, |rate, long| {
            holds(rate <= if long { 930.0 } else { 1_000.0 })
        });
        assert!(matches!(found, Found::Between { held_per_s, .. } if held_per_s <= 930.0));
    }
}
