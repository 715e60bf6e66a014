//! Breakers and filters against slow, obvious models: random commands, the same answers.

#[path = "protect/breaker.rs"]
mod breaker;
#[path = "protect/filters.rs"]
mod filters;
#[path = "protect/switches.rs"]
mod switches;
