//! Faults: what can go wrong, as data, and what ends it again.

use crate::event::Place;
use crate::network::{Channel, Weather};

/// Something goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// `kill -9`; the process starts again after so many nanoseconds.
    Kill(Place, u64),
    /// The machine loses power, and has it again after so many nanoseconds.
    PowerCut(Place, u64),
    /// All processes are killed, or all machines lose power, and each starts again within this time.
    StopAll {
        /// Power instead of processes.
        power: bool,
        /// The longest time until one starts again.
        within: u64,
    },
    /// The process stands still, and goes on after so many nanoseconds.
    Pause(Place, u64),
    /// Nodes whose bit is set hear nothing from the others, and the other way round.
    Partition(u32, u64),
    /// Nothing arrives from the first at the second.
    OneWay(Place, Place, u64),
    /// Both ends of a blocked connection notice that it is dead.
    Notice(Place, Place),
    /// A connection breaks and comes back at once.
    Reset(Place, Place, Channel),
    /// Writes to the log take this long for a while.
    SlowDisk(Place, u64, u64),
    /// Applying takes this long for a while: the engine stalls.
    SlowApply(Place, u64, u64),
    /// The network is like this for a while.
    Weather(Weather, u64),
    /// The wall clock is off by so many milliseconds from now on.
    ClockJump(Place, i64),
    /// The clocks run at this rate, in parts per million.
    ClockRate(Place, u64),
    /// Somebody who runs the cluster moves a leader.
    Transfer,
    /// The same, and so many nanoseconds later the old leader is isolated for a while.
    TransferAndIsolate(u64, u64),
    /// The same, but the replica that is to lead dies before it hears of it, and the old leader's engine
    /// stalls: it goes on leading, never again with a lease in this term, and its reads must wait.
    TransferToDead(u64),
    /// While nobody writes, a leader and a follower do not hear each other; then the other follower, who
    /// heard both, starts again so fast that it could vote against its promise, while the leader is
    /// isolated. Down time, and how long the ways are blocked.
    Forgetful(u64, u64),
    /// Nothing arrives at a node.
    Deafen(Place, u64),
    /// Two nodes do not hear each other, and notice at once.
    CutPair(Place, Place, u64),
    /// Nothing arrives at a node or leaves it, and everybody notices at once.
    Isolate(Place, u64),
    /// Somebody who runs the cluster replaces a healthy replica on this node.
    Replace(Place),
    /// The process is killed, and one replica's state is gone when it starts again.
    Harm(Place, u64),
    /// Somebody who has a permit stops a node in an orderly way, and starts it after so many nanoseconds.
    Stop(Place, u64),
    /// All nodes of a data centre are lost in the same way, and come back after so many nanoseconds.
    LoseDc(usize, Loss, u64),
    /// Syncs of the log's disk do nothing for so many nanoseconds; then the machine loses power.
    Lie(Place, u64, u64),
}

/// How a data centre is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its power fails.
    Power,
    /// Its processes are killed.
    Processes,
    /// Nobody hears it any more.
    Network,
}

/// A fault ends.
#[derive(Clone, Debug)]
pub enum Repair {
    /// The process starts.
    Start(Place),
    /// The process goes on.
    Resume(Place),
    /// The ways are free.
    Unblock(Vec<(Place, Place)>),
    /// The disk is as fast as before.
    Disk(Place),
    /// Applying is as fast as before.
    Apply(Place),
    /// The network is as before.
    Weather,
}

impl Fault {
    /// Which kind it is: for the rule that every run has several.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill(..) => "kill",
            Fault::PowerCut(..) => "power cut",
            Fault::StopAll { .. } => "stop of all",
            Fault::Pause(..) => "pause",
            Fault::Partition(..) => "partition",
            Fault::OneWay(..) => "one-way block",
            Fault::Notice(..) => "notice",
            Fault::Reset(..) => "reset",
            Fault::SlowDisk(..) => "slow disk",
            Fault::SlowApply(..) => "slow apply",
            Fault::Forgetful(..) => "fast restart",
            Fault::Deafen(..) => "deaf node",
            Fault::CutPair(..) => "cut pair",
            Fault::Isolate(..) => "isolated node",
            Fault::Weather(..) => "bad network",
            Fault::ClockJump(..) => "clock jump",
            Fault::ClockRate(..) => "clock rate",
            Fault::Transfer | Fault::TransferAndIsolate(..) | Fault::TransferToDead(_) => "transfer",
            Fault::Replace(_) => "replacement",
            Fault::Harm(..) => "lost state",
            Fault::Stop(..) => "stop with a permit",
            Fault::LoseDc(..) => "loss of a data centre",
            Fault::Lie(..) => "lying disk",
        }
    }
}
