//! The admin API as calls: one method for each line of the table in `api::admin`.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use api::admin::{
    CreateTable, DigestReport, ErrorBody, Identity, MoveLeader, NodeStatus, Status, Table, TablePartition,
    address_elsewhere,
};
use api::auth::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{ErrorCode, Fault};
use ureq::http::{Method, Request, Response};

/// A node of the own machine or network answers a connection at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a question may take. A paused process accepts connections and never answers, so this is also
/// how long the way past it takes.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a change may take: the nodes' own deadline and room for it to be told.
pub(crate) const CHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a node that leads the catalog is waited for: several elections.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
const LEADER_PAUSE: Duration = Duration::from_millis(100);
/// How long a digest may take: each replica reads all its records.
const DIGEST_TIMEOUT: Duration = Duration::from_secs(600);
/// For what asks the place of a backup first.
pub(crate) const PLACE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest reply: the status of some hundred thousand replicas.
const REPLY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A client of one cluster's admin API.
#[derive(Debug)]
pub struct Client {
    addresses: Vec<String>,
    authorization: Option<String>,
    agent: ureq::Agent,
}

/// What `/health` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The node serves.
    Ready,
    /// The node does not serve yet, and why.
    Starting(String),
}

/// A request that did not end in a reply.
struct Failure {
    /// Whether a connection was made, so that the node may have acted.
    connected: bool,
    fault: Fault,
}

impl Client {
    /// A client that asks the nodes at these HTTP addresses, in this order.
    pub fn new(addresses: Vec<String>, secret: Option<&Secret>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .proxy(None)
            .max_redirects(0)
            .build();
        Self {
            addresses,
            authorization: secret.map(|secret| format!("Bearer {}", secret.admin_token())),
            agent: config.into(),
        }
    }

    /// A client of each address alone, in the same order.
    pub fn apart(&self) -> Vec<Client> {
        let alone = |address: &String| Client {
            addresses: vec![address.clone()],
            authorization: self.authorization.clone(),
            agent: self.agent.clone(),
        };
        self.addresses.iter().map(alone).collect()
    }

    /// A client of the same cluster that asks one node only.
    pub fn only(&self, address: &str) -> Self {
        Self {
            addresses: vec![address.to_owned()],
            authorization: self.authorization.clone(),
            agent: self.agent.clone(),
        }
    }

    /// The addresses that are asked, in this order.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Whether the first node that answers serves.
    ///
    /// # Errors
    /// `Unreachable` if none answers.
    pub fn health(&self) -> Result<Health, Fault> {
        let (status, text) = self.ask("/health")?;
        Ok(if status == 200 { Health::Ready } else { Health::Starting(text.trim().to_owned()) })
    }

    /// Who the first node that answers is.
    ///
    /// # Errors
    /// `Unreachable` if none answers, `WireCorrupt` if what answers is no Skein node.
    pub fn identity(&self) -> Result<Identity, Fault> {
        parsed(self.ask("/v1/identity")?)
    }

    /// Prometheus text of the first node that answers.
    ///
    /// # Errors
    /// `Unreachable`, or what the node says.
    pub fn metrics(&self) -> Result<String, Fault> {
        match self.ask("/metrics")? {
            (200, text) => Ok(text),
            other => Err(refusal(&other)),
        }
    }

