//! `skein import`: data from elsewhere.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::Client;
use proto_redis::Reply;
use types::{ErrorCode, Fault};

use super::zankv_tools::Place;
use crate::cli::{ImportCommand, ImportRdb, ImportResp, ImportTarget};
use crate::exit::{self, Exit};
use crate::import::{self, Contents, Imported, Large, Port, Rules, Sender, Stored};
use crate::layout;
use crate::say::{self, Form};

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a reply may take: longer than the nodes' own deadline for a command.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a terminal is told how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Brings in data. Keys or commands that were refused are an error, after all others were taken.
///
/// # Errors
/// The file is not what it should be, no port answers, or a key exists and nothing was said of that.
pub fn run(command: &ImportCommand) -> Result<Exit, Fault> {
    let imported = match command {
        ImportCommand::RedisRdb(arguments) => values(arguments)?,
        ImportCommand::Resp(arguments) => commands(arguments)?,
    };
    match command.target().output.form() {
        Form::Json => say::json(&imported),
        Form::Text => tell(&imported, matches!(command, ImportCommand::RedisRdb(_))),
    }
    Ok(if imported.refused > 0 { exit::ERROR } else { exit::OK })
}

fn values(arguments: &ImportRdb) -> Result<Imported, Fault> {
    let size = size_of(&arguments.file);
    import::check(&arguments.file, Progress::new("checked", size).tell())?;
    let (mut ports, client) = Ports::of(&arguments.target)?;
    let rules =
        Rules { on_conflict: arguments.on_conflict, database: arguments.database, prefix: &arguments.prefix };
    let large = client.map(|client| large(client, arguments.target.zankv)).transpose()?;
    let port = Port { connect: &mut || ports.connect(), large };
    import::values(&arguments.file, &rules, port, Progress::new("imported", size).tell())
}

fn commands(arguments: &ImportResp) -> Result<Imported, Fault> {
    let is_input = arguments.file == Path::new("-");
    let source: Box<dyn Read> = if is_input {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&arguments.file).map_err(|error| {
            Fault::new(ErrorCode::BadFile, format!("{}: {error}", arguments.file.display()))
        })?)
    };
    let size = if is_input { None } else { size_of(&arguments.file) };
    let mut sender = Sender::new(Ports::of(&arguments.target)?.0.connect()?);
    import::commands(source, arguments.database, &mut sender, Progress::new("sent", size).tell())
}

fn size_of(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.len()).filter(|size| *size > 0)
}

/// The Redis ports of a cluster's nodes.
struct Ports {
    addresses: Vec<String>,
    /// The one that is tried next.
    next: usize,
    password: Option<String>,
}

impl Ports {
    /// The ports of a target, and the cluster's client if it is named by one.
    fn of(target: &ImportTarget) -> Result<(Self, Option<Client>), Fault> {
        if let Some(address) = &target.to {
            let ports = Self { addresses: vec![address.clone()], next: 0, password: target.password.clone() };
            return Ok((ports, None));
        }
        let lookup = target.find.lookup();
        let client = lookup.client()?;
        let nodes = client.status()?.nodes;
        let addresses = nodes.iter().map(|node| if target.zankv { &node.zankv } else { &node.redis });
        let addresses = addresses.filter(|address| !address.is_empty()).cloned().collect();
        let password = match (&target.password, target.find.addr.is_empty()) {
            (None, true) => layout::password(&lookup.directory())?,
            (password, _) => password.clone(),
        };
        Ok((Self { addresses, next: 0, password }, Some(client)))
    }

    /// A connection to the next port that takes one, which has been shown the password.
    fn connect(&mut self) -> Result<TcpStream, Fault> {
        let mut last = Fault::new(ErrorCode::Unreachable, "no node has a Redis port");
        for _ in 0..self.addresses.len() {
            let address = &self.addresses[self.next];
            self.next = (self.next + 1) % self.addresses.len();
            match connect(address, self.password.as_deref()) {
                Err(fault) if fault.code == ErrorCode::Unreachable => last = fault,
                other => return other,
            }
        }
        Err(last)
    }
}

fn connect(address: &str, password: Option<&str>) -> Result<TcpStream, Fault> {
    let unreachable = |error: io::Error| Fault::new(ErrorCode::Unreachable, format!("{address}: {error}"));
    let mut addresses = address.to_socket_addrs().map_err(unreachable)?;
    let first = addresses.next().ok_or_else(|| Fault::new(ErrorCode::BadArgument, address.to_owned()))?;
    let stream = TcpStream::connect_timeout(&first, CONNECT_TIMEOUT).map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT)).map_err(unreachable)?;
    if let Some(password) = password {
        let words: [Bytes; 2] = ["AUTH".into(), Bytes::copy_from_slice(password.as_bytes())];
        let reply = Sender::new(&stream).ask(&words, ()).map_err(unreachable)?;
        if let Reply::Error(error) = reply {
            return Err(Fault::new(ErrorCode::Unauthorized, format!("{address}: {error}")));
        }
    }
    Ok(stream)
}

/// Where large values of a cluster go.
fn large(client: Client, zankv: bool) -> Result<Large, Fault> {
    let contents = Contents::new(&client)?;
    if !zankv {
        let table = |key: &Bytes| {
            let (namespace, table) = (catalog::DEFAULT_NAMESPACE.into(), catalog::DEFAULT_TABLE.into());
            Ok(Stored { namespace, table, key: key.clone() })
        };
        return Ok(Large::new(contents, Box::new(table)));
    }
    let table = move |key: &Bytes| {
        let unnamed = || Fault::new(ErrorCode::UnknownTable, "a key of this port is namespace:table:rest");
        let mut parts = key.splitn(3, |byte| *byte == b':');
        let (Some(namespace), Some(table), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(unnamed());
        };
        let text = |part| std::str::from_utf8(part).map_err(|_| unnamed());
        let place = Place::find(&client, text(namespace)?, text(table)?)?;
        let key = [place.prefix.as_bytes(), rest].concat().into();
        Ok(Stored { namespace: place.namespace, table: place.name, key })
    };
    Ok(Large::new(contents, Box::new(table)))
}

fn tell(imported: &Imported, are_keys: bool) {
    for words in &imported.told {
        say::note(words);
    }
    let noun = if are_keys { "key" } else { "command" };
    let done = say::count(imported.done, noun);
    let others = [
        (imported.existed, "existed and stayed"),
        (imported.unsupported, "hold what is not stored here"),
        (
            imported.other_databases,
            if are_keys { "are in other databases" } else { "are of other databases" },
        ),
        (imported.refused, "were refused"),
    ];
    let others: Vec<_> = others
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("; {number} {what}"))
        .collect();
    let verb = if are_keys { "imported" } else { "carried out" };
    say::data(format!("{done} {verb}{}", others.concat()));
}

/// Tells a terminal how far it is.
struct Progress {
    verb: &'static str,
    size: Option<u64>,
    told: Instant,
    is_wanted: bool,
}

impl Progress {
    fn new(verb: &'static str, size: Option<u64>) -> Self {
        Self { verb, size, told: Instant::now(), is_wanted: io::stderr().is_terminal() }
    }

    fn tell(mut self) -> impl FnMut(u64, u64) {
        move |items, position| {
            if self.is_wanted && self.told.elapsed() >= PROGRESS_EVERY {
                self.told = Instant::now();
                let of = self.size.map_or(String::new(), |size| format!(" of {}", say::bytes(size)));
                say::note(format!("{} {items}, {}{of}", self.verb, say::bytes(position)));
            }
        }
    }
}
