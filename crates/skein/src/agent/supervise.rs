//! The law of the agent: what was observed of processes in, what to do with them out.
//!
//! No clock, no process, no file: time is an argument, and the tests are text (`testscripts/`).
//!
//! ```text
//!            start                 ready                   TERM sent
//!   stopped ───────► starting ───────────► ready ──┐   ┌────────────► stopping ──ended──► stopped
//!      ▲  ▲             │ ended              │ ended│   │                │ not in time
//!      │  └─clean───────┴──────────┬─────────┘      └───┘                └─► KILL
//!      │                           │ any other way
//!   refused ◄──refused─────────────┴──────────────────► waiting ──time──► starting
//! ```
//!
//! A node that was removed from the cluster ends by itself and says so; it is then forgotten.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use api::admin::ErrorBody;

use super::event::{Ending, Event};

/// How long a node may take to stop cleanly before it is killed. Stopping hands over leaders and flushes;
/// both take well under a second unless the disk is stuck.
pub const STOP_LIMIT: Duration = Duration::from_secs(15);
/// A node that dies before it has served this long died *soon*.
pub const SOON: Duration = Duration::from_secs(5);
/// So many soon deaths in a row are repaired at once.
pub const SOON_DEATHS_FREE: u32 = 2;
/// The first pause before a start; it doubles with each further soon death.
pub const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
pub const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What was observed. Processes are named by pid, so that late news of a former one is known as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A node of this agent was found running at the agent's start.
    Found {
        /// The node.
        node: u64,
        /// Its process.
        pid: u32,
    },
    /// A node of this agent was not running at the agent's start.
    Missing {
        /// The node.
        node: u64,
    },
    /// A process was started.
    Started {
        /// The node.
        node: u64,
        /// Its process.
        pid: u32,
    },
    /// A process could not even be started.
    NotStarted {
        /// The node.
        node: u64,
        /// What the system said.
        ending: Ending,
    },
    /// A node answered that it is ready.
    Ready {
        /// The node.
        node: u64,
        /// Its process.
        pid: u32,
    },
    /// A process ended.
    Ended {
        /// The node.
        node: u64,
        /// Its process.
        pid: u32,
        /// How.
        ending: Ending,
    },
    /// The agent is asked to stop all nodes and itself.
    StopAll,
    /// The agent is asked to start what is stopped.
    StartAll,
    /// The agent is asked to start what somebody has left a wish for, and what is new.
    Wishes,
    /// Somebody has left a wish that this node be started.
    Wished {
        /// The node.
        node: u64,
    },
    /// Time passed.
    Time,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start the node's process; the answer is `Started` or `NotStarted`.
    Start {
        /// The node.
        node: u64,
    },
    /// Ask the process to stop.
    Terminate {
        /// The process.
        pid: u32,
    },
    /// Kill the process.
    Kill {
        /// The process.
        pid: u32,
    },
    /// Tell people.
    Tell(Event),
    /// Look which nodes are new, and which are wished to be started; each is an observation.
    HeedWishes,
    /// Take the node out of the cluster's shape: it has left, and is not started any more.
    Forget {
        /// The node.
        node: u64,
    },
    /// End the agent.
    Finish,
}

/// All nodes of an agent.
#[derive(Debug, Default)]
pub struct Supervisor {
    nodes: BTreeMap<u64, Node>,
    stopping: bool,
}

/// A node, as far as the agent knows.
#[derive(Debug)]
struct Node {
    state: State,
    /// Deaths in a row, each soon after the start.
    soon_deaths: u32,
    /// What was told last of its deaths, as long as they go on at the longest pause: the same again is no
    /// news.
    told: Option<Ending>,
}

