//! From commands to requests, and from outcomes to replies.

use std::sync::Arc;

use api::kv::{KvOp, KvRequest};
use api::peer::Access;
use bytes::{Bytes, BytesMut};
use prost::Message;
use proto_redis::{
    Everywhere, Form, Part, Plan, Question, Reply, ReplyMode, Session, Step, Target, Walk, fault_error, parse,
};
use types::{ErrorCode, Fault, GroupId};

use super::client::Client;
use super::directory::Directory;
use super::pipeline::{CallName, Finish, Next, Parts, Pipeline, Work, decode};
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
    /// Room for one encoded request.
    request: BytesMut,
    closing: bool,
    commands: u64,
}

/// A command that is ready to start.
enum Prepared {
    /// One request. Its body is in `Executor::request` when it starts at once.
    Keyed { group: GroupId, access: Access, op: KvOp, form: Form },
    /// Requests to several partitions.
    Parts { parts: Vec<(GroupId, Access, Bytes)>, finish: Finish },
    /// One partition after another.
    Walk(Walk),
    /// `WAIT`: it is answered once every write before it is.
    Wait,
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
            request: BytesMut::new(),
            closing: false,
            commands: 0,
        }
    }

    /// Whether the client has proved its password.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.session.is_authenticated()
    }

    /// Whether a command waits for those before it; until then no other may start.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
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

    /// Starts a command.
    pub(crate) fn command(&mut self, args: &[Bytes]) {
        self.commands += 1;
        let plan = parse(args, &mut self.session);
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
        if let Some((prepared, mode)) = self.stalled.take() {
            if self.may_start(&prepared) {
                self.start(prepared, mode);
            } else {
                self.stalled = Some((prepared, mode));
            }
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
                Next::Walk { slot, mut walk, targets, at, outcome } => {
                    let (directory, addressing) = (&self.directory, self.client.addressing);
                    let target = targets[at as usize];
                    let shown = |key| Some(directory.shown(addressing, target, key));
                    let step = walk.absorb(targets.len() as u32, outcome, &shown);
                    self.step(slot, walk, targets, step);
                }
            }
        }
    }

    /// Tells the client's entry and the counters what has happened since the last time.
    pub(crate) fn report(&mut self, input_bytes: usize) {
        let (commands, errors) = (std::mem::take(&mut self.commands), self.pipeline.take_errors());
        if commands > 0 || errors > 0 {
            self.worker.face().counters.add_commands(commands, errors);
        }
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
                Ok(Prepared::Walk(walk))
            }
            Plan::Ask(Question::Wait { .. }) => Ok(Prepared::Wait),
            Plan::Ask(Question::Info(sections)) if sections.needs_keys() => {
                let targets = directory.targets(super::Addressing::Plain).iter().copied();
                let (parts, _) = Everywhere::Count.parts(targets);
                Ok(Prepared::Parts { parts: self.encode(parts), finish: Finish::Info(sections) })
            }
            Plan::Ask(question) => {
                Err(answers::answer(&question, self.worker.face(), &self.client, &self.session, directory))
            }
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
            Prepared::Parts { .. } | Prepared::Walk(_) | Prepared::Wait => self.pipeline.is_idle(),
        }
    }

    fn start(&mut self, prepared: Prepared, mode: ReplyMode) {
        match prepared {
            Prepared::Keyed { group, access, op, form } => self.start_keyed(group, access, op, form, mode),
            Prepared::Parts { parts, finish } => self.start_parts(parts, finish, mode),
            Prepared::Walk(mut walk) => {
                let targets = self.directory.targets(self.client.addressing).to_vec();
                let step = walk.begin(targets.len() as u32, self.worker.random());
                let slot =
                    self.pipeline.open(mode, Work::Walk { walk: walk.clone(), targets: Vec::new(), at: 0 });
                self.step(slot, walk, targets, step);
            }
            Prepared::Wait => {
                let followers = self.directory.followers_in_quorum();
                self.pipeline.reply(&Reply::Integer(followers as i64), mode);
            }
        }
    }

    fn start_keyed(&mut self, group: GroupId, access: Access, op: KvOp, form: Form, mode: ReplyMode) {
        self.request.clear();
        if let Err(error) = KvRequest::new(op).encode(&mut self.request) {
            let fault = Fault::new(ErrorCode::Internal, error.to_string());
            return self.pipeline.reply(&fault_error(&fault).into(), mode);
        }
        if access == Access::Read
            && let Some(outcome) = self.worker.face().backend.try_read(group, &self.request)
        {
            let reply = form.reply(outcome.and_then(|bytes| decode(&bytes)));
            return self.pipeline.reply(&reply, mode);
        }
        let body = self.request.split().freeze();
        let slot = self.pipeline.open(mode, Work::Keyed { group, access, form });
        self.submit(CallName { slot, part: 0 }, group, access, body);
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
        let slot = self.pipeline.open(mode, Work::Parts(work));
        for (part, (group, access, body)) in parts.into_iter().enumerate() {
            if missing[part] {
                self.submit(CallName { slot, part: part as u32 }, group, access, body);
            }
        }
    }

    fn finish(&self, parts: Parts) -> Reply {
        let none = || Err(Fault::new(ErrorCode::Internal, "a part without an outcome"));
        let outcomes = parts.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(none)).collect();
        match parts.finish {
            Finish::Gather(gather) => gather.finish(outcomes),
            Finish::Info(sections) => {
                answers::info(&sections, outcomes, self.worker.face(), &self.client, &self.directory)
            }
        }
    }

    /// Takes a step of a walk. Pages are always submitted, never read inline: a walk through millions of
    /// keys must let the other clients of this worker through after each page.
    fn step(&mut self, slot: u64, walk: Walk, targets: Vec<Target>, step: Step) {
        match step {
            Step::Done(reply) => self.pipeline.end_walk(slot, &reply),
            Step::Ask { index, op } => {
                let Some(&target) = targets.get(index as usize) else {
                    let fault = Fault::new(ErrorCode::Internal, "a walk left its partitions");
                    return self.pipeline.end_walk(slot, &fault_error(&fault).into());
                };
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
