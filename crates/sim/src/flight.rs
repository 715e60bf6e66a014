//! Messages under way: who asked what, when it was sent, and where the answer belongs.

use engine::Reply;
use sale::{Command, Money, OrderId, RequestId};
use std::collections::{BTreeMap, BTreeSet};

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// An attempt for a wish; `odd` has other content under the same id.
    Place {
        wish: usize,
        odd: bool,
    },
    Begin {
        pay: usize,
    },
    Confirm {
        pay: usize,
    },
    Abandon {
        pay: usize,
    },
    Settle {
        pay: usize,
        amount: Money,
    },
    Cancel {
        wish: usize,
    },
    /// An operator's adjustment or return, repeated until it is answered.
    Act {
        act: usize,
    },
    /// The n-th command that sets the shop up.
    SetUp,
    /// Whatever comes back is only counted.
    Stray,
}

#[derive(Debug)]
pub(crate) struct Flight {
    pub errand: Errand,
    pub command: Command,
    pub sent_at: u64,
    /// The order in which commands reached the server.
    pub arrival: Option<u64>,
    /// The client does not wait any more.
    pub hung_up: bool,
}

#[derive(Debug)]
pub(crate) enum Packet {
    ToServer(u64),
    /// `None`: the connection broke.
    ToClient(u64, Option<Reply>),
}

/// Flights and packets, delivered in order of time.
#[derive(Debug, Default)]
pub(crate) struct Net {
    pub flights: BTreeMap<u64, Flight>,
    next: u64,
    packets: BTreeMap<(u64, u64), Packet>,
    sent: u64,
    /// Flights that the server has and has not answered.
    pub waiting: BTreeSet<u64>,
}

impl Net {
    pub fn send(&mut self, errand: Errand, command: Command, now: u64, delay: u64) -> u64 {
        let id = self.next;
        self.next += 1;
        let flight = Flight {
            errand,
            command,
            sent_at: now,
            arrival: None,
            hung_up: false,
        };
        self.flights.insert(id, flight);
        self.post(now + delay, Packet::ToServer(id));
        id
    }
    pub fn post(&mut self, at: u64, packet: Packet) {
        self.sent += 1;
        self.packets.insert((at, self.sent), packet);
    }
    pub fn due(&mut self, now: u64) -> Option<Packet> {
        let first = self
            .packets
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
    pub fn is_quiet(&self) -> bool {
        self.packets.is_empty() && self.waiting.is_empty()
    }
    /// Answers under way when the process dies: `lost` says which never arrive.
    pub fn lose_answers(&mut self, mut lost: impl FnMut() -> bool) {
        for packet in self.packets.values_mut() {
            if let Packet::ToClient(_, reply) = packet
                && lost()
            {
                *reply = None;
            }
        }
    }
}

/// What the server made of an attempt, in its own order of arrival: the proof that nobody who asks
/// twice overtakes himself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub request: RequestId,
    pub wish: usize,
    pub arrival: u64,
    /// `None`: refused.
    pub order: Option<OrderId>,
    pub at: u64,
}
