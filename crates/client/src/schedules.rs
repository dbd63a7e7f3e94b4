//! Schedules of backups: the calls of `api::saving`.

use api::saving::{Schedule, SetSchedule};
use types::Fault;
use ureq::http::Method;

use crate::Client;
use crate::http::{CHANGE_TIMEOUT, done, escaped, parsed};

impl Client {
    /// All schedules, by name.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn schedules(&self) -> Result<Vec<Schedule>, Fault> {
        parsed(self.ask("/v1/schedules")?)
    }

    /// Makes or changes a schedule. Asked for once more it changes nothing.
    ///
    /// # Errors
    /// `BadArgument` for what is no schedule; `OutcomeUnknown` if the connection broke after the request was sent;
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn set_schedule(&self, name: &str, wish: &SetSchedule) -> Result<Schedule, Fault> {
        let path = format!("/v1/schedules/{}", escaped(name));
        parsed(self.change(&Method::PUT, &path, CHANGE_TIMEOUT, Some(wish))?)
    }

    /// Removes a schedule; its backups stay.
    ///
    /// # Errors
    /// `BadArgument` if there is none of the name, and as [`Self::set_schedule`].
    pub fn remove_schedule(&self, name: &str) -> Result<(), Fault> {
        let path = format!("/v1/schedules/{}", escaped(name));
        done(self.change(&Method::DELETE, &path, CHANGE_TIMEOUT, None::<&()>)?)
    }
}
