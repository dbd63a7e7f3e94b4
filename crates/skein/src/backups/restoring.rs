//! Writing the files of a saved table into a table, by all nodes.

use api::job::{Job, JobStatus, RestoreFile};
use backup::restores::RestoreRecord;
use backup::{Manifest, TableRecord, Target, read};
use types::Fault;

use super::at_time::AtTime;
use super::crew::{Crew, Go, Seen, Work};
use super::split_title;
use crate::cli::Speed;

/// In which way files are written.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How fast.
    pub speed: Speed,
    /// Deadlines are stored so many milliseconds later.
    pub expiry_shift_ms: u64,
    /// Keys with a stamp of this restore are its own, although a piece was not begun before.
    pub again: bool,
    /// Jobs that somebody else has begun may still run.
    pub takes_over: bool,
}

/// One table on its way.
pub struct One<'a> {
    pub target: &'a dyn Target,
    pub crew: &'a Crew,
    pub manifest: &'a Manifest,
    pub table: &'a TableRecord,
    /// The title of the table that is written to.
    pub to: &'a str,
    /// The time that is restored, if it is not the backup's own.
    pub at: Option<&'a AtTime>,
}

impl One<'_> {
    /// Writes all files that are not done, and records those that are, so that a later restore goes on.
    ///
    /// # Errors
    /// Why it cannot be done; what is done stays recorded.
    pub fn write(
        &self,
        record: &mut RestoreRecord,
        manner: Manner,
        watch: &mut dyn FnMut(&Seen) -> Go,
    ) -> Result<(), Fault> {
        let Manner { speed, expiry_shift_ms, again, takes_over } = manner;
        let (to_namespace, to_table) = split_title(self.to);
        let files = self.pieces();
        let done: Vec<usize> =
            (0..files.len()).filter(|piece| record.done.contains(&files[*piece].2)).collect();
        let (since, to_tid) = (record.since, record.tid);
        let (on_conflict, kinds) = (record.on_conflict.clone(), record.kinds.clone());
        let job = |piece: usize, repeated: bool| {
            let (partition, file, _) = &files[piece];
            let of = RestoreFile {
                url: self.target.url().to_owned(),
                backup: self.manifest.begun.id.clone(),
                namespace: self.table.namespace.clone(),
                table: self.table.name.clone(),
                partition: *partition,
                file: *file,
                to_namespace: to_namespace.clone(),
                to_table: to_table.clone(),
                to_tid,
                on_conflict: on_conflict.clone(),
                ours_since: since,
                again: repeated || again,
                kinds: kinds.clone(),
                expiry_shift_ms,
            };
            match self.at.and_then(|at| at.job(self.table, &of)) {
                Some(job) => job,
                None => Job::Restore(of),
            }
        };
        let ids = self.crew.ids();
        let name = restore_name(record);
        let mut ended = |piece: usize, status: &JobStatus| {
            record.done.push(files[piece].2.clone());
            record.totals.keys += status.keys;
            record.totals.existed += status.existed;
            record.totals.expired += status.expired;
            record.totals.bytes += status.bytes;
            record.store(self.target).map_err(|error| error.to_fault())
        };
        let written = self.crew.run(Work {
            name,
            pieces: files.iter().map(|_| ids.clone()).collect(),
            done,
            job: &job,
            ended: &mut ended,
            speed,
            hold: None,
            takes_over,
            watch,
        });
        written.map(drop)
    }

    /// What is restored on its own: the parts of a table, or its partitions if it is as of a time.
    pub fn pieces(&self) -> Vec<(u32, u32, String)> {
        let parts = match self.at {
            Some(_) => read::whole_partitions(self.table),
            None => read::parts(self.manifest, self.table),
        };
        parts.into_iter().map(|part| (part.partition, part.file, part.name)).collect()
    }
}

/// What the names of the jobs of a restore begin with.
pub fn restore_name(record: &RestoreRecord) -> String {
    let RestoreRecord { id, to, tid, since, .. } = record;
    format!("restore-{id}-{to}-{tid}-{since:x}")
}
