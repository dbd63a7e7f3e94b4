//! A cluster of pure data: nodes that live or not, and groups that do one thing at a time.
//!
//! Groups behave as real ones do towards the catalog: they elect, take in learners, give and take votes, and
//! let replicas go, one step at each tick, and only with a majority. They have no log; a replica's data is a
//! number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::admin::OperationRequest;
use api::catalog::{
    Bootstrap, CatalogAnswer, CatalogCommand, CatalogOp, EngineKind, HashBy, Label, NewTable, NodeRecord,
    SetSetting,
};
use api::operation::{CatalogEdit, Edit, OperationRecord};
use api::peer::{Member, Membership, Report};
use catalog::status::{Observation, Observations};
use catalog::{Catalog, RecordChange};
use engine::ApplyContext;
use ops::{Directive, Executor, Observed, Planned, Work};
use types::{Fault, GroupId, Hlc, LogIndex, NodeId};

use crate::groups::Group;
use crate::tasks::{self, Tasks};

/// Time between two ticks.
pub const TICK_MS: u64 = 500;

/// Everything.
#[derive(Default)]
pub struct Cluster {
    pub catalog: Catalog,
    pub executor: Executor,
    pub groups: BTreeMap<GroupId, Group>,
    /// Since when each node that is down is.
    pub down: BTreeMap<NodeId, u64>,
    /// Nodes whose replicas do not catch up.
    pub stalled: BTreeSet<NodeId>,
    /// Free bytes of disks, where a script says so.
    pub free: BTreeMap<NodeId, u64>,
    /// Numbers of disks, where a script says so.
    pub disks: BTreeMap<NodeId, u64>,
    /// Nodes that flap, where a script says so.
    pub flapping: BTreeSet<NodeId>,
    pub wall_ms: u64,
    index: u64,
    /// Commands are said twice, as if the first answer had been lost.
    pub repeats: bool,
    /// Edits that the catalog refuses, whatever they are about: `add`, `remove`.
    pub refuses: BTreeSet<String>,
    pub tasks: Tasks,
}

/// What came of a command.
pub enum Answered {
    Done(Vec<RecordChange>, CatalogAnswer),
    Refused(String),
}

impl Cluster {
    /// A cluster that has settled: `nodes` as `id`, `id:dc:rack` or `id@host`, tables as `name:partitions:replicas`.
    pub fn new(nodes: &[&str], meta: &[u64], tables: &[&str]) -> Self {
        let mut cluster = Self { wall_ms: 1_000_000, ..Self::default() };
        let records: Vec<NodeRecord> = nodes.iter().map(|text| node_record(text)).collect();
        let member =
            |(at, node): (usize, &u64)| Member { replica: at as u64 + 1, node: *node, learner: false };
        let bootstrap = Bootstrap {
            cluster: 42,
            nodes: records,
            membership: Some(Membership { epoch: 1, members: meta.iter().enumerate().map(member).collect() }),
            tables: tables.iter().map(|text| new_table(text)).collect(),
        };
        match cluster.apply(CatalogOp::Bootstrap(bootstrap)) {
            Answered::Done(..) => {}
            Answered::Refused(why) => panic!("{why}"),
        }
        for _ in 0..6 {
            cluster.tick();
        }
        cluster
    }

    /// Applies a command, twice if answers get lost: the second time it must be refused or do nothing.
    pub fn apply(&mut self, op: CatalogOp) -> Answered {
        if let CatalogOp::Operate(change) = &op
            && change.edits.iter().any(|edit| self.is_refused(edit))
        {
            return Answered::Refused("as the script says".into());
        }
        let answered = self.apply_once(op.clone());
        // A command that asks for something new may be carried out twice; the others may not.
        let repeatable = match &op {
            CatalogOp::Operate(change) => change.start.is_empty(),
            _ => true,
        };
        if self.repeats && repeatable {
            match self.apply_once(op.clone()) {
                Answered::Done(changes, _) => assert!(changes.is_empty(), "said twice: {op:?}"),
                Answered::Refused(_) => {}
            }
        }
        answered
    }

