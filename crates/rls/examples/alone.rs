//! The rate limit service without a door: `alone GATEWAY.yaml ADDRESS`. Prints where it listens.

use host::http::HttpStats;
use std::sync::Arc;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, file, addr] = args.as_slice() else {
        return Err("expected: alone GATEWAY.yaml ADDRESS".into());
    };
    let context = wire::gateway::Context::default();
    let files = wire::gateway::load(file.as_ref(), &context).map_err(|e| e.to_string())?;
    let alone = rls::Alone::new(&files).map_err(|problems| format!("{problems:?}"))?;
    let (alone, drain) = (Arc::new(alone), host::Drain::new());
    let options = rls::Options::new(addr.parse()?);
    let counts = Arc::default();
    let started = rls::start(&options, &alone, &counts, drain.clone(), HttpStats::new())?;
    host::signals::watch(drain.clone(), || {})?;
    println!("rls      {}", started.local_addr());
    std::thread::spawn(move || {
        while !drain.is_draining() {
            std::thread::sleep(Duration::from_secs(1));
            alone.tick();
        }
    });
    started.join();
    eprintln!("{counts:?}");
    Ok(())
}
