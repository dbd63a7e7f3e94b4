//! Memory of a node after a million keys and the SET bench.

use anyhow::Result;

use super::Bench;
use super::figure::{Figure, Verdict};
use super::idle::largest_memory_mib;
use super::kv::{all_addresses, fill_keys, generate};
use super::support::{Cluster, Shape};

/// Keys.
pub const KEYS: u64 = 1_000_000;
/// The bar.
const MEMORY_MIB_MAX: f64 = 256.0;

/// The largest node's memory.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    let addresses = all_addresses(&cluster);
    fill_keys(bench, &addresses, KEYS)?;
    let filled = largest_memory_mib(&cluster)?;
    let (keys, duration) = (KEYS.to_string(), format!("{}s", bench.seconds));
    let sets = ["--size", "100", "--mix", "set", "--duration", &duration, "--keys", &keys];
    generate(bench, &[&["--redis", &addresses], &sets[..]].concat())?;
    let memory = largest_memory_mib(&cluster)?;
    Ok(vec![Figure {
        measure: "memory after 1 million keys and the SET bench, per node".into(),
        value: format!("{memory:.0} MiB ({filled:.0} before the bench)"),
        beside: String::new(),
        bar: format!("<= {MEMORY_MIB_MAX:.0} MiB"),
        verdict: Verdict::of(memory <= MEMORY_MIB_MAX),
    }])
}
