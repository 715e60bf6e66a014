//! Random commands with a memory. The id spaces are small, so that collisions, replays, expiries,
//! retakes, returns, forgetting and races for a coupon happen all the time; each command comes
//! from one number, so that a failing sequence shrinks by leaving numbers out.

use sale::*;
use std::num::NonZeroU32;

/// SplitMix64: small, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

const REQUESTS: u64 = 60;
const BUYERS: u64 = 5;
const SKU_CODES: u64 = 48;
const COUPON_CODES: u64 = 5;
const RECENT: usize = 24;

/// What the generator remembers of the past, to come back to it.
pub struct World {
    seq: u64,
    at: u64,
    skus: u32,
    /// SKUs at the highest price, all in euros: their sum can overflow.
    rich: Vec<SkuId>,
    coupons: u32,
    places: Vec<Place>,
    orders: Vec<(OrderId, Money)>,
    payments: Vec<(OrderId, PaymentRef, Money)>,
    repeatable: Vec<Command>,
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl World {
    pub fn new() -> World {
        World {
            seq: 0,
            at: 1_000_000,
            skus: 0,
            rich: vec![],
            coupons: 0,
            places: vec![],
            orders: vec![],
            payments: vec![],
            repeatable: vec![],
        }
    }

    /// The next entry, made from `number` and the past.
    pub fn entry(&mut self, number: u64) -> Entry {
        let mut dice = Dice(number);
        self.at += match dice.below(20) {
            0..=9 => 0,
            10..=13 => dice.below(50),
            14..=15 => 100,
            16 => dice.below(1_500),
            17 => 1_000,
            18 => 1_700,
            _ => dice.below(4) * 500,
        };
        self.seq += 1;
        let command = self.command(&mut dice);
        Entry {
            seq: Seq(self.seq),
            at: At(self.at),
            command,
        }
    }

    /// Learns from the answer.
    pub fn learn(&mut self, entry: &Entry, outcome: &Outcome) {
        match (&entry.command, outcome) {
            (Command::ListSku { terms, .. }, Outcome::Listed { sku }) => {
                self.skus += 1;
                if terms.price.0 == limits::PRICE_MINOR_MAX && terms.currency == Currency::EUR {
                    self.rich.push(*sku);
                }
            }
            (_, Outcome::CouponCreated { .. }) => self.coupons += 1,
            (Command::Place(place), Outcome::Held(held)) => {
                keep(&mut self.places, place.clone());
                keep(&mut self.orders, (held.order, held.total));
            }
            (
                Command::BeginPayment {
                    order,
                    payment,
                    amount,
                },
                Outcome::PaymentBegun,
            )
            | (
                Command::ConfirmPayment {
                    order,
                    payment,
                    amount,
                },
                Outcome::Paid | Outcome::RefundDue { .. },
            ) => keep(&mut self.payments, (*order, *payment, *amount)),
            (command, Outcome::Adjusted { .. } | Outcome::Returned { .. }) => {
                keep(&mut self.repeatable, command.clone());
            }
            _ => {}
        }
    }

    fn command(&mut self, dice: &mut Dice) -> Command {
        if self.seq == 1 && !dice.one_in(4) {
            return configure(dice);
        }
        if self.skus < 3 {
            return self.list(dice);
        }
        match dice.below(100) {
            0..=5 => self.list(dice),
            6..=8 => Command::SetTerms {
                sku: self.sku(dice),
                terms: self.terms(dice),
            },
            9..=12 => Command::OpenSku {
                sku: self.sku(dice),
            },
            13 => Command::CloseSku {
                sku: self.sku(dice),
            },
            14..=18 => self.adjust(dice),
            19..=21 => self.coupon_terms(dice),
            22 => configure(dice),
            23..=55 => Command::Place(self.place(dice)),
            56..=61 => {
                let (order, payment, amount) = self.payment(dice);
                Command::BeginPayment {
                    order,
                    payment,
                    amount,
                }
            }
            62..=74 => {
                let (order, payment, amount) = self.payment(dice);
                Command::ConfirmPayment {
                    order,
                    payment,
                    amount,
                }
            }
            75..=77 => {
                let (order, payment, _) = self.payment(dice);
                Command::AbandonPayment { order, payment }
            }
            78..=82 => {
                let (order, payment, amount) = self.payment(dice);
                let amount = if dice.one_in(2) {
                    Money(amount.0 / 2)
                } else {
                    amount
                };
                Command::SettleRefund {
                    order,
                    payment,
                    amount,
                }
            }
            83..=85 => Command::Cancel {
                order: self.order(dice).0,
            },
            86..=91 => self.give_back(dice),
            _ => Command::Tick,
        }
    }

    fn sku(&self, dice: &mut Dice) -> SkuId {
        // The first few are the hot ones; sometimes one that does not exist.
        match dice.below(30) {
            0 => SkuId(self.skus),
            1..=5 => SkuId(dice.below(u64::from(self.skus)) as u32),
            _ => SkuId(dice.below(3) as u32),
        }
    }

    fn terms(&self, dice: &mut Dice) -> SkuTerms {
        let near = |dice: &mut Dice| At((self.at + dice.below(600)).saturating_sub(200));
        let price = match dice.below(24) {
            _ if self.skus >= 3 && dice.one_in(2) => limits::PRICE_MINOR_MAX,
            0 => -1,
            1 => limits::PRICE_MINOR_MAX + 1,
            2 => 0,
            3..=5 => 333,
            _ => 100,
        };
        let hold = match dice.below(24) {
            0 => limits::HOLD_MS_MIN - 1,
            1 => limits::HOLD_MS_MAX + 1,
            2 => limits::HOLD_MS_MAX,
            3..=8 => limits::HOLD_MS_MIN,
            _ => 100 + dice.below(900),
        };
        SkuTerms {
            price: Money(price),
            currency: if dice.one_in(9) {
                Currency::GBP
            } else {
                Currency::EUR
            },
            buyer_limit: NonZeroU32::new(dice.pick(&[0, 0, 1, 2, 4])),
            opens: if dice.one_in(5) { near(dice) } else { At(0) },
            closes: dice.one_in(6).then(|| near(dice)),
            hold: Millis(hold),
        }
    }

    fn list(&self, dice: &mut Dice) -> Command {
        let stock = match dice.below(20) {
            0 => limits::STOCK_UNITS_MAX + 1,
            1 => limits::STOCK_UNITS_MAX,
            2 => 0,
            _ => dice.below(8) as u32,
        };
        let code = text("sku", dice.below(SKU_CODES));
        Command::ListSku {
            code,
            stock: Qty(stock),
            terms: self.terms(dice),
        }
    }

    fn adjust(&self, dice: &mut Dice) -> Command {
        if dice.one_in(5) && !self.repeatable.is_empty() {
            return dice.pick(&self.repeatable);
        }
        let delta = match dice.below(20) {
            0 => 0,
            1 => i64::MIN,
            2 => i64::MAX,
            3 => i64::from(limits::STOCK_UNITS_MAX),
            4..=9 => -1 - dice.below(4) as i64,
            _ => 1 + dice.below(4) as i64,
        };
        Command::AdjustStock {
            request: RequestId(dice.below(REQUESTS).into()),
            sku: self.sku(dice),
            delta: UnitDelta(delta),
            reason: text("reason", dice.below(2)),
        }
    }

    fn coupon_terms(&self, dice: &mut Dice) -> Command {
        let off = dice.pick(&[0, 1, 50, 50, 99, limits::PRICE_MINOR_MAX + 1]);
        let minimum = match dice.below(8) {
            0 => off,
            1 => limits::PRICE_MINOR_MAX + 1,
            2 => 250,
            _ => off + 1,
        };
        let terms = CouponTerms {
            quota: Qty(dice.below(4) as u32),
            amount_off: Money(off),
            currency: if dice.one_in(6) {
                Currency::GBP
            } else {
                Currency::EUR
            },
            minimum_total: Money(minimum),
        };
        Command::CreateCoupon {
            code: text("coupon", dice.below(COUPON_CODES)),
            terms,
        }
    }

    fn place(&self, dice: &mut Dice) -> Place {
        if dice.one_in(5) && !self.places.is_empty() {
            // The same again, sometimes with one thing changed.
            let mut place = dice.pick(&self.places);
            match dice.below(8) {
                0 => place.buyer = BuyerId(dice.below(BUYERS).into()),
                1 => place.coupon = self.coupon(dice),
                2 => place.lines = Lines::One(self.line(dice)),
                3 => {
                    let mut lines = place.lines.as_slice().to_vec();
                    lines.reverse();
                    place.lines = lines.into();
                }
                _ => {}
            }
            return place;
        }
        let lines = match dice.below(60) {
            0 => vec![],
            1 => vec![self.line(dice); limits::LINES_PER_ORDER_MAX + 1],
            2..=3 if !self.rich.is_empty() => {
                let qty = Qty(limits::UNITS_PER_LINE_MAX);
                (0..self.skus)
                    .map(|id| Line {
                        sku: SkuId(id),
                        qty,
                    })
                    .collect()
            }
            4..=35 => vec![self.line(dice)],
            _ => (0..2 + dice.below(2)).map(|_| self.line(dice)).collect(),
        };
        Place {
            request: RequestId(dice.below(REQUESTS).into()),
            buyer: BuyerId(dice.below(BUYERS).into()),
            lines: lines.into(),
            coupon: self.coupon(dice),
        }
    }

    fn line(&self, dice: &mut Dice) -> Line {
        let qty = match dice.below(30) {
            0 => 0,
            1 => limits::UNITS_PER_LINE_MAX + 1,
            2..=4 => 4,
            5..=10 => 2,
            _ => 1,
        };
        Line {
            sku: self.sku(dice),
            qty: Qty(qty),
        }
    }

    fn coupon(&self, dice: &mut Dice) -> Option<CouponId> {
        dice.one_in(3)
            .then(|| CouponId(dice.below(u64::from(self.coupons) + 1) as u32))
    }

    /// An order, sometimes one that is not; with its total.
    fn order(&self, dice: &mut Dice) -> (OrderId, Money) {
        if self.orders.is_empty() || dice.one_in(20) {
            let buyer = BuyerId(dice.below(BUYERS).into());
            let id = OrderId::new(dice.below(3) as u16, buyer, 1 + dice.below(30));
            return (id.unwrap(), Money(100));
        }
        if dice.one_in(2) {
            return self.orders[self.orders.len() - 1];
        }
        dice.pick(&self.orders)
    }

    fn payment(&self, dice: &mut Dice) -> (OrderId, PaymentRef, Money) {
        let (order, payment, amount) = if dice.one_in(2) && !self.payments.is_empty() {
            dice.pick(&self.payments)
        } else {
            let (order, total) = self.order(dice);
            (order, PaymentRef(dice.below(3).into()), total)
        };
        let amount = match dice.below(16) {
            0 => amount.0 + 1,
            1 => -amount.0,
            2 => 0,
            _ => amount.0,
        };
        (order, payment, Money(amount))
    }

    fn give_back(&self, dice: &mut Dice) -> Command {
        if dice.one_in(6) && !self.repeatable.is_empty() {
            return dice.pick(&self.repeatable);
        }
        let line = |dice: &mut Dice| {
            (
                LineIndex(dice.pick(&[0, 0, 0, 1, 2])),
                Qty(dice.pick(&[1, 1, 1, 1, 2, 3, 0])),
            )
        };
        let lines = match dice.below(40) {
            0 => vec![],
            1 => vec![line(dice); limits::LINES_PER_ORDER_MAX + 1],
            2..=27 => vec![line(dice)],
            _ => vec![line(dice), line(dice)],
        };
        let request = RequestId(dice.below(REQUESTS).into());
        Command::Return {
            request,
            order: self.order(dice).0,
            lines,
        }
    }
}

fn configure(dice: &mut Dice) -> Command {
    let window = |dice: &mut Dice| {
        Millis(match dice.below(16) {
            0 => limits::WINDOW_MS_MIN - 1,
            1 => limits::WINDOW_MS_MAX + 1,
            2 => limits::WINDOW_MS_MAX,
            _ => limits::WINDOW_MS_MIN + dice.below(5_000),
        })
    };
    let windows = Windows {
        remember: window(dice),
        returns: window(dice),
    };
    Command::Configure {
        cell: dice.pick(&[0, 0, 0, 1, limits::CELLS_MAX]),
        windows,
    }
}

fn keep<T>(recent: &mut Vec<T>, value: T) {
    if recent.len() == RECENT {
        recent.remove(0);
    }
    recent.push(value);
}

pub fn text(what: &str, number: u64) -> Text {
    Text::new(&format!("{what}-{number}")).unwrap()
}
