//! Writing the files of a saved table into a table, by all nodes.

use api::job::{Job, JobStatus, RestoreFile};
use backup::restores::RestoreRecord;
use backup::{Manifest, TableRecord, Target, read};
use client::Client;
use types::{ErrorCode, Fault, Hlc};

use super::at_time::AtTime;
use super::crew::{Crew, Go, Seen, Totals, Work};
use super::{barrier, split_title, title};
use crate::cli::Speed;

/// In which way files are written.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How fast.
    pub speed: Speed,
    /// Deadlines are stored so many milliseconds later.
    pub expiry_shift_ms: u64,
    /// An earlier restore may have written something.
    pub again: bool,
}

/// One table on its way.
pub struct One<'a> {
    pub target: &'a dyn Target,
    pub client: &'a Client,
    pub crew: &'a Crew,
    pub manifest: &'a Manifest,
    pub table: &'a TableRecord,
    /// The title of the table that is written to.
    pub to: &'a str,
    /// The time that is restored, if it is not the backup's own.
    pub at: Option<&'a AtTime>,
}

impl One<'_> {
    /// A stamp that no write of the table has reached yet, and every later one will have.
    ///
    /// # Errors
    /// What a barrier is refused for.
    pub fn stamp(&self) -> Result<u64, Fault> {
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        let hold = format!("{:016x}", u64::from_le_bytes(chance));
        let (namespace, name) = split_title(self.to);
        let report = barrier(self.client, vec![title(&namespace, &name)], &hold)?;
        Ok(Hlc::from_millis(report.at_ms).0)
    }

    /// Writes all files that are not done, and records those that are, so that a later restore goes on.
    ///
    /// # Errors
    /// Why it cannot be done; what is done stays recorded.
    pub fn write(
        &self,
        record: &mut RestoreRecord,
        manner: Manner,
        watch: &mut dyn FnMut(&Seen) -> Go,
    ) -> Result<Totals, Fault> {
        let Manner { speed, expiry_shift_ms, again } = manner;
        let (to_namespace, to_table) = split_title(self.to);
        let files = self.pieces();
        let done: Vec<usize> =
            (0..files.len()).filter(|piece| record.done.contains(&files[*piece].2)).collect();
        let (since, on_conflict, kinds) = (record.since, record.on_conflict.clone(), record.kinds.clone());
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
        let name = restore_name(&self.manifest.begun.id, &record.to, since);
        let mut ended = |piece: usize, _: &JobStatus| {
            record.done.push(files[piece].2.clone());
            record.store(self.target).map_err(|error| error.to_fault())
        };
        self.crew.run(Work {
            name,
            pieces: files.iter().map(|_| ids.clone()).collect(),
            done,
            job: &job,
            ended: &mut ended,
            speed,
            hold: None,
            takes_over: again,
            watch,
        })
    }
}

impl One<'_> {
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
pub fn restore_name(backup: &str, to: &str, since: u64) -> String {
    format!("restore-{backup}-{to}-{since:x}")
}
