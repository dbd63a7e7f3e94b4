//! `kill -9` of a process that writes, flushes and compacts: each state is left at a batch that it had
//! reached, with exactly the records of the batches up to it.
//!
//! The child is this test's own program, told by an environment variable where to write.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::ops::Bound;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use engine::records::{Batch, RecordStore, Records};
use records_fjall::{FjallStore, StoreOptions};
use tempfile::TempDir;
use types::StateId;

const DIRECTORY: &str = "SKEIN_TEST_KILL_DIRECTORY";
const STATES: u64 = 3;
/// Keys that are overwritten round after round.
const KEYS: u64 = 5_000;
const RECORDS_PER_BATCH: u64 = 50;
const LAST: &[u8] = b"~last";

fn open(path: &Path) -> FjallStore {
    // Little memory, so that the child is killed among flushes and compactions.
    let options = StoreOptions { write_buffer_bytes: 2 * 1024 * 1024, block_cache_bytes: 1024 * 1024 };
    FjallStore::open(path, options).unwrap()
}

fn key(number: u64) -> Vec<u8> {
    format!("{:08}", number % KEYS).into()
}

/// The value that a batch writes: its number, and bytes to fill memory and files.
fn value(batch: u64) -> Vec<u8> {
    batch.to_be_bytes().repeat(20)
}

fn number_in(value: &[u8]) -> u64 {
    u64::from_be_bytes(value[..8].try_into().unwrap())
}

fn last_of(records: &dyn Records) -> u64 {
    records.get(LAST).unwrap().map_or(0, |value| number_in(&value))
}

/// Not a test of its own: what the child does until it is killed.
#[test]
fn child() {
    let Some(path) = std::env::var_os(DIRECTORY) else { return };
    let store = open(Path::new(&path));
    let open = |state| store.open(state).or_else(|_| store.create(state)).unwrap();
    let states: Vec<Arc<dyn Records>> = (1..=STATES).map(|state| open(StateId(state))).collect();
    let mut next: Vec<u64> = states.iter().map(|records| last_of(&**records) + 1).collect();
    for turn in 0_u64.. {
        for (records, next) in states.iter().zip(&mut next) {
            let mut batch = Batch::default();
            for place in 0..RECORDS_PER_BATCH {
                batch.put(key(*next * RECORDS_PER_BATCH + place), value(*next));
            }
            batch.put(LAST, value(*next));
            records.write(batch).unwrap();
            *next += 1;
        }
        if turn % 40 == 0 {
            store.persist().unwrap();
            let durable: Vec<String> = next.iter().map(|next| (next - 1).to_string()).collect();
            // In one write, so that a kill does not leave half a line.
            let line = format!("durable {}\n", durable.join(" "));
            std::io::stderr().write_all(line.as_bytes()).unwrap();
        }
    }
}

fn start(path: &Path) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["child", "--exact", "--nocapture"]).env(DIRECTORY, path);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Lets a child write until it has called some batches durable, kills it, and returns what it said last.
fn run_and_kill(path: &Path, reports: usize) -> Vec<u64> {
    let mut child = start(path);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut durable = Vec::new();
    let mut seen = 0;
    for line in lines.by_ref() {
        let line = line.unwrap();
        let Some(numbers) = line.strip_prefix("durable ") else { panic!("the child says: {line}") };
        durable = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        seen += 1;
        if seen == reports {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it managed to say meanwhile counts as well.
    for line in lines.map_while(Result::ok) {
        if let Some(numbers) = line.strip_prefix("durable ") {
            durable = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        }
    }
    durable
}

fn check(records: &dyn Records) -> u64 {
    let last = last_of(records);
    let mut expected = std::collections::BTreeMap::new();
    // Earlier rounds are overwritten; two rounds back cover every key.
    let rounds = 2 * KEYS / RECORDS_PER_BATCH;
    for batch in last.saturating_sub(rounds).max(1)..=last {
        for place in 0..RECORDS_PER_BATCH {
            expected.insert(key(batch * RECORDS_PER_BATCH + place), batch);
        }
    }
    let view = records.view();
    let found = view.range(Bound::Unbounded, Bound::Excluded(LAST), false).map(|record| {
        let (key, value) = record.unwrap();
        (key.to_vec(), number_in(&value))
    });
    assert!(found.eq(expected), "the records are not those of batches up to {last}");
    last
}

#[test]
fn a_killed_process_leaves_whole_batches_up_to_one() {
    let directory = TempDir::new().unwrap();
    for reports in [1, 3, 8, 2, 12] {
        let durable = run_and_kill(directory.path(), reports);
        let store = open(directory.path());
        for (state, durable) in (1..=STATES).zip(durable) {
            let last = check(&*store.open(StateId(state)).unwrap());
            assert!(last >= durable, "batch {durable} was durable, but only {last} are left");
        }
    }
}