    fn is_refused(&self, edit: &CatalogEdit) -> bool {
        let name = match &edit.edit {
            Some(Edit::AddReplica(_)) => "add",
            Some(Edit::RemoveReplica(_)) => "remove",
            _ => return false,
        };
        self.refuses.contains(name)
    }

    fn apply_once(&mut self, op: CatalogOp) -> Answered {
        self.index += 1;
        let context = ApplyContext {
            hlc: Hlc::from_millis(self.wall_ms),
            seed: 0,
            apply_version: api::entry::APPLY_VERSION,
            index: LogIndex(self.index),
            wants_changes: false,
        };
        let before = self.catalog.clone();
        let (reply, changes) = self.catalog.apply(&CatalogCommand { op: Some(op) }, &context);
        let reloaded = Catalog::from_records(self.catalog.records()).expect("commands keep the rules");
        assert_eq!(reloaded, self.catalog);
        match reply.answer.expect("an answer") {
            CatalogAnswer::Refused(refused) => {
                assert_eq!(before, self.catalog, "a refusal changes nothing");
                Answered::Refused(format!("{} [{}]", refused.detail, refused.code))
            }
            answer => Answered::Done(changes, answer),
        }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        let set = SetSetting { name: name.into(), value: value.into(), by: "test".into(), at_ms: 0 };
        assert!(matches!(self.apply(CatalogOp::Set(set)), Answered::Done(..)), "{name}");
    }

    /// A new node joins.
    pub fn join(&mut self, text: &str) {
        let node = NodeRecord { id: 0, ..node_record(text) };
        assert!(matches!(self.apply(CatalogOp::RegisterNode(node)), Answered::Done(..)));
    }

    pub fn is_up(&self, node: NodeId) -> bool {
        !self.down.contains_key(&node)
    }

    /// A node dies; what its groups' leaders know of it changes at the next tick.
    pub fn kill(&mut self, node: NodeId) {
        self.down.entry(node).or_insert(self.wall_ms);
    }

    /// A node starts again. What it had compacted it has forgotten, as a real one has.
    pub fn revive(&mut self, node: NodeId) {
        if self.down.remove(&node).is_some() {
            self.groups.values_mut().for_each(|group| group.restarted(node));
        }
    }

    /// Time passes, and every group does one thing.
    pub fn tick(&mut self) {
        self.wall_ms += TICK_MS;
        let groups: Vec<GroupId> =
            self.catalog.partitions().map(|partition| GroupId(partition.group)).collect();
        self.groups.retain(|group, _| groups.contains(group));
        for group in groups {
            let Some(partition) = self.catalog.partition(group).cloned() else { continue };
            let mut state = self.groups.remove(&group).unwrap_or_else(|| Group::born(&partition));
            let words = state.step(self, &partition);
            self.groups.insert(group, state);
            for word in words {
                let _ = self.apply(word);
            }
        }
        tasks::tick(self);
    }

    /// The node that leads the catalog is another one now.
    pub fn crash(&mut self) {
        self.executor = Executor::default();
        self.tasks.crash();
    }

    /// What the meta leader sees.
    pub fn observed(&self) -> Observed {
        Observed::new(&self.catalog, &self.observations(), self.wall_ms)
    }

    fn observations(&self) -> Observations {
        let mut reports = BTreeMap::new();
        for node in self.catalog.nodes() {
            let id = NodeId(node.id);
            let age = self.down.get(&id).map_or(100, |since| self.wall_ms - since);
            let free = self.free.get(&id).copied();
            let mut report = Report {
                node: node.id,
                boot: node.boot,
                catalog_version: self.catalog.version().get(),
                free_bytes: free.unwrap_or(0),
                disk_bytes: free.map_or(0, |free| free + 1_000_000_000),
                disk: self.disks.get(&id).copied().unwrap_or(0),
                ..Default::default()
            };
            for (group, state) in &self.groups {
                report.replicas.extend(state.reports(*group, id));
            }
            reports.insert(id, Observation { age: Duration::from_millis(age), report });
        }
        Observations { listening: Duration::from_secs(600), reports, flapping: self.flapping.clone() }
    }

