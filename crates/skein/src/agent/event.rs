//! What an agent tells: words for people, one line of JSON each for programs.

use std::fmt;
use std::time::Duration;

use api::admin::ErrorBody;
use serde::{Deserialize, Serialize};
use types::{ErrorCode, Fault};

/// How a node's process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Stopped cleanly: by the agent, or by somebody else's SIGTERM.
    Clean,
    /// It refuses to run; the same start would be refused again.
    Refused {
        /// Why, as it told.
        code: String,
        /// What exactly.
        detail: String,
    },
    /// It gave up with an error that may pass.
    Failed {
        /// Why, as it told.
        code: String,
        /// What exactly.
        detail: String,
    },
    /// It ended with this exit code and without a word.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was adopted and is gone without a word: killed, most likely.
    Gone,
}

/// Something that happened to a node, or to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A node's process began.
    Started {
        /// The node.
        node: u64,
        /// Its process.
        pid: u32,
    },
    /// A node that was running already is watched from now on.
    Adopted {
        /// The node.
        node: u64,
        /// Its process.
        pid: u32,
    },
    /// A node serves.
    Ready {
        /// The node.
        node: u64,
        /// Milliseconds since its process began, or since it was adopted.
        after_ms: u64,
    },
    /// A node's process ended and will be started again.
    Died {
        /// The node.
        node: u64,
        /// How.
        ending: Ending,
        /// Milliseconds until it is started again.
        again_in_ms: u64,
        /// It will be started again so often for as long as it ends in this way, and nothing is told of that.
        #[serde(default)]
        for_ever: bool,
    },
    /// A node was stopped and stays stopped.
    Stopped {
        /// The node.
        node: u64,
        /// Whether the agent asked it to.
        asked: bool,
    },
    /// A node refuses to run and is left alone.
    Refused {
        /// The node.
        node: u64,
        /// Why.
        error: ErrorBody,
    },
    /// A node has left the cluster, and is forgotten.
    Left {
        /// The node.
        node: u64,
    },
    /// The cluster's shape could not be read or written; the nodes go on.
    ShapeUnknown {
        /// Why.
        error: ErrorBody,
    },
    /// A node did not stop in time.
    StopOverdue {
        /// The node.
        node: u64,
        /// Milliseconds that it had.
        after_ms: u64,
    },
    /// The agent itself ends; no node of its runs any more.
    Finished,
}

impl Ending {
    /// Whether the node ended because the cluster has no such node any more.
    pub fn is_departure(&self) -> bool {
        matches!(self, Ending::Refused { code, .. } if code == ErrorCode::NodeRemoved.as_str())
    }

    /// The fault that it is, where the node told one.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Ending::Refused { code, detail } | Ending::Failed { code, detail } => {
                let code = code.parse().unwrap_or(ErrorCode::Internal);
                Some(Fault::new(code, detail.clone()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Clean => f.write_str("was stopped"),
            Ending::Refused { .. } | Ending::Failed { .. } => match self.fault() {
                Some(fault) => write!(f, "gave up: {fault}"),
                None => f.write_str("gave up"),
            },
            Ending::Exit(code) => write!(f, "ended with exit code {code}"),
            Ending::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Ending::Gone => f.write_str("is gone"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: &u64| Duration::from_millis(*ms).as_secs_f64();
        match self {
            Event::Started { node, pid } => write!(f, "node {node}: started, process {pid}"),
            Event::Adopted { node, pid } => write!(f, "node {node}: found running, process {pid}"),
            Event::Ready { node, after_ms } => write!(f, "node {node}: ready in {:.1} s", seconds(after_ms)),
            Event::Died { node, ending, again_in_ms: 0, .. } => {
                write!(f, "node {node}: {ending}; starting it again")
            }
            Event::Died { node, ending, again_in_ms, for_ever: true } => {
                let pause = seconds(again_in_ms);
                write!(f, "node {node}: {ending}; starting it again every {pause:.0} s until that changes")
            }
            Event::Died { node, ending, again_in_ms, .. } => {
                write!(f, "node {node}: {ending}; starting it again in {:.1} s", seconds(again_in_ms))
            }
            Event::Stopped { node, asked: true } => write!(f, "node {node}: stopped"),
            Event::Stopped { node, asked: false } => {
                write!(f, "node {node}: was stopped by somebody else and stays so; 'skein up' starts it")
            }
            Event::Refused { node, error } => {
                write!(f, "node {node}: refuses to run: {} [{}]", error.cause, error.code)?;
                for line in error.detail.lines() {
                    write!(f, "\n       {line}")?;
                }
                write!(f, "\n next: {}", error.hint)
            }
            Event::Left { node } => {
                write!(f, "node {node}: has left the cluster; its directory is not needed any more")
            }
            Event::ShapeUnknown { error } => {
                write!(f, "cluster.toml: {}: {} [{}]", error.cause, error.detail, error.code)
            }
            Event::StopOverdue { node, after_ms } => {
                write!(f, "node {node}: did not stop within {:.0} s; killing it", seconds(after_ms))
            }
            Event::Finished => f.write_str("stopped"),
        }
    }
}
