//! `skein import`: data from elsewhere.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto_redis::Reply;
use types::{ErrorCode, Fault};

use crate::cli::{ImportCommand, ImportRdb, ImportResp, ImportTarget};
use crate::exit::{self, Exit};
use crate::import::{self, Imported, Rules, Sender};
use crate::layout;
use crate::say::{self, Form};

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
    let mut sender = connect(&arguments.target)?;
    let rules =
        Rules { on_conflict: arguments.on_conflict, database: arguments.database, prefix: &arguments.prefix };
    import::values(&arguments.file, &rules, &mut sender, Progress::new("imported", size).tell())
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
    let mut sender = connect(&arguments.target)?;
    import::commands(source, arguments.database, &mut sender, Progress::new("sent", size).tell())
}

fn size_of(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.len()).filter(|size| *size > 0)
}

/// A connection to the port, which has been shown the password.
fn connect(target: &ImportTarget) -> Result<Sender<TcpStream, Bytes>, Fault> {
    let (address, password) = match &target.to {
        Some(address) => (address.clone(), target.password.clone()),
        None => {
            let lookup = target.find.lookup();
            let status = lookup.client()?.status()?;
            let nodes = status.nodes.iter().map(|node| if target.zankv { &node.zankv } else { &node.redis });
            let address = nodes.into_iter().find(|address| !address.is_empty()).cloned();
            let known = match (&target.password, target.find.addr.is_empty()) {
                (None, true) => layout::password(&lookup.directory())?,
                (password, _) => password.clone(),
            };
            (address.ok_or_else(|| Fault::new(ErrorCode::Unreachable, "no node has a Redis port"))?, known)
        }
    };
    let unreachable = |error: io::Error| Fault::new(ErrorCode::Unreachable, format!("{address}: {error}"));
    let mut addresses = address.to_socket_addrs().map_err(unreachable)?;
    let first = addresses.next().ok_or_else(|| Fault::new(ErrorCode::BadArgument, address.clone()))?;
    let stream = TcpStream::connect(first).map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let mut sender = Sender::new(stream);
    if let Some(password) = password {
        let reply = sender.ask(&["AUTH".into(), password.into()], Bytes::new()).map_err(unreachable)?;
        if let Reply::Error(error) = reply {
            return Err(Fault::new(ErrorCode::Unauthorized, format!("{address}: {error}")));
        }
    }
    Ok(sender)
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
        (imported.other_databases, if are_keys { "are in other databases" } else { "are of other databases" }),
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
