//! Whether a restore fits where it goes, before anything is written.

use api::admin::NodeStatus;
use types::{ErrorCode, Fault};

use crate::say;

/// What a key costs besides its contents: record headers, the index of its file, and what compression does not
/// give back.
const KEY_BYTES: u64 = 64;

/// Refuses a restore of so many bytes in so many keys that some node has no room for. Nodes that do not say how much
/// they have are taken to have enough.
///
/// # Errors
/// `NoRoom`, with the numbers.
pub(super) fn check(nodes: &[&NodeStatus], bytes: u64, keys: u64, replicas: u32) -> Result<(), Fault> {
    let stored = bytes.saturating_add(keys.saturating_mul(KEY_BYTES)).saturating_mul(u64::from(replicas));
    let share = stored.div_ceil(nodes.len().max(1) as u64);
    // Half as much again: the log holds what was written last, and files are rewritten before old ones go.
    let needed = share.saturating_add(share / 2);
    let short = nodes.iter().find_map(|node| Some((node.id, node.free_bytes.filter(|free| *free < needed)?)));
    let Some((node, free)) = short else { return Ok(()) };
    let detail = format!(
        "{} of contents in {replicas} replicas on {} need about {} on each, and node {node} has {} free",
        say::bytes(bytes),
        say::count(nodes.len() as u64, "node"),
        say::bytes(needed),
        say::bytes(free)
    );
    Err(Fault::new(ErrorCode::NoRoom, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        let node = |id, free_bytes| NodeStatus { id, free_bytes, ..NodeStatus::default() };
        let (large, small, silent) = (node(1, Some(4 << 30)), node(2, Some(1 << 30)), node(3, None));
        assert!(check(&[&large, &silent], 2 << 30, 0, 2).is_ok());
        let refused = check(&[&large, &small, &silent], 1 << 30, 0, 3).expect_err("no room");
        assert_eq!(refused.code, ErrorCode::NoRoom);
        assert_eq!(
            refused.detail,
            "1.0 GiB of contents in 3 replicas on 3 nodes need about 1.5 GiB on each, and node 2 has 1.0 GiB free"
        );
        // Small keys cost more than their bytes.
        assert!(check(&[&small], 0, 1 << 20, 1).is_ok());
        assert!(check(&[&small], 0, 16 << 20, 1).is_err());
        assert!(check(&[&small], u64::MAX, u64::MAX, 7).is_err());
    }
}
