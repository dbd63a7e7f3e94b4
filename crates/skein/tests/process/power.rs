//! Power cuts: the cluster's file system is copied under load, and the cluster is started from the copies.
//!
//! ```text
//!   writers ──► three nodes ──► ext4 in an image on a loop device
//!                                     │  all nodes paused for the instant of a copy
//!                                     └──► copy 1 … copy 50 ──► mounted, started, read
//! ```
//!
//! The image holds what reached the device; what only stood in the page cache of the file system is not in
//! a copy, as it is not on a disk after the power failed. The nodes are paused while the image is copied,
//! because a power cut happens at one moment and a copy takes some. Nothing is flushed for it.
//!
//! That the test sees what it claims to see is shown by the second one: with `fsync` taken away from the
//! nodes (by a library put before the system's own; the product has no switch for it), the same test finds
//! lost writes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::SKEIN;
use super::support::{Cluster, Shape, alone, send, until};

/// Power cuts.
const CUTS: usize = 50;
/// Power cuts without fsync; the first one should do.
const CUTS_WITHOUT_FSYNC: usize = 5;
/// Writers, each with keys of its own.
const WRITERS: usize = 8;
/// Writes that must be acknowledged between two cuts, so that each finds something new.
const WRITES_BETWEEN: u64 = 200;
/// Size of the image; it is sparse.
const IMAGE: &str = "2G";
/// Keys that are asked for at once.
const KEYS_AT_ONCE: u64 = 1000;

/// A library whose fsync does nothing.
const NO_FSYNC: &str = "
int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int msync(void *p, unsigned long n, int f) { (void)p; (void)n; (void)f; return 0; }
int sync_file_range(int fd, long o, long n, unsigned f) { (void)fd; (void)o; (void)n; (void)f; return 0; }
int syncfs(int fd) { (void)fd; return 0; }
";

/// A mounted image.
struct Mounted {
    image: PathBuf,
    at: PathBuf,
}

/// What a copy of the image must hold: of each writer, its first so many keys.
type Acknowledged = Vec<u64>;

#[test]
fn power_cuts_under_load_lose_no_acknowledged_write() {
    let _alone = alone();
    let Some(folder) = folder() else { return };
    let cuts = cut_under_load(folder.path(), CUTS, Vec::new());
    for (i, (image, acknowledged)) in cuts.iter().enumerate() {
        let lost = lost_writes(folder.path(), image, acknowledged);
        assert_eq!(lost, 0, "cut {i}: of {} acknowledged writes", acknowledged.iter().sum::<u64>());
    }
}

#[test]
fn without_fsync_the_same_test_finds_lost_writes() {
    let _alone = alone();
    let Some(folder) = folder() else { return };
    let library = folder.path().join("no_fsync.so");
    let source = folder.path().join("no_fsync.c");
    std::fs::write(&source, NO_FSYNC).expect("written");
    run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source));
    let environment = vec![("LD_PRELOAD".to_owned(), library.display().to_string())];
    let cuts = cut_under_load(folder.path(), CUTS_WITHOUT_FSYNC, environment);
    let lost: u64 =
        cuts.iter().map(|(image, acknowledged)| lost_writes(folder.path(), image, acknowledged)).sum();
    assert!(lost > 0, "nothing was lost without fsync: this test would not see a node that forgets it");
}

