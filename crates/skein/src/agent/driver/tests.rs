//! The driver with real processes: a small program that answers as a node does, and misbehaves on demand.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::Receiver;

use api::admin::Identity;
use types::ClusterId;

use super::*;
use crate::layout;
use crate::node_file::NodeFile;
use crate::server_exit::ServerExit;
use crate::signals;

/// Long enough for a loaded machine; a test that works never waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node for the tests: not a test itself, but what [`Fixture`]'s program runs.
#[test]
#[ignore = "run by the tests of the agent, with a node's configuration in FAKE_NODE_CONFIG"]
fn fake_node() {
    let Some(config) = std::env::var_os("FAKE_NODE_CONFIG") else { return };
    let config = PathBuf::from(config);
    let place = NodePlace::new(config.parent().expect("a directory"));
    let file = NodeFile::read(&config).expect("a configuration");
    let _pid_file = PidFile::take(&place.pid_file()).expect("one process");
    let end = |outcome: &Result<(), Fault>, code| {
        ServerExit::write(&place, outcome);
        std::process::exit(code);
    };
    if place.path().join("refuse").exists() {
        end(&Err(Fault::new(ErrorCode::DataDamaged, "a fake")), 3);
    }
    let stopped = place.clone();
    signals::listen(move |_| {
        ServerExit::write(&stopped, &Ok(()));
        std::process::exit(0);
    })
    .expect("signals");
    let identity = Identity {
        cluster: file.cluster,
        name: file.name,
        node: file.node,
        boot: "1".into(),
        pid: std::process::id(),
        version: "0".into(),
        ready: true,
    };
    let body = serde_json::to_string(&identity).expect("plain data");
    let listener = TcpListener::bind(&file.listen.http).expect("a free port");
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let mut line = String::new();
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
            line.clear();
        }
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
    }
}

/// A cluster's directory, and agents on it.
struct Fixture {
    directory: Directory,
    topology: Topology,
    program: PathBuf,
    _dir: tempfile::TempDir,
}

/// An agent that works, and what it tells.
struct Working {
    control: Control,
    events: Receiver<Event>,
    thread: std::thread::JoinHandle<Result<(), Fault>>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::new(dir.path());
        let topology = Topology::new(ClusterId(7), 1, free_ports(), 1, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let topology = topology.expect("plain");
        std::fs::write(directory.topology_file(), topology.to_text()).expect("written");
        layout::write_nodes(&directory, &topology).expect("written");
        let program = dir.path().join("program");
        let this = std::env::current_exe().expect("this test");
        let script = format!(
            "#!/bin/sh\nFAKE_NODE_CONFIG=\"$3\" exec {} --exact agent::driver::tests::fake_node --ignored\n",
            this.display()
        );
        std::fs::write(&program, script).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
        Self { directory, topology, program, _dir: dir }
    }

    fn place(&self) -> NodePlace {
        NodePlace::new(self.directory.node_directory(1))
    }

    fn agent(&self) -> Working {
        let pid_file = PidFile::take(&self.directory.agent_pid_file()).expect("one agent");
        let (tell, events) = channel();
        let agent = Agent::new(
            self.directory.clone(),
            self.topology.clone(),
            self.program.clone(),
            pid_file,
            move |event| {
                let _ = tell.send(event.clone());
            },
        );
        let control = agent.control();
        Working { control, events, thread: std::thread::spawn(move || agent.run()) }
    }

    fn process(&self) -> Process {
        PidFile::holder(&self.place().pid_file()).expect("readable").expect("running")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // Whatever a failed test left running.
        if let Ok(Some(process)) = PidFile::holder(&self.place().pid_file()) {
            process.signal(Signal::KILL);
        }
    }
}

impl Working {
    /// The next event that is not about a process's start.
    fn next(&self) -> Event {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("an event") {
                Event::Started { .. } => {}
                event => return event,
            }
        }
    }

    fn is_ready(&self) {
        assert!(matches!(self.next(), Event::Ready { node: 1, .. }));
    }

    fn stop(self) {
        self.control.stop();
        assert_eq!(self.next(), Event::Stopped { node: 1, asked: true });
        assert_eq!(self.next(), Event::Finished);
        self.thread.join().expect("no panic").expect("no fault");
    }
}

