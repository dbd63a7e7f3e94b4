//! From commands to requests, and from outcomes to replies.

mod start;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use env::Moment;
use proto_redis::lookups::Lookup;
use proto_redis::slow_log::SlowCommand;
use proto_redis::{CountedCall, ErrorText, Plan, Reply, ReplyMode, Session, parse};
use types::GroupId;
use types::buckets::micros;

use super::Call;
use super::blocking::{self, Blocked, Ending};
use super::client::Client;
use super::directory::Directory;
use super::guess::Guess;
use super::pipeline::{CallName, Next, Pipeline};
use super::statistics::{Counted, Start, Started};
use super::worker::Worker;
use start::Prepared;

/// Runs the commands of one connection.
pub(crate) struct Executor {
    worker: Arc<Worker>,
    client: Arc<Client>,
    session: Session,
    directory: Arc<Directory>,
    pipeline: Pipeline,
    /// A command that has to wait for others of this connection.
    stalled: Option<(Prepared, ReplyMode)>,
    /// The command that waits for an element. Those behind it wait for it.
    blocked: Option<Blocked>,
    /// A `WATCH` reads its keys. What comes after it depends on what it finds.
    watching: bool,
    /// Room for one encoded request.
    request: BytesMut,
    closing: bool,
    commands: u64,
    /// When the next command begins: when the one before was started.
    now: Moment,
    guess: Guess,
    /// Where the last command would have written, had it changed anything.
    unchanged: Option<GroupId>,
    /// What is to be counted of the command that has to wait.
    stalled_start: Option<Start>,
    /// Room for commands that were answered.
    answered: Vec<Started>,
    /// Memory for words of commands, which was used before.
    spare: Vec<Vec<u8>>,
}

/// Memory for words of so many commands is kept ...
const SPARE_MAX: usize = 64;
/// ... unless one of them was longer than this, in bytes.
const SPARE_BYTES_MAX: usize = 1024;

impl Executor {
    /// For a new connection.
    pub(crate) fn new(worker: Arc<Worker>, client: Arc<Client>) -> Self {
        let mut session = Session::new(client.id, worker.face().config.password.clone());
        if client.addressing == super::Addressing::Zankv {
            session.set_zankv();
        }
        session.seed(worker.random());
        let directory = worker.face().directories.latest();
        Self {
            worker,
            client,
            session,
            directory,
            pipeline: Pipeline::default(),
            stalled: None,
            blocked: None,
            watching: false,
            request: BytesMut::new(),
            closing: false,
            commands: 0,
            now: Moment::default(),
            guess: Guess::default(),
            unchanged: None,
            stalled_start: None,
            answered: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Whether the client has proved its password.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.session.is_authenticated()
    }

    /// Whether a command waits for those before it; until then no other may start.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.is_some() || self.watching || self.is_blocked()
    }

    /// Whether a command waits for an element.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// When the time of the command that waits is up.
    pub(crate) fn deadline(&self) -> Option<tokio::time::Instant> {
        self.blocked.as_ref()?.deadline()
    }

    /// Whether a command has been the last one.
    pub(crate) fn has_quit(&self) -> bool {
        self.closing
    }

    /// Whether the last command, and with it all before, has been answered.
    pub(crate) fn is_done(&self) -> bool {
        self.closing && self.pipeline.len() == 0
    }

    /// The replies.
    pub(crate) fn pipeline(&mut self) -> &mut Pipeline {
        &mut self.pipeline
    }

    /// Starts a command, and sees to it that it is counted.
    pub(crate) fn command(&mut self, args: &[Bytes]) {
        let (at, opened, errors) = (self.now, self.pipeline.opened(), self.pipeline.errors().len());
        let lookup = self.start_command(args);
        self.now = self.worker.face().config.clock.now();
        self.count_unchanged(|| args.iter().map(Bytes::len).sum(), self.now.since(at));
        let statistics = &self.worker.face().statistics;
        let is_over = self.pipeline.opened() == opened && self.stalled.is_none();
        let (call, took) = (self.session.counted(), self.now.since(at));
        if is_over {
            self.count_call(call, took, self.pipeline.errors().len() > errors);
            if !statistics.is_slow(took) {
                return;
            }
        }
        let bytes = args.iter().map(Bytes::len).sum();
        let mut packed = self.spare.pop().unwrap_or_default();
        statistics.pack(args, &mut packed);
        let start = Start { at, bytes, packed, call, lookup };
        match is_over {
            true => self.note_slow(start.packed, took),
            // How long it waits for an element says nothing about how slow it is.
            false if self.is_blocked() => self.count_call(call, took, false),
            false if self.stalled.is_some() => self.stalled_start = Some(start),
            false => self.pipeline.note_started(start),
        }
    }

