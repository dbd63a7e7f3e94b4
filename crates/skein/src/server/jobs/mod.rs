//! Jobs: what this node does for backups and restores, a few at once, on threads of their own.
//!
//! A job belongs to whoever asks about it. One that nobody has asked about for a while is cancelled, and one that
//! has ended is forgotten then: a command line that was killed leaves nothing behind.

mod archive;
mod pages;
mod restore;
mod restore_at;
mod save;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::archive::{ArchiveReport, ArchiveWish};
use api::entry::Barrier;
use api::job::{BarrierReport, BarrierWish, Job, JobError, JobState, JobStatus, JobSum, JobWish, KeyCount};
use api::kv::Import;
use api::peer::Access;
use backup::write::{Limits, Progress};
use bytes::Bytes;
use node::Node;
use pages::Pages;
use prost::Message;
use serve::http::{Answer, Jobs};
use tokio::sync::oneshot;
use types::{ErrorCode, Fault, GroupId, Hlc};

use super::archiver::Archiver;
use super::room::Room;
pub(super) use restore::keeps_names;

/// Jobs that run at once: with more, one partition's reading would only wait for the other's.
const THREADS: usize = 2;
/// Most jobs that a node knows.
const JOBS_MAX: usize = 256;
/// A job that nobody has asked about for so long is nobody's.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often a later stamp is chosen for a barrier before it is given up.
const BARRIER_ATTEMPTS: u32 = 8;

/// The jobs of a node.
pub struct NodeJobs {
    node: Arc<Node>,
    room: Arc<Room>,
    shared: Arc<Shared>,
    archiver: Arc<Archiver>,
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    /// Something was queued, or it is the end.
    news: Condvar,
}

#[derive(Default)]
struct Table {
    jobs: BTreeMap<String, Arc<Running>>,
    queue: VecDeque<Arc<Running>>,
    closed: bool,
}

/// A job, and how far it is.
pub(super) struct Running {
    wish: JobWish,
    /// What is written here looks at it first, as clients' writes do.
    room: Arc<Room>,
    progress: Progress,
    existed: AtomicU64,
    expired: AtomicU64,
    /// What it waits for and will try again; empty if it goes on.
    waits: Mutex<String>,
    /// What a job that hands out contents has to give.
    pages: Pages,
    stage: Mutex<Stage>,
    asked: Mutex<Instant>,
}

/// How a job is.
#[derive(Clone, Debug)]
enum Stage {
    Queued,
    Running,
    Ended(Result<Option<JobSum>, Fault>),
}

impl NodeJobs {
    /// Begins to do jobs; what a job needs disk for, and is of no use after it, lies under `scratch`.
    ///
    /// # Errors
    /// `Internal` if there can be no threads.
    pub fn start(node: Arc<Node>, room: Arc<Room>, scratch: &Path) -> Result<Arc<Self>, Fault> {
        let shared = Arc::<Shared>::default();
        let spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
            let spawned = std::thread::Builder::new().name(name).spawn(run);
            spawned.map(|_| ()).map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))
        };
        for place in 0..THREADS {
            let (node, shared) = (node.clone(), shared.clone());
            let scratch = scratch.join(place.to_string());
            spawn(format!("job-{place}"), Box::new(move || run_jobs(&node, &scratch, &shared)))?;
        }
        let tidied = shared.clone();
        spawn("job-tidy".into(), Box::new(move || while tidied.tidy() {}))?;
        let archiver = Archiver::start(node.clone())?;
        Ok(Arc::new(Self { node, room, shared, archiver }))
    }
}

impl Drop for NodeJobs {
    fn drop(&mut self) {
        let mut table = self.shared.table();
        table.closed = true;
        table.jobs.values().for_each(|job| job.cancel());
        drop(table);
        self.shared.news.notify_all();
    }
}

impl Jobs for NodeJobs {
    fn barrier(&self, wish: BarrierWish) -> Answer<BarrierReport> {
        let node = self.node.clone();
        Box::pin(async move {
            let id = hold_id(&wish.id)?;
            let tables = node.tables_of(&wish.tables)?;
            let groups: Vec<GroupId> =
                tables.iter().flat_map(|table| &table.groups).map(|group| GroupId(*group)).collect();
            let mut after = Hlc(0);
            for _ in 0..BARRIER_ATTEMPTS {
                let at = node.barrier_stamp(after);
                let (sender, receiver) = oneshot::channel();
                node.begin_barrier(&groups, Barrier { at: at.0, id }, move |places| {
                    drop(sender.send(places));
                });
                let places = receiver.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
                if places.values().all(|place| !place.late) {
                    return Ok(node.barrier_report(at, &tables, &places));
                }
                after = places.values().map(|place| Hlc(place.before)).max().unwrap_or(at).max(at);
            }
            let detail = "no stamp was ahead of the writes of all partitions in time";
            Err(Fault::new(ErrorCode::Overloaded, detail))
        })
    }

