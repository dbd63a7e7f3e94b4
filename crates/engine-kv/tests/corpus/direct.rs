//! A server made of the protocol and the engine, without anything between them: states in memory and a
//! clock that stands still.
//!
//! It shows how a listener uses the protocol, and that plans, engine and forms together give Redis' replies.

use std::path::Path;
use std::sync::Arc;

use api::kv::{Keys, KvAnswer, KvOp, KvReply, KvRequest, Scan};
use bytes::{Bytes, BytesMut};
use engine::records::MemoryRecordStore;
use engine::{Applied, ApplyContext, Digest, Engine, Reader, StateMachine};
use engine_kv::KvEngine;
use prost::Message;
use proto_redis::blocking::{self, Block};
use proto_redis::client::{self, ClientFacts};
use proto_redis::config::LiveConfig;
use proto_redis::info::InfoFacts;
use proto_redis::slow_log::SlowLog;
use proto_redis::{
    Decoder, ErrorText, Place, Plan, Protocol, Question, Reply, ReplyDecoder, Session, Step, Target, config,
    corpus, info, parse,
};
use types::hash::HashRule;
use types::{Fault, Hlc, LogIndex, StateId, Term};

/// Milliseconds since 1970, when a server starts.
pub const NOW: i64 = 1_700_000_000_000;

/// One connection to an empty server.
pub struct Direct {
    session: Session,
    decoder: Decoder,
    partitions: Vec<Partition>,
    /// Milliseconds since 1970.
    now: u64,
}

impl Direct {
    pub fn new(partitions: u32, password: Option<&str>) -> Self {
        Self {
            session: Session::new(1, password.map(|password| password.as_bytes().into())),
            decoder: Decoder::new(),
            partitions: (0..partitions).map(|_| Partition::new()).collect(),
            now: NOW as u64,
        }
    }

    /// The same on ZanKV's port, without its addresses.
    #[allow(dead_code, reason = "the corpus does not need it")]
    pub fn zankv(mut self) -> Self {
        self.session.set_zankv();
        self
    }

    /// Runs a script in the notation of the corpus, in which nothing may differ; how many exchanges it has.
    #[allow(dead_code, reason = "the corpus compares by itself")]
    pub fn run(&mut self, script: &Path) -> usize {
        let exchanges = corpus::read(&std::fs::read_to_string(script).unwrap()).unwrap();
        for exchange in &exchanges {
            let found = self.command(&exchange.args);
            let place = format!("{}:{}", script.display(), exchange.line_number);
            assert!(exchange.accepts(&found), "{place}: {}\n{}", exchange.line, corpus::render(&found));
        }
        exchanges.len()
    }

    /// One command.
    pub fn command(&mut self, args: &[Vec<u8>]) -> Reply {
        let mut request = BytesMut::new();
        let words = args.iter().map(|arg| Reply::bulk(arg.clone())).collect();
        Reply::Array(words).encode(Protocol::Resp2, &mut request);
        self.bytes(&request).pop().unwrap()
    }

    /// From bytes to bytes, as over a socket.
    pub fn bytes(&mut self, request: &[u8]) -> Vec<Reply> {
        let (mut buffer, mut args, mut out) = (BytesMut::from(request), Vec::new(), BytesMut::new());
        loop {
            self.decoder.restrict(!self.session.is_authenticated());
            let reply = match self.decoder.decode(&mut buffer, &mut args) {
                Ok(true) => self.reply(&args),
                Ok(false) => break,
                Err(error) => {
                    Reply::Error(error.text()).encode(Protocol::Resp2, &mut out);
                    break;
                }
            };
            let mode = self.session.reply_mode();
            if !mode.silent {
                reply.encode(mode.protocol, &mut out);
            }
            if mode.close {
                break;
            }
        }
        let mut decoder = ReplyDecoder::new();
        std::iter::from_fn(|| decoder.decode(&mut out).unwrap()).collect()
    }

