//! Processes by pid and start time, so that a number that the system gave away again is not mistaken.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde::{Deserialize, Serialize};

/// One run of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it began, in clock ticks since the machine did. Together with the pid it is unique.
    pub started: u64,
}

impl Process {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self { pid, started: Stat::of(pid).map_or(0, |stat| stat.started) }
    }

    /// The living process that has this pid now.
    #[cfg(test)]
    pub fn with_pid(pid: u32) -> Option<Self> {
        let process = Self { pid, started: Stat::of(pid)?.started };
        process.is_alive().then_some(process)
    }

    /// A child of this process that was not waited for yet; it may have ended.
    pub fn child(child: &std::process::Child) -> Self {
        let pid = child.id();
        Self { pid, started: Stat::of(pid).map_or(0, |stat| stat.started) }
    }

    /// Whether it still runs. One that ended and was not yet waited for by its parent does not.
    pub fn is_alive(self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.started == self.started && !stat.ended)
    }

    /// Sends a signal; a process that is gone gets none.
    pub fn signal(self, signal: Signal) {
        if let Some(pid) = self.id()
            && self.is_alive()
        {
            // The only other error would be another owner, whose nodes these are not.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has ended, at most this long (or for ever). Returns whether it has.
    pub fn wait(self, limit: Option<Duration>) -> bool {
        let Some(handle) = self.handle() else { return true };
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        });
        loop {
            let mut fds = [PollFd::new(&handle, PollFlags::IN)];
            match poll(&mut fds, limit.as_ref()) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return !self.is_alive(),
            }
        }
    }

    /// A handle that becomes readable when the process ends; `None` if it has.
    fn handle(self) -> Option<OwnedFd> {
        let handle = pidfd_open(self.id()?, PidfdFlags::empty()).ok()?;
        // Looked at after the handle was taken: it is then the handle of this process and no later one.
        self.is_alive().then_some(handle)
    }

    fn id(self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.pid).ok()?)
    }
}

/// The program that a process runs, for messages.
pub fn program_of(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// What the system tells of a process.
struct Stat {
    started: u64,
    ended: bool,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may contain blanks and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        // Fields 20 and 22 of the line, counted from 1; two went with the name, one with the state.
        let threads: u32 = fields.nth(16)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        // While another thread waits for the disk, a process has its ports and locks though its first one has ended.
        Some(Self { started, ended: matches!(state, "Z" | "X") && threads <= 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_known_by_pid_and_start() {
        let current = Process::current();
        assert!(current.started > 0 && current.is_alive());
        assert_eq!(Process::with_pid(current.pid), Some(current));
        let reused = Process { started: current.started - 1, ..current };
        assert!(!reused.is_alive());
        // Reaches nobody, or this test would end here.
        reused.signal(Signal::KILL);
    }

    #[test]
    fn the_end_of_a_process_is_awaited() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
        let process = Process::with_pid(child.id()).expect("alive");
        assert!(!process.wait(Some(Duration::from_millis(1))));
        process.signal(Signal::KILL);
        assert!(process.wait(None));
        // Nobody has waited for the child yet, and it does not count as alive.
        assert!(!process.is_alive() && process.wait(None));
        child.wait().expect("ended");
        assert_eq!(Process::with_pid(process.pid), None);
    }
}