    fn keep(&self, id: &str) -> Result<(), Fault> {
        self.node.keep_holds(hold_id(id)?);
        Ok(())
    }

    fn release(&self, id: &str) -> Result<(), Fault> {
        self.node.release_holds(hold_id(id)?);
        Ok(())
    }

    fn start(&self, wish: JobWish) -> Result<JobStatus, Fault> {
        let mut table = self.shared.table();
        if let Some(job) = table.jobs.get(&wish.name) {
            // Whoever shares a rate out among jobs says so again when there are fewer of them.
            job.progress.limit(limits(&wish));
            return Ok(job.status());
        }
        if table.jobs.len() >= JOBS_MAX {
            return Err(Fault::new(ErrorCode::Overloaded, "this node has too many jobs"));
        }
        let job = Arc::new(Running::new(wish, self.room.clone()));
        table.jobs.insert(job.wish.name.clone(), job.clone());
        table.queue.push_back(job.clone());
        // Those who tidy up wait for news as well.
        self.shared.news.notify_all();
        Ok(job.status())
    }

    fn status(&self, name: &str) -> JobStatus {
        match self.shared.table().jobs.get(name) {
            Some(job) => job.status(),
            None => JobStatus { name: name.to_owned(), ..Default::default() },
        }
    }

    fn end(&self, name: &str) {
        if let Some(job) = self.shared.table().jobs.remove(name) {
            job.cancel();
        }
    }

    fn page(&self, name: &str, number: u64) -> Answer<Option<Bytes>> {
        let job = self.shared.table().jobs.get(name).cloned();
        Box::pin(async move {
            let job = job.ok_or_else(|| Fault::new(ErrorCode::NotThere, "there is no such job"))?;
            if let Some(fault) = job.fault() {
                return Err(fault);
            }
            *lock(&job.asked) = Instant::now();
            let taken = tokio::task::spawn_blocking(move || job.pages.take(number)).await;
            taken.map_err(|_| Fault::from(ErrorCode::Internal))?
        })
    }

    fn import(&self, namespace: &str, name: &str, body: Bytes) -> Answer<Bytes> {
        let (node, room) = (self.node.clone(), self.room.clone());
        let route = node.table(namespace, name);
        let table = format!("{namespace}:{name}");
        let is_restored = |found: &catalog::Catalog| {
            found.table_named(namespace, name).is_some_and(|table| !table.restoring.is_empty())
        };
        let restored = is_restored(&node.catalog());
        Box::pin(async move {
            if restored {
                return Err(Fault::new(ErrorCode::TableRestoring, table));
            }
            let route = route.ok_or_else(|| Fault::new(ErrorCode::UnknownTable, table))?;
            let groups = route.partitions.iter().map(|partition| partition.group);
            if let Some(fault) =
                groups.into_iter().find_map(|group| room.refusal(&node, group, Access::Write))
            {
                return Err(fault);
            }
            let import = Import::decode(body)
                .map_err(|_| Fault::new(ErrorCode::BadArgument, "the body is no import"))?;
            let (sender, receiver) = oneshot::channel();
            node.import(&route, import, move |done| drop(sender.send(done)));
            let done = receiver.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
            Ok(done.encode_to_vec().into())
        })
    }

    fn count(&self, namespace: &str, name: &str) -> Answer<KeyCount> {
        let node = self.node.clone();
        let table = format!("{namespace}:{name}");
        Box::pin(async move {
            let tables = node.tables_of(&[table])?;
            let groups: Vec<GroupId> =
                tables.iter().flat_map(|table| &table.groups).map(|group| GroupId(*group)).collect();
            let (sender, receiver) = oneshot::channel();
            node.count_keys(&groups, move |keys| drop(sender.send(keys)));
            let keys = receiver.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
            Ok(KeyCount { keys })
        })
    }

    fn begin_archive(&self, wish: ArchiveWish) -> Answer<ArchiveReport> {
        archive::begin(&self.node, &self.archiver, wish)
    }

    fn end_archive(&self) -> Answer<()> {
        archive::end(&self.node)
    }

