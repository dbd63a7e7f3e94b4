//! Backups at work, for the command line and for the operations of a node: nodes with jobs, barriers, restoring.

pub mod at_time;
pub mod crew;
pub mod restoring;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::job::{BarrierReport, BarrierWish};
use client::Client;
use types::{ErrorCode, Fault};

/// How often a barrier is asked for while some partition has no leader.
const BARRIER_ATTEMPTS: u32 = 20;
const BARRIER_PAUSE: Duration = Duration::from_millis(500);

/// A barrier in every partition; a partition without a leader is waited for.
///
/// # Errors
/// `UnknownTable`; what stood in the way to the end.
pub fn barrier(client: &Client, tables: Vec<String>, hold: &str) -> Result<BarrierReport, Fault> {
    let wish = BarrierWish { tables, id: hold.to_owned() };
    let mut attempts = 0;
    loop {
        attempts += 1;
        match client.barrier(&wish) {
            Err(fault)
                if attempts < BARRIER_ATTEMPTS
                    && (fault.code.is_retryable() || fault.code == ErrorCode::OutcomeUnknown) =>
            {
                std::thread::sleep(BARRIER_PAUSE);
            }
            other => return other,
        }
    }
}

/// Under which number the states of a backup are kept: whoever goes on with it finds them.
pub fn hold_of(id: &str) -> String {
    format!("{:016x}", types::hash::position(id.as_bytes()))
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// `namespace:name`, or just the name in the default namespace.
pub fn title(namespace: &str, name: &str) -> String {
    match namespace {
        catalog::DEFAULT_NAMESPACE => name.to_owned(),
        namespace => format!("{namespace}:{name}"),
    }
}

/// A title's namespace and name.
pub fn split_title(title: &str) -> (String, String) {
    match title.split_once(':') {
        Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
        None => (catalog::DEFAULT_NAMESPACE.to_owned(), title.to_owned()),
    }
}

/// A moment as `2026-11-26 23:15:02 UTC`.
pub fn time(millis: u64) -> String {
    let (year, month, day) = backup::civil(millis / 86_400_000);
    let seconds = millis / 1000 % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}
