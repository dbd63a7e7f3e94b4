//! Member: routing, sessions and hosted replicas of one cluster member, without sockets.
