//! A log under test beside what it must be: random steps, faults and power cuts, and after each cut the
//! question whether the log is what it was after some batch that is not before the last durable one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use types::{GroupId, LogIndex};

use super::DIR;
use crate::model::{Fault, ModelDisk};
use crate::suite::{entry, position};
use crate::{GroupWrite, LogEntry, LogError, LogOptions, LogStore, MemoryLog, SegmentedLog};

/// One step of a history. Numbers are taken relative to what there is, so that every step makes sense.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write {
        parts: Vec<Part>,
        sync: bool,
    },
    Cut {
        group: u64,
        part: u8,
    },
    Reclaim,
    /// Ends the process and opens the log again; the page cache survives.
    Restart,
    /// Cuts the power and opens the log again, with the power failing `again` operations later if any.
    PowerCut {
        seed: u64,
        again: Option<u8>,
    },
    /// Lets the power or the disk fail some operations later.
    Inject {
        after: u8,
        fault: Fault,
    },
    /// No more room than this beyond what is used, or as much as there may be.
    Room {
        bytes: Option<u16>,
    },
}

/// What a batch does to one group.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Append { group: u64, overlap: u8, count: u8, bytes: u16 },
    Reset { group: u64, index: u8 },
    Delete { group: u64 },
    Record { group: u64, bytes: u8 },
}

/// The state after one batch, and how far its groups were cut until the next one came.
#[derive(Clone)]
struct Snapshot {
    uncut: MemoryLog,
    cuts: BTreeMap<GroupId, LogIndex>,
}

pub(crate) struct History {
    pub(crate) disk: ModelDisk,
    options: LogOptions,
    pub(crate) log: Option<SegmentedLog>,
    /// What the log shows.
    visible: MemoryLog,
    /// The states that a power cut may leave; the first one is the oldest that is allowed.
    possible: Vec<Snapshot>,
    term: u64,
    /// Decides what power cuts leave that come by themselves.
    pub(crate) seed: u64,
    /// Power cuts that lost something: the tests look whether there were any.
    pub(crate) losses: u64,
}

impl History {
    pub(crate) fn new(options: LogOptions) -> Self {
        let mut history = Self {
            disk: ModelDisk::new(),
            options,
            log: None,
            visible: MemoryLog::new(),
            possible: vec![Snapshot { uncut: MemoryLog::new(), cuts: BTreeMap::new() }],
            term: 1,
            seed: 0,
            losses: 0,
        };
        history.log = Some(history.open().expect("an empty disk"));
        history
    }

    fn open(&self) -> Result<SegmentedLog, LogError> {
        let disk = Arc::new(self.disk.clone());
        SegmentedLog::open(disk, PathBuf::from(DIR), self.options.clone())
    }

    fn log(&self) -> &SegmentedLog {
        self.log.as_ref().expect("open between steps")
    }

    /// Does one step. Errors say what is wrong with the log.
    pub(crate) fn step(&mut self, step: &Step) -> Result<(), String> {
        let outcome = match step {
            Step::Write { parts, sync } => self.write(parts, *sync),
            Step::Cut { group, part } => self.cut(GroupId(*group), *part),
            Step::Reclaim => self.log().reclaim(),
            Step::Restart => return self.restart(),
            Step::PowerCut { seed, again } => return self.power_cut(*seed, *again),
            Step::Inject { after, fault } => {
                self.disk.inject(u64::from(*after), *fault);
                Ok(())
            }
            Step::Room { bytes } => {
                let used: u64 = self.disk.files().iter().map(|(_, bytes)| bytes).sum();
                self.disk.set_capacity(bytes.map(|bytes| used + u64::from(bytes)));
                Ok(())
            }
        };
        match outcome {
            Ok(()) | Err(LogError::DiskFull) => self.compare_visible(),
            Err(LogError::Disk(_)) => {
                let again = self.log().write(&[], true);
                if !matches!(again, Err(LogError::Disk(_))) {
                    return Err(format!("a log whose disk failed goes on: {again:?}"));
                }
                self.start_again()
            }
            Err(error) => Err(format!("{step:?} failed: {error}")),
        }
    }

    /// After the disk failed: sometimes it is only the process that goes. The page cache may then hold
    /// bytes and names that the disk has not, and the power may go while the log is being opened.
    fn start_again(&mut self) -> Result<(), String> {
        match self.seed % 4 {
            0 | 2 => return self.power_cut(self.seed, None),
            1 => {}
            _ => self.disk.inject(self.seed / 4 % 8, Fault::PowerOff),
        }
        self.restart()
    }

    fn write(&mut self, parts: &[Part], sync: bool) -> Result<(), LogError> {
        let mut batch = Vec::new();
        let scratch = self.visible.clone();
        for part in parts {
            let write = self.resolve(part, &scratch);
            scratch.write(std::slice::from_ref(&write), true).expect("a write that fits");
            batch.push(write);
        }
        // Before the outcome is known: a batch that failed half-way may be there after a crash.
        let newest = self.possible.last().expect("never empty").clone();
        newest.uncut.write(&batch, true).expect("what fits the cut log fits the uncut one");
        self.possible.push(newest);
        let outcome = self.log().write(&batch, sync);
        match outcome {
            Ok(()) => self.visible.write(&batch, sync).expect("what one log takes the other takes"),
            Err(LogError::DiskFull) => drop(self.possible.pop()),
            Err(_) => {}
        }
        if sync && outcome.is_ok() {
            self.possible.drain(..self.possible.len() - 1);
        }
        outcome
    }

