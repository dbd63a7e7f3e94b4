//! What this process uses of the machine, for metrics.

/// Memory and processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory.
    pub resident_bytes: u64,
    /// Processor time since the start, of all threads.
    pub cpu_seconds: f64,
}

/// What this process uses now; zeros where the system does not tell.
pub fn usage() -> Usage {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Usage {
        resident_bytes: resident.unwrap_or(0) * rustix::param::page_size() as u64,
        cpu_seconds: time.tv_sec as f64 + time.tv_nsec as f64 / 1e9,
    }
}