    fn count_call(&self, call: Option<CountedCall>, took: Duration, failed: bool) {
        if let Some(call) = call {
            self.worker.commands.add(call, took, failed);
        }
    }

    /// Starts a command. Returns what its reply tells of keys, when it is there.
    fn start_command(&mut self, args: &[Bytes]) -> Lookup {
        self.commands += 1;
        let plan = parse(args, &mut self.session);
        let lookup = match (&plan, self.session.counted()) {
            (Ok(Plan::Keyed(_) | Plan::Scatter(_)), Some(call)) => Lookup::of(call.command, args.len()),
            _ => Lookup::None,
        };
        self.pipeline.expect(lookup);
        self.carry_out(plan);
        lookup
    }

    fn carry_out(&mut self, plan: Result<Plan, ErrorText>) {
        let mode = self.session.reply_mode();
        self.closing |= mode.close;
        let prepared = match plan {
            Ok(Plan::Answer(reply)) => return self.pipeline.reply(&reply, mode),
            Ok(plan) => self.prepare(plan),
            Err(text) => Err(text.into()),
        };
        match prepared {
            Ok(prepared) if self.may_start(&prepared) => self.start(prepared, mode),
            Ok(prepared) => self.stalled = Some((prepared, mode)),
            Err(reply) => self.pipeline.reply(&reply, mode),
        }
    }

    /// Starts the command that waited, if it may now.
    pub(crate) fn resume(&mut self) {
        self.now = self.worker.face().config.clock.now();
        if let Some((prepared, mode)) = self.stalled.take() {
            if self.may_start(&prepared) {
                self.start_stalled(prepared, mode);
            } else {
                self.stalled = Some((prepared, mode));
            }
        }
    }

    fn start_stalled(&mut self, prepared: Prepared, mode: ReplyMode) {
        let (opened, errors) = (self.pipeline.opened(), self.pipeline.errors().len());
        let start = self.stalled_start.take();
        self.pipeline.expect(start.as_ref().map_or(Lookup::None, |start| start.lookup));
        self.start(prepared, mode);
        let Some(start) = start else { return };
        if self.is_blocked() {
            self.count_call(start.call, self.now.since(start.at), false);
        } else if self.pipeline.opened() > opened {
            self.pipeline.note_started(start);
        } else {
            let took = self.now.since(start.at);
            self.count_unchanged(|| start.bytes, took);
            self.count_call(start.call, took, self.pipeline.errors().len() > errors);
            self.note_if_slow(start.packed, took);
        }
    }

    /// The last reply of a connection whose bytes are no commands.
    pub(crate) fn protocol_error(&mut self, reply: &Reply) {
        let mode = ReplyMode { silent: false, ..self.session.reply_mode() };
        self.pipeline.reply(reply, mode);
        self.closing = true;
    }

    /// Takes the outcomes that have come in.
    pub(crate) fn take_mail(&mut self) {
        while let Some((call, outcome)) = self.client.mailbox.take() {
            match self.pipeline.complete(call, outcome) {
                Next::Nothing => {}
                Next::Finish { slot, parts } => {
                    let reply = self.finish(parts);
                    self.pipeline.answer(slot, &reply);
                }
                Next::Block { outcome } => {
                    let next = self.blocked.as_mut().map(|blocked| blocked.on_outcome(outcome));
                    match next {
                        Some(blocking::Next::Ask(call)) => self.ask_for_blocked(call),
                        Some(blocking::Next::Over(reply)) => self.end_block(&reply),
                        None => {}
                    }
                }
                Next::Exec { slot, reply, outcome } => {
                    let reply = reply.finish(outcome, |question| self.ask_inside(question));
                    self.pipeline.answer(slot, &reply);
                }
                Next::Walk { slot, mut walk, targets, at, outcome } => {
                    let (directory, addressing) = (&self.directory, self.client.addressing);
                    let target = targets[at as usize];
                    let shown = |key| Some(directory.shown(addressing, target, key));
                    let step = walk.absorb(targets.len() as u32, outcome, &shown);
                    self.step(slot, walk, targets, step);
                }
            }
        }
        self.count_answered();
    }

