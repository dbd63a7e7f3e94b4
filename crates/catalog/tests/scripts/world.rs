//! What a script's commands do.

use std::fmt::Write;

use api::catalog::{
    Bootstrap, CatalogAnswer, CatalogCommand, CatalogOp, ChooseFounders, EngineKind, Established,
    GroupReplica, HashBy, Label, NewTable, NodeRecord, ObservedMembership, RecoverCatalog, ReplaceReplica,
    SetSetting, TableName,
};
use api::peer::{Member, Membership};
use catalog::{Birth, Catalog, RecordChange};
use engine::ApplyContext;
use types::era::era_start;
use types::{GroupId, Hlc, LogIndex, NodeId};

use crate::chart;
use crate::health::Health;
use crate::operate;
use crate::words::{Words, parse};

/// One catalog and its log position.
#[derive(Default)]
pub struct World {
    catalog: Catalog,
    index: u64,
    health: Health,
}

impl World {
    /// Runs one line and returns what it printed, each line ended.
    pub fn run(&mut self, line: &str) -> String {
        let words = Words::of(line);
        match words.verb {
            "bootstrap" => self.apply(CatalogOp::Bootstrap(bootstrap(&words))),
            "register" => self.apply(CatalogOp::RegisterNode(node(&words, words.number(0)))),
            "create" => self.apply(CatalogOp::CreateTable(new_table(&words))),
            "drop" => self.apply(CatalogOp::DropTable(TableName {
                namespace: words.text("namespace").unwrap_or_default().into(),
                name: words.argument(0).into(),
            })),
            "established" => {
                let replicas = words.arguments().iter().map(|word| group_replica(word)).collect();
                self.apply(CatalogOp::Established(Established { replicas }))
            }
            "observed" => self.apply(CatalogOp::Observed(ObservedMembership {
                group: words.number(0),
                membership: words.text("members").map(|_| membership(&words)),
                leader: words.value("leader").unwrap_or(0),
                term: words.value("term").unwrap_or(0),
            })),
            "replace" => {
                let GroupReplica { group, replica } = group_replica(words.argument(0));
                let reason = "disk lost".into();
                self.apply(CatalogOp::ReplaceReplica(ReplaceReplica { group, replica, reason }))
            }
            "recover-catalog" => self.apply(CatalogOp::RecoverCatalog(RecoverCatalog {
                node: words.value("node").unwrap_or(0),
                replica: words.value("replica").unwrap_or(0),
                term: era_start(words.value("era").unwrap_or(0)) + 1,
            })),
            "choose-founders" => self.apply(CatalogOp::ChooseFounders(ChooseFounders {
                group: words.number(0),
                route_epoch: words.value("epoch").unwrap_or(1),
                nodes: words.list("nodes").into_iter().map(parse).collect(),
            })),
            "operate" => self.apply(CatalogOp::Operate(operate::change(&words, &self.catalog))),
            "permit" => self.apply(CatalogOp::Permit(operate::permit(&words, &self.catalog))),
            "archive" => self.apply(CatalogOp::Archive(operate::archive(&words))),
            "set" => {
                let (name, value) = (words.argument(0).into(), words.argument(1).into());
                self.apply(CatalogOp::Set(SetSetting { name, value, ..Default::default() }))
            }
            "unknown-command" => self.apply_command(CatalogCommand { op: None }),
            "show" => self.catalog.records().map(|record| format!("{record}\n")).collect(),
            "route" => self.route(&words),
            "hosted" => self.hosted(NodeId(words.number(0))),
            "wish" => format!("{:?}\n", self.catalog.wish(GroupId(words.number(0)))),
            "chart" => chart::of_table(&self.catalog, words.argument(0)),
            _ => self.health.run(&words, &self.catalog),
        }
    }

    fn apply(&mut self, op: CatalogOp) -> String {
        self.apply_command(CatalogCommand { op: Some(op) })
    }

    fn apply_command(&mut self, command: CatalogCommand) -> String {
        self.index += 1;
        let context = ApplyContext {
            hlc: Hlc::from_millis(self.index),
            seed: 0,
            apply_version: api::entry::APPLY_VERSION,
            index: LogIndex(self.index),
            wants_changes: false,
        };
        let before = self.catalog.clone();
        let (reply, changes) = self.catalog.apply(&command, &context);
        assert_eq!(changes.is_empty(), before == self.catalog, "what changed must be told");
        let reloaded = Catalog::from_records(self.catalog.records()).expect("commands keep the rules");
        assert_eq!(reloaded, self.catalog);

        let mut out = answer(reply.answer.expect("an answer"));
        let mut lines: Vec<String> = changes.iter().map(RecordChange::to_string).collect();
        shorten(&mut lines);
        for line in lines {
            writeln!(out, "  {line}").unwrap();
        }
        out
    }

    fn route(&self, words: &Words<'_>) -> String {
        let (namespace, name) = words.argument(0).split_once(':').expect("namespace:name");
        let Some(route) = self.catalog.route(namespace, name) else { return "no such table\n".into() };
        let mut out = format!(
            "table {} {:?} generation={} hash={:?}\n",
            route.table, route.engine, route.generation, route.hash
        );
        for partition in &route.partitions {
            let replicas: Vec<String> =
                partition.replicas.iter().map(|(replica, node)| format!("{replica}@{node}")).collect();
            let replicas = replicas.join(",");
            writeln!(out, "  group {} epoch={} {replicas}", partition.group, partition.route_epoch).unwrap();
        }
        if let Some(key) = words.text("key") {
            writeln!(out, "  '{key}' in partition {}", route.partition_of(key.as_bytes())).unwrap();
        }
        out
    }

