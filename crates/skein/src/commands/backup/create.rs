//! `backup create`: barrier, every partition by some node, manifest.

use std::time::{SystemTime, UNIX_EPOCH};

use api::job::{BarrierReport, BarrierTable, BarrierWish, HeldPartition, Job, SavePartition};
use backup::{Begun, Manifest, PartitionRecord, TableRecord, Target};
use client::Client;
use types::{ErrorCode, Fault};

use super::crew::{Crew, Work};
use super::{show, title};
use crate::cli::{BackupCreate, Which};
use crate::exit::{self, Exit};
use crate::say;

/// How often a barrier is asked for while some partition has no leader.
const BARRIER_ATTEMPTS: u32 = 20;
const BARRIER_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Saves tables.
pub fn run(arguments: &BackupCreate) -> Result<Exit, Fault> {
    let form = arguments.output.form();
    let client = arguments.find.lookup().client()?;
    let target = backup::open(&arguments.to).map_err(|error| error.to_fault())?;
    let crew = Crew::of(&client)?;
    let begun = match &arguments.resume {
        Some(id) => resumed(&*target, &client, id)?,
        None => begin(&*target, &client, arguments)?,
    };
    if form == say::Form::Text {
        say::note(format_args!("backup {} of {}", begun.id, titles(&begun)));
    }
    let manifest = save(&*target, &client, &crew, begun, arguments).inspect_err(|fault| {
        if !matches!(fault.code, ErrorCode::BackupLost) {
            say::note("what is complete is kept, and the command goes on with --resume as long as some replica still has that moment");
        }
    })?;
    let listed = backup::show(&*target, &manifest.begun.id).map_err(|error| error.to_fault())?;
    show(&listed, form);
    if form == say::Form::Text {
        let (id, url) = (&manifest.begun.id, target.url());
        say::note(format_args!(" next: skein backup verify {id} --at {url} --drill proves that it restores"));
    }
    Ok(exit::OK)
}

/// The titles of a backup's tables.
fn titles(begun: &Begun) -> String {
    begun.tables.iter().map(TableRecord::title).collect::<Vec<_>>().join(", ")
}

fn begin(target: &dyn Target, client: &Client, arguments: &BackupCreate) -> Result<Begun, Fault> {
    let kinds = arguments.which.kinds()?;
    let tables = chosen(client, &arguments.which)?;
    let identity = client.identity()?;
    let begun_ms = now_ms();
    let mut chance = [0; 4];
    getrandom::fill(&mut chance).map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
    let id = backup::id(begun_ms, u32::from_le_bytes(chance));
    // A target that cannot be written to is found before nodes do anything for it.
    backup::list(target).map_err(|error| error.to_fault())?;
    let report = barrier(client, tables, &hold_of(&id))?;
    let begun = Begun {
        format: backup::FORMAT,
        id,
        cluster: identity.cluster,
        cluster_name: identity.name,
        release: identity.version,
        begun_ms,
        at_ms: report.at_ms,
        kinds,
        tables: report.tables.iter().map(table_record).collect(),
    };
    backup::begin(target, &begun).map_err(|error| error.to_fault())?;
    Ok(begun)
}

fn resumed(target: &dyn Target, client: &Client, id: &str) -> Result<Begun, Fault> {
    let begun = backup::begun(target, id).map_err(|error| error.to_fault())?;
    let cluster = client.identity()?.cluster;
    match begun.cluster == cluster {
        true => Ok(begun),
        false => Err(Fault::new(ErrorCode::WrongCluster, format!("{id} is of cluster {}", begun.cluster))),
    }
}

/// A barrier in every partition; a partition without a leader is waited for.
pub fn barrier(client: &Client, tables: Vec<String>, hold: &str) -> Result<BarrierReport, Fault> {
    let wish = BarrierWish { tables, id: hold.to_owned() };
    let mut attempts = 0;
    loop {
        attempts += 1;
        match client.barrier(&wish) {
            Err(fault)
                if attempts < BARRIER_ATTEMPTS
                    && (fault.code.is_retryable() || fault.code == ErrorCode::OutcomeUnknown) =>
            {
                std::thread::sleep(BARRIER_PAUSE);
            }
            other => return other,
        }
    }
}

