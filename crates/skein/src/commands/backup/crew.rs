//! Nodes at work: runs a `backup::plan` over the admin API, and tells how far it is.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use api::job::{Job, JobState, JobStatus, JobWish};
use backup::plan::{Heard, Plan};
use client::Client;
use types::{ErrorCode, Fault};

use crate::cli::Speed;
use crate::say;

/// How often nodes are asked.
const LOOK: Duration = Duration::from_millis(100);
/// A node that has not answered for so long is taken for gone.
const GONE: Duration = Duration::from_secs(4);
/// How often nodes are told that states at a barrier are still needed.
const KEEP_EVERY: Duration = Duration::from_secs(30);
/// Jobs that a node does at once, as in `server::jobs`.
const AT_ONCE: usize = 2;

/// The nodes of a cluster, each asked on its own.
pub struct Crew {
    nodes: BTreeMap<u64, Client>,
}

/// Work for a crew.
pub struct Work<'a> {
    /// What is done, in a word for people.
    pub verb: &'static str,
    /// What the names of its jobs begin with; nobody else uses it.
    pub name: String,
    /// Nodes that can do each piece, the best first.
    pub pieces: Vec<Vec<u64>>,
    /// Pieces that are done already.
    pub done: Vec<usize>,
    /// The job that does a piece, and whether it may have been begun before.
    pub job: &'a dyn Fn(usize, bool) -> Job,
    /// Called when a piece is done.
    pub ended: &'a mut dyn FnMut(usize, &JobStatus) -> Result<(), Fault>,
    /// How fast all of it may go.
    pub speed: Speed,
    /// About how many bytes it is about; 0 if that is not known.
    pub bytes: u64,
    /// The barrier whose states are needed.
    pub hold: Option<String>,
}

/// What the jobs came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Keys.
    pub keys: u64,
    /// Bytes of contents.
    pub bytes: u64,
    /// Keys that existed, and stayed.
    pub existed: u64,
    /// Keys whose time was over.
    pub expired: u64,
}

impl Totals {
    fn add(&mut self, status: &JobStatus) {
        self.keys += status.keys;
        self.bytes += status.bytes;
        self.existed += status.existed;
        self.expired += status.expired;
    }
}

impl Crew {
    /// The nodes of a cluster.
    ///
    /// # Errors
    /// What the cluster says.
    pub fn of(client: &Client) -> Result<Self, Fault> {
        let nodes = client.nodes()?;
        Ok(Self { nodes: nodes.iter().map(|node| (node.id, client.only(&node.http))).collect() })
    }

    /// The nodes' ids.
    pub fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// Each node.
    pub fn each(&self) -> impl Iterator<Item = (u64, &Client)> {
        self.nodes.iter().map(|(node, client)| (*node, client))
    }

    /// Does all of the work.
    ///
    /// # Errors
    /// Why it cannot be done; jobs that were begun are ended.
    pub fn run<'a>(&'a self, work: Work<'a>) -> Result<Totals, Fault> {
        let mut running = Running {
            crew: self,
            plan: Plan::new(work.pieces.clone(), AT_ONCE),
            heard: BTreeMap::new(),
            attempt: 0,
            names: BTreeMap::new(),
            statuses: BTreeMap::new(),
            totals: Totals::default(),
            begun: Instant::now(),
            kept: Instant::now(),
            shown: 0,
            work,
        };
        for piece in running.work.done.clone() {
            running.plan.skip(piece);
        }
        let ended = running.run();
        running.clear_line();
        if ended.is_err() {
            running.give_up();
        }
        if let Some(hold) = &running.work.hold {
            self.release(hold);
        }
        ended.map(|()| running.totals)
    }

    /// States at a barrier are not needed any more; a node that does not hear it lets them go by itself.
    fn release(&self, hold: &str) {
        self.nodes.values().for_each(|node| drop(node.release_holds(hold)));
    }
}

/// Work under way.
struct Running<'a> {
    crew: &'a Crew,
    work: Work<'a>,
    plan: Plan,
    /// When each piece was heard of last.
    heard: BTreeMap<usize, Instant>,
    /// Jobs begun so far, for their names.
    attempt: u64,
    names: BTreeMap<usize, String>,
    statuses: BTreeMap<usize, JobStatus>,
    totals: Totals,
    begun: Instant,
    kept: Instant,
    /// Characters of the line on the terminal.
    shown: usize,
}