    /// How the cluster is.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn status(&self) -> Result<Status, Fault> {
        parsed(self.ask("/v1/status")?)
    }

    /// All nodes.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn nodes(&self) -> Result<Vec<NodeStatus>, Fault> {
        parsed(self.ask("/v1/nodes")?)
    }

    /// All tables.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn tables(&self) -> Result<Vec<Table>, Fault> {
        parsed(self.ask("/v1/tables")?)
    }

    /// One table.
    ///
    /// # Errors
    /// `UnknownTable`, `Unreachable`, `Unauthorized`, or what the node says.
    pub fn table(&self, namespace: &str, name: &str) -> Result<Table, Fault> {
        parsed(self.ask(&table_path(namespace, name))?)
    }

    /// Makes a table.
    ///
    /// # Errors
    /// `TableExists`, `BadName`, `BadArgument`, `NotEnoughNodes`; `OutcomeUnknown` if the connection broke
    /// after the request was sent; `Unreachable`, `Unauthorized`, or what the node says.
    pub fn create_table(&self, wish: &CreateTable) -> Result<Table, Fault> {
        parsed(self.change(&Method::POST, "/v1/tables", CHANGE_TIMEOUT, Some(wish))?)
    }

    /// Drops a table and everything in it.
    ///
    /// # Errors
    /// `UnknownTable`, and as [`Self::create_table`].
    pub fn drop_table(&self, namespace: &str, name: &str) -> Result<(), Fault> {
        let path = table_path(namespace, name);
        done(self.change(&Method::DELETE, &path, CHANGE_TIMEOUT, None::<&()>)?)
    }

    /// Moves a partition's leader; returns once the replica leads.
    ///
    /// # Errors
    /// `UnknownTable`, `BadArgument` if the node has no replica, and as [`Self::create_table`].
    pub fn move_leader(&self, wish: &MoveLeader) -> Result<(), Fault> {
        done(self.change(&Method::POST, "/v1/leader", CHANGE_TIMEOUT, Some(wish))?)
    }

    /// The hash of every replica of a partition at one log position.
    ///
    /// # Errors
    /// `UnknownTable`, and as [`Self::create_table`].
    pub fn digest(&self, partition: &TablePartition) -> Result<DigestReport, Fault> {
        parsed(self.change(&Method::POST, "/v1/digest", DIGEST_TIMEOUT, Some(partition))?)
    }

    /// A question: any node may answer it, so every one is tried.
    pub(crate) fn ask(&self, path: &str) -> Result<(u16, String), Fault> {
        self.first_reply(
            |address| self.send(address, &Method::GET, path, QUESTION_TIMEOUT, None::<&()>),
            true,
        )
    }

    /// A question that takes the node a while to answer.
    pub(crate) fn ask_slowly(&self, path: &str) -> Result<(u16, String), Fault> {
        self.first_reply(|address| self.send(address, &Method::GET, path, CHANGE_TIMEOUT, None::<&()>), true)
    }

    /// A change: once a node was reached, no other is tried.
    pub(crate) fn change<B: Serialize>(
        &self,
        method: &Method,
        path: &str,
        timeout: Duration,
        body: Option<&B>,
    ) -> Result<(u16, String), Fault> {
        self.first_reply(|address| self.send(address, method, path, timeout, body), false)
    }

    /// The reply of the node that leads the catalog, if it takes that one. While no node does, as for a moment after the
    /// one that led has died, all are asked again: those that answered did nothing.
    fn first_reply(
        &self,
        send: impl Fn(&str) -> Result<(u16, String), Failure>,
        repeatable: bool,
    ) -> Result<(u16, String), Fault> {
        let begun = Instant::now();
        loop {
            let reply = self.one_round(&send, repeatable)?;
            if elsewhere(&reply).as_ref().and_then(address_elsewhere).is_none() {
                return Ok(reply);
            }
            if begun.elapsed() >= LEADER_PATIENCE {
                let detail = "no node leads the catalog: the nodes that answer still name one that does not";
                return Err(Fault::new(ErrorCode::NoLeader, detail));
            }
            std::thread::sleep(LEADER_PAUSE);
        }
    }

    /// Asks one node after the other, and whichever another one names, until one has an answer.
    fn one_round(
        &self,
        send: &impl Fn(&str) -> Result<(u16, String), Failure>,
        repeatable: bool,
    ) -> Result<(u16, String), Fault> {
        let mut refused = None;
        let mut tried = Vec::new();
        let mut waiting: VecDeque<String> = self.addresses.iter().cloned().collect();
        let mut asked = BTreeSet::new();
        while let Some(address) = waiting.pop_front() {
            asked.insert(address.clone());
            let reply = match send(&address) {
                Ok(reply) => reply,
                Err(failure) if failure.connected && !repeatable => {
                    let detail = format!("{address}: {}", failure.fault.detail);
                    return Err(Fault::new(ErrorCode::OutcomeUnknown, detail));
                }
                Err(failure) => {
                    tried.push(format!("{address}: {}", failure.fault.detail));
                    continue;
                }
            };
            let elsewhere = elsewhere(&reply);
            if let Some(named) = elsewhere.as_ref().and_then(address_elsewhere)
                && !asked.contains(named)
            {
                waiting.retain(|known| known != named);
                waiting.push_front(named.to_owned());
            }
            // A node that is still starting knows less than one that serves, and some do not lead the catalog.
            let is_starting = reply.0 == 503 && repeatable;
            if waiting.is_empty() || !(is_starting || elsewhere.is_some()) {
                return Ok(reply);
            }
            let why = if elsewhere.is_some() { "does not lead the catalog" } else { "is starting" };
            tried.push(format!("{address} {why}"));
            if elsewhere.is_some() {
                refused = Some(reply);
            }
        }
        // The node that another one has named may be the one that died: that one does not lead is the better answer.
        if let Some(reply) = refused {
            return Ok(reply);
        }
        Err(Fault::new(ErrorCode::Unreachable, tried.join(", ")))
    }

    /// Bytes to the first node and back; nothing if it says that there are none.
    pub(crate) fn exchange(
        &self,
        method: &Method,
        path: &str,
        timeout: Duration,
        body: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let none = || Fault::new(ErrorCode::Unreachable, "no address");
        let address = self.addresses.first().ok_or_else(none)?;
        let mut request = Request::builder().method(method.clone()).uri(format!("http://{address}{path}"));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request =
            request.body(body).map_err(|error| Fault::new(ErrorCode::BadArgument, error.to_string()))?;
        let request = self.agent.configure_request(request).timeout_global(Some(timeout)).build();
        let mut response = self.agent.run(request).map_err(|error| failure(&error).fault)?;
        let status = response.status().as_u16();
        let bytes = response.body_mut().with_config().limit(REPLY_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(|error| failure(&error).fault)?;
        match status {
            200 => Ok(Some(bytes)),
            204 => Ok(None),
            _ => Err(refusal(&(status, String::from_utf8_lossy(&bytes).into_owned()))),
        }
    }

    fn send<B: Serialize>(
        &self,
        address: &str,
        method: &Method,
        path: &str,
        timeout: Duration,
        body: Option<&B>,
    ) -> Result<(u16, String), Failure> {
        let mut request = Request::builder().method(method.clone()).uri(format!("http://{address}{path}"));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let text = body.map(|body| serde_json::to_string(body).expect("requests are plain data"));
        if text.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(text.unwrap_or_default()).map_err(|error| Failure {
            connected: false,
            fault: Fault::new(ErrorCode::BadArgument, error.to_string()),
        })?;
        let request = self.agent.configure_request(request).timeout_global(Some(timeout)).build();
        let response = self.agent.run(request).map_err(|error| failure(&error))?;
        read(response)
    }
}

