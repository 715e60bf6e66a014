//! `flat_out URL RATE SECONDS WORKERS CONNECTIONS`: one constant GET, for comparisons with wrk.

use load::arrivals::{Plan, Segment, Spacing};
use load::measure::End;
use load::script::Script;
use load::{Options, Run, Target};
use std::sync::Arc;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| given[at].parse::<f64>().expect("a number");
    let script = Script::get("/", 5_000_000);
    let plan = Plan {
        segments: vec![Segment::constant(number(1), (number(2) * 1e6) as u64)],
        spacing: Spacing::Even,
    };
    let options = Options {
        workers: number(3) as usize,
        connections_max: number(4) as usize,
        ..Options::default()
    };
    let target = Arc::new(Target::new(&given[0], None).expect("a target"));
    let measured = Run::start(Arc::new(script), plan, target, &options).join();
    let measured = measured.expect("a run");
    let total = measured.total();
    let us = |share| total.latency.quantile_us(share).unwrap_or(0);
    let seconds = measured.wall_us as f64 / 1e6;
    println!(
        "rate={:.0} good={} errors={} planned={} late={} p50={} p99={} service_p50={} lag_p99={} \
         cpu={:.2} busiest={:.2} cpu_us_each={:.2}",
        total.ended(End::Good) as f64 / seconds,
        total.ended(End::Good),
        total.errors(),
        measured.planned,
        measured.late,
        us(0.5),
        us(0.99),
        total.service.quantile_us(0.5).unwrap_or(0),
        measured.lag.quantile_us(0.99).unwrap_or(0),
        measured.cpu_ns as f64 / 1e9 / seconds,
        measured.busiest,
        measured.cpu_ns as f64 / 1e3 / total.ended(End::Good).max(1) as f64,
    );
    println!("{:?}", load::run::invalid(&measured, false));
}
