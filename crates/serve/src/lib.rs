//! Faces: sockets, sessions, the HTTP admin API and metrics.