impl Running<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        while !self.plan.is_done() {
            if let Some(fault) = self.plan.fault() {
                return Err(fault.clone());
            }
            for (piece, node) in self.plan.due() {
                self.start(piece, node);
            }
            for (piece, node) in self.plan.running() {
                self.look(piece, node)?;
            }
            self.keep();
            self.show();
            if !self.plan.is_done() {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    fn start(&mut self, piece: usize, node: u64) {
        self.attempt += 1;
        let name = format!("{}-{piece}-{}", self.work.name, self.attempt);
        // Each job gets its share: together they keep to what was asked for.
        let shares = (self.crew.nodes.len() * AT_ONCE).min(self.work.pieces.len()).max(1) as u64;
        let share = |rate: Option<u64>| rate.map_or(0, |rate| (rate / shares).max(1));
        let wish = JobWish {
            name: name.clone(),
            what: (self.work.job)(piece, self.plan.is_repeated(piece)),
            bytes_per_second: share(self.work.speed.rate),
            keys_per_second: share(self.work.speed.qps),
        };
        let started = match self.crew.nodes.get(&node) {
            Some(client) => client.start_job(&wish),
            None => Err(ErrorCode::Unreachable.into()),
        };
        self.names.insert(piece, name);
        self.heard.insert(piece, Instant::now());
        match started {
            Ok(_) => {}
            Err(fault) if fault.code.is_retryable() || fault.code == ErrorCode::OutcomeUnknown => {
                self.plan.heard(piece, node, Heard::Lost);
            }
            Err(fault) => self.plan.heard(piece, node, Heard::Failed(fault)),
        }
    }

    fn look(&mut self, piece: usize, node: u64) -> Result<(), Fault> {
        let (Some(client), Some(name)) = (self.crew.nodes.get(&node), self.names.get(&piece)) else {
            return Ok(());
        };
        let status = match client.job(name) {
            Ok(status) => status,
            Err(_) if self.heard.get(&piece).is_some_and(|heard| heard.elapsed() < GONE) => return Ok(()),
            Err(_) => {
                self.statuses.remove(&piece);
                self.plan.heard(piece, node, Heard::Lost);
                return Ok(());
            }
        };
        self.heard.insert(piece, Instant::now());
        match status.state {
            JobState::Queued | JobState::Running => {
                self.statuses.insert(piece, status);
            }
            JobState::Unknown => {
                self.statuses.remove(&piece);
                self.plan.heard(piece, node, Heard::Lost);
            }
            JobState::Failed => {
                self.statuses.remove(&piece);
                let fault = status.error.as_ref().map(|error| error.to_fault());
                let mut fault = fault.unwrap_or_else(|| ErrorCode::Internal.into());
                fault.detail = format!("{} (node {node})", fault.detail);
                let _ = client.end_job(name);
                self.plan.heard(piece, node, Heard::Failed(fault));
            }
            JobState::Done => {
                self.statuses.remove(&piece);
                let _ = client.end_job(name);
                self.totals.add(&status);
                (self.work.ended)(piece, &status)?;
                self.plan.heard(piece, node, Heard::Done);
            }
        }
        Ok(())
    }

    fn keep(&mut self) {
        let Some(hold) = self.work.hold.as_ref().filter(|_| self.kept.elapsed() >= KEEP_EVERY) else {
            return;
        };
        self.kept = Instant::now();
        self.crew.nodes.values().for_each(|node| drop(node.keep_holds(hold)));
    }

    /// Ends what was begun.
    fn give_up(&self) {
        for (piece, node) in self.plan.running() {
            if let (Some(client), Some(name)) = (self.crew.nodes.get(&node), self.names.get(&piece)) {
                let _ = client.end_job(name);
            }
        }
    }

    /// One line for people, if there are any.
    fn show(&mut self) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let mut so_far = self.totals;
        self.statuses.values().for_each(|status| so_far.add(status));
        let line =
            progress_line(self.work.verb, self.plan.done(), so_far, self.work.bytes, self.begun.elapsed());
        let width = line.chars().count();
        let _ = write!(std::io::stderr(), "\r{line}{}", " ".repeat(self.shown.saturating_sub(width)));
        self.shown = width;
    }

    fn clear_line(&mut self) {
        if self.shown > 0 {
            let _ = write!(std::io::stderr(), "\r{}\r", " ".repeat(self.shown));
        }
    }
}

/// `saved 1.2 GiB of about 2.0 GiB, 5/8 done, 160.3 MiB/s, about 5 s left`.
fn progress_line(
    verb: &str,
    (done, of): (usize, usize),
    so_far: Totals,
    bytes: u64,
    took: Duration,
) -> String {
    let speed = so_far.bytes as f64 / took.as_secs_f64().max(0.001);
    let mut line = format!("{verb} {}", say::bytes(so_far.bytes));
    if bytes > 0 {
        line.push_str(&format!(" of about {}", say::bytes(bytes)));
    }
    line.push_str(&format!(", {done}/{of} done, {}/s", say::bytes(speed as u64)));
    if bytes > so_far.bytes && speed >= 1.0 {
        let left = (bytes - so_far.bytes) as f64 / speed;
        line.push_str(&format!(", about {} left", say::duration_s(left as u64)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_bytes_speed_and_time_left() {
        let so_far = Totals { bytes: 100 << 20, ..Default::default() };
        let line = |bytes| progress_line("saved", (1, 8), so_far, bytes, Duration::from_secs(10));
        assert_eq!(
            line(200 << 20),
            "saved 100.0 MiB of about 200.0 MiB, 1/8 done, 10.0 MiB/s, about 10 s left"
        );
        assert_eq!(line(0), "saved 100.0 MiB, 1/8 done, 10.0 MiB/s");
    }
}