    pub fn plan(&self, request: &OperationRequest) -> Result<Planned, Fault> {
        ops::plan(&self.catalog, &self.observed(), request)
    }

    /// Plans and starts; returns the ids.
    pub fn start(&mut self, request: &OperationRequest) -> Result<Vec<u64>, String> {
        let planned = self.plan(request).map_err(|fault| fault.to_string())?;
        match self.apply(CatalogOp::Operate(planned.start)) {
            Answered::Done(_, CatalogAnswer::Operations(operations)) => Ok(operations.ids),
            Answered::Done(..) => panic!("not an answer to this"),
            Answered::Refused(why) => Err(why),
        }
    }

    /// One look of the executor, if the catalog can be written.
    pub fn look(&mut self) -> Work {
        let served = self.groups.get(&GroupId::CATALOG).is_some_and(|group| group.is_served(self));
        if !served {
            return Work::default();
        }
        let observed = self.observed();
        self.executor.step(&self.catalog, &observed)
    }

    /// Does what a directive says, if its group can.
    pub fn obey(&mut self, directive: &Directive) {
        let group = match directive {
            Directive::MoveLeader { group, .. } | Directive::CutLog { group } => *group,
            Directive::Digest { group, .. } | Directive::Compact { group, .. } => *group,
            Directive::Task { operation, step } => return self.tasks.begin(*operation, step),
        };
        let Some(mut state) = self.groups.remove(&group) else { return };
        match directive {
            Directive::MoveLeader { to, .. } => state.move_leader(self, to.get()),
            Directive::Digest { operation, .. } => {
                if let Some(index) = state.digest(self) {
                    self.executor.digest_began(*operation, index);
                }
            }
            Directive::CutLog { .. } | Directive::Task { .. } => {}
            Directive::Compact { node, operation, .. } => state.compact(self, *node, *operation),
        }
        self.groups.insert(group, state);
    }

    /// A look, and everything that follows from it; then a tick.
    pub fn go(&mut self) {
        let work = self.look();
        for op in work.commands {
            let _ = self.apply(op);
        }
        for directive in work.directives {
            self.obey(&directive);
        }
        self.tick();
    }

    /// Goes on until every operation has ended. Whether that came about.
    pub fn finish(&mut self) -> bool {
        for _ in 0..600 {
            if self.catalog.operations().all(|operation| operation.state().has_ended()) {
                return true;
            }
            self.go();
        }
        false
    }

    pub fn operation(&self, id: u64) -> &OperationRecord {
        self.catalog.operation(id.into()).expect("an operation that was started")
    }
}

/// `id`, `id:dc:rack`, or `id@host`; each node has a host of its own where nothing else is said.
fn node_record(text: &str) -> NodeRecord {
    let (text, host) = text.split_once('@').map_or((text, None), |(text, host)| (text, Some(host)));
    let mut parts = text.split(':');
    let id: u64 = parts.next().and_then(|id| id.parse().ok()).expect("a node id");
    let labels = ["dc", "rack"].iter().zip(parts);
    NodeRecord {
        id,
        endpoint: host.map_or_else(|| format!("n{id}:7000"), |host| format!("{host}:{}", 7000 + id)),
        boot: id + 100,
        labels: labels.map(|(name, value)| Label { name: (*name).into(), value: value.into() }).collect(),
        ..Default::default()
    }
}

/// `name:partitions:replicas`.
pub fn new_table(text: &str) -> NewTable {
    let parts: Vec<&str> = text.split(':').collect();
    NewTable {
        name: parts[0].into(),
        engine: EngineKind::Kv.into(),
        hash: HashBy::ByNamespace.into(),
        partitions: parts[1].parse().expect("a number of partitions"),
        replicas: parts[2].parse().expect("a number of replicas"),
        ..Default::default()
    }
}
