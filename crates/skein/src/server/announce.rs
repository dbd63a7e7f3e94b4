//! A node that is not heard tells where it is by HTTP, until the cluster knows it.
//!
//! Nodes talk over connections that each side calls by itself, at the addresses of the catalog. A node that
//! comes back at another address, or that has left the cluster while it was stopped, would be called by
//! nobody and so wait for ever. Any node of the cluster takes its word at the admin API.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use api::admin::JoinNode;
use api::auth::Secret;
use api::catalog::NodeRecord;
use client::Client;
use node::Node;
use types::{ErrorCode, Fault};

use super::End;
use crate::node_file::NodeFile;

/// Most nodes are known by then, and say nothing here.
const PATIENCE: Duration = Duration::from_secs(1);

/// The other nodes that this one knows at its start; `None` if there are none.
pub fn others(file: &NodeFile, secret: &Secret) -> Option<Client> {
    let others = file.founders.iter().filter(|founder| founder.id != file.node);
    let addresses: Vec<String> = others.map(|founder| founder.addresses.http.clone()).collect();
    (!addresses.is_empty()).then(|| Client::new(addresses, Some(secret)))
}

/// Says who this node is, again and again, until somebody has taken its word or it is ready anyway. If the
/// cluster has no such node any more, the process is to end.
///
/// # Errors
/// The system gives no thread.
pub fn until_known(
    node: &Arc<Node>,
    me: &NodeRecord,
    others: Option<Client>,
    end: mpsc::Sender<End>,
) -> Result<(), Fault> {
    let Some(others) = others else { return Ok(()) };
    let (node, wish) = (node.clone(), wish_of(me));
    let announce = move || {
        loop {
            std::thread::sleep(PATIENCE);
            if node.is_ready() {
                return;
            }
            match others.join(&wish) {
                Ok(_) => return,
                Err(fault) if fault.code == ErrorCode::NodeRemoved => {
                    // Without a listener the process ends already.
                    let _ = end.send(Err(fault));
                    return;
                }
                // Nobody who knows is there yet.
                Err(fault) => tracing::debug!(%fault, "not known yet"),
            }
        }
    };
    let spawned = std::thread::Builder::new().name("announce".into()).spawn(announce);
    spawned.map(|_| ()).map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))
}

fn wish_of(me: &NodeRecord) -> JoinNode {
    JoinNode {
        node: me.id,
        boot: format!("{:016x}", me.boot),
        endpoint: me.endpoint.clone(),
        redis: me.redis.clone(),
        zankv: me.zankv.clone(),
        http: me.http.clone(),
        roles: me.roles.clone(),
        version: me.version.clone(),
        feature_level: me.feature_level,
        labels: me.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect(),
        store: format!("{:016x}", me.store),
    }
}