/// A folder for images, or why there is none.
fn folder() -> Option<tempfile::TempDir> {
    let is_root = rustix::process::getuid().is_root();
    let tools = ["losetup", "mkfs.ext4", "mount", "cp"];
    let missing = tools.into_iter().find(|tool| {
        !["/sbin", "/usr/sbin", "/bin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(tool).exists())
    });
    let why = match (is_root, missing, Path::new("/dev/loop-control").exists()) {
        (false, ..) => "only root can mount an image".to_owned(),
        (_, Some(tool), _) => format!("{tool} is not installed"),
        (_, _, false) => "this system has no loop devices".to_owned(),
        _ => return Some(tempfile::tempdir().expect("a temporary directory")),
    };
    eprintln!("SKIPPED: power cuts are not tested here: {why}");
    None
}

/// Runs a cluster on an image under load, and copies the image so often.
fn cut_under_load(
    folder: &Path,
    cuts: usize,
    environment: Vec<(String, String)>,
) -> Vec<(PathBuf, Acknowledged)> {
    let image = folder.join("image");
    run(Command::new("truncate").args(["-s", IMAGE]).arg(&image));
    run(Command::new("mkfs.ext4").arg("-q").arg(&image));
    let mounted = Mounted::mount(&image, folder.join("disk"));
    let shape = Shape { environment, ..Shape::default() };
    let cluster = Cluster::at(SKEIN, mounted.at.join("cluster"), shape);
    cluster.up();
    let acknowledged: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let over = AtomicBool::new(false);
    let copies = std::thread::scope(|scope| {
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let (cluster, over) = (&cluster, &over);
            scope.spawn(move || write(cluster, writer, acknowledged, over));
        }
        let copies = (0..cuts).map(|cut| copy(folder, cut, &cluster, &image, &acknowledged)).collect();
        over.store(true, Ordering::Relaxed);
        copies
    });
    drop(cluster);
    copies
}

/// Writes keys of its own, one after another, each acknowledged before the next.
fn write(cluster: &Cluster, writer: usize, acknowledged: &AtomicU64, over: &AtomicBool) {
    let mut connection = cluster.redis(1 + writer as u64 % 3);
    connection.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        // Nothing fails here: nodes are paused for moments, and never die.
        redis::cmd("SET")
            .arg(format!("w{writer}:{number}"))
            .arg(number)
            .query::<()>(&mut connection)
            .expect("an acknowledged write");
        acknowledged.store(number + 1, Ordering::Release);
    }
}

/// One power cut: the image as it is at this moment, and what was acknowledged before.
fn copy(
    folder: &Path,
    cut: usize,
    cluster: &Cluster,
    image: &Path,
    acknowledged: &[AtomicU64],
) -> (PathBuf, Acknowledged) {
    let all = || acknowledged.iter().map(|count| count.load(Ordering::Acquire)).collect::<Vec<u64>>();
    let before: u64 = all().iter().sum();
    until("some writes", || (all().iter().sum::<u64>() >= before + WRITES_BETWEEN).then_some(()));
    let copied = folder.join(format!("copy-{cut}"));
    let pids: Vec<u32> = cluster.nodes().into_iter().map(|node| cluster.pid(node)).collect();
    let acknowledged = all();
    pids.iter().for_each(|&pid| send(pid, Signal::STOP));
    run(Command::new("cp").arg("--sparse=always").arg(image).arg(&copied));
    pids.iter().for_each(|&pid| send(pid, Signal::CONT));
    (copied, acknowledged)
}

/// Starts a cluster from a copy and counts the acknowledged writes that it does not have.
fn lost_writes(folder: &Path, image: &Path, acknowledged: &Acknowledged) -> u64 {
    let mounted = Mounted::mount(image, folder.join("copied-disk"));
    let cluster = Cluster::at(SKEIN, mounted.at.join("cluster"), Shape::default());
    let output = cluster.try_up(&[]);
    if !output.status.success() {
        // Damage that keeps it from starting is a loss of everything.
        eprintln!("{}", super::support::words(&output));
        return acknowledged.iter().sum::<u64>().max(1);
    }
    let mut connection = cluster.redis(1);
    let mut lost = 0;
    for (writer, &count) in acknowledged.iter().enumerate() {
        for from in (0..count).step_by(KEYS_AT_ONCE as usize) {
            let numbers = from..count.min(from + KEYS_AT_ONCE);
            let mut command = redis::cmd("MGET");
            numbers.clone().for_each(|number| {
                command.arg(format!("w{writer}:{number}"));
            });
            let values: Vec<Option<u64>> = until("an answered MGET", || command.query(&mut connection).ok());
            lost += numbers.zip(values).filter(|(number, value)| value != &Some(*number)).count() as u64;
        }
    }
    cluster.kill_all();
    lost
}

impl Mounted {
    fn mount(image: &Path, at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).expect("a mount point");
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(&at));
        Self { image: image.into(), at }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Processes that were just killed may hold it for a moment.
        let unmount =
            || Command::new("umount").arg(&self.at).output().is_ok_and(|output| output.status.success());
        let mut tries = 0;
        while !unmount() && tries < 100 {
            tries += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = std::fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
