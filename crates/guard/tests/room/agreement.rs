//! Random commands: the room and the slow model tell everybody the same.

use super::model::{Model, State, Told};
use super::{Desk, buyer, rules, secs};
use guard::Nanos;
use guard::room::{Place, Rate, Rules, Schedule, Standing};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Who, and with which ticket: of a drawn or a later place.
    Ask(u64, Option<(bool, u64)>),
    Tick,
    /// Time in units of 67 ms.
    Pass(u64),
    Leave(u64),
    Touch(u64),
    Stock(Option<u64>),
    Drawn,
}

const UNIT: u64 = 1 << 26;

fn step() -> impl Strategy<Value = Step> {
    let who = 0..40_u64;
    let ticket = proptest::option::weighted(0.2, (any::<bool>(), 0..40_000_000_u64));
    prop_oneof![
        12 => (who.clone(), ticket).prop_map(|(who, ticket)| Step::Ask(who, ticket)),
        6 => Just(Step::Tick),
        4 => (0..40_u64).prop_map(Step::Pass),
        1 => (0..400_u64).prop_map(Step::Pass),
        1 => who.clone().prop_map(Step::Leave),
        1 => who.prop_map(Step::Touch),
        1 => proptest::option::of(0..3_u64).prop_map(Step::Stock),
        1 => Just(Step::Drawn),
    ]
}

/// In periods of which none is a second, and most do not divide one.
fn rate(count: std::ops::Range<u64>) -> impl Strategy<Value = Rate> {
    (count, 300..1_700_u64).prop_map(|(count, per_ms)| Rate {
        count,
        per: Nanos::from_millis(per_ms),
    })
}

fn small() -> impl Strategy<Value = Rules> {
    let schedule = proptest::option::of((0..5_u64, 1..20_u64));
    (
        1..30_u32,
        1..8_u32,
        rate(1..30),
        proptest::option::of(rate(4..7)),
        (0..3_u64, 900..1_500_u64),
        schedule,
    )
        .prop_map(
            |(waiting_max, places, admit, open_above, (count, per_ms), schedule)| Rules {
                waiting_max,
                places,
                admit,
                open_above,
                close_below: Rate {
                    count,
                    per: Nanos::from_millis(per_ms),
                },
                calm: secs(3),
                away_after: Nanos(UNIT * 30),
                grace: Nanos(UNIT * 60),
                idle: Nanos(UNIT * 90),
                schedule: schedule.map(|(opens, span)| Schedule {
                    opens: secs(opens),
                    t0: secs(opens + span),
                }),
                ..rules()
            },
        )
}

fn told(standing: Standing) -> Told {
    match standing {
        Standing::Admitted => Told::Admitted,
        Standing::Registered { .. } => Told::Registered,
        Standing::Waiting(wait) => Told::Waiting {
            place: wait.place,
            ahead: wait.ahead,
        },
        Standing::SoldOut => Told::SoldOut,
        Standing::Full => Told::Full,
    }
}

fn run(rules: Rules, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut desk = Desk::new(rules);
    let mut model = Model::new(rules);
    for (at, step) in steps.iter().enumerate() {
        let now = desk.now;
        match *step {
            Step::Ask(who, ticket) => {
                let place = ticket.map(|(drawn, number)| match drawn {
                    true => Place::drawn(number),
                    false => Place::came(number),
                });
                let found = told(desk.answer(who, place).standing);
                let expected = model.ask(buyer(who), now.0 / 1_000, place, now);
                prop_assert_eq!(found, expected, "step {}: {:?}", at, step);
            }
            Step::Tick => {
                desk.called.clear();
                desk.tick();
                prop_assert_eq!(&desk.called, &model.tick(now), "step {}: called", at);
            }
            Step::Pass(units) => desk.now = now.plus(Nanos(units * UNIT)),
            Step::Leave(who) => {
                desk.room.leave(buyer(who));
                model.leave(buyer(who));
            }
            Step::Touch(who) => {
                let found = desk.room.touch(buyer(who), now);
                prop_assert_eq!(found, model.touch(buyer(who), now), "step {}: touch", at);
            }
            Step::Stock(left) => {
                desk.room.set_stock(left);
                model.left = left;
            }
            Step::Drawn => {
                desk.room.drawn(now);
                model.drawn(now);
            }
        }
        let census = desk.room.census();
        let line: Vec<_> = model.line().iter().map(|p| p.buyer).collect();
        prop_assert_eq!(desk.order(), line, "step {}: the line", at);
        let away = model.count(&[State::Away, State::Missed]);
        let inside = model.count(&[State::Called, State::Inside]);
        prop_assert_eq!(
            (census.phase, census.away, census.inside),
            (model.phase, away, inside),
            "step {}",
            at
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_room_and_the_model_agree(
        rules in small(),
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        run(rules, &steps)?;
    }
}