    fn resolve(&mut self, part: &Part, now: &MemoryLog) -> GroupWrite {
        match *part {
            Part::Append { group, overlap, count, bytes } => {
                let group = GroupId(group);
                let (start, last) = now.group(group).map_or((0, 0), |s| (s.start.index.0, s.last.index.0));
                let first = (last + 1).saturating_sub(u64::from(overlap)).max(start + 1);
                self.term += u64::from(overlap > 0);
                let to = first + u64::from(count);
                let entries = (first..=to).map(|index| entry(index, self.term, bytes.into())).collect();
                GroupWrite { group, entries, ..GroupWrite::default() }
            }
            Part::Reset { group, index } => {
                self.term += 1;
                let reset = Some(position(index.into(), self.term));
                GroupWrite { group: GroupId(group), reset, ..GroupWrite::default() }
            }
            Part::Delete { group } => {
                GroupWrite { group: GroupId(group), delete: true, ..GroupWrite::default() }
            }
            Part::Record { group, bytes } => {
                self.term += 1;
                let record = Some(Bytes::from(vec![self.term as u8; bytes.into()]));
                GroupWrite { group: GroupId(group), record, ..GroupWrite::default() }
            }
        }
    }

    /// Cuts about `part` of 256 of the group's entries.
    fn cut(&mut self, group: GroupId, part: u8) -> Result<(), LogError> {
        let Some(summary) = self.visible.group(group) else { return Ok(()) };
        let entries = summary.last.index.0 - summary.start.index.0;
        let index = LogIndex(summary.start.index.0 + entries * u64::from(part) / 255);
        self.log().cut(group, index)?;
        self.visible.cut(group, index).expect("within the entries");
        self.possible.last_mut().expect("never empty").cuts.insert(group, index);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        self.log = None;
        match self.open() {
            Ok(log) => self.adopt(log),
            Err(LogError::Disk(_)) => self.power_cut(self.seed, None),
            // A full disk lets nobody start. Make room, as an operator would.
            Err(LogError::DiskFull) => {
                self.disk.set_capacity(None);
                self.restart()
            }
            Err(error) => Err(format!("restart: {error}")),
        }
    }

    fn power_cut(&mut self, seed: u64, again: Option<u8>) -> Result<(), String> {
        self.seed = self.seed.wrapping_mul(31).wrapping_add(seed ^ 7);
        self.log = None;
        self.disk = self.disk.crash(seed);
        if let Some(after) = again {
            self.disk.inject(after.into(), Fault::PowerOff);
        }
        self.restart()
    }

    /// Takes over a log that was opened again, if it is one of the possible states.
    fn adopt(&mut self, log: SegmentedLog) -> Result<(), String> {
        let fits = |snapshot: &Snapshot| is_state(&log, snapshot);
        let Some(at) = self.possible.iter().rposition(fits) else {
            return Err(format!(
                "none of {} possible states, the oldest {:?}, the newest {:?}: {:?}",
                self.possible.len(),
                self.possible.first().map(|snapshot| snapshot.uncut.groups()),
                self.possible.last().map(|snapshot| snapshot.uncut.groups()),
                log.groups(),
            ));
        };
        self.losses += u64::from(at + 1 < self.possible.len());
        let uncut = self.possible[at].uncut.clone();
        for summary in log.groups() {
            uncut.cut(summary.group, summary.start.index).expect("a start that was compared");
        }
        // What was brought back is durable, and what was not may never come back.
        self.visible = uncut.clone();
        self.possible = vec![Snapshot { uncut, cuts: BTreeMap::new() }];
        self.log = Some(log);
        self.compare_visible()
    }

    /// Compares everything that the log shows with the model.
    pub(crate) fn compare_visible(&self) -> Result<(), String> {
        if self.log().groups() != self.visible.groups() {
            let (is, should) = (self.log().groups(), self.visible.groups());
            return Err(format!("groups are {is:?}\nnot {should:?}"));
        }
        for summary in self.visible.groups() {
            if all_entries(self.log(), summary.group)? != all_entries(&self.visible, summary.group)? {
                return Err(format!("entries of {:?} differ", summary.group));
            }
        }
        Ok(())
    }
}

/// Whether the log is in this state, with each group cut somewhere between not at all and as far as was
/// allowed.
fn is_state(log: &SegmentedLog, snapshot: &Snapshot) -> bool {
    let (is, should) = (log.groups(), snapshot.uncut.groups());
    is.len() == should.len()
        && is.iter().zip(&should).all(|(is, should)| {
            let cut = snapshot.cuts.get(&is.group).copied().unwrap_or_default();
            let allowed = should.start.index..=cut.max(should.start.index);
            if is.group != should.group || !allowed.contains(&is.start.index) {
                return false;
            }
            let model = snapshot.uncut.clone();
            model.cut(is.group, is.start.index).is_ok()
                && model.group(is.group).as_ref() == Some(is)
                && all_entries(log, is.group) == all_entries(&model, is.group)
        })
}

fn all_entries(log: &dyn LogStore, group: GroupId) -> Result<Vec<LogEntry>, String> {
    let Some(summary) = log.group(group) else { return Err(format!("no {group:?}")) };
    let (from, to) = (summary.start.index.next(), summary.last.index.next());
    log.entries(group, from, to, u64::MAX).map_err(|error| error.to_string())
}
