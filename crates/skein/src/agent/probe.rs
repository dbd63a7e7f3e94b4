//! Watchers and probes: one small thread each, for the end of a process and for its being ready.

use std::process::Child;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use client::Client;

use super::event::Ending;
use super::supervise::Observed;
use crate::exit;
use crate::node_file::NodePlace;
use crate::process::Process;
use crate::server_exit::ServerExit;

/// The pause between two questions to a node that starts; it is a part of every start's time.
const PROBE_PAUSE: Duration = Duration::from_millis(20);
/// The pause once a start takes long.
const PROBE_PAUSE_LONG: Duration = Duration::from_millis(250);
/// When a start takes long.
const PROBE_LONG: Duration = Duration::from_secs(5);

/// What a watcher or a probe has to know of a node.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The node.
    pub node: u64,
    /// The cluster, as hexadecimal text.
    pub cluster: String,
    /// The node's HTTP address.
    pub http: String,
    /// The node's directory.
    pub place: NodePlace,
    /// The process.
    pub process: Process,
}

/// Tells when a process that the agent started has ended.
pub fn watch_child(watched: Watched, mut child: Child, tell: Sender<Observed>) {
    std::thread::spawn(move || {
        use std::os::unix::process::ExitStatusExt;
        let status = child.wait();
        let told = ServerExit::read(&watched.place, watched.process);
        let ending = match (told, status) {
            (Some(told), _) => told.ending(),
            (None, Ok(status)) => match (status.code(), status.signal()) {
                (Some(0), _) => Ending::Clean,
                // The node had not got to where it catches the signal: stopped all the same.
                (_, Some(signal)) if signal == rustix::process::Signal::TERM.as_raw() => Ending::Clean,
                (_, Some(signal)) => Ending::Signal(signal),
                (code, None) => Ending::Exit(code.unwrap_or(i32::from(exit::ERROR.code))),
            },
            (None, Err(_)) => Ending::Gone,
        };
        tell_end(&watched, ending, &tell);
    });
}

/// Tells when a process that the agent found has ended.
pub fn watch_adopted(watched: Watched, tell: Sender<Observed>) {
    std::thread::spawn(move || {
        watched.process.wait(None);
        let told = ServerExit::read(&watched.place, watched.process);
        let ending = told.map_or(Ending::Gone, |told| told.ending());
        tell_end(&watched, ending, &tell);
    });
}

fn tell_end(watched: &Watched, ending: Ending, tell: &Sender<Observed>) {
    let (node, pid) = (watched.node, watched.process.pid);
    // Without a listener the agent has ended, and the news is nobody's.
    let _ = tell.send(Observed::Ended { node, pid, ending });
}

/// Tells when a process is ready; says nothing if it ends before.
pub fn probe(watched: Watched, tell: Sender<Observed>) {
    std::thread::spawn(move || {
        let client = Client::new(vec![watched.http.clone()], None);
        let began = Instant::now();
        while watched.process.is_alive() {
            if is_ready(&watched, &client) {
                let _ = tell.send(Observed::Ready { node: watched.node, pid: watched.process.pid });
                return;
            }
            let pause = if began.elapsed() < PROBE_LONG { PROBE_PAUSE } else { PROBE_PAUSE_LONG };
            std::thread::sleep(pause);
        }
    });
}

/// Whether this very process serves: another one may answer at the address.
fn is_ready(watched: &Watched, client: &Client) -> bool {
    client.identity().is_ok_and(|identity| {
        identity.ready
            && identity.pid == watched.process.pid
            && identity.node == watched.node
            && identity.cluster == watched.cluster
    })
}
