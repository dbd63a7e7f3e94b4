//! Backups and restores: the calls of `api::job`.

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

    /// How many keys a table has.
    ///
    /// # Errors
    /// `UnknownTable`, and as [`Self::keep_holds`].
    pub fn count_keys(&self, namespace: &str, table: &str) -> Result<KeyCount, Fault> {
        parsed(self.ask(&format!("/v1/tables/{}/{}/keys", escaped(namespace), escaped(table)))?)
    }
}
