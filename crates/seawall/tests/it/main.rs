//! The binary from outside: every test starts shops of its own on free ports, in a folder of its
//! own, talks HTTP to them and looks at what they leave on disk. `SEAWALL_BIN` names another binary
//! than the one just built. It must not know how the shop is made.

mod agents;
mod bad_input;
mod books;
mod crash;
mod drill;
mod faults;
mod full_disk;
mod gateway;
mod gateway_breaker;
mod gateway_cache;
mod gateway_cluster;
mod gateway_compression;
mod gateway_faults;
mod gateway_features;
mod gateway_flood;
mod gateway_idle;
mod gateway_limits;
mod gateway_listener;
mod gateway_mark;
mod gateway_pages;
mod gateway_recorder;
mod gateway_reload;
mod gateway_room;
mod gateway_routes;
mod gateway_shop;
mod gateway_switches;
mod gateway_tls_out;
mod http;
mod load;
mod orders;
mod payments;
mod plan;
mod report;
mod restart;
mod shadow;
mod shadow_load;
mod site;
mod slow;
mod start;
mod traffic;
