//! Backups and restores: the calls of `api::job` and `api::archive`.

use api::archive::{ArchiveReport, ArchiveWish};
use api::job::{BarrierReport, BarrierWish, JobStatus, JobWish, KeyCount};
use types::Fault;
use ureq::http::Method;

use crate::Client;
use crate::http::{CHANGE_TIMEOUT, done, escaped, parsed};

impl Client {
    /// One point in time of some tables.
    ///
    /// # Errors
    /// `UnknownTable`, `NoLeader`; `OutcomeUnknown` if the connection broke, and then it may be asked again;
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn barrier(&self, wish: &BarrierWish) -> Result<BarrierReport, Fault> {
        parsed(self.change(&Method::POST, "/v1/barrier", CHANGE_TIMEOUT, Some(wish))?)
    }

    /// Says to this client's first node that the states at a barrier are needed for another while.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn keep_holds(&self, id: &str) -> Result<(), Fault> {
        let path = format!("/v1/holds/{}/keep", escaped(id));
        done(self.change(&Method::POST, &path, CHANGE_TIMEOUT, None::<&()>)?)
    }

    /// Says to this client's first node that the states at a barrier are not needed any more.
    ///
    /// # Errors
    /// As [`Self::keep_holds`].
    pub fn release_holds(&self, id: &str) -> Result<(), Fault> {
        let path = format!("/v1/holds/{}", escaped(id));
        done(self.change(&Method::DELETE, &path, CHANGE_TIMEOUT, None::<&()>)?)
    }

    /// Starts a job at this client's first node.
    ///
    /// # Errors
    /// As [`Self::keep_holds`].
    pub fn start_job(&self, wish: &JobWish) -> Result<JobStatus, Fault> {
        parsed(self.change(&Method::POST, "/v1/jobs", CHANGE_TIMEOUT, Some(wish))?)
    }

    /// How far a job of this client's first node is.
    ///
    /// # Errors
    /// As [`Self::keep_holds`].
    pub fn job(&self, name: &str) -> Result<JobStatus, Fault> {
        parsed(self.ask(&format!("/v1/jobs/{}", escaped(name)))?)
    }

    /// Ends a job of this client's first node, and lets it be forgotten.
    ///
    /// # Errors
    /// As [`Self::keep_holds`].
    pub fn end_job(&self, name: &str) -> Result<(), Fault> {
        let path = format!("/v1/jobs/{}", escaped(name));
        done(self.change(&Method::DELETE, &path, CHANGE_TIMEOUT, None::<&()>)?)
    }

    /// A page of what a job of this client's first node hands out; nothing after the last.
    ///
    /// # Errors
    /// `Overloaded` if it is not there yet; why the job failed; as [`Self::keep_holds`].
    pub fn page(&self, name: &str, number: u64) -> Result<Option<Vec<u8>>, Fault> {
        let path = format!("/v1/jobs/{}/pages/{number}", escaped(name));
        self.exchange(&Method::GET, &path, CHANGE_TIMEOUT, Vec::new())
    }

    /// Writes contents into a table by way of this client's first node: an `api::kv::Import` encoded, answered by an
    /// `api::kv::Imported`.
    ///
    /// # Errors
    /// `UnknownTable`, `BadArgument`, and as [`Self::keep_holds`].
    pub fn import(&self, namespace: &str, table: &str, body: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let path = format!("/v1/tables/{}/{}/contents", escaped(namespace), escaped(table));
        Ok(self.exchange(&Method::POST, &path, CHANGE_TIMEOUT, body)?.unwrap_or_default())
    }

    /// Begins the archive of changes.
    ///
    /// # Errors
    /// `ArchiveRuns`, `UnknownTable`, `BadArgument`, `BackupTarget`, and as [`Self::keep_holds`].
    pub fn begin_archive(&self, wish: &ArchiveWish) -> Result<ArchiveReport, Fault> {
        parsed(self.change(&Method::POST, "/v1/archive", CHANGE_TIMEOUT, Some(wish))?)
    }

    /// Ends the archive of changes, if there is one.
    ///
    /// # Errors
    /// As [`Self::keep_holds`].
    pub fn end_archive(&self) -> Result<(), Fault> {
        done(self.change(&Method::DELETE, "/v1/archive", CHANGE_TIMEOUT, None::<&()>)?)
    }

    /// How far the archive is, as far as this client's first node writes it.
    ///
    /// # Errors
    /// As [`Self::keep_holds`].
    pub fn archive(&self) -> Result<ArchiveReport, Fault> {
        parsed(self.ask("/v1/archive")?)
    }

    /// The catalog as a file, from this client's first node: see `catalog::saved`.
    ///
    /// # Errors
    /// `NoLeader`, and as [`Self::keep_holds`].
    pub fn catalog(&self) -> Result<Vec<u8>, Fault> {
        let found = self.exchange(&Method::GET, "/v1/catalog/records", CHANGE_TIMEOUT, Vec::new())?;
        Ok(found.unwrap_or_default())
    }

    /// How many keys a table has.
    ///
    /// # Errors
    /// `UnknownTable`, and as [`Self::keep_holds`].
    pub fn count_keys(&self, namespace: &str, table: &str) -> Result<KeyCount, Fault> {
        parsed(self.ask(&format!("/v1/tables/{}/{}/keys", escaped(namespace), escaped(table)))?)
    }
}
