//! Faces: the admin API from Rust.
