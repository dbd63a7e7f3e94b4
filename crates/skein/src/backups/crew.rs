//! Nodes at work: runs a `backup::plan` over the admin API, and tells how far it is.
//!
//! A job's name follows from the work and the piece. So whoever takes the work over from somebody who is gone finds
//! the jobs that still run, and two that do the same work for a moment do not do a piece twice at one node.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::job::{Job, JobState, JobStatus, JobWish};
use backup::plan::{Heard, Plan};
use client::Client;
use types::{ErrorCode, Fault};

use crate::cli::Speed;

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
    /// What the names of its jobs begin with; nobody does anything else under it.
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
    /// The barrier whose states are needed.
    pub hold: Option<String>,
    /// Somebody else may have been at it, and jobs may still run.
    pub takes_over: bool,
    /// Told how far it is, several times a second; says whether to go on.
    pub watch: &'a mut dyn FnMut(&Seen) -> Go,
}

/// How far work is.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Pieces that are done.
    pub done: usize,
    /// All pieces.
    pub of: usize,
    /// What the jobs have come to so far.
    pub totals: Totals,
    /// What a piece waits for, if one does.
    pub waits: Option<String>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Yes.
    On,
    /// No: what was begun is ended.
    Stop,
    /// No, but somebody else goes on: what was begun is left to them.
    Leave,
}

/// What the jobs came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Keys.
    pub keys: u64,
    /// Bytes of contents.
    pub bytes: u64,
    /// Bytes of files.
    pub file_bytes: u64,
    /// Keys that existed, and stayed.
    pub existed: u64,
    /// Keys whose time was over.
    pub expired: u64,
}

impl Totals {
    fn add(&mut self, status: &JobStatus) {
        self.keys += status.keys;
        self.bytes += status.bytes;
        self.file_bytes += status.file_bytes;
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
        Ok(Self::new(nodes.iter().map(|node| (node.id, client.only(&node.http))).collect()))
    }

    /// These nodes, each with a client that asks nobody else.
    pub fn new(nodes: BTreeMap<u64, Client>) -> Self {
        Self { nodes }
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
            shares: BTreeMap::new(),
            statuses: BTreeMap::new(),
            totals: Totals::default(),
            kept: Instant::now(),
            work,
        };
        for piece in running.work.done.clone() {
            running.plan.skip(piece);
        }
        if running.work.takes_over {
            running.find_jobs();
        }
        let ended = running.run();
        let goes_on = matches!(&ended, Err(Ended::Left));
        if ended.is_err() && !goes_on {
            running.give_up();
        }
        if let Some(hold) = running.work.hold.as_ref().filter(|_| ended.is_ok()) {
            self.release(hold);
        }
        match ended {
            Ok(()) => Ok(running.totals),
            Err(Ended::Left) => Err(ErrorCode::Cancelled.into()),
            Err(Ended::Failed(fault)) => Err(fault),
        }
    }

    /// Ends the jobs of some work that nobody does any more, wherever they run.
    pub fn end(&self, name: &str, pieces: usize) {
        for node in self.nodes.values() {
            for piece in 0..pieces {
                // One that does not answer ends its jobs by itself, because nobody asks about them.
                if node.end_job(&job_name(name, piece)).is_err() {
                    break;
                }
            }
        }
    }

    /// States at a barrier are not needed any more; a node that does not hear it lets them go by itself.
    pub fn release(&self, hold: &str) {
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
    /// Among how many each piece that is under way was told to share the speed.
    shares: BTreeMap<usize, usize>,
    statuses: BTreeMap<usize, JobStatus>,
    totals: Totals,
    kept: Instant,
}

