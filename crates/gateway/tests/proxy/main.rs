//! The proxy from outside: real sockets on both sides, upstreams that misbehave on purpose.

mod answers;
mod bodies;
mod http2;
mod pools;
mod real;
mod requests;
mod support;
mod tries;
mod tunnels;
