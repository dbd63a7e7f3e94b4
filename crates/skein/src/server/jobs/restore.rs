//! Into a table: the contents of a part of a backup, as requests to the partitions of their keys.
//!
//! ```text
//!   file ──block──► pieces ──by partition──► batches ──► gateway ──► groups
//!                                               ▲                      │
//!                                               └── again, if it is not known what became of it
//! ```
//!
//! Batches of different keys may overtake each other; nothing depends on their order. A collection that comes in
//! several pieces waits for each of them: only the reply to its first piece says whether the others are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use api::entry::RequestKind;
use api::job::RestoreFile;
use api::kv::{Import, Imported, KvAnswer, KvOp, KvReply, KvRequest, OnConflict, Piece};
use api::peer::Access;
use backup::Chain;
use backup::read::PartContents;
use backup::write::Pacer;
use bytes::Bytes;
use catalog::{DEFAULT_NAMESPACE, NAMESPACE_TABLE, TableRoute};
use node::{Call, Node};
use prost::Message;
use types::{ErrorCode, Fault, GroupId};

use super::save::kinds;
use super::{Running, lock};

/// Contents of one request: an entry with one such request is full.
const BATCH_BYTES: usize = 512 * 1024;
/// Bytes of requests that are under way at once; more would only wait in queues.
const IN_FLIGHT_BYTES: usize = 8 * 1024 * 1024;
/// How long a request is repeated before the job fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a job that waits for replies looks whether it is cancelled.
const LOOK: Duration = Duration::from_millis(100);
/// How long a node may take to hear of a table.
const HEAR_MAX: Duration = Duration::from_secs(5);

/// Writes the contents of a file into a table; of an increment those of a partition.
pub(super) fn file(node: &Arc<Node>, wish: &RestoreFile, job: &Running) -> Result<(), Fault> {
    let target = backup::open(&wish.url).map_err(|error| error.to_fault())?;
    let chain = Chain::load(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    let (table, part) = ((wish.namespace.as_str(), wish.table.as_str()), (wish.partition, wish.file));
    let part = PartContents::open(&*target, &chain, table, part);
    let mut part = part.map_err(|error| error.to_fault())?;
    let kinds = kinds(&wish.kinds)?;
    let mut restoring = Restoring::new(node, wish, job)?;
    let mut pacer = Pacer::new(&job.progress);
    let mut before = 0;
    while let Some(contents) = part.next_block().map_err(|error| error.to_fault())? {
        let (mut keys, bytes) = (0, part.bytes_read() - before);
        before = part.bytes_read();
        for piece in contents.pieces {
            if kinds.is_empty() || kinds.contains(&piece.kind) {
                keys += u64::from(piece.first == 0);
                restoring.take(piece)?;
            }
        }
        job.progress.file_bytes.fetch_add(bytes, Ordering::Relaxed);
        pacer.spend(keys, bytes).map_err(|error| error.to_fault())?;
    }
    restoring.finish()
}

/// A table being written to.
pub(super) struct Restoring<'a> {
    node: &'a Arc<Node>,
    wish: &'a RestoreFile,
    job: &'a Running,
    route: Arc<TableRoute>,
    rename: Rename,
    batches: BTreeMap<GroupId, Batch>,
    /// Requests without a reply.
    open: BTreeMap<u64, Open>,
    open_bytes: usize,
    next: u64,
    replies: Receiver<(u64, Result<Bytes, Fault>)>,
    reply_to: Sender<(u64, Result<Bytes, Fault>)>,
    /// Keys whose other pieces are not wanted.
    left_out: BTreeSet<Bytes>,
}

#[derive(Default)]
struct Batch {
    pieces: Vec<Piece>,
    bytes: usize,
}

/// A request under way.
struct Open {
    group: GroupId,
    batch: Batch,
    begun: Instant,
}

/// The table that is written to. One that was made a moment ago may not have been heard of here yet.
fn known_table(node: &Node, wish: &RestoreFile, job: &Running) -> Result<Arc<TableRoute>, Fault> {
    let begun = Instant::now();
    loop {
        let route = node.table(&wish.to_namespace, &wish.to_table);
        if let Some(route) = route.filter(|route| route.table.get() == wish.to_tid) {
            return Ok(route);
        }
        if begun.elapsed() > HEAR_MAX {
            let detail = format!("{}:{}", wish.to_namespace, wish.to_table);
            return Err(Fault::new(ErrorCode::UnknownTable, detail));
        }
        job.progress.sleep(LOOK).map_err(|error| error.to_fault())?;
    }
}

