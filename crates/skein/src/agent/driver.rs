//! The driver of the agent: turns what happens into observations, and actions into what happens.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use api::admin::ErrorBody;
use client::{Directory, Topology, TopologyNode};
use rustix::process::Signal;
use types::{ErrorCode, Fault};

use super::event::{Ending, Event};
use super::probe::{Watched, probe, watch_adopted, watch_child};
use super::supervise::{Action, Observed, Supervisor};
use crate::files::PidFile;
use crate::layout;
use crate::node_file::NodePlace;
use crate::process::Process;

/// A node's log of this size is set aside when the node starts; one such file is kept.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What others may ask of a running agent.
#[derive(Clone, Debug)]
pub struct Control(Sender<Observed>);

/// An agent: the nodes of one directory and the processes that run them.
pub struct Agent {
    directory: Directory,
    topology: Topology,
    /// The program that a node's process runs.
    program: PathBuf,
    supervisor: Supervisor,
    /// The process that runs for each node now.
    running: BTreeMap<u64, Process>,
    news: Receiver<Observed>,
    control: Control,
    clock: Instant,
    tell: Box<dyn FnMut(&Event) + Send>,
    /// Held for as long as the agent works.
    _pid_file: PidFile,
}

impl Agent {
    /// An agent for the cluster in this directory; `tell` hears everything that happens.
    pub fn new(
        directory: Directory,
        topology: Topology,
        program: PathBuf,
        pid_file: PidFile,
        tell: impl FnMut(&Event) + Send + 'static,
    ) -> Self {
        let (sender, news) = channel();
        Self {
            directory,
            topology,
            program,
            supervisor: Supervisor::default(),
            running: BTreeMap::new(),
            news,
            control: Control(sender),
            clock: Instant::now(),
            tell: Box::new(tell),
            _pid_file: pid_file,
        }
    }

    /// The way to ask it something while it runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Keeps all nodes running until it is asked to stop; then stops them and returns.
    ///
    /// # Errors
    /// `DataUnreadable` if a node's directory cannot be read at the start; nothing was started then.
    pub fn run(mut self) -> Result<(), Fault> {
        let found = self.find_running()?;
        for node in self.topology.nodes.clone() {
            let observed = self.first_sight(node.id, found.get(&node.id).copied());
            if self.observe(observed) {
                return Ok(());
            }
        }
        loop {
            let observed = match self.supervisor.deadline() {
                Some(deadline) => {
                    match self.news.recv_timeout(deadline.saturating_sub(self.clock.elapsed())) {
                        Ok(observed) => observed,
                        Err(RecvTimeoutError::Timeout) => Observed::Time,
                        Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    }
                }
                None => match self.news.recv() {
                    Ok(observed) => observed,
                    Err(_) => return Ok(()),
                },
            };
            if self.observe(observed) {
                return Ok(());
            }
        }
    }

    /// What a node is at first sight: running, and adopted, or not.
    fn first_sight(&mut self, node: u64, process: Option<Process>) -> Observed {
        match process {
            Some(process) => {
                self.adopt(node, process);
                Observed::Found { node, pid: process.pid }
            }
            None => Observed::Missing { node },
        }
    }

    /// The nodes that run already, by their locked pid files.
    fn find_running(&self) -> Result<BTreeMap<u64, Process>, Fault> {
        let mut found = BTreeMap::new();
        for node in &self.topology.nodes {
            if let Some(process) = PidFile::holder(&self.place(node.id).pid_file())? {
                found.insert(node.id, process);
            }
        }
        Ok(found)
    }

    /// One turn; returns whether it was the last. A start that fails at once is an observation itself.
    fn observe(&mut self, observed: Observed) -> bool {
        if observed == Observed::StartAll && self.welcome() {
            return true;
        }
        if let Observed::Ended { node, pid, .. } = &observed
            && self.running.get(node).is_some_and(|process| process.pid == *pid)
        {
            self.running.remove(node);
        }
        for action in self.supervisor.supervise(observed, self.clock.elapsed()) {
            match action {
                Action::Start { node } => self.start(node),
                Action::Terminate { pid } => self.signal(pid, Signal::TERM),
                Action::Kill { pid } => self.signal(pid, Signal::KILL),
                Action::Tell(event) => (self.tell)(&event),
                Action::HeedWishes if self.heed_wishes() => return true,
                Action::HeedWishes => {}
                Action::Forget { node } => self.forget(node),
                Action::Finish => return true,
            }
        }
        false
    }