    fn archive(&self) -> ArchiveReport {
        self.archiver.report()
    }

    fn catalog(&self) -> Answer<Bytes> {
        let node = self.node.clone();
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            node.read_catalog(move |records| drop(sender.send(records)));
            let records = receiver.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
            Ok(catalog::saved::to_file(&records).into())
        })
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` at the end.
    fn next(&self) -> Option<Arc<Running>> {
        let mut table = self.table();
        loop {
            if table.closed {
                return None;
            }
            if let Some(job) = table.queue.pop_front() {
                return Some(job);
            }
            table = self.news.wait(table).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// After a while, forgets jobs that are nobody's; whether to go on.
    fn tidy(&self) -> bool {
        let waited = self.news.wait_timeout(self.table(), LOOK);
        let (mut table, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_idle = |job: &Arc<Running>| lock(&job.asked).elapsed() > IDLE_MAX;
        let idle: Vec<String> =
            table.jobs.iter().filter(|(_, job)| is_idle(job)).map(|(name, _)| name.clone()).collect();
        for name in idle {
            if let Some(job) = table.jobs.remove(&name) {
                job.cancel();
            }
        }
        !table.closed
    }
}

impl Running {
    fn new(wish: JobWish, room: Arc<Room>) -> Self {
        Self {
            room,
            progress: Progress::within(limits(&wish)),
            wish,
            existed: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            waits: Mutex::default(),
            pages: Pages::default(),
            stage: Mutex::new(Stage::Queued),
            asked: Mutex::new(Instant::now()),
        }
    }

    fn cancel(&self) {
        self.progress.cancelled.store(true, Ordering::Relaxed);
    }

    /// Why it failed, if it did.
    fn fault(&self) -> Option<Fault> {
        match &*lock(&self.stage) {
            Stage::Ended(Err(fault)) => Some(fault.clone()),
            _ => None,
        }
    }

    fn status(&self) -> JobStatus {
        *lock(&self.asked) = Instant::now();
        let (state, sum, error) = match &*lock(&self.stage) {
            Stage::Queued => (JobState::Queued, None, None),
            Stage::Running => (JobState::Running, None, None),
            Stage::Ended(Ok(sum)) => (JobState::Done, sum.clone(), None),
            Stage::Ended(Err(fault)) => (JobState::Failed, None, Some(JobError::from(fault))),
        };
        JobStatus {
            name: self.wish.name.clone(),
            state,
            keys: self.progress.keys.load(Ordering::Relaxed),
            bytes: self.progress.bytes.load(Ordering::Relaxed),
            file_bytes: self.progress.file_bytes.load(Ordering::Relaxed),
            existed: self.existed.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
            waits: lock(&self.waits).clone(),
            sum,
            error,
        }
    }
}

fn run_jobs(node: &Arc<Node>, scratch: &Path, shared: &Shared) {
    // Clients go first: a backup has time.
    env::stand_back();
    while let Some(job) = shared.next() {
        *lock(&job.stage) = Stage::Running;
        // A bug in one job must not cost the others their thread.
        let run = std::panic::AssertUnwindSafe(|| run(node, scratch, &job));
        let ended = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(Fault::new(ErrorCode::Internal, "the job panicked")));
        if let Err(fault) = &ended {
            tracing::info!(job = job.wish.name, %fault, "job ended");
        }
        *lock(&job.stage) = Stage::Ended(ended);
    }
}

fn run(node: &Arc<Node>, scratch: &Path, job: &Running) -> Result<Option<JobSum>, Fault> {
    match &job.wish.what {
        Job::Save(wish) => save::partition(node, wish, job).map(|()| None),
        Job::Measure(wish) => save::measure(node, wish, job).map(Some),
        Job::Stream(wish) => save::stream(node, wish, job).map(|()| None),
        Job::Restore(wish) => restore::file(node, wish, job).map(|()| None),
        Job::RestoreAt(wish) => restore_at::partition(node, scratch, wish, job).map(|()| None),
    }
}

fn limits(wish: &JobWish) -> Limits {
    Limits { bytes_per_second: wish.bytes_per_second, keys_per_second: wish.keys_per_second }
}

/// Who asked for a barrier.
fn hold_id(text: &str) -> Result<u64, Fault> {
    let detail = || format!("'{text}' is not a number of up to 16 hexadecimal digits");
    u64::from_str_radix(text, 16).map_err(|_| Fault::new(ErrorCode::BadArgument, detail()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
