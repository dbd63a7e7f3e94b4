//! Laws: the cluster's metadata as a deterministic state machine.
