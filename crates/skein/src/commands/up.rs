//! `skein up`: a cluster on this machine from one command.
//!
//! ```text
//!   foreground                        --detach
//!   skein up                          skein up ───starts──► skein agent (own session)
//!     └ agent (a thread)                 ▲                     │
//!        └ nodes (own sessions)          └──events, JSON lines─┘ until the cluster serves
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use api::admin::Verdict;
use client::{Directory, Topology, TopologyNode};
use types::{ErrorCode, Fault};

use super::refusals;
use super::status::{self, Told};
use super::waiting::{self, Settled, Waited};
use crate::agent::{Agent, Event};
use crate::cli::{Label, Up};
use crate::exit::{self, Exit};
use crate::files::{PidFile, create_directory, fault};
use crate::layout::{self, Wish};
use crate::node_file::NodePlace;
use crate::ports;
use crate::process::Process;
use crate::say::{self, Form};
use crate::signals::{self, Asked};

/// A node that dies so often before it serves will not serve.
const DEATHS_MAX: u32 = 5;

/// Starts or resumes a cluster.
pub fn run(arguments: Up) -> Result<Exit, Fault> {
    let began = Instant::now();
    let directory = Directory::new(&arguments.dir);
    let wish = Wish {
        name: arguments.name.clone(),
        nodes: arguments.nodes.as_deref().and_then(|nodes| nodes.parse().ok()),
        base_port: arguments.base_port,
        partitions: arguments.partitions,
        listen: arguments.listen,
        password: arguments.requirepass.clone(),
        labels: Label::map(&arguments.label),
    };
    if let Some(agent) = PidFile::holder(&directory.agent_pid_file())? {
        return already_running(&directory, &wish, agent, arguments.output.form());
    }
    // Whatever can be refused is refused before anything is made.
    let planned = layout::plan(&directory, &wish)?;
    check_ports(&directory, &planned)?;
    create_directory(directory.path())?;
    let pid_file = PidFile::take(&directory.agent_pid_file())?;
    let topology = layout::establish(&directory, &wish)?;
    let form = arguments.output.form();
    if arguments.detach {
        // The agent takes the lock itself; whoever comes between the two is an agent as well.
        drop(pid_file);
        detach(&directory, &topology, began, form)
    } else {
        attend(directory, topology, pid_file, began, form)
    }
}

/// The same command again: says so, starts what was stopped, and shows the table.
fn already_running(directory: &Directory, wish: &Wish, agent: Process, form: Form) -> Result<Exit, Fault> {
    let topology = directory.topology()?;
    layout::compare(directory, &topology, wish)?;
    let asked =
        wish.password.as_deref().map(|password| Some(password).filter(|password| !password.is_empty()));
    if asked.is_some_and(|asked| layout::password(directory).as_ref().map(Option::as_deref) != Ok(asked)) {
        let detail = "--requirepass is another than the running cluster's\n\
                      'skein down' first, then the same command";
        return Err(Fault::new(ErrorCode::TopologyDiffers, detail));
    }
    say::note(format_args!("this cluster is running already, its agent is process {}", agent.pid));
    agent.signal(rustix::process::Signal::USR1);
    let waited = waiting::until_serving(directory, &topology, &mut |_| Ok(Settled::Waiting))?;
    Ok(show(waited, directory, &topology, None, form))
}

/// Ports are checked before anything starts; nodes that run already have theirs.
fn check_ports(directory: &Directory, topology: &Topology) -> Result<(), Fault> {
    let mut wanted = Vec::new();
    for node in &topology.nodes {
        let place = NodePlace::new(directory.node_directory(node.id));
        if PidFile::holder(&place.pid_file())?.is_none() {
            wanted.push(topology.listens(node));
        }
    }
    ports::check(wanted.iter().flat_map(|addresses| addresses.all()))
}

/// Runs the agent in this process, until Ctrl-C.
fn attend(
    directory: Directory,
    topology: Topology,
    pid_file: PidFile,
    began: Instant,
    form: Form,
) -> Result<Exit, Fault> {
    let program = this_program()?;
    let (tell, events) = channel();
    let agent = Agent::new(directory.clone(), topology.clone(), program, pid_file, move |event| {
        // Without a listener this process is about to end.
        let _ = tell.send(event.clone());
    });
    let control = agent.control();
    let heed = control.clone();
    signals::listen(move |asked| match asked {
        Asked::Stop => {
            say::note("stopping; the same command resumes");
            heed.stop();
        }
        Asked::Start => heed.start(),
        Asked::StartWished => heed.start_wished(),
    })?;
    let running = std::thread::spawn(move || agent.run());
    let mut progress = Progress::new(&topology);
    let waited = waiting::until_serving(&directory, &topology, &mut |limit| progress.hear(&events, limit));
    let failed = match waited {
        Ok(waited) => {
            show(waited, &directory, &topology, Some(began.elapsed()), form);
            None
        }
        Err(_) if progress.finished => None,
        Err(fault) => {
            control.stop();
            Some(fault)
        }
    };
    for event in events {
        say::note(event);
    }
    running.join().map_err(|_| Fault::new(ErrorCode::Internal, "the agent's thread panicked"))??;
    failed.map_or(Ok(exit::OK), Err)
}