    /// Takes on nodes that were added to the cluster's shape. Returns whether that was the last turn.
    fn welcome(&mut self) -> bool {
        let topology = match self.directory.topology() {
            Ok(topology) => topology,
            Err(fault) => {
                (self.tell)(&Event::ShapeUnknown { error: ErrorBody::from(&fault) });
                return false;
            }
        };
        let is_new = |node: &&TopologyNode| self.topology.node(node.id).is_none();
        let added: Vec<TopologyNode> = topology.nodes.iter().filter(is_new).cloned().collect();
        // Ports and addresses of those that run are what they were started with.
        self.topology.nodes.extend(added.iter().cloned());
        added.iter().any(|node| {
            let process = PidFile::holder(&self.place(node.id).pid_file()).ok().flatten();
            let observed = self.first_sight(node.id, process);
            self.observe(observed)
        })
    }

    /// Takes on what is new, and starts what somebody has left a wish for. Returns whether that was the last turn.
    fn heed_wishes(&mut self) -> bool {
        if self.welcome() {
            return true;
        }
        let ids = self.topology.nodes.iter().map(|node| node.id);
        let wished: Vec<u64> = ids.filter(|&id| self.place(id).take_wish()).collect();
        wished.into_iter().any(|node| self.observe(Observed::Wished { node }))
    }

    /// Takes a node that has left out of the cluster's shape.
    fn forget(&mut self, node: u64) {
        self.topology.nodes.retain(|known| known.id != node);
        let edited = layout::edit(&self.directory, |topology| {
            topology.nodes.retain(|known| known.id != node);
            Ok(())
        });
        if let Err(fault) = edited {
            (self.tell)(&Event::ShapeUnknown { error: ErrorBody::from(&fault) });
        }
    }

    fn signal(&self, pid: u32, signal: Signal) {
        if let Some(process) = self.running.values().find(|process| process.pid == pid) {
            process.signal(signal);
            // A paused process hears nothing but this.
            process.signal(Signal::CONT);
        }
    }

    fn adopt(&mut self, node: u64, process: Process) {
        self.running.insert(node, process);
        let watched = self.watched(node, process);
        watch_adopted(watched.clone(), self.control.0.clone());
        probe(watched, self.control.0.clone());
    }

    fn start(&mut self, node: u64) {
        // The answer goes by the channel and not by a call, since the law takes one observation at a
        // time; and before the watcher begins, so that no end is told before its beginning.
        let tell = self.control.0.clone();
        match self.spawn(node) {
            Ok(child) => {
                let process = Process::child(&child);
                self.running.insert(node, process);
                let _ = tell.send(Observed::Started { node, pid: process.pid });
                let watched = self.watched(node, process);
                watch_child(watched.clone(), child, tell.clone());
                probe(watched, tell);
            }
            Err(fault) => {
                let (code, detail) = (fault.code.as_str().to_owned(), fault.detail);
                let ending = Ending::Failed { code, detail };
                let _ = tell.send(Observed::NotStarted { node, ending });
            }
        }
    }

    fn spawn(&self, node: u64) -> Result<std::process::Child, Fault> {
        let place = self.place(node);
        // This start fulfils it; it must not bring the node back once somebody has stopped it.
        place.take_wish();
        let log = open_log(&place.log_file())?;
        let also = log.try_clone().map_err(|error| crate::files::fault(&error, &place.log_file()))?;
        let mut command = Command::new(&self.program);
        command.arg("server").arg("--config").arg(place.config_file()).arg("--own-session");
        command.stdin(Stdio::null()).stdout(log).stderr(also);
        command.spawn().map_err(|error| {
            Fault::new(ErrorCode::DataUnreadable, format!("{}: {error}", self.program.display()))
        })
    }

    fn place(&self, node: u64) -> NodePlace {
        NodePlace::new(self.directory.node_directory(node))
    }

    fn watched(&self, node: u64, process: Process) -> Watched {
        let known = self.topology.node(node).expect("only nodes of the topology are started or adopted");
        Watched {
            node,
            cluster: format!("{:016x}", self.topology.cluster.get()),
            http: self.topology.reached(known).http,
            place: self.place(node),
            process,
        }
    }
}

impl Control {
    /// Asks it to stop all nodes and itself.
    pub fn stop(&self) {
        // An agent that has ended has stopped.
        let _ = self.0.send(Observed::StopAll);
    }

    /// Asks it to start the nodes that are stopped.
    pub fn start(&self) {
        let _ = self.0.send(Observed::StartAll);
    }

    /// Asks it to start nodes that are new, and those that [`NodePlace::wish_start`] names.
    pub fn start_wished(&self) {
        let _ = self.0.send(Observed::Wishes);
    }
}

/// The log to append to; a large one is set aside first.
fn open_log(path: &Path) -> Result<File, Fault> {
    let open = || -> std::io::Result<File> {
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            std::fs::rename(path, path.with_extension("log.1"))?;
        }
        OpenOptions::new().append(true).create(true).open(path)
    };
    open().map_err(|error| crate::files::fault(&error, path))
}

/// How long stopping may take as seen from outside: the law's limit and a little.
pub const STOP_WAIT: Duration = Duration::from_secs(super::supervise::STOP_LIMIT.as_secs() + 5);

#[cfg(test)]
mod tests;