/// Whether the error says that no byte of the request can have reached a node.
fn failure(error: &ureq::Error) -> Failure {
    use std::io::ErrorKind;
    let connected = match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) => false,
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => false,
        ureq::Error::Io(error) => error.kind() != ErrorKind::ConnectionRefused,
        _ => true,
    };
    let detail = match error {
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => "connection refused".into(),
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::Protocol(_) => "what listens there does not speak HTTP".into(),
        ureq::Error::HostNotFound => "no such host".into(),
        ureq::Error::ConnectionFailed => "no connection".into(),
        other => other.to_string(),
    };
    Failure { connected, fault: Fault::new(ErrorCode::Unreachable, detail) }
}

fn read(mut response: Response<ureq::Body>) -> Result<(u16, String), Failure> {
    let status = response.status().as_u16();
    let text = response.body_mut().with_config().limit(REPLY_BYTES_MAX).read_to_string();
    text.map(|text| (status, text)).map_err(|error| Failure { connected: true, ..failure(&error) })
}

/// The reply's JSON, or the error that it is.
pub(crate) fn parsed<T: DeserializeOwned>(reply: (u16, String)) -> Result<T, Fault> {
    if reply.0 != 200 {
        return Err(refusal(&reply));
    }
    serde_json::from_str(&reply.1).map_err(|error| {
        Fault::new(ErrorCode::WireCorrupt, format!("the reply is not what the admin API promises: {error}"))
    })
}

pub(crate) fn done(reply: (u16, String)) -> Result<(), Fault> {
    if reply.0 == 200 { Ok(()) } else { Err(refusal(&reply)) }
}

/// The fault in an error reply; other programs' replies become one as well.
fn refusal((status, text): &(u16, String)) -> Fault {
    match serde_json::from_str::<ErrorBody>(text) {
        Ok(body) => Fault::from(&body),
        Err(_) => {
            let start: String = text.trim().chars().take(100).collect();
            Fault::new(ErrorCode::WireCorrupt, format!("HTTP status {status} without an error body: {start}"))
        }
    }
}

/// What a node says that did nothing, and knows that another one has to be asked.
fn elsewhere((status, text): &(u16, String)) -> Option<Fault> {
    let body: ErrorBody = (*status >= 400).then(|| serde_json::from_str(text).ok()).flatten()?;
    (body.code == ErrorCode::NotMeta.as_str()).then(|| Fault::from(&body))
}

fn table_path(namespace: &str, name: &str) -> String {
    format!("/v1/tables/{}/{}", escaped(namespace), escaped(name))
}

/// A path segment; names that are allowed pass unchanged, others reach the node as they were typed.
pub(crate) fn escaped(segment: &str) -> String {
    use std::fmt::Write;
    segment.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}

#[cfg(test)]
mod tests;