    fn reply(&mut self, args: &[Bytes]) -> Reply {
        let plan = parse(args, &mut self.session);
        plan.and_then(|plan| self.carry_out(plan)).unwrap_or_else(Reply::Error)
    }

    fn carry_out(&mut self, plan: Plan) -> Result<Reply, ErrorText> {
        let targets = self.partitions.len() as u32;
        let place = |key: &Bytes| {
            let partition = HashRule::Tag.partition(key, targets).get() as u32;
            Ok(Place { target: Target { table: 1, partition }, key: key.clone() })
        };
        let (parts, gather) = match plan {
            Plan::Answer(reply) => return Ok(reply),
            Plan::Ask(question) => return Ok(self.facts(question)),
            Plan::Keyed(keyed) => {
                let (target, op, form) = keyed.address(place)?;
                return Ok(form.reply(self.ask(target.partition, op)));
            }
            // There is one connection: nobody could bring what is not there, and the time is up at once.
            Plan::Block(Block { keyed, .. }) => {
                let (target, op, form) = keyed.address(place)?;
                let outcome = self.ask(target.partition, op);
                let is_nothing = outcome.as_ref().is_ok_and(|reply| *reply == KvReply::nil());
                return Ok(if is_nothing { blocking::NOTHING } else { form.reply(outcome) });
            }
            Plan::Queued(keys) => return Ok(self.session.queued(&keys, place)),
            Plan::Watch(watch) => {
                let parts = watch.parts(&self.session, place)?;
                let versions =
                    parts.into_iter().map(|part| self.ask(part.target.partition, part.op)).collect();
                return Ok(self.session.watching(watch, versions));
            }
            Plan::Exec(exec) => {
                let (op, reply) = exec.address(place)?;
                let outcome = op.map(|(target, op)| self.ask(target.partition, op));
                let ask = |question: &Question| self.facts(question.clone());
                return Ok(match outcome {
                    Some(outcome) => reply.finish(outcome, ask),
                    None => reply.without_partition(ask),
                });
            }
            Plan::Walk(mut walk) => {
                // There is one table here, and nothing is cut off its keys.
                let mut step = walk.begin(targets, 12_345 << 50);
                loop {
                    match step {
                        Step::Done(reply) => return Ok(reply),
                        Step::Ask { index, op } => {
                            let outcome = self.ask(index, op);
                            step = walk.absorb(targets, outcome, &Some);
                        }
                    }
                }
            }
            Plan::Scatter(scatter) => scatter.split(place)?,
            Plan::Everywhere(everywhere) => {
                everywhere.parts((0..targets).map(|partition| Target { table: 1, partition }))
            }
        };
        let outcomes = parts.into_iter().map(|part| self.ask(part.target.partition, part.op)).collect();
        Ok(gather.finish(outcomes))
    }

    fn facts(&self, question: Question) -> Reply {
        let clients = [ClientFacts::of_session(&self.session)];
        match question {
            Question::Info(sections) => info::render(&InfoFacts::default(), &sections),
            Question::ConfigGet(patterns) => config::get(&patterns, &LiveConfig::default()),
            Question::ConfigSet(_) | Question::ResetStatistics => Reply::OK,
            Question::Time => client::time_reply(self.now * 1000),
            Question::Wait { disks, .. } => client::wait_reply(0, disks),
            Question::SlowLog(question) => SlowLog::default().answer(question),
            Question::ClientInfo => client::info_reply(&clients[0]),
            Question::ClientList(filter) => client::list_reply(&clients, &filter, 1),
            Question::ClientUnblock { .. } => Reply::Integer(0),
            Question::ClientKill(filter) => {
                let killed = clients.iter().filter(|client| filter.matches(client, 1)).count();
                client::kill_reply(&filter, killed)
            }
        }
    }

    /// The engine's reply.
    fn ask(&mut self, partition: u32, op: KvOp) -> Result<KvReply, Fault> {
        Ok(self.partitions[partition as usize].answer(op, self.now))
    }
}

