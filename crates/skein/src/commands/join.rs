//! How a node becomes one of a cluster that runs.
//!
//! ```text
//!   ticket written ──► the cluster gives an id ──► configuration written ──► ticket removed ──► the node starts
//! ```
//!
//! The ticket holds a random number under which the id is asked for. Whoever asks again under the same
//! number gets the same id, so a command that was killed between any two steps is simply given again, and
//! leaves no node behind that nobody runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use api::admin::{JoinNode, Joined};
use client::{Addresses, Client};
use serde::{Deserialize, Serialize};
use types::{ErrorCode, Fault};

use super::VERSION;
use crate::files::{Readers, fault, write_atomically};

/// The newest version of the ticket that this release reads, and the one that it writes.
const FORMAT: u32 = 1;
/// How long a cluster may take to answer: it may be looking for a leader.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// The pause between two questions.
const ASK_PAUSE: Duration = Duration::from_millis(200);

/// What a node that joins was promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    format: u32,
    /// What its id is asked for under, as 16 hexadecimal digits.
    boot: String,
    /// The first of its ports.
    pub base_port: u16,
    /// Where it stands.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Ticket {
    /// The ticket in the file, left there by a command that did not come to its end; else a new one, which is
    /// written before it is used.
    ///
    /// # Errors
    /// `BadFile`, `DataUnreadable`, `DiskFull`; whatever `base_port` says.
    pub fn open(
        path: &Path,
        labels: BTreeMap<String, String>,
        base_port: impl FnOnce() -> Result<u16, Fault>,
    ) -> Result<Self, Fault> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let bad =
                    |what: String| Fault::new(ErrorCode::BadFile, format!("{}: {what}", path.display()));
                let ticket: Self = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
                if ticket.format > FORMAT {
                    return Err(Fault::new(ErrorCode::DataNewer, path.display().to_string()));
                }
                Ok(ticket)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut boot = [0; 8];
                getrandom::fill(&mut boot)
                    .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
                let boot = format!("{:016x}", u64::from_be_bytes(boot).max(1));
                let ticket = Self { format: FORMAT, boot, base_port: base_port()?, labels };
                let text = toml::to_string(&ticket).expect("plain values under text names");
                write_atomically(path, &text, Readers::Everyone)?;
                Ok(ticket)
            }
            Err(error) => Err(fault(&error, path)),
        }
    }

    /// Asks the cluster for an id, until it answers.
    ///
    /// # Errors
    /// What the cluster says; `Unreachable` if it says nothing for long.
    pub fn redeem(&self, client: &Client, reached: &Addresses) -> Result<Joined, Fault> {
        let wish = JoinNode {
            node: 0,
            boot: self.boot.clone(),
            endpoint: reached.peer.clone(),
            redis: reached.redis.clone(),
            zankv: reached.zankv.clone(),
            http: reached.http.clone(),
            roles: Vec::new(),
            version: VERSION.to_owned(),
            feature_level: serve::peers::FEATURE_LEVEL,
            labels: self.labels.clone(),
            store: "0".into(),
        };
        let began = Instant::now();
        loop {
            match client.join(&wish) {
                Err(fault) if may_pass(fault.code) && began.elapsed() < ANSWER_LIMIT => {
                    std::thread::sleep(ASK_PAUSE);
                }
                answer => return answer,
            }
        }
    }
}

/// Whether the same question may have another answer in a moment.
fn may_pass(code: ErrorCode) -> bool {
    code.is_retryable() || matches!(code, ErrorCode::OutcomeUnknown | ErrorCode::SessionExpired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_the_same_until_it_is_removed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("joining.toml");
        let labels = BTreeMap::from([("rack".to_owned(), "r1".to_owned())]);
        let ticket = Ticket::open(&path, labels.clone(), || Ok(7030)).expect("written");
        assert_eq!((ticket.base_port, &ticket.labels), (7030, &labels));
        let again = Ticket::open(&path, BTreeMap::new(), || unreachable!("it is there")).expect("read");
        assert_eq!(again, ticket);
        std::fs::remove_file(&path).expect("there");
        let other = Ticket::open(&path, labels, || Ok(7030)).expect("written");
        assert_ne!(other.boot, ticket.boot);
        std::fs::write(&path, "boot = 7").expect("written");
        let damaged = Ticket::open(&path, BTreeMap::new(), || Ok(7030)).expect_err("no ticket");
        assert_eq!(damaged.code, ErrorCode::BadFile);
    }
}