fn save(
    target: &dyn Target,
    client: &Client,
    crew: &Crew,
    mut begun: Begun,
    arguments: &BackupCreate,
) -> Result<Manifest, Fault> {
    let hold = hold_of(&begun.id);
    let places: Vec<(usize, usize)> = (0..begun.tables.len())
        .flat_map(|table| (0..begun.tables[table].partitions.len()).map(move |partition| (table, partition)))
        .collect();
    let complete = |begun: &Begun, (table, partition): (usize, usize)| {
        let table = &begun.tables[table];
        let found = backup::write::complete(target, begun, table, &table.partitions[partition]);
        found.map_err(|error| error.to_fault())
    };
    let mut done = Vec::new();
    for (piece, place) in places.iter().enumerate() {
        if complete(&begun, *place)?.is_some() {
            done.push(piece);
        }
    }
    let nodes = replicas_of(client, &begun, &places)?;
    let job = |piece: usize, _repeated: bool| {
        let (table, partition) = places[piece];
        let (table, place) = (&begun.tables[table], &begun.tables[table].partitions[partition]);
        Job::Save(SavePartition {
            url: target.url().to_owned(),
            backup: begun.id.clone(),
            namespace: table.namespace.clone(),
            table: table.name.clone(),
            partition: place.partition,
            held: HeldPartition {
                group: place.group,
                hold: hold.clone(),
                index: place.index,
                kinds: begun.kinds.clone(),
                expiry_shift_ms: 0,
                prefix: String::new(),
            },
        })
    };
    crew.run(Work {
        verb: "saved",
        name: format!("save-{}", begun.id),
        pieces: nodes,
        done,
        job: &job,
        ended: &mut |_, _| Ok(()),
        speed: arguments.speed,
        bytes: 0,
        hold: Some(hold.clone()),
    })?;
    for place in &places {
        let missing = || Fault::new(ErrorCode::BackupTarget, "a partition that was saved is not there");
        let record = complete(&begun, *place)?.ok_or_else(missing)?;
        begun.tables[place.0].partitions[place.1] = record;
    }
    let manifest = Manifest::new(begun, now_ms());
    backup::finish(target, &manifest).map_err(|error| error.to_fault())?;
    Ok(manifest)
}

/// The nodes that have replicas of each partition, those that do not lead first.
fn replicas_of(client: &Client, begun: &Begun, places: &[(usize, usize)]) -> Result<Vec<Vec<u64>>, Fault> {
    let status = client.status()?;
    let nodes = |(table, partition): &(usize, usize)| {
        let group = begun.tables[*table].partitions[*partition].group;
        let known = status.partitions.iter().find(|partition| partition.group == group);
        let mut nodes: Vec<u64> = known
            .map(|known| known.replicas.iter().map(|replica| replica.node).collect())
            .unwrap_or_default();
        nodes.sort_by_key(|node| known.is_some_and(|known| known.leader == Some(*node)));
        nodes
    };
    Ok(places.iter().map(nodes).collect())
}

/// The tables that were chosen, by title.
fn chosen(client: &Client, which: &Which) -> Result<Vec<String>, Fault> {
    let all = client.tables()?;
    let is_chosen = |table: &api::admin::Table| {
        let by_table = which.table.iter().any(|name| *name == title(&table.namespace, &table.name));
        let by_namespace = which.namespace.contains(&table.namespace);
        by_table || by_namespace || (which.table.is_empty() && which.namespace.is_empty())
    };
    let titles: Vec<String> = all
        .iter()
        .filter(|table| is_chosen(table))
        .map(|table| title(&table.namespace, &table.name))
        .collect();
    let unknown = which.table.iter().find(|name| !titles.contains(name));
    match (unknown, titles.is_empty()) {
        (Some(name), _) => Err(Fault::new(ErrorCode::UnknownTable, name.clone())),
        (None, true) => Err(Fault::new(ErrorCode::UnknownTable, "nothing is chosen")),
        (None, false) => Ok(titles),
    }
}

fn table_record(table: &BarrierTable) -> TableRecord {
    let partition = |place: &api::job::BarrierPlace| PartitionRecord {
        partition: place.partition,
        group: place.group,
        index: place.index,
        term: place.term,
        ..Default::default()
    };
    TableRecord {
        namespace: table.namespace.clone(),
        name: table.name.clone(),
        engine: table.engine.clone(),
        hash: table.hash.clone(),
        replicas: table.replicas,
        partitions: table.partitions.iter().map(partition).collect(),
    }
}

/// Under which number the states of a backup are kept: whoever resumes it finds them.
pub fn hold_of(id: &str) -> String {
    format!("{:016x}", types::hash::position(id.as_bytes()))
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
