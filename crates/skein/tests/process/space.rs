//! Memory and disk that are not needed any more go back to the machine.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::SKEIN;
use super::support::{Cluster, Shape, alone, until, within};

const MIB: u64 = 1024 * 1024;
/// The largest value.
const VALUE_BYTES: usize = 8 * MIB as usize;
/// How long an idle node may keep the memory of values that are on the disk: well before anything is tidied.
const GIVEN_BACK: Duration = Duration::from_secs(15);

/// Memory that a process has, in bytes.
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// Bytes that a directory takes on disk.
fn disk_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // Removed meanwhile.
        Err(_) => 0,
    });
    bytes.sum()
}

#[test]
fn large_values_that_are_gone_leave_neither_memory_nor_disk() {
    let _alone = alone();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    std::thread::scope(|scope| {
        for client in 0..8 {
            let cluster = &cluster;
            scope.spawn(move || {
                let mut connection = cluster.redis(1);
                let value = vec![client as u8; VALUE_BYTES];
                for round in 0..3 {
                    let key = format!("large:{client}:{round}");
                    redis::cmd("SET").arg(&key).arg(&value).query::<()>(&mut connection).expect("written");
                    let read: Vec<u8> = redis::cmd("GET").arg(&key).query(&mut connection).expect("read");
                    assert_eq!(read.len(), VALUE_BYTES);
                }
            });
        }
    });
    let pid = cluster.pid(1);
    // Nobody asks the node for anything meanwhile.
    within(GIVEN_BACK, "memory given back", || (resident_bytes(pid) < 256 * MIB).then_some(()));

    let state = cluster.directory().node_directory(1).join("data/state");
    // How much is in the journal and how much, compressed, in tables is a matter of time.
    assert!(disk_bytes(&state) > 100 * MIB, "{} bytes of state", disk_bytes(&state));
    redis::cmd("FLUSHALL").query::<()>(&mut cluster.redis(1)).expect("flushed");
    // One journal is left.
    until("disk given back", || (disk_bytes(&state) < 100 * MIB).then_some(()));
}
