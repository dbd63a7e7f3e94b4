//! Coverage: what the runs went through, so that a quiet run is not taken for a good one.

use replication::Counters;

pub mod steps;

use steps::Steps;

use crate::history::{Call, Operation, Outcome, Reply};

macro_rules! coverage {
    ($($name:ident $about:literal;)*) => {
        /// How often things happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Coverage {
            $(#[doc = $about] pub $name: u64,)*
            /// The steps of operations.
            pub steps: Steps,
        }

        impl Coverage {
            /// Adds another run's.
            pub fn add(&mut self, other: &Coverage) {
                $(self.$name += other.$name;)*
                self.steps.add(&other.steps);
            }

            /// Every line of the table, without the steps of operations.
            pub fn lines(&self) -> Vec<(&'static str, u64)> {
                vec![$(($about, self.$name)),*]
            }
        }
    };
}

coverage! {
    elections "elections won";
    transfers "leader transfers asked for";
    truncations "log suffixes replaced by a new leader";
    log_cuts "logs cut at their front";
    entries_waited "committed entries that waited until apply had room";
    snapshots_sent "snapshots sent";
    snapshots_installed "snapshots installed";
    membership_changes "membership changes applied";
    replicas_replaced "replicas replaced by new ones";
    replicas_damaged "replicas found damaged at start";
    lease_expiries "leases that ran out";
    reads_by_lease "reads by lease";
    unchanged_by_lease "writes that changed nothing, answered by lease";
    reads_by_quorum "reads by quorum";
    sessions_repeated "requests answered from a session's memory";
    operations "client operations";
    outcomes_unknown "operations of unknown outcome";
    waits_answered "clients in line told that there is something, or nothing";
    waits_served "commands that waited and got an element";
    waits_ended "commands that waited in vain";
    exchanges "transactions that happened because their watched key had not changed";
    exchanges_refused "transactions that did not happen because their watched key had changed";
    bundles "transactions on several collections";
    retries "attempts repeated by gateways";
    forwarded "requests forwarded to another node";
    kills "processes killed";
    power_cuts "power cuts";
    cluster_stops "stops of the whole cluster";
    torn_writes "power cuts in the middle of a log write";
    lying_disks "power cuts of a disk whose syncs lie";
    logs_damaged "logs found damaged at start";
    promises_lost "replicas given up because their disk lied";
    partitions "partitions of the network";
    one_way "ways blocked in one direction";
    fast_restarts "followers restarted faster than their promise";
    crashes_in_install "crashes while a snapshot was installed";
    deaf "nodes that heard nothing";
    isolated "nodes that were isolated at once";
    resets "connections reset";
    pauses "processes paused";
    slow_disks "disks slow for a while";
    slow_applies "engines stalled for a while";
    slow_networks "networks slow or lossy for a while";
    clock_jumps "wall clocks set";
    clock_rates "clocks made faster or slower";
    packets_dropped "packets dropped";
    packets_repeated "packets repeated";
    packets_reordered "packets overtaken";
    packets_encoded "packets through the wire codec";
    messages_refused "Raft messages refused by validation";
    digests_compared "digests compared at equal positions";
    catalog_copies "catalog copies sent to nodes without a replica of it";
    commands_accepted "commands of operators accepted";
    plans_refused "commands of operators refused when planned";
    commands_refused "commands of operators refused by the catalog";
    commands_repeated "commands of operators repeated, because the answer was lost";
    joined "operations asked for while the same went on, and joined";
    plans_late "plans started some time after they were shown";
    cancelled "operations cancelled";
    forgotten "operations forgotten";
    settings_set "settings changed";
    permits_granted "permits to stop a node granted";
    permits_refused "permits refused";
    tables_made "tables made";
    founders_chosen "groups that got other founders before they began";
    nodes_joined "nodes added";
    nodes_left "nodes that left";
    automated "operations begun by the automation";
    steps_seen "changes of operations";
    commands_stale "changes of operations refused, because they were made from an old record";
    evidence_checked "hashes of evidence compared with the truth";
    repeats_checked "changes of operations applied twice";
    votes_checked "memberships that lost a voter while an operation ran";
    dcs_lost "data centres lost";
    ended_by_hand "operations cancelled at the end";
}

impl Coverage {
    /// A client has heard how an operation ended.
    pub fn note_operation(&mut self, operation: &Operation) {
        match (&operation.call, &operation.outcome) {
            (Call::Exchange { .. }, Outcome::Returned(..)) => self.exchanges += 1,
            (Call::Exchange { .. }, Outcome::Refused) => self.exchanges_refused += 1,
            (Call::Join(_) | Call::Members, Outcome::Returned(..)) => self.bundles += 1,
            (call, Outcome::Returned(_, Reply::Value(None))) if call.waits() => self.waits_ended += 1,
            (call, Outcome::Returned(..)) if call.waits() => self.waits_served += 1,
            _ => {}
        }
    }

    /// Adds what a worker counted.
    pub fn add_counters(&mut self, counters: &Counters) {
        self.elections += counters.elections;
        self.truncations += counters.truncations;
        self.log_cuts += counters.log_cuts;
        self.entries_waited += counters.entries_waited;
        self.snapshots_sent += counters.snapshots_sent;
        self.snapshots_installed += counters.snapshots_installed;
        self.membership_changes += counters.membership_changes;
        self.lease_expiries += counters.lease_expiries;
        self.reads_by_quorum += counters.reads_by_quorum;
        self.sessions_repeated += counters.sessions_repeated;
        self.messages_refused += counters.messages_refused;
    }
}
