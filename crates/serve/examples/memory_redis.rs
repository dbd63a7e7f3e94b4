//! The Redis face alone, over keys in memory: what it costs without a cluster behind it.
//!
//! `cargo run --release -p serve --example memory_redis -- PORT [LOG-FILE [THREADS]]`

#[path = "../tests/memory/mod.rs"]
mod memory;

use std::fs::File;
use std::sync::Arc;

use serve::listen;
use serve::redis::{RedisConfig, RedisFace, RedisListeners, default_threads};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port: u16 = arguments.first().map_or(Ok(6380), |port| port.parse())?;
    let log = arguments.get(1).filter(|path| *path != "-").map(File::create).transpose()?;
    let threads = arguments.get(2).map_or(Ok(default_threads()), |threads| threads.parse())?;
    let listeners = RedisListeners {
        plain: listen::bind(&format!("127.0.0.1:{port}"))?,
        zankv: listen::bind(&format!("127.0.0.1:{}", port + 2))?,
    };
    let config = RedisConfig {
        password: None,
        threads,
        directory: String::new(),
        connections_max: 10_000,
        clock: Arc::new(env::OsClock),
    };
    let _face = RedisFace::start(config, listeners, memory::Memory::start(8, log))?;
    eprintln!("serving at 127.0.0.1:{port} with {threads} threads");
    loop {
        std::thread::park();
    }
}