    fn hosted(&self, node: NodeId) -> String {
        let mut out = String::new();
        for hosted in self.catalog.hosted(node) {
            let birth = match &hosted.birth {
                Birth::Joining => "joining".into(),
                Birth::Founding(membership) => format!("founding {}", members(membership)),
            };
            writeln!(
                out,
                "group {} replica {} {:?} table={} generation={} epoch={} rank={} {}, {birth}",
                hosted.group,
                hosted.replica,
                hosted.engine,
                hosted.table,
                hosted.generation,
                hosted.route_epoch,
                hosted.rank,
                if hosted.established { "established" } else { "new" },
            )
            .unwrap();
        }
        if out.is_empty() { "nothing\n".into() } else { out }
    }
}

fn answer(answer: CatalogAnswer) -> String {
    match answer {
        CatalogAnswer::Operations(operations) => format!("operations {:?}\n", operations.ids),
        CatalogAnswer::Ok(_) => "ok\n".into(),
        CatalogAnswer::Table(table) => format!("table {}\n", table.id),
        CatalogAnswer::Node(node) => format!("node {}\n", node.id),
        CatalogAnswer::Refused(refused) => format!("refused: {} [{}]\n", refused.detail, refused.code),
    }
}

/// A thousand partitions are not worth a thousand lines.
fn shorten(lines: &mut Vec<String>) {
    const SHOWN_MAX: usize = 20;
    if lines.len() > SHOWN_MAX {
        let hidden = lines.len() - 4;
        lines.splice(2..lines.len() - 2, [format!("... {hidden} more ...")]);
    }
}

fn bootstrap(words: &Words<'_>) -> Bootstrap {
    let nodes = words.list("nodes");
    let meta = if words.text("meta").is_some() { words.list("meta") } else { nodes.clone() };
    let member =
        |(at, id): (usize, &&str)| Member { replica: at as u64 + 1, node: parse(id), learner: false };
    let table = |text: &&str| {
        let parts: Vec<&str> = text.split(':').collect();
        NewTable {
            namespace: String::new(),
            name: parts[0].into(),
            engine: EngineKind::Kv.into(),
            hash: HashBy::ByNamespace.into(),
            partitions: parse(parts[1]),
            replicas: parts.get(2).map_or(0, |text| parse(text)),
            options: vec![],
            scratch_of: 0,
            restoring: String::new(),
            restored_by: 0,
        }
    };
    Bootstrap {
        cluster: u64::from_str_radix(words.text("cluster").unwrap_or("2a"), 16).unwrap(),
        nodes: nodes.iter().map(|id| node(words, parse(id))).collect(),
        membership: Some(Membership { epoch: 1, members: meta.iter().enumerate().map(member).collect() }),
        tables: words.list("tables").iter().map(table).collect(),
    }
}

/// `labels=dc:a,rack:b` holds for every node of the command.
fn node(words: &Words<'_>, id: u64) -> NodeRecord {
    let port = |offset: u64| format!("n{id}:{}", 7000 + offset);
    NodeRecord {
        id,
        endpoint: words.text("endpoint").map_or_else(|| port(0), String::from),
        redis: port(2),
        zankv: port(4),
        http: port(1),
        roles: words.list("roles").into_iter().map(String::from).collect(),
        boot: words.value("boot").unwrap_or(id.wrapping_add(100)),
        store: words.value("store").unwrap_or(0),
        version: "0.1.0".into(),
        feature_level: 1,
        labels: words.list("labels").into_iter().map(label).collect(),
    }
}

fn label(text: &str) -> Label {
    let (name, value) = text.split_once(':').expect("label:value");
    Label { name: name.into(), value: value.into() }
}

fn new_table(words: &Words<'_>) -> NewTable {
    let hash = match words.text("hash") {
        Some("tag") => HashBy::Tag,
        Some("whole") => HashBy::Whole,
        _ => HashBy::ByNamespace,
    };
    let engine = if words.text("engine") == Some("catalog") { EngineKind::Catalog } else { EngineKind::Kv };
    NewTable {
        namespace: words.text("namespace").unwrap_or_default().into(),
        name: words.argument(0).replace("EMPTY", ""),
        engine: words.value("engine-number").unwrap_or(engine.into()),
        hash: hash.into(),
        partitions: words.value("partitions").unwrap_or(1),
        replicas: words.value("replicas").unwrap_or(0),
        options: words.list("options").into_iter().map(label).collect(),
        scratch_of: 0,
        restoring: String::new(),
        restored_by: 0,
    }
}

/// `group/replica`.
pub fn group_replica(word: &str) -> GroupReplica {
    let (group, replica) = word.split_once('/').expect("group/replica");
    GroupReplica { group: parse(group), replica: parse(replica) }
}

/// `epoch=2 members=1@1,2@2,4~@3`, `~` for a learner.
pub fn membership(words: &Words<'_>) -> Membership {
    let member = |text: &str| {
        let (replica, node) = text.split_once('@').expect("replica@node");
        let id = replica.trim_end_matches('~');
        Member { replica: parse(id), node: parse(node), learner: id != replica }
    };
    Membership {
        epoch: words.value("epoch").unwrap_or(1),
        members: words.list("members").into_iter().map(member).collect(),
    }
}

fn members(membership: &Membership) -> String {
    let member = |member: &Member| format!("{}@{}", member.replica, member.node);
    membership.members.iter().map(member).collect::<Vec<_>>().join(",")
}
