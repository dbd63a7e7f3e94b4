//! `CLIENT INFO`, `LIST` and `KILL`, and `TIME`: replies from facts of the listener.

use crate::reply::{Protocol, Reply};
use crate::session::Session;
use crate::text::ErrorText;
use bytes::Bytes;
use std::fmt::Write;

/// One connection, as its listener knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientFacts {
    /// `CLIENT ID`.
    pub id: u64,
    /// `host:port` of the client.
    pub address: String,
    /// `host:port` of the listener.
    pub local_address: String,
    /// Seconds since it connected.
    pub age_seconds: u64,
    /// Seconds since its last command.
    pub idle_seconds: u64,
    /// `CLIENT SETNAME`.
    pub name: Bytes,
    /// `CLIENT SETINFO LIB-NAME`.
    pub library_name: Bytes,
    /// `CLIENT SETINFO LIB-VER`.
    pub library_version: Bytes,
    /// The command it sent last.
    pub last_command: &'static str,
    /// What it speaks.
    pub protocol: Protocol,
    /// `CLIENT NO-EVICT ON`.
    pub no_evict: bool,
    /// A command waits for an element.
    pub blocked: bool,
    /// Commands that wait for `EXEC`; `None` outside of a transaction.
    pub queued_commands: Option<usize>,
    /// Bytes received and not yet understood.
    pub input_bytes: u64,
    /// Bytes of replies not yet sent.
    pub output_bytes: u64,
}

/// Which connections `CLIENT LIST` shows or `CLIENT KILL` closes: those that fit everything given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientFilter {
    /// One of these ids.
    pub ids: Option<Vec<u64>>,
    /// The client's address.
    pub address: Option<Bytes>,
    /// The listener's address.
    pub local_address: Option<Bytes>,
    /// Normal clients (`true`), or those of other types, of which Skein has none.
    pub normal: Option<bool>,
    /// `KILL` only: leave the connection alone that asks.
    pub skip_me: bool,
    /// `KILL` only: the old form, which names one address and answers `OK` or an error.
    pub single: bool,
}

impl ClientFacts {
    /// The facts that the session knows; the rest is for the listener to fill in.
    pub fn of_session(session: &Session) -> Self {
        let (library_name, library_version) = session.library();
        Self {
            id: session.id(),
            name: session.name().clone(),
            library_name: library_name.clone(),
            library_version: library_version.clone(),
            last_command: session.last_command(),
            protocol: session.protocol(),
            no_evict: session.no_evict(),
            queued_commands: session.queued_commands(),
            ..Self::default()
        }
    }

    /// In the order in which Redis writes them.
    fn flags(&self) -> String {
        let flags = [(self.blocked, 'b'), (self.queued_commands.is_some(), 'x'), (self.no_evict, 'e')];
        let set: String = flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect();
        if set.is_empty() { "N".into() } else { set }
    }

    /// The line of `CLIENT LIST`, without its end.
    fn line(&self) -> String {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let mut line = String::with_capacity(256);
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 multi={} \
             qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} events=r \
             cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local_address,
            text(&self.name),
            self.age_seconds,
            self.idle_seconds,
            self.flags(),
            self.queued_commands.map_or(-1, |commands| commands as i64),
            self.input_bytes,
            self.output_bytes,
            self.input_bytes + self.output_bytes,
            self.last_command,
            self.protocol.number(),
            text(&self.library_name),
            text(&self.library_version),
        );
        line
    }
}

impl ClientFilter {
    /// Whether a connection is meant; `me` is the one that asks.
    pub fn matches(&self, client: &ClientFacts, me: u64) -> bool {
        let equals = |wanted: &Option<Bytes>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == text.as_bytes())
        };
        self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id))
            && equals(&self.address, &client.address)
            && equals(&self.local_address, &client.local_address)
            && self.normal.unwrap_or(true)
            && !(self.skip_me && client.id == me)
    }
}

/// The reply to `CLIENT INFO`.
pub fn info_reply(client: &ClientFacts) -> Reply {
    verbatim(client.line() + "\n")
}

/// The reply to `CLIENT LIST`: those of `clients` that the filter lets through.
pub fn list_reply<'a>(
    clients: impl IntoIterator<Item = &'a ClientFacts>,
    filter: &ClientFilter,
    me: u64,
) -> Reply {
    let lines = clients.into_iter().filter(|client| filter.matches(client, me));
    verbatim(lines.map(|client| client.line() + "\n").collect())
}

/// The reply to `CLIENT KILL` when so many connections were closed.
pub fn kill_reply(filter: &ClientFilter, killed: usize) -> Reply {
    match (filter.single, killed) {
        (true, 0) => ErrorText::fixed("ERR No such client").into(),
        (true, _) => Reply::OK,
        (false, killed) => Reply::Integer(killed as i64),
    }
}

/// The reply to `WAIT`, or with `disks` to `WAITAOF`: so many replicas besides the leader have every write that was
/// acknowledged, and have it on their disks.
pub fn wait_reply(replicas: u64, disks: bool) -> Reply {
    let replicas = Reply::Integer(replicas as i64);
    if disks { Reply::Array(vec![Reply::Integer(1), replicas]) } else { replicas }
}

/// The reply to `TIME`, from microseconds since 1970.
pub fn time_reply(micros: u64) -> Reply {
    let text = |number: u64| Reply::bulk(number.to_string());
    Reply::Array(vec![text(micros / 1_000_000), text(micros % 1_000_000)])
}

fn verbatim(text: String) -> Reply {
    Reply::Verbatim { format: *b"txt", text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_combine() {
        let client = |id: u64| ClientFacts { id, address: format!("127.0.0.1:{id}"), ..Default::default() };
        let clients = [client(1), client(2), client(3)];
        let shown = |filter: ClientFilter| -> Vec<u64> {
            clients.iter().filter(|client| filter.matches(client, 1)).map(|client| client.id).collect()
        };
        assert_eq!(shown(ClientFilter::default()), [1, 2, 3]);
        assert_eq!(shown(ClientFilter { skip_me: true, ..Default::default() }), [2, 3]);
        let both = ClientFilter {
            ids: Some(vec![1, 2]),
            address: Some(Bytes::from_static(b"127.0.0.1:2")),
            ..Default::default()
        };
        assert_eq!(shown(both), [2]);
        assert_eq!(shown(ClientFilter { normal: Some(false), ..Default::default() }), [0u64; 0]);
    }

    #[test]
    fn time_has_seconds_and_micros() {
        assert_eq!(time_reply(5_000_007), Reply::Array(vec![Reply::text("5"), Reply::text("7")]));
    }
}
