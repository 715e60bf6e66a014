//! The planner's rules: what will come ([`forecast`]), how much stock it needs, and what the
//! services behind the door must be able to do. Plain values in, plain values out; the same input
//! gives the same output to the last bit. It must not know files, formats, clocks or processes:
//! formats live in `wire`, reading and writing in the verbs.

pub mod capacity;
pub mod forecast;
pub mod limits;
pub mod limits_out;
pub mod map;
pub mod page;
pub mod proxies;
pub mod readiness;
pub mod scaling;
pub mod stock;
pub mod switches_out;
pub mod text;
