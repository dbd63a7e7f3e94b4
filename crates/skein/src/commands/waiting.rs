//! Waiting until a cluster serves, and saying meanwhile what is waited for.
//!
//! ```text
//!   every node ready, or out of the question ────────► done when all is served, or will not be
//!   a majority ready, all served for a while ────────► done: the rest comes up, or is rebuilt, by itself
//!   neither, for very long ──────────────────────────► given up
//! ```

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use api::admin::{Status, Verdict};
use client::{Client, Directory, Health, Lookup, Topology};
use types::{ErrorCode, Fault};

use super::refusals;
use crate::exit;
use crate::say;

/// How long a start may take before `up` gives up waiting: a node may have much log to replay.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The pause between two looks at a cluster that is about to serve.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// The pause between two looks at a status that may not be the last word.
const STATUS_PAUSE: Duration = Duration::from_millis(200);
/// Nodes that are not ready although everything is served so long take their time.
const SERVED_PATIENCE: Duration = Duration::from_secs(3);
/// What is not served although every node has been ready so long will not be.
const UNSERVED_PATIENCE: Duration = Duration::from_secs(15);
/// A node that was asked to start is believed to have refused before only after so long.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
/// Who waits longer is told for what, this often at most.
const WORDS_PAUSE: Duration = Duration::from_secs(2);

/// What the agent's events say of the start so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Not all is known yet.
    Waiting,
    /// Every node serves or refuses to.
    Done,
}

/// A cluster as it was when nothing more was to be waited for.
pub struct Waited {
    /// What the cluster says.
    pub status: Status,
    /// Nodes that do not serve yet, or will not.
    pub missing: BTreeSet<u64>,
}

/// Waits until every node that can be ready is and every partition has a leader; or until everything has been
/// served for a while, whatever the other nodes do.
///
/// # Errors
/// What `hear` says; `DataDamaged` as soon as a node that runs says so; after [`START_LIMIT`] the last answer.
pub fn until_serving(
    directory: &Directory,
    topology: &Topology,
    hear: &mut dyn FnMut(Duration) -> Result<Settled, Fault>,
) -> Result<Waited, Fault> {
    let lookup = Lookup { directory: Some(directory.path().to_owned()), ..Lookup::default() };
    let client = lookup.client()?;
    let began = Instant::now();
    let mut words = Words { told_at: began, told: String::new() };
    // Since when the status has been what it is, and when it was asked last.
    let (mut served, mut settled_since, mut asked) = (None::<Instant>, None::<Instant>, None::<Instant>);
    let mut last: Result<Status, Fault> = Err(ErrorCode::NotReady.into());
    loop {
        let settled = hear(LOOK_PAUSE)? == Settled::Done;
        let missing = not_ready(topology);
        let refused = refused(directory, topology, began);
        let all_up = settled || missing.is_subset(&refused);
        let enough = missing.len() * 2 < topology.nodes.len();
        if all_up || (enough && asked.is_none_or(|at| at.elapsed() > STATUS_PAUSE)) {
            asked = Some(Instant::now());
            last = client.status();
        }
        settled_since = settled_since.or(all_up.then(Instant::now)).filter(|_| all_up);
        match &last {
            Ok(status) if status.verdict != Verdict::Unavailable && !status.partitions.is_empty() => {
                let since = *served.get_or_insert_with(Instant::now);
                if all_up || since.elapsed() > SERVED_PATIENCE {
                    return Ok(Waited { status: status.clone(), missing });
                }
            }
            Ok(status) if settled_since.is_some_and(|since| since.elapsed() > UNSERVED_PATIENCE) => {
                return Ok(Waited { status: status.clone(), missing });
            }
            Err(fault) if fault.code == ErrorCode::DataDamaged => return Err(fault.clone()),
            _ => served = None,
        }
        if began.elapsed() > START_LIMIT {
            return Err(match last {
                Ok(status) => Fault::new(ErrorCode::NotReady, status.summary),
                Err(fault) => fault,
            });
        }
        words.tell(topology, &missing, &refused, last.as_ref().ok());
        // Events are waited for; without them (a running cluster) this is the pause.
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// The nodes that do not say that they serve.
fn not_ready(topology: &Topology) -> BTreeSet<u64> {
    let is_ready = |http: String| matches!(Client::new(vec![http], None).health(), Ok(Health::Ready));
    let missing = topology.nodes.iter().filter(|node| !is_ready(topology.reached(node).http));
    missing.map(|node| node.id).collect()
}

/// The nodes that ended with an error which a restart does not cure.
fn refused(directory: &Directory, topology: &Topology, began: Instant) -> BTreeSet<u64> {
    if began.elapsed() < REFUSAL_PATIENCE {
        return BTreeSet::new();
    }
    let for_good = |code: &str| {
        let code = code.parse().unwrap_or(ErrorCode::Internal);
        matches!(exit::of(code), exit::REFUSED | exit::USAGE)
    };
    let refusals = refusals::of(directory, topology).into_iter();
    refusals.filter(|refusal| for_good(&refusal.error.code)).map(|refusal| refusal.node).collect()
}

/// What was said while waiting.
struct Words {
    told_at: Instant,
    told: String,
}

impl Words {
    /// Says what is waited for, if that was not said a moment ago.
    fn tell(
        &mut self,
        topology: &Topology,
        missing: &BTreeSet<u64>,
        refused: &BTreeSet<u64>,
        status: Option<&Status>,
    ) {
        if self.told_at.elapsed() < WORDS_PAUSE {
            return;
        }
        let words = waiting_for(topology, missing, refused, status);
        if words != self.told {
            say::note(format_args!("waiting for {words}"));
            self.told = words;
        }
        self.told_at = Instant::now();
    }
}

/// `node 2, which is being rebuilt (3 of 9 replicas in sync)`.
fn waiting_for(
    topology: &Topology,
    missing: &BTreeSet<u64>,
    refused: &BTreeSet<u64>,
    status: Option<&Status>,
) -> String {
    let awaited: Vec<u64> = missing.difference(refused).copied().collect();
    if awaited.is_empty() {
        return status.map_or("a status".into(), |status| format!("leaders: {}", status.summary));
    }
    if awaited.len() == topology.nodes.len() {
        return "the nodes to open their data and to find each other".into();
    }
    let nodes = awaited.iter().map(|&node| {
        format!("node {node} ({})", status.map_or("starting".into(), |status| progress(status, node)))
    });
    nodes.collect::<Vec<_>>().join(", ")
}

/// How far a node is that does not serve yet.
pub fn progress(status: &Status, node: u64) -> String {
    let replicas = status.partitions.iter().flat_map(|partition| &partition.replicas);
    let states: Vec<&str> =
        replicas.filter(|replica| replica.node == node).map(|replica| replica.state.as_str()).collect();
    let in_sync = states.iter().filter(|state| **state == "in-sync").count();
    let what = if states.contains(&"lost") { "being rebuilt" } else { "catching up" };
    match states.len() {
        0 => "starting".into(),
        all => format!("{what}: {in_sync} of {} in sync", say::count(all as u64, "replica")),
    }
}