impl<'a> Restoring<'a> {
    /// Begins to write.
    ///
    /// # Errors
    /// `UnknownTable`.
    pub(super) fn new(node: &'a Arc<Node>, wish: &'a RestoreFile, job: &'a Running) -> Result<Self, Fault> {
        let route = known_table(node, wish, job)?;
        let (reply_to, replies) = channel();
        let rename = Rename::new(
            (&wish.namespace, &wish.table),
            (&wish.to_namespace, &wish.to_table),
            wish.expiry_shift_ms > 0,
        );
        Ok(Self {
            node,
            wish,
            job,
            route,
            rename,
            batches: BTreeMap::new(),
            open: BTreeMap::new(),
            open_bytes: 0,
            next: 0,
            replies,
            reply_to,
            left_out: BTreeSet::new(),
        })
    }

    /// Takes a piece on its way.
    pub(super) fn take(&mut self, mut piece: Piece) -> Result<(), Fault> {
        if piece.unfinished {
            return Ok(());
        }
        piece.key = self.rename.apply(piece.key)?;
        if piece.first == 0 {
            self.left_out.clear();
        } else if self.left_out.contains(&piece.key) {
            return Ok(());
        }
        let partition = self.route.partition_of(&piece.key);
        let group = self.route.partition(partition).map(|partition| partition.group);
        let group = group.ok_or(ErrorCode::UnknownPartition)?;
        let bytes = piece.encoded_len();
        let more = piece.more;
        let batch = self.batches.entry(group).or_default();
        if !batch.pieces.is_empty() && batch.bytes + bytes > BATCH_BYTES {
            self.send(group)?;
        }
        let batch = self.batches.entry(group).or_default();
        batch.pieces.push(piece);
        batch.bytes += bytes;
        if more {
            self.send(group)?;
            self.wait_below(0)?;
        }
        Ok(())
    }

    /// Sends what waits, and waits for all replies.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        let groups: Vec<GroupId> = self.batches.keys().copied().collect();
        groups.into_iter().try_for_each(|group| self.send(group))?;
        self.wait_below(0)
    }

    fn send(&mut self, group: GroupId) -> Result<(), Fault> {
        let Some(batch) = self.batches.remove(&group) else { return Ok(()) };
        self.wait_below(IN_FLIGHT_BYTES)?;
        self.submit(Open { group, batch, begun: Instant::now() }, self.wish.again);
        Ok(())
    }

    /// Gives a request to the gateway; `again` if it may have been carried out before.
    fn submit(&mut self, open: Open, again: bool) {
        let import = Import {
            pieces: open.batch.pieces.clone(),
            on_conflict: on_conflict(&self.wish.on_conflict) as i32,
            ours_since: if again { self.wish.ours_since } else { 0 },
            expiry_shift_millis: self.wish.expiry_shift_ms,
            ..Default::default()
        };
        let body = KvRequest::new(KvOp::Import(import)).encode_to_vec().into();
        let call = Call { group: open.group, access: Access::Write, kind: RequestKind::Data, body };
        let (id, reply_to) = (self.next, self.reply_to.clone());
        self.next += 1;
        self.open_bytes += open.batch.bytes;
        self.open.insert(id, open);
        if let Some(fault) = self.job.room.refusal(self.node, call.group, call.access) {
            drop(reply_to.send((id, Err(fault))));
            return;
        }
        // Nobody listens any more if the job has ended.
        self.node.submit(call, Box::new(move |reply| drop(reply_to.send((id, reply)))));
    }

    /// Waits until no more than this is under way.
    fn wait_below(&mut self, bytes: usize) -> Result<(), Fault> {
        while !self.open.is_empty() && self.open_bytes > bytes {
            self.job.progress.check().map_err(|error| error.to_fault())?;
            match self.replies.recv_timeout(LOOK) {
                Ok((id, reply)) => self.replied(id, reply)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ErrorCode::Internal.into()),
            }
        }
        Ok(())
    }

    fn replied(&mut self, id: u64, reply: Result<Bytes, Fault>) -> Result<(), Fault> {
        let Some(open) = self.open.remove(&id) else { return Ok(()) };
        self.open_bytes -= open.batch.bytes;
        let fault = match reply {
            Ok(bytes) => return self.imported(&open, bytes),
            Err(fault) => fault,
        };
        let may_pass = fault.code.is_retryable() || fault.code == ErrorCode::OutcomeUnknown;
        if !may_pass || open.begun.elapsed() > PATIENCE {
            return Err(fault);
        }
        *lock(&self.job.waits) = fault.to_string();
        self.job.progress.sleep(PAUSE).map_err(|error| error.to_fault())?;
        self.submit(open, true);
        Ok(())
    }

    fn imported(&mut self, open: &Open, reply: Bytes) -> Result<(), Fault> {
        let answer = KvReply::decode(reply).ok().and_then(|reply| reply.answer);
        let Some(KvAnswer::Imported(Imported { keys, existed, expired, refused, leave_out, .. })) = answer
        else {
            let detail = "the table cannot take what the backup holds";
            return Err(Fault::new(ErrorCode::VersionUnsupported, detail));
        };
        if let Some(key) = refused {
            return Err(Fault::new(ErrorCode::KeyExists, String::from_utf8_lossy(&key).into_owned()));
        }
        let job = self.job;
        lock(&job.waits).clear();
        job.progress.keys.fetch_add(keys, Ordering::Relaxed);
        job.progress.bytes.fetch_add(open.batch.bytes as u64, Ordering::Relaxed);
        job.existed.fetch_add(existed, Ordering::Relaxed);
        job.expired.fetch_add(expired, Ordering::Relaxed);
        self.left_out.extend(leave_out);
        Ok(())
    }
}

