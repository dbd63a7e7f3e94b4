//! What the operating system tells of this process.

use std::fs;

/// What the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// The most it has been, in bytes.
    pub resident_peak_bytes: u64,
    /// Memory of the machine, in bytes.
    pub machine_bytes: u64,
    /// Processor time outside the kernel, in seconds.
    pub user_seconds: f64,
    /// Processor time inside the kernel, in seconds.
    pub system_seconds: f64,
}

/// The present usage. What cannot be found out is zero: these numbers are shown to people, nothing
/// depends on them.
pub fn usage() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let [user, system] = processor_ticks(&stat);
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Usage {
        resident_bytes: kilobytes(&status, "VmRSS:"),
        resident_peak_bytes: kilobytes(&status, "VmHWM:"),
        machine_bytes: kilobytes(&memory, "MemTotal:"),
        user_seconds: user as f64 / per_second,
        system_seconds: system as f64 / per_second,
    }
}

/// Name, release and machine, as in `Linux 6.1.0 x86_64`.
pub fn operating_system() -> String {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    format!("{} {} {}", text(name.sysname()), text(name.release()), text(name.machine()))
}

/// The bytes in a line such as `VmRSS:     1234 kB`.
fn kilobytes(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// `utime` and `stime` of `/proc/self/stat`: fields 14 and 15. The second field is the program's name in
/// parentheses and may hold anything, so counting begins after its end.
fn processor_ticks(stat: &str) -> [u64; 2] {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_whitespace().skip(11).map(|field| field.parse().unwrap_or(0));
    [fields.next().unwrap_or(0), fields.next().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        assert_eq!(kilobytes("A: 1 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), 12 * 1024);
        assert_eq!(kilobytes("", "VmRSS:"), 0);
        assert_eq!(processor_ticks("1 (a) b) S 1 2 3 4 5 6 7 8 9 10 77 88 0"), [77, 88]);
        assert_eq!(processor_ticks(""), [0, 0]);
        let usage = usage();
        assert!(usage.resident_bytes > 0 && usage.resident_peak_bytes >= usage.resident_bytes);
        assert!(usage.machine_bytes > usage.resident_bytes);
        assert!(operating_system().starts_with("Linux "));
    }
}
