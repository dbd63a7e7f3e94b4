//! Matter: the kv engine, Redis values over ordered records.