#[allow(dead_code, reason = "what happens to a server besides commands is not everybody's matter")]
impl Direct {
    /// Time goes on.
    pub fn pass(&mut self, millis: u64) {
        self.now += millis;
    }

    /// Every partition is closed and opened again.
    pub fn reopen(&mut self) {
        for partition in &mut self.partitions {
            partition.reopen();
        }
    }

    /// Every partition goes on as the copy of its snapshot that another engine makes, from chunks of about so many
    /// bytes. The copy's digest is the same.
    pub fn transfer(&mut self, chunk_bytes: usize) {
        for partition in &mut self.partitions {
            partition.transfer(chunk_bytes, self.now);
        }
    }

    /// Removes what has expired, as a leader does it.
    pub fn sweep(&mut self) {
        for partition in &mut self.partitions {
            partition.sweep(self.now);
        }
    }
}

/// One partition: a state of the engine over a store in memory.
struct Partition {
    store: MemoryRecordStore,
    id: StateId,
    state: Option<Box<dyn StateMachine>>,
    reader: Arc<dyn Reader>,
    index: u64,
}

impl Partition {
    fn new() -> Self {
        let (store, id) = (MemoryRecordStore::new(), StateId(1));
        let state = KvEngine::new(Arc::new(store.clone())).create(id).unwrap();
        let reader = state.reader();
        Self { store, id, state: Some(state), reader, index: 0 }
    }

    /// A write is an entry of its own, unless it would change nothing; time stands still all the same.
    fn answer(&mut self, op: KvOp, now: u64) -> KvReply {
        let is_write = op.is_write();
        let request = KvRequest::new(op).encode_to_vec();
        let reply = if is_write {
            self.index += 1;
            // The stamps of entries differ, within the millisecond.
            let hlc = Hlc(Hlc::from_millis(now).0 + self.index);
            let index = LogIndex(self.index);
            let seed = self.index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let context = ApplyContext { hlc, seed, apply_version: 1, index, wants_changes: false };
            if let Some(reply) = self.reader.unchanged(&request, hlc).unwrap() {
                return KvReply::decode(reply).unwrap();
            }
            let state = self.state.as_mut().unwrap();
            let reply = state.stage(&context, &request).unwrap();
            state.commit(Applied { index, term: Term(1) }, &[]).unwrap();
            reply
        } else {
            self.reader.read(&request, Hlc::from_millis(now)).unwrap()
        };
        KvReply::decode(reply).unwrap()
    }

    fn run_as(&mut self, state: Box<dyn StateMachine>) {
        self.reader = state.reader();
        self.state = Some(state);
    }

    fn reopen(&mut self) {
        self.state = None;
        let engine = KvEngine::new(Arc::new(self.store.clone()));
        self.run_as(engine.open(self.id).unwrap());
    }

    fn transfer(&mut self, chunk_bytes: usize, now: u64) {
        let before = self.digest(now);
        let mut source = self.state.as_mut().unwrap().snapshot().unwrap();
        let (store, id) = (MemoryRecordStore::new(), self.id.next());
        let mut sink = KvEngine::new(Arc::new(store.clone())).ingest(id).unwrap();
        while let Some(chunk) = source.next_chunk(chunk_bytes).unwrap() {
            sink.write(&chunk).unwrap();
        }
        (self.store, self.id) = (store, id);
        self.run_as(sink.finish().unwrap());
        assert_eq!(self.digest(now), before, "a copy differs");
    }

    fn digest(&self, now: u64) -> Digest {
        (self.state.as_ref().unwrap().digest(Hlc::from_millis(now)).unwrap())().unwrap()
    }

    fn sweep(&mut self, now: u64) {
        let ask = Scan { expired: true, count: 10_000, ..Scan::default() };
        if let Some(KvAnswer::Page(page)) = self.answer(KvOp::Scan(ask), now).answer {
            self.answer(KvOp::RemoveExpired(Keys { keys: page.keys }), now);
        }
    }
}
