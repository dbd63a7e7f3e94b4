//! From commands to requests, and from outcomes to replies.

use std::sync::Arc;
use std::time::Duration;

use api::kv::{KvOp, KvRequest};
use api::peer::Access;
use bytes::{Bytes, BytesMut};
use env::Moment;
use prost::Message;
use proto_redis::blocking::{Block, awaited};
use proto_redis::client::wait_reply;
use proto_redis::lookups::Lookup;
use proto_redis::slow_log::SlowCommand;
use proto_redis::transaction::ExecReply;
use proto_redis::{
    CountedCall, ErrorText, Everywhere, Form, Part, Plan, Question, Reply, ReplyMode, Session, Step, Target,
    Walk, fault_error, parse,
};
use types::buckets::micros;
use types::{ErrorCode, Fault, GroupId};

use super::blocking::{self, Blocked, Ending};
use super::client::Client;
use super::directory::Directory;
use super::guess::Guess;
use super::pipeline::{CallName, Finish, Next, Parts, Pipeline, Work, decode, reply_of};
use super::statistics::{Counted, Start, Started};
use super::worker::Worker;
use super::{Call, answers};

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

/// A command that is ready to start.
enum Prepared {
    /// One request. Its body is in `Executor::request` when it starts at once.
    Keyed { group: GroupId, access: Access, op: KvOp, form: Form },
    /// One request, and a wait if there is nothing.
    Block { group: GroupId, op: KvOp, form: Form, timeout: Option<Duration> },
    /// A transaction.
    Exec { group: GroupId, op: KvOp, reply: ExecReply },
    /// Requests to several partitions.
    Parts { parts: Vec<(GroupId, Access, Bytes)>, finish: Finish },
    /// One partition after another.
    Walk(Box<Walk>),
    /// `WAIT`: it is answered once every write before it is.
    Wait { disks: bool },
}

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

    /// Finds the partitions that a plan needs. The error is a reply, or an answer that needs no partition.
    fn prepare(&mut self, plan: Plan) -> Result<Prepared, Reply> {
        let addressing = self.client.addressing;
        self.worker.face().refresh(&mut self.directory);
        let directory = &self.directory;
        let place = |key: &Bytes| directory.place(addressing, key);
        match plan {
            Plan::Answer(reply) => Err(reply),
            Plan::Keyed(keyed) => {
                let (target, op, form) = keyed.address(place)?;
                Ok(Prepared::Keyed { group: directory.group(target), access: access(&op), op, form })
            }
            Plan::Scatter(scatter) => {
                let (parts, gather) = scatter.split(place)?;
                Ok(Prepared::Parts { parts: self.encode(parts), finish: Finish::Gather(gather) })
            }
            Plan::Everywhere(everywhere) => {
                directory.check()?;
                let (parts, gather) = everywhere.parts(directory.targets(addressing).iter().copied());
                Ok(Prepared::Parts { parts: self.encode(parts), finish: Finish::Gather(gather) })
            }
            Plan::Walk(walk) => {
                directory.check()?;
                Ok(Prepared::Walk(Box::new(walk)))
            }
            Plan::Block(Block { keyed, timeout }) => {
                let (target, op, form) = keyed.address(place)?;
                Ok(Prepared::Block { group: directory.group(target), op, form, timeout })
            }
            Plan::Queued(keys) => Err(self.session.queued(&keys, place)),
            Plan::Watch(watch) => {
                let parts = watch.parts(&self.session, place)?;
                Ok(Prepared::Parts { parts: self.encode(parts), finish: Finish::Watch(watch) })
            }
            Plan::Exec(exec) => match exec.address(place)? {
                (Some((target, op)), reply) => {
                    Ok(Prepared::Exec { group: directory.group(target), op, reply })
                }
                (None, reply) => Err(reply.without_partition(|question| self.ask_inside(question))),
            },
            Plan::Ask(Question::Wait { disks, .. }) => Ok(Prepared::Wait { disks }),
            Plan::Ask(Question::Info(sections)) if sections.needs_keys() => {
                let (parts, _) = Everywhere::Count.parts(directory.targets(addressing).iter().copied());
                Ok(Prepared::Parts { parts: self.encode(parts), finish: Finish::Info(sections) })
            }
            Plan::Ask(question) => {
                Err(answers::answer(&question, self.worker.face(), &self.client, &self.session, directory))
            }
        }
    }

    /// The answer to a question inside a transaction. Nothing is asked of partitions then: how many keys there
    /// are is not known.
    fn ask_inside(&self, question: &Question) -> Reply {
        let (face, directory) = (self.worker.face(), &*self.directory);
        match question {
            Question::Info(sections) if sections.needs_keys() => {
                let unknown = vec![Err(ErrorCode::NotReady.into())];
                answers::info(sections, unknown, face, &self.client, directory)
            }
            _ => answers::answer(question, face, &self.client, &self.session, directory),
        }
    }

    fn encode(&self, parts: Vec<Part>) -> Vec<(GroupId, Access, Bytes)> {
        let encode = |part: Part| {
            let (group, access) = (self.directory.group(part.target), access(&part.op));
            (group, access, KvRequest::new(part.op).encode_to_vec().into())
        };
        parts.into_iter().map(encode).collect()
    }

    fn may_start(&self, prepared: &Prepared) -> bool {
        match prepared {
            Prepared::Keyed { group, access, .. } => self.pipeline.may_start(*group, *access),
            Prepared::Exec { group, .. } => self.pipeline.may_start(*group, Access::Write),
            Prepared::Parts { .. } | Prepared::Walk(_) | Prepared::Wait { .. } | Prepared::Block { .. } => {
                self.pipeline.is_idle()
            }
        }
    }

    fn start(&mut self, prepared: Prepared, mode: ReplyMode) {
        match prepared {
            Prepared::Keyed { group, access, op, form } => self.start_keyed(group, access, op, form, mode),
            Prepared::Block { group, op, form, timeout } => {
                self.start_block(group, op, form, timeout, mode);
            }
            Prepared::Exec { group, op, reply } => {
                let body = KvRequest::new(op).encode_to_vec().into();
                let slot = self.pipeline.open(mode, Work::Exec { group, reply });
                self.submit(CallName { slot, part: 0 }, group, Access::Write, body);
            }
            Prepared::Parts { parts, finish } => self.start_parts(parts, finish, mode),
            Prepared::Walk(mut walk) => {
                let targets = match self.targets_of(&walk) {
                    Ok(targets) => targets,
                    Err(error) => return self.pipeline.reply(&error.into(), mode),
                };
                let step = walk.begin(targets.len() as u32, self.worker.random());
                let slot =
                    self.pipeline.open(mode, Work::Walk { walk: walk.clone(), targets: Vec::new(), at: 0 });
                self.step(slot, walk, targets, step);
            }
            Prepared::Wait { disks } => {
                let reply = wait_reply(self.directory.followers_in_quorum(), disks);
                self.pipeline.reply(&reply, mode);
            }
        }
    }

    /// The partitions that a walk goes through: those of the port, or of the one table that it is about.
    fn targets_of(&self, walk: &Walk) -> Result<Vec<Target>, ErrorText> {
        let (directory, addressing) = (&self.directory, self.client.addressing);
        let mut targets = directory.targets(addressing).to_vec();
        if let Some(table) = walk.table() {
            let place = directory.place(addressing, table)?;
            targets.retain(|target| target.table == place.target.table);
        }
        Ok(targets)
    }

    fn start_keyed(&mut self, group: GroupId, access: Access, op: KvOp, form: Form, mode: ReplyMode) {
        self.request.clear();
        let is_to_be_looked_at = access == Access::Write && self.is_to_be_looked_at(group, &op);
        if let Err(error) = KvRequest::new(op).encode(&mut self.request) {
            let fault = Fault::new(ErrorCode::Internal, error.to_string());
            return self.pipeline.reply(&fault_error(&fault).into(), mode);
        }
        if access == Access::Read
            && let Some(outcome) = self.worker.face().backend.try_read(group, &self.request)
        {
            let reply = reply_of(&form, outcome);
            return self.pipeline.reply(&reply, mode);
        }
        if is_to_be_looked_at {
            let outcome = self.worker.face().backend.try_unchanged(group, &self.request);
            self.guess.note(outcome.is_some());
            if let Some(outcome) = outcome {
                self.unchanged = Some(group);
                return self.pipeline.reply(&reply_of(&form, outcome), mode);
            }
        }
        let body = self.request.split().freeze();
        let slot = self.pipeline.open(mode, Work::Keyed { group, access, form });
        self.submit(CallName { slot, part: 0 }, group, access, body);
    }

    /// Whether to look if a write would change anything. What this connection writes there must be over: the look
    /// would not see it.
    fn is_to_be_looked_at(&mut self, group: GroupId, op: &KvOp) -> bool {
        op.may_change_nothing()
            && self.pipeline.may_start(group, Access::Read)
            && self.guess.is_worth_a_look()
    }

    fn start_block(
        &mut self,
        group: GroupId,
        op: KvOp,
        form: Form,
        timeout: Option<Duration>,
        mode: ReplyMode,
    ) {
        let Some(awaited) = awaited(&op) else {
            let fault = Fault::new(ErrorCode::Internal, "a command that waits for nothing");
            return self.pipeline.reply(&fault_error(&fault).into(), mode);
        };
        // A time that the clock cannot show never comes.
        let deadline = timeout.and_then(|timeout| tokio::time::Instant::now().checked_add(timeout));
        let face = self.worker.face();
        let number = (face.next_wait(), face.config.clock.wall_millis());
        let body = KvRequest::new(op).encode_to_vec().into();
        let slot = self.pipeline.open(mode, Work::Block { group });
        let mut blocked = Blocked::new(slot, (group, body, form), awaited, number, deadline);
        let call = blocked.begin();
        self.blocked = Some(blocked);
        self.client.set_blocked(true);
        self.ask_for_blocked(call);
    }

    fn start_parts(&mut self, parts: Vec<(GroupId, Access, Bytes)>, finish: Finish, mode: ReplyMode) {
        let backend = &self.worker.face().backend;
        let outcomes: Vec<_> = parts
            .iter()
            .map(|(group, access, body)| {
                let outcome = (*access == Access::Read).then(|| backend.try_read(*group, body)).flatten()?;
                Some(outcome.and_then(|bytes| decode(&bytes)))
            })
            .collect();
        let calls = parts.iter().map(|(group, access, _)| (*group, *access)).collect();
        let missing: Vec<bool> = outcomes.iter().map(Option::is_none).collect();
        let work = Parts { calls, outcomes, finish };
        if !missing.contains(&true) {
            let reply = self.finish(work);
            return self.pipeline.reply(&reply, mode);
        }
        self.watching = matches!(work.finish, Finish::Watch(_));
        let slot = self.pipeline.open(mode, Work::Parts(work));
        for (part, (group, access, body)) in parts.into_iter().enumerate() {
            if missing[part] {
                self.submit(CallName { slot, part: part as u32 }, group, access, body);
            }
        }
    }

    fn finish(&mut self, parts: Parts) -> Reply {
        let none = || Err(Fault::new(ErrorCode::Internal, "a part without an outcome"));
        let outcomes = parts.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(none)).collect();
        match parts.finish {
            Finish::Gather(gather) => gather.finish(outcomes),
            Finish::Watch(watch) => {
                self.watching = false;
                self.session.watching(watch, outcomes)
            }
            Finish::Info(sections) => {
                answers::info(&sections, outcomes, self.worker.face(), &self.client, &self.directory)
            }
        }
    }

    /// Takes a step of a walk. Pages are always submitted, never read inline: a walk through millions of
    /// keys must let the other clients of this worker through after each page.
    fn step(&mut self, slot: u64, walk: Box<Walk>, targets: Vec<Target>, step: Step) {
        match step {
            Step::Done(reply) => self.pipeline.end_walk(slot, &reply),
            Step::Ask { index, mut op } => {
                let Some(&target) = targets.get(index as usize) else {
                    let fault = Fault::new(ErrorCode::Internal, "a walk left its partitions");
                    return self.pipeline.end_walk(slot, &fault_error(&fault).into());
                };
                if let KvOp::Scan(scan) = &mut op {
                    scan.shown_before = self.directory.shown_before(self.client.addressing, target);
                }
                let group = self.directory.group(target);
                self.pipeline.walk_on(slot, walk, targets, index);
                let body = KvRequest::new(op).encode_to_vec().into();
                self.submit(CallName { slot, part: 0 }, group, Access::Read, body);
            }
        }
    }

    fn submit(&self, call: CallName, group: GroupId, access: Access, body: Bytes) {
        let (completions, client) = (self.worker.completions.clone(), self.client.id);
        let done = Box::new(move |outcome| completions.push(client, call, outcome));
        self.worker.begin(Call { group, access, body }, done);
    }
}

fn access(op: &KvOp) -> Access {
    if op.is_write() { Access::Write } else { Access::Read }
}