/// The first of ten ports that nobody uses, outside of what the system hands out by itself.
fn free_ports() -> u16 {
    let mut bytes = [0; 2];
    loop {
        getrandom::fill(&mut bytes).expect("randomness");
        let base = 10_000 + u16::from_be_bytes(bytes) % 2_000 * 10;
        if (base..base + 10).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
}

#[test]
fn a_killed_node_is_started_again_and_a_stop_is_clean() {
    let fixture = Fixture::new();
    let agent = fixture.agent();
    agent.is_ready();
    let first = fixture.process();
    first.signal(Signal::KILL);
    assert_eq!(
        agent.next(),
        Event::Died { node: 1, ending: Ending::Signal(9), again_in_ms: 0, for_ever: false }
    );
    agent.is_ready();
    let second = fixture.process();
    assert_ne!(first, second);
    agent.stop();
    assert!(!second.is_alive());
}

#[test]
fn a_node_stopped_from_outside_stays_stopped_until_asked() {
    let fixture = Fixture::new();
    let agent = fixture.agent();
    agent.is_ready();
    fixture.process().signal(Signal::TERM);
    assert_eq!(agent.next(), Event::Stopped { node: 1, asked: false });
    agent.control.start();
    agent.is_ready();
    agent.stop();
}

#[test]
fn a_wish_starts_a_node_once() {
    let fixture = Fixture::new();
    assert!(fixture.place().wish_start(), "left by somebody before the agent began");
    let agent = fixture.agent();
    agent.is_ready();
    assert!(!fixture.place().take_wish(), "its start fulfils it");
    fixture.process().signal(Signal::TERM);
    assert_eq!(agent.next(), Event::Stopped { node: 1, asked: false });
    assert!(fixture.place().wish_start());
    agent.control.start_wished();
    agent.is_ready();
    assert!(!fixture.place().take_wish());
    agent.stop();
}

#[test]
fn a_refusal_is_told_with_its_cause() {
    let fixture = Fixture::new();
    std::fs::write(fixture.place().path().join("refuse"), "").expect("written");
    let agent = fixture.agent();
    let Event::Refused { error, .. } = agent.next() else { panic!("another event") };
    assert_eq!((error.code.as_str(), error.detail.as_str()), ("data-damaged", "a fake"));
    agent.control.stop();
    assert_eq!(agent.next(), Event::Finished);
}

#[test]
fn a_program_that_cannot_be_run_is_a_failure_that_is_tried_again() {
    let mut fixture = Fixture::new();
    fixture.program = "/nonexistent".into();
    let agent = fixture.agent();
    for _ in 0..2 {
        let Event::Died { ending: Ending::Failed { code, .. }, .. } = agent.next() else { panic!("another") };
        assert_eq!(code, "data-unreadable");
    }
    agent.control.stop();
}

#[test]
fn a_node_that_runs_already_is_adopted_and_watched() {
    let fixture = Fixture::new();
    // Started by nobody that still knows of it, as after the death of its agent.
    let mut command = Command::new(&fixture.program);
    command.arg("server").arg("--config").arg(fixture.place().config_file());
    let mut child = command.stdout(Stdio::null()).spawn().expect("started");
    let process = Process::child(&child);
    let reaper = std::thread::spawn(move || child.wait());
    let client = client::Client::new(vec![fixture.topology.reached(&fixture.topology.nodes[0]).http], None);
    while client.identity().is_err() {
        assert!(process.is_alive());
        std::thread::yield_now();
    }

    let agent = fixture.agent();
    assert_eq!(agent.next(), Event::Adopted { node: 1, pid: process.pid });
    agent.is_ready();
    // Killed without a word: it is gone, and repaired.
    process.signal(Signal::KILL);
    assert_eq!(agent.next(), Event::Died { node: 1, ending: Ending::Gone, again_in_ms: 0, for_ever: false });
    agent.is_ready();
    reaper.join().expect("no panic").expect("waited for");
    agent.stop();
}

#[test]
fn a_pid_file_of_a_dead_node_is_not_believed() {
    let fixture = Fixture::new();
    // A crash left the file, and its pid now belongs to somebody else: this very test.
    let held = PidFile::take(&fixture.place().pid_file()).expect("free");
    drop(held);
    let agent = fixture.agent();
    agent.is_ready();
    agent.stop();
}