fn on_conflict(text: &str) -> OnConflict {
    match text {
        "skip" => OnConflict::Skip,
        "overwrite" => OnConflict::Overwrite,
        _ => OnConflict::Fail,
    }
}

/// How keys of one table are called in another.
///
/// Outside of the default namespace a stored key is `table:rest`, so that ZanKV's clients find it.
enum Rename {
    /// As they are.
    Same,
    /// The first prefix is taken off, the other put on.
    Prefix(Vec<u8>, Vec<u8>),
}

/// What the keys of a table begin with.
fn prefix((namespace, table): (&str, &str)) -> Vec<u8> {
    match namespace {
        DEFAULT_NAMESPACE => Vec::new(),
        _ => format!("{table}:").into_bytes(),
    }
}

/// Whether keys of one table are called the same in another. In the table of a whole namespace they are called as in its
/// tables.
pub(in crate::server) fn keeps_names(from: (&str, &str), to: (&str, &str)) -> bool {
    [from.1, to.1].contains(&NAMESPACE_TABLE) || prefix(from) == prefix(to)
}

impl Rename {
    fn new(from: (&str, &str), to: (&str, &str), scratch: bool) -> Self {
        // A scratch table is read by nobody, and compared with its source.
        match scratch || keeps_names(from, to) {
            true => Rename::Same,
            false => Rename::Prefix(prefix(from), prefix(to)),
        }
    }

    fn apply(&self, key: Bytes) -> Result<Bytes, Fault> {
        let Rename::Prefix(from, to) = self else { return Ok(key) };
        let rest = key.strip_prefix(&from[..]).ok_or_else(|| {
            let detail = format!("key '{}' is none of its table", String::from_utf8_lossy(&key));
            Fault::new(ErrorCode::BackupDamaged, detail)
        })?;
        Ok([to, rest].concat().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_called_as_their_table_has_them() {
        let renamed = |from, to, key: &'static str| Rename::new(from, to, false).apply(key.into());
        let (plain, flow, other) = (("default", "kv"), ("ns", "flow"), ("ns", "other"));
        assert_eq!(renamed(plain, ("default", "copy"), "a").unwrap(), "a");
        assert_eq!(renamed(plain, flow, "a").unwrap(), "flow:a");
        assert_eq!(renamed(flow, plain, "flow:a").unwrap(), "a");
        assert_eq!(renamed(flow, other, "flow:a").unwrap(), "other:a");
        assert_eq!(renamed(flow, ("ns", "_"), "flow:a").unwrap(), "flow:a");
        assert_eq!(renamed(("ns", "_"), ("n2", "_"), "flow:a").unwrap(), "flow:a");
        assert_eq!(renamed(flow, flow, "flow:a").unwrap(), "flow:a");
        assert!(renamed(flow, other, "b").is_err());
        assert_eq!(Rename::new(flow, plain, true).apply("flow:a".into()).unwrap(), "flow:a");
    }
}
