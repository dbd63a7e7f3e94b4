//! The catalog's records: what a cluster knows of itself.
