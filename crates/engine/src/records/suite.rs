//! The shared suite of record stores.
