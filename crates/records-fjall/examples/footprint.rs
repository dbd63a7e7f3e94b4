//! What the store costs: time to open, memory, speed. Each step is a process of its own, so that memory
//! is measured from nothing and a step that ends by `kill -9` leaves what a crash leaves.
//!
//! ```text
//! cargo run --release -p records-fjall --example footprint -- DIR create 500
//! cargo run --release -p records-fjall --example footprint -- DIR open
//! cargo run --release -p records-fjall --example footprint -- DIR fill 8 1000000
//! cargo run --release -p records-fjall --example footprint -- DIR rewrite 8 1000000
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use engine::EngineError;
use engine::records::{Batch, RecordStore};
use records_fjall::{FjallStore, StoreOptions};
use types::StateId;

const RECORDS_PER_BATCH: u64 = 100;

fn main() -> Result<(), EngineError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(0);
    let (Some(directory), Some(step)) = (arguments.first(), arguments.get(1)) else {
        eprintln!(
            "usage: footprint DIR create STATES | open | idle | fill STATES RECORDS | rewrite STATES RECORDS"
        );
        std::process::exit(2);
    };
    let started = Instant::now();
    let store = FjallStore::open(Path::new(directory), StoreOptions::default())?;
    report("opened", started);
    match step.as_str() {
        "create" => create(&store, number(2))?,
        "fill" => fill(&store, number(2), number(3), true)?,
        "rewrite" => fill(&store, number(2), number(3), false)?,
        "idle" => idle(),
        _ => {}
    }
    report("done", started);
    // As a crash would end it.
    let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    Ok(())
}

fn create(store: &FjallStore, states: u64) -> Result<(), EngineError> {
    for state in 1..=states {
        let records = store.create(StateId(state))?;
        let mut batch = Batch::default();
        batch.put("facts", vec![0_u8; 41]);
        records.write(batch)?;
    }
    store.persist()
}

fn fill(store: &FjallStore, states: u64, records: u64, create: bool) -> Result<(), EngineError> {
    let started = Instant::now();
    let handles = (1..=states)
        .map(|state| if create { store.create(StateId(state)) } else { store.open(StateId(state)) })
        .collect::<Result<Vec<_>, _>>()?;
    let mut waited = Duration::ZERO;
    for first in (0..records).step_by(RECORDS_PER_BATCH as usize) {
        let mut batch = Batch::default();
        for number in first..first + RECORDS_PER_BATCH {
            // Spread over the key space, as hashed keys are.
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            let value: Vec<u8> = (0..100_u64).map(|i| (number.wrapping_mul(i | 1) >> 7) as u8).collect();
            batch.put([&[0x30, 0, 0, 0, 0], &key[..], b"key:000000"].concat(), value);
        }
        batch.put("facts", first.to_be_bytes().repeat(5));
        let write = Instant::now();
        handles[(first / RECORDS_PER_BATCH % states) as usize].write(batch)?;
        waited += write.elapsed();
    }
    let rate = records as f64 / started.elapsed().as_secs_f64();
    println!("{rate:>10.0} records/s, {:.2} s inside write", waited.as_secs_f64());
    Ok(())
}

fn idle() {
    let before = cpu_ticks();
    std::thread::sleep(Duration::from_secs(10));
    println!("{:>10} cpu ticks of 10 ms in 10 s", cpu_ticks() - before);
}

fn report(what: &str, since: Instant) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = |name| status.lines().find(|line| line.starts_with(name)).unwrap_or("").to_owned();
    println!("{:>8} ms {what}, {} {}", since.elapsed().as_millis(), memory("VmRSS"), memory("VmHWM"));
}

fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    [11, 12].iter().filter_map(|place| fields.get(*place)?.parse::<u64>().ok()).sum()
}