#[derive(Debug)]
enum State {
    /// Nothing runs and nothing will until somebody asks.
    Stopped,
    /// Nothing runs until this time.
    Waiting { until: Duration },
    /// A start was ordered and not yet confirmed.
    Ordered { since: Duration },
    /// A process runs and does not serve yet.
    Starting { pid: u32, since: Duration },
    /// A process serves.
    Serving { pid: u32, since: Duration },
    /// A process was asked to stop; it is killed at this time. `None`: it was killed already.
    Stopping { pid: u32, kill_at: Option<Duration> },
}

impl Supervisor {
    /// The next state, and what to do. `now` is any clock that does not go back.
    pub fn supervise(&mut self, observed: Observed, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        match observed {
            Observed::Found { node, pid } => self.found(node, pid, now, &mut actions),
            Observed::Missing { node } => self.missing(node, now, &mut actions),
            Observed::Started { node, pid } => self.started(node, pid, now, &mut actions),
            Observed::NotStarted { node, ending } => self.ended(node, ending, now, &mut actions),
            Observed::Ready { node, pid } => self.ready(node, pid, now, &mut actions),
            Observed::Ended { node, pid, ending } if self.runs(node, pid) => {
                self.ended(node, ending, now, &mut actions);
            }
            Observed::Ended { .. } => {}
            Observed::StopAll => self.stop_all(now, &mut actions),
            Observed::StartAll => self.start_where(|_| true, now, &mut actions),
            Observed::Wishes => actions.extend((!self.stopping).then_some(Action::HeedWishes)),
            Observed::Wished { node } => self.start_where(|id| id == node, now, &mut actions),
            Observed::Time => {}
        }
        self.pass_time(now, &mut actions);
        if self.stopping && self.nodes.values().all(|node| matches!(node.state, State::Stopped)) {
            actions.push(Action::Tell(Event::Finished));
            actions.push(Action::Finish);
        }
        actions
    }

    /// When time matters next.
    pub fn deadline(&self) -> Option<Duration> {
        let deadlines = self.nodes.values().filter_map(|node| match node.state {
            State::Waiting { until } => Some(until),
            State::Stopping { kill_at, .. } => kill_at,
            _ => None,
        });
        deadlines.min()
    }

    fn found(&mut self, id: u64, pid: u32, now: Duration, actions: &mut Vec<Action>) {
        self.nodes.insert(id, Node::new(State::Starting { pid, since: now }));
        actions.push(Action::Tell(Event::Adopted { node: id, pid }));
    }

    fn missing(&mut self, id: u64, now: Duration, actions: &mut Vec<Action>) {
        // It was added while everything is being stopped, and stays stopped like the others.
        if self.stopping {
            return;
        }
        self.nodes.insert(id, Node::new(State::Ordered { since: now }));
        actions.push(Action::Start { node: id });
    }

    fn started(&mut self, id: u64, pid: u32, now: Duration, actions: &mut Vec<Action>) {
        let stopping = self.stopping;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let State::Ordered { since } = node.state else { return };
        if node.told.is_none() {
            actions.push(Action::Tell(Event::Started { node: id, pid }));
        }
        if stopping {
            node.terminate(pid, now, actions);
        } else {
            node.state = State::Starting { pid, since };
        }
    }

    fn ready(&mut self, id: u64, pid: u32, now: Duration, actions: &mut Vec<Action>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        match node.state {
            State::Starting { pid: current, since } if current == pid => {
                node.state = State::Serving { pid, since: now };
                node.told = None;
                let after_ms = millis(now.saturating_sub(since));
                actions.push(Action::Tell(Event::Ready { node: id, after_ms }));
            }
            _ => {}
        }
    }

