//! Drive: many Raft groups over one log.
