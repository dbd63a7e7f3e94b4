//! What survives a process: a disk, a store of records, and clocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::records::MemoryRecordStore;
use types::StateId;
use wal::model::ModelDisk;

use crate::clock::NodeClock;
use crate::random::Random;

/// One machine. A process runs on it, or none.
pub struct Machine {
    /// Where the log lies.
    pub disk: ModelDisk,
    /// Where states lie.
    pub records: MemoryRecordStore,
    /// Its clocks.
    pub clock: Arc<NodeClock>,
    /// Syncs of its log's disk have lied. For good: what that cost may show at any later start.
    pub lied: bool,
    /// Syncs do nothing at the moment.
    pub disk_lies: bool,
    /// States that were taken away.
    pub harmed: BTreeSet<StateId>,
}

impl Machine {
    /// The process was killed: what it gave to the kernel is there, of its state perhaps not all, because
    /// a store may keep the latest writes to itself for a while.
    pub fn kill(&mut self, random: &mut Random) {
        if random.permille(500) {
            self.records.crash(random.next());
        }
    }

    /// The power went: what was not synced is lost, kept or torn.
    pub fn power_cut(&mut self, random: &mut Random) {
        self.disk = self.disk.crash(random.next());
        self.records.crash(random.next());
        self.disk.set_syncs_lie(false);
        self.disk_lies = false;
    }
}
