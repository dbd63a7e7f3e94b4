//! Process tests: the real binary, real clients, real signals.

mod agent;
mod archive;
mod archive_care;
mod backup;
mod blocking;
mod commands;
mod damage;
mod foreign_data;
mod growing;
mod guide_fedb;
mod import;
mod incremental;
mod load;
mod lost_majority;
mod meta;
mod operations;
mod power;
mod restarts;
mod restore;
mod space;
mod support;
mod transactions;
mod zankv;
mod zankv_files;

use support::Cluster;

/// The binary under test.
const SKEIN: &str = env!("CARGO_BIN_EXE_skein");

/// A cluster of three nodes that serves.
fn three() -> Cluster {
    Cluster::start(SKEIN, support::Shape::default())
}

/// `SET key value`, tried again while the cluster looks for a leader.
fn set(cluster: &Cluster, node: u64, key: &str, value: &str) {
    let mut connection = cluster.redis(node);
    support::until("an acknowledged SET", || {
        redis::cmd("SET").arg(key).arg(value).query::<()>(&mut connection).ok()
    });
}

/// `GET key`, tried again while the cluster looks for a leader.
fn get(cluster: &Cluster, node: u64, key: &str) -> Option<String> {
    let mut connection = cluster.redis(node);
    support::until("an answered GET", || {
        redis::cmd("GET").arg(key).query::<Option<String>>(&mut connection).ok()
    })
}