/// Starts an agent of its own and returns when the cluster serves.
fn detach(directory: &Directory, topology: &Topology, began: Instant, form: Form) -> Result<Exit, Fault> {
    let log_file = directory.agent_log_file();
    let open = std::fs::OpenOptions::new().append(true).create(true).open(&log_file);
    let log = open.map_err(|error| fault(&error, &log_file))?;
    let program = this_program()?;
    let mut command = Command::new(&program);
    command.args(["agent", "--own-session", "--json", "--dir"]).arg(directory.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut agent = command.spawn().map_err(|error| fault(&error, &program))?;
    let output = agent.stdout.take().expect("a pipe was asked for");
    let (tell, events) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Ok(event) = serde_json::from_str::<Event>(&line) {
                let _ = tell.send(event);
            }
        }
    });
    let mut progress = Progress::new(topology);
    let waited = waiting::until_serving(directory, topology, &mut |limit| progress.hear(&events, limit));
    match waited {
        Ok(waited) => Ok(show(waited, directory, topology, Some(began.elapsed()), form)),
        Err(fault) => {
            let agent = Process::child(&agent);
            agent.signal(rustix::process::Signal::TERM);
            agent.wait(Some(crate::agent::driver::STOP_WAIT));
            Err(fault)
        }
    }
}

/// The start as the agent tells it.
struct Progress {
    /// Nodes that do not serve yet, and how often each has died.
    waiting: BTreeMap<u64, u32>,
    /// Why nodes will not serve.
    refused: Vec<Fault>,
    nodes: usize,
    finished: bool,
}

impl Progress {
    fn new(topology: &Topology) -> Self {
        Self {
            waiting: topology.nodes.iter().map(|node| (node.id, 0)).collect(),
            refused: Vec::new(),
            nodes: topology.nodes.len(),
            finished: false,
        }
    }

    /// Waits for an event at most this long, and says what is known then.
    ///
    /// # Errors
    /// The first refusal once no majority is left; `NotReady` if the agent has ended.
    fn hear(&mut self, events: &Receiver<Event>, limit: Duration) -> Result<Settled, Fault> {
        match events.recv_timeout(limit) {
            Ok(event) => {
                // What goes well is in the table; what does not is said at once.
                if !matches!(event, Event::Started { .. } | Event::Ready { .. }) {
                    say::note(&event);
                }
                self.count(&event);
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => self.finished = true,
        }
        if self.refused.len() * 2 > self.nodes {
            return Err(self.refused[0].clone());
        }
        if self.finished {
            return Err(Fault::new(ErrorCode::NotReady, "the agent ended before the cluster served"));
        }
        Ok(if self.waiting.is_empty() { Settled::Done } else { Settled::Waiting })
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Ready { node, .. } | Event::Stopped { node, .. } | Event::Left { node } => {
                self.waiting.remove(node);
            }
            Event::Refused { node, error } => {
                self.waiting.remove(node);
                self.refused.push(Fault::from(error));
            }
            Event::Died { node, ending, .. } => {
                let Some(deaths) = self.waiting.get_mut(node) else { return };
                *deaths += 1;
                if *deaths == DEATHS_MAX {
                    self.waiting.remove(node);
                    self.refused.push(ending.fault().unwrap_or_else(|| {
                        Fault::new(ErrorCode::Internal, format!("node {node} {ending}, again and again"))
                    }));
                }
            }
            Event::Finished => self.finished = true,
            _ => {}
        }
    }
}

/// The table of nodes, what is not as it should be, and what to type next.
fn show(
    waited: Waited,
    directory: &Directory,
    topology: &Topology,
    took: Option<Duration>,
    form: Form,
) -> Exit {
    let Waited { status, missing } = waited;
    let told = Told::new(status, refusals::of(directory, topology));
    let status = &told.status;
    let exit = match status.verdict {
        Verdict::Unavailable => exit::UNAVAILABLE,
        Verdict::Healthy | Verdict::Degraded => exit::OK,
    };
    if form == Form::Json {
        say::json(&told);
        return exit;
    }
    say::data(status::nodes_table(&status.nodes));
    say::data("");
    let word = match status.verdict {
        Verdict::Unavailable => "started, but not everything is served",
        Verdict::Healthy | Verdict::Degraded if missing.is_empty() => "ready",
        Verdict::Healthy | Verdict::Degraded => "serving",
    };
    let took = took.map(|took| format!(" in {:.1} s", took.as_secs_f64())).unwrap_or_default();
    say::data(format_args!("{word}{took}: {}", status.summary));
    for &node in missing.iter().filter(|&&node| !told.has_refused(node)) {
        let progress = waiting::progress(status, node);
        say::data(format_args!(
            "node {node} goes on by itself ({progress}); 'skein status' shows how far it is"
        ));
    }
    for refusal in &told.refusals {
        say::data(refusal.text());
    }
    next(directory, topology, &told, &missing);
    exit
}

/// A command to go on with, at a node that serves.
fn next(directory: &Directory, topology: &Topology, told: &Told, missing: &BTreeSet<u64>) {
    let serves = |node: &&TopologyNode| !missing.contains(&node.id) && !told.has_refused(node.id);
    let redis = topology.nodes.iter().find(serves).map(|node| topology.reached(node).redis);
    let Some((host, port)) = redis.as_deref().and_then(|address| address.rsplit_once(':')) else { return };
    let host =
        if host == "127.0.0.1" { String::new() } else { format!(" -h {}", host.trim_matches(['[', ']'])) };
    let password = if directory.password_file().exists() { " -a PASSWORD" } else { "" };
    say::data(format_args!("next: redis-cli{host} -p {port}{password} set a 1"));
}

/// The program that nodes and agents run: this one.
pub fn this_program() -> Result<std::path::PathBuf, Fault> {
    std::env::current_exe()
        .map_err(|error| Fault::new(ErrorCode::Internal, format!("this program's own path: {error}")))
}