/// Why work ended before it was done.
enum Ended {
    Failed(Fault),
    /// Somebody else goes on.
    Left,
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl Running<'_> {
    fn run(&mut self) -> Result<(), Ended> {
        while !self.plan.is_done() {
            if let Some(fault) = self.plan.fault() {
                return Err(fault.clone().into());
            }
            self.start_due();
            for (piece, node) in self.plan.running() {
                self.look(piece, node)?;
            }
            self.keep();
            let seen = self.seen();
            match (self.work.watch)(&seen) {
                Go::On => {}
                Go::Stop => return Err(Fault::from(ErrorCode::Cancelled).into()),
                Go::Leave => return Err(Ended::Left),
            }
            if !self.plan.is_done() {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Takes over the jobs that somebody else has begun.
    fn find_jobs(&mut self) {
        let mut silent = std::collections::BTreeSet::new();
        for (piece, nodes) in self.work.pieces.iter().enumerate() {
            for node in nodes.iter().filter(|node| self.crew.nodes.contains_key(node)) {
                if silent.contains(node) {
                    continue;
                }
                match self.crew.nodes[node].job(&job_name(&self.work.name, piece)) {
                    Ok(status) if status.state == JobState::Unknown => {}
                    Ok(_) => {
                        self.plan.take_over(piece, *node);
                        self.heard.insert(piece, Instant::now());
                        break;
                    }
                    Err(_) => {
                        silent.insert(*node);
                    }
                }
            }
        }
    }

    /// Starts what can be started. All that are under way share the speed: whoever goes on hears first that there are
    /// more of them now, or fewer.
    fn start_due(&mut self) {
        let due = self.plan.due();
        let running = self.plan.running();
        self.shares.retain(|piece, _| running.iter().any(|(other, _)| other == piece));
        let has_speed = self.work.speed.rate.is_some() || self.work.speed.qps.is_some();
        for (piece, node) in running.iter().filter(|place| has_speed && !due.contains(place)) {
            if self.shares.get(piece) != Some(&running.len()) {
                self.tell_share(*piece, *node, running.len());
            }
        }
        for (piece, node) in due {
            self.start(piece, node, running.len());
        }
    }

    fn start(&mut self, piece: usize, node: u64, shares: usize) {
        let wish = self.wish(piece, shares, self.plan.is_repeated(piece));
        let started = match self.crew.nodes.get(&node) {
            Some(client) => client.start_job(&wish),
            None => Err(ErrorCode::Unreachable.into()),
        };
        self.heard.insert(piece, Instant::now());
        match started {
            Ok(_) => {
                self.shares.insert(piece, shares);
            }
            Err(fault) if fault.code.is_retryable() || fault.code == ErrorCode::OutcomeUnknown => {
                self.plan.heard(piece, node, Heard::Lost);
            }
            Err(fault) => self.plan.heard(piece, node, Heard::Failed(fault)),
        }
    }

    /// Tells a job that runs how many it shares the speed with. Should its node have forgotten it, it begins anew.
    fn tell_share(&mut self, piece: usize, node: u64, shares: usize) {
        let wish = self.wish(piece, shares, true);
        if self.crew.nodes.get(&node).is_some_and(|client| client.start_job(&wish).is_ok()) {
            self.shares.insert(piece, shares);
        }
    }

    /// A job with its share: together they keep to what was asked for.
    fn wish(&self, piece: usize, shares: usize, is_repeated: bool) -> JobWish {
        let share = |rate: Option<u64>| rate.map_or(0, |rate| (rate / shares.max(1) as u64).max(1));
        JobWish {
            name: job_name(&self.work.name, piece),
            what: (self.work.job)(piece, is_repeated),
            bytes_per_second: share(self.work.speed.rate),
            keys_per_second: share(self.work.speed.qps),
        }
    }

    fn look(&mut self, piece: usize, node: u64) -> Result<(), Fault> {
        let Some(client) = self.crew.nodes.get(&node) else { return Ok(()) };
        let name = job_name(&self.work.name, piece);
        let status = match client.job(&name) {
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
                let _ = client.end_job(&name);
                self.plan.heard(piece, node, Heard::Failed(fault));
            }
            JobState::Done => {
                self.statuses.remove(&piece);
                let _ = client.end_job(&name);
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
            if let Some(client) = self.crew.nodes.get(&node) {
                let _ = client.end_job(&job_name(&self.work.name, piece));
            }
        }
    }

    fn seen(&self) -> Seen {
        let mut totals = self.totals;
        self.statuses.values().for_each(|status| totals.add(status));
        let (done, of) = self.plan.done();
        let waiting = self.plan.running().into_iter().find_map(|(piece, node)| {
            let status = self.statuses.get(&piece).filter(|status| !status.waits.is_empty())?;
            Some(format!("node {node}: {}", status.waits))
        });
        Seen { done, of, totals, waits: waiting }
    }
}

fn job_name(work: &str, piece: usize) -> String {
    format!("{work}-{piece}")
}
