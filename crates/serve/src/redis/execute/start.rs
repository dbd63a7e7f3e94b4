//! How a command starts: from its plan, over the partitions that it needs, to calls; and what its parts come to.

use std::time::Duration;

use api::kv::{KvOp, KvRequest};
use api::peer::Access;
use bytes::Bytes;
use prost::Message;
use proto_redis::blocking::{Block, awaited};
use proto_redis::client::wait_reply;
use proto_redis::transaction::ExecReply;
use proto_redis::{
    ErrorText, Everywhere, Form, Part, Plan, Question, Reply, ReplyMode, Step, Target, Walk, fault_error,
};
use types::{ErrorCode, Fault, GroupId};

use super::super::blocking::Blocked;
use super::super::pipeline::{CallName, Finish, Parts, Work, decode, reply_of};
use super::super::{Call, answers};
use super::Executor;

/// A command that is ready to start.
pub(super) enum Prepared {
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
    /// Finds the partitions that a plan needs. The error is a reply, or an answer that needs no partition.
    pub(super) fn prepare(&mut self, plan: Plan) -> Result<Prepared, Reply> {
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
    pub(super) fn ask_inside(&self, question: &Question) -> Reply {
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

    pub(super) fn may_start(&self, prepared: &Prepared) -> bool {
        match prepared {
            Prepared::Keyed { group, access, .. } => self.pipeline.may_start(*group, *access),
            Prepared::Exec { group, .. } => self.pipeline.may_start(*group, Access::Write),
            Prepared::Parts { .. } | Prepared::Walk(_) | Prepared::Wait { .. } | Prepared::Block { .. } => {
                self.pipeline.is_idle()
            }
        }
    }

    pub(super) fn start(&mut self, prepared: Prepared, mode: ReplyMode) {
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

    pub(super) fn finish(&mut self, parts: Parts) -> Reply {
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
    pub(super) fn step(&mut self, slot: u64, walk: Box<Walk>, targets: Vec<Target>, step: Step) {
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

    pub(super) fn submit(&self, call: CallName, group: GroupId, access: Access, body: Bytes) {
        let (completions, client) = (self.worker.completions.clone(), self.client.id);
        let done = Box::new(move |outcome| completions.push(client, call, outcome));
        self.worker.begin(Call { group, access, body }, done);
    }
}

fn access(op: &KvOp) -> Access {
    if op.is_write() { Access::Write } else { Access::Read }
}
