//! One request on its way, from the moment it is due until its answer.

use crate::answers::Class;

/// What is to be asked. The numbers are those of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    SignIn(u32),
    Hall,
    Page(u32),
    Product(u32),
    Order(u32),
    Pay(u32),
    Cancel(u32),
    Return(u32),
}

/// One request on its way, with the instant that its latency counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Task {
    pub(crate) planned_us: u64,
    pub(crate) ask: Ask,
    /// From 0; an attempt under the same key follows one that had no answer.
    pub(crate) attempt: u8,
    /// It is one of the plan's arrivals and not what followed from an answer.
    pub(crate) arrival: bool,
    /// When this attempt was put on a connection.
    pub(crate) sent_us: u64,
}

impl Task {
    /// What follows from an answer.
    pub(crate) fn following(planned_us: u64, ask: Ask) -> Task {
        Task {
            planned_us,
            ask,
            attempt: 0,
            arrival: false,
            sent_us: planned_us,
        }
    }
}

impl Ask {
    pub(crate) fn class(self) -> Class {
        match self {
            Ask::SignIn(_) => Class::SignIn,
            Ask::Hall | Ask::Page(_) | Ask::Product(_) => Class::Browse,
            Ask::Order(_) => Class::Order,
            Ask::Pay(_) => Class::Pay,
            Ask::Cancel(_) => Class::Cancel,
            Ask::Return(_) => Class::Return,
        }
    }
}