    /// Counts a write that was answered on the spot, if the last command was one.
    fn count_unchanged(&mut self, bytes: impl FnOnce() -> usize, took: Duration) {
        if let Some(group) = self.unchanged.take()
            && let Some(writes) = self.directory.writes(group)
        {
            writes.add(bytes(), took);
        }
    }

    /// Counts the commands that were answered.
    fn count_answered(&mut self) {
        let mut answered = std::mem::take(&mut self.answered);
        self.pipeline.drain_answered(&mut answered);
        if !answered.is_empty() {
            let now = self.worker.face().config.clock.now();
            for Started { at, packed, counted, call, failed } in answered.drain(..) {
                let took = now.since(at);
                self.count_call(call, took, failed);
                match counted {
                    Counted::No => {}
                    Counted::Scan => self.worker.face().statistics.count_scan(took),
                    Counted::Write(group, bytes) => {
                        if let Some(writes) = self.directory.writes(group) {
                            writes.add(bytes, took);
                        }
                    }
                }
                self.note_if_slow(packed, took);
            }
        }
        self.answered = answered;
    }

    fn note_if_slow(&mut self, mut packed: Vec<u8>, took: Duration) {
        if self.worker.face().statistics.is_slow(took) {
            self.note_slow(packed, took);
        } else if self.spare.len() < SPARE_MAX && packed.capacity() <= SPARE_BYTES_MAX {
            packed.clear();
            self.spare.push(packed);
        }
    }

    /// Notes a slow command. One that came while the slow log was off has left no words.
    fn note_slow(&self, packed: Vec<u8>, took: Duration) {
        if packed.is_empty() {
            return;
        }
        let face = self.worker.face();
        face.statistics.note_slow(SlowCommand {
            at_seconds: face.config.clock.wall_millis() / 1000,
            micros: micros(took),
            packed: packed.into(),
            address: self.client.facts().address,
            name: self.session.name().clone(),
        });
    }

    /// The command that waits is to end with nothing.
    pub(crate) fn end_waiting(&mut self, ending: Ending) {
        if let Some(reply) = self.blocked.as_mut().and_then(|blocked| blocked.end(ending)) {
            self.end_block(&reply);
        }
    }

    /// The client is gone: nobody need wait behind it.
    pub(crate) fn leave(&mut self) {
        if let Some(blocked) = self.blocked.take() {
            self.say_farewell(&blocked);
        }
    }

    fn end_block(&mut self, reply: &Reply) {
        let Some(blocked) = self.blocked.take() else { return };
        self.client.set_blocked(false);
        self.say_farewell(&blocked);
        self.pipeline.end_block(blocked.slot, reply);
    }

    fn say_farewell(&self, blocked: &Blocked) {
        if let Some(call) = blocked.farewell() {
            // Whoever does not hear it finds out when the client does not come.
            self.worker.begin(call, Box::new(|_| {}));
        }
    }

    fn ask_for_blocked(&self, call: Call) {
        if let Some(blocked) = &self.blocked {
            let Call { group, access, body } = call;
            self.submit(CallName { slot: blocked.slot, part: 0 }, group, access, body);
        }
    }

    /// Tells the client's entry and the counters what has happened since the last time.
    pub(crate) fn report(&mut self, input_bytes: usize) {
        let (commands, errors) = (std::mem::take(&mut self.commands), self.pipeline.errors().len() as u64);
        let lookups = self.pipeline.take_lookups();
        if commands > 0 || errors > 0 {
            self.worker.face().counters.add_commands(commands, errors);
        }
        self.worker.face().statistics.count_replies(lookups, self.pipeline.errors());
        self.pipeline.drain_errors();
        if commands > 0 {
            self.client.note(&self.session, input_bytes, self.pipeline.bytes());
        }
    }
}
