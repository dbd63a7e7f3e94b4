//! Contents written through the admin API: a key is seen when all of it is there, whatever breaks on the way.

use std::time::{Duration, Instant};

use api::kv::{Import, Imported};
use client::Client;
use prost::Message;
use types::{ErrorCode, Fault};

/// How long a request is repeated.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// The nodes of a cluster, any of which takes contents.
pub struct Contents {
    nodes: Vec<Client>,
    /// The one that is asked.
    at: usize,
}

impl Contents {
    /// Learns the cluster's nodes.
    ///
    /// # Errors
    /// What the node says that is asked, or that none answers.
    pub fn new(client: &Client) -> Result<Self, Fault> {
        let nodes = client.nodes()?.iter().map(|node| client.only(&node.http)).collect();
        Ok(Self { nodes, at: 0 })
    }

    /// Writes contents, and says whether the request was sent more than once: then it may have been carried out before,
    /// and keys that it wrote exist.
    ///
    /// # Errors
    /// What the cluster says, or the last that a node said while none could take it.
    pub fn write(
        &mut self,
        namespace: &str,
        table: &str,
        import: &Import,
    ) -> Result<(Imported, bool), Fault> {
        let begun = Instant::now();
        let mut is_again = false;
        loop {
            let node = self.nodes.get(self.at).ok_or(ErrorCode::Unreachable)?;
            let fault = match node.import(namespace, table, import.encode_to_vec()) {
                Ok(bytes) => {
                    let done =
                        Imported::decode(&bytes[..]).map_err(|_| Fault::from(ErrorCode::WireCorrupt))?;
                    return Ok((done, is_again));
                }
                Err(fault) => fault,
            };
            let may_pass = fault.code.is_retryable() || fault.code == ErrorCode::OutcomeUnknown;
            if !may_pass || begun.elapsed() > PATIENCE {
                return Err(fault);
            }
            is_again = true;
            self.at = (self.at + 1) % self.nodes.len();
            std::thread::sleep(PAUSE);
        }
    }
}
