//! Who pays where answers are kept. A request pays its own limits when it comes in, whether it is
//! answered from what is kept or not. Breaker and overload control protect what is behind the
//! door, so they are asked by whoever asks there: by one request for all that wait with it, by a
//! renewal that nobody waits for, or by nobody. What such a fetch holds it gives back with the last
//! byte from behind, not when the client that caused it has its answer.
//!
//! The same holds for requests with a body: while a client is still sending it, nothing behind the
//! door works for it, and thousands of slow ones must not look like load.

use super::books::{Books, No, Taken};
use guard::{Admission, Begun, Class, Ended, Facts, Nanos, Value, Verdict};

/// What a fetch is asked about, once there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    pub class: Class,
    /// For fairness between buyers.
    pub who: Option<Value>,
    /// A switch wants what is kept, however old.
    pub stale: bool,
}

impl Late {
    pub fn of(facts: &Facts, stale: bool) -> Late {
        Late {
            class: facts.class,
            who: facts.buyer.or(facts.device).or(facts.address),
            stale,
        }
    }
}

impl Books {
    /// All of it now, or of a request that may not need more the limits alone.
    pub fn ask_now(
        &mut self,
        late: bool,
        facts: &Facts,
        pool: Option<usize>,
        key: Option<Value>,
        now: Nanos,
    ) -> Result<Taken, No> {
        match late {
            true => self.ask_limits(facts, key, now),
            false => self.ask(facts, pool, key, now),
        }
    }

    /// What a request pays that may be answered from what is kept.
    fn ask_limits(&mut self, facts: &Facts, key: Option<Value>, now: Nanos) -> Result<Taken, No> {
        self.end_shares(now);
        let mut taken = Taken {
            generation: self.generation,
            ..Taken::default()
        };
        if let Some(key) = key {
            match self.duplicates.begin(key, now) {
                Begun::First(ticket) => taken.duplicate = Some(ticket),
                Begun::InFlight { .. } => return Err(No::UnderWay),
                Begun::Uncounted => {}
            }
        }
        match self.limits.ask(facts, now) {
            Verdict::Allowed { permit, .. } => {
                taken.permit = Some(permit);
                Ok(taken)
            }
            Verdict::Refused(refusal) => {
                self.give_back(taken, now, Nanos(0), Ended::Dropped);
                Err(No::Limit(refusal))
            }
        }
    }

    /// What a fetch pays. `pool` is a place of the running configuration.
    pub fn ask_fetch(&mut self, late: &Late, pool: Option<usize>, now: Nanos) -> Result<Taken, No> {
        let mut taken = Taken {
            generation: self.generation,
            ..Taken::default()
        };
        let tripped = |retry_after| No::Breaker { retry_after };
        let guarded = pool.filter(|place| matches!(self.breakers.get(*place), Some(Some(_))));
        if let Some(place) = guarded
            && let Some(Some((_, _, breaker))) = self.breakers.get(place)
        {
            breaker
                .look(now)
                .map_err(|refusal| tripped(refusal.retry_after))?;
        }
        if let Some(overload) = &mut self.overload {
            match overload.admit(now, late.class, late.who) {
                Admission::Admitted(permit) => taken.overload = Some(permit),
                Admission::Shed { retry_after, .. } => return Err(No::Shed { retry_after }),
            }
        }
        if let Some(place) = guarded
            && let Some(Some((_, _, breaker))) = self.breakers.get_mut(place)
        {
            match breaker.ask(now) {
                Ok(ticket) => taken.breaker = Some((place, ticket)),
                Err(refusal) => {
                    self.give_back(taken, now, Nanos(0), Ended::Dropped);
                    return Err(tripped(refusal.retry_after));
                }
            }
        }
        Ok(taken)
    }
}