    fn ended(&mut self, id: u64, ending: Ending, now: Duration, actions: &mut Vec<Action>) {
        let stopping = self.stopping;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if ending.is_departure() {
            self.nodes.remove(&id);
            actions.extend([Action::Tell(Event::Left { node: id }), Action::Forget { node: id }]);
            return;
        }
        let asked = stopping || matches!(node.state, State::Stopping { .. });
        if asked || ending == Ending::Clean {
            node.state = State::Stopped;
            actions.push(Action::Tell(Event::Stopped { node: id, asked }));
            return;
        }
        if let (Ending::Refused { .. }, Some(fault)) = (&ending, ending.fault()) {
            node.state = State::Stopped;
            let error = ErrorBody::from(&fault);
            actions.push(Action::Tell(Event::Refused { node: id, error }));
            return;
        }
        let pause = node.pause_after_death(now);
        if node.told.as_ref() != Some(&ending) {
            node.told = (pause == PAUSE_MAX).then(|| ending.clone());
            let (again_in_ms, for_ever) = (millis(pause), node.told.is_some());
            actions.push(Action::Tell(Event::Died { node: id, ending, again_in_ms, for_ever }));
        }
        node.state = State::Waiting { until: now + pause };
    }

    fn stop_all(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.stopping = true;
        for node in self.nodes.values_mut() {
            match node.state {
                State::Starting { pid, .. } | State::Serving { pid, .. } => node.terminate(pid, now, actions),
                State::Waiting { .. } => node.state = State::Stopped,
                // A start that was ordered is stopped when it is confirmed.
                State::Ordered { .. } | State::Stopping { .. } | State::Stopped => {}
            }
        }
    }

    fn start_where(&mut self, is_meant: impl Fn(u64) -> bool, now: Duration, actions: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        for (&id, node) in &mut self.nodes {
            if is_meant(id) && matches!(node.state, State::Stopped | State::Waiting { .. }) {
                *node = Node::new(State::Ordered { since: now });
                actions.push(Action::Start { node: id });
            }
        }
    }

    fn pass_time(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for (&id, node) in &mut self.nodes {
            match node.state {
                State::Waiting { until } if now >= until => {
                    node.state = State::Ordered { since: now };
                    actions.push(Action::Start { node: id });
                }
                State::Stopping { pid, kill_at: Some(at) } if now >= at => {
                    node.state = State::Stopping { pid, kill_at: None };
                    let after_ms = millis(STOP_LIMIT);
                    actions.push(Action::Tell(Event::StopOverdue { node: id, after_ms }));
                    actions.push(Action::Kill { pid });
                }
                _ => {}
            }
        }
    }

    fn runs(&self, id: u64, pid: u32) -> bool {
        let Some(node) = self.nodes.get(&id) else { return false };
        matches!(
            node.state,
            State::Starting { pid: current, .. }
            | State::Serving { pid: current, .. }
            | State::Stopping { pid: current, .. } if current == pid
        )
    }
}

impl Node {
    fn new(state: State) -> Self {
        Self { state, soon_deaths: 0, told: None }
    }

    fn terminate(&mut self, pid: u32, now: Duration, actions: &mut Vec<Action>) {
        self.state = State::Stopping { pid, kill_at: Some(now + STOP_LIMIT) };
        actions.push(Action::Terminate { pid });
    }

    /// Counts a death and says how long to wait after it.
    fn pause_after_death(&mut self, now: Duration) -> Duration {
        let soon = match self.state {
            State::Serving { since, .. } => now.saturating_sub(since) < SOON,
            _ => true,
        };
        self.soon_deaths = if soon { self.soon_deaths.saturating_add(1) } else { 0 };
        let Some(doublings) = self.soon_deaths.checked_sub(SOON_DEATHS_FREE + 1) else {
            return Duration::ZERO;
        };
        PAUSE_FIRST.saturating_mul(1 << doublings.min(16)).min(PAUSE_MAX)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Start { node } => write!(f, "start node {node}"),
            Action::Terminate { pid } => write!(f, "terminate process {pid}"),
            Action::Kill { pid } => write!(f, "kill process {pid}"),
            Action::Tell(event) => write!(f, "tell \"{event}\""),
            Action::HeedWishes => f.write_str("heed wishes"),
            Action::Forget { node } => write!(f, "forget node {node}"),
            Action::Finish => f.write_str("finish"),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
