//! What nodes ask each other to answer ZanKV's questions, and namespaces.

use api::admin::{CreateNamespace, Namespace};
use api::zankv::{ClusterStats, DataNodes, TableStatsReply};
use types::Fault;
use ureq::http::Method;

use crate::Client;
use crate::http::{CHANGE_TIMEOUT, done, escaped, parsed};

impl Client {
    /// The data nodes that live, as the first node that answers knows by itself.
    ///
    /// # Errors
    /// `Unreachable`, or what the node says.
    pub fn data_nodes(&self) -> Result<DataNodes, Fault> {
        parsed(self.ask("/datanodes?only_here=true")?)
    }

    /// Whether the cluster is stable, as the first node that answers knows by itself.
    ///
    /// # Errors
    /// `Unreachable`, or what the node says.
    pub fn cluster_stats(&self) -> Result<ClusterStats, Fault> {
        parsed(self.ask("/cluster/stats?only_here=true")?)
    }

    /// A table of each namespace, as the first node that answers has it.
    ///
    /// # Errors
    /// `Unreachable`, or what the node says.
    pub fn table_stats(&self, table: &str, leader_only: bool) -> Result<TableStatsReply, Fault> {
        let path = format!("/tablestats?table={}&leader_only={leader_only}", escaped(table));
        parsed(self.ask_slowly(&path)?)
    }

    /// All namespaces as ZanKV means them.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, Fault> {
        parsed(self.ask("/v1/namespaces")?)
    }

    /// Makes a namespace.
    ///
    /// # Errors
    /// `TableExists`, `BadName`, `BadArgument`, `NotEnoughNodes`; `OutcomeUnknown` if the connection broke after
    /// the request was sent; `Unreachable`, `Unauthorized`, or what the node says.
    pub fn create_namespace(&self, wish: &CreateNamespace) -> Result<Namespace, Fault> {
        parsed(self.change(&Method::POST, "/v1/namespaces", CHANGE_TIMEOUT, Some(wish))?)
    }

    /// Drops a namespace and everything in it.
    ///
    /// # Errors
    /// `UnknownNamespace`, and as [`Self::create_namespace`].
    pub fn drop_namespace(&self, name: &str) -> Result<(), Fault> {
        let path = format!("/v1/namespaces/{}", escaped(name));
        done(self.change(&Method::DELETE, &path, CHANGE_TIMEOUT, None::<&()>)?)
    }
}
