//! Matter: ordered records on disk, kept by fjall.
