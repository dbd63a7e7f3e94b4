//! `backup verify --drill`: restores into scratch tables with another number of partitions, and compares.
//!
//! Deadlines are moved far ahead for it and back before they are hashed, so that nothing expires meanwhile; keys
//! keep their names. The scratch tables are dropped whatever comes of it.

use api::admin::CreateTable;
use api::job::{HeldPartition, Job};
use api::kv::ContentSum;
use backup::restores::RestoreRecord;
use backup::{FORMAT, Manifest, Proof, SumRecord, TableRecord, Target};
use client::Client;
use types::{ErrorCode, Fault};

use super::create::{barrier, hold_of, now_ms};
use super::crew::{Crew, Work};
use super::restore::{Manner, One};
use crate::cli::{BackupVerify, Speed};
use crate::say;

/// Some 139 years; a deadline of Redis and this still fit 63 bits.
const EXPIRY_SHIFT_MS: u64 = 1 << 42;

/// Restores a backup into scratch tables, and records that the copies are equal.
pub fn run(target: &dyn Target, manifest: &Manifest, arguments: &BackupVerify) -> Result<(), Fault> {
    let client = arguments.find.lookup().client()?;
    let crew = Crew::of(&client)?;
    let begun_ms = now_ms();
    let (mut partitions, mut sums) = (Vec::new(), Vec::new());
    for (table, number) in manifest.begun.tables.iter().zip(0..) {
        let scratch = Scratch::make(&client, manifest, table, number, arguments.partitions)?;
        let one = One { target, client: &client, crew: &crew, manifest, table, to: &scratch.name, at: None };
        let copied = copy(&one, &scratch, arguments.speed).and_then(|()| measure(&client, &crew, &scratch));
        // The answer to the drill counts more than that to the clean-up.
        let dropped = client.drop_table(catalog::DEFAULT_NAMESPACE, &scratch.name);
        let copy = copied?;
        dropped?;
        compare(table, &copy)?;
        partitions.push(scratch.partitions);
        sums.push(SumRecord::from(&copy));
    }
    let sum = SumRecord::total(&sums);
    let took_ms = now_ms().saturating_sub(begun_ms);
    let cluster = client.identity()?.cluster;
    let id = manifest.begun.id.clone();
    let proof = Proof { format: FORMAT, id, begun_ms, took_ms, cluster, partitions, sum };
    backup::prove(target, &proof).map_err(|error| error.to_fault())?;
    say::note(format_args!(
        "restored into scratch tables and compared: {} and all digests are equal, in {}",
        say::count(proof.sum.keys, "key"),
        say::duration_ms(took_ms)
    ));
    Ok(())
}

/// A table for a drill.
struct Scratch {
    name: String,
    tid: u64,
    partitions: u32,
}

impl Scratch {
    fn make(
        client: &Client,
        manifest: &Manifest,
        table: &TableRecord,
        number: usize,
        partitions: Option<u32>,
    ) -> Result<Self, Fault> {
        let source = table.partitions.len() as u32;
        let partitions = partitions.unwrap_or(if source > 1 { source - 1 } else { 2 });
        let name = format!("drill_{}_{number}", manifest.begun.id.replace('-', "_"));
        // What a drill that was killed has left.
        match client.drop_table(catalog::DEFAULT_NAMESPACE, &name) {
            Err(fault) if fault.code != ErrorCode::UnknownTable => return Err(fault),
            Ok(()) | Err(_) => {}
        }
        let wish = CreateTable {
            namespace: None,
            name: name.clone(),
            engine: Some(table.engine.clone()),
            partitions: Some(partitions),
            // A copy that is thrown away needs no redundancy.
            replicas: Some(1),
        };
        let made = client.create_table(&wish)?;
        Ok(Self { name, tid: made.tid, partitions })
    }
}

fn copy(one: &One<'_>, scratch: &Scratch, speed: Speed) -> Result<(), Fault> {
    let mut record = RestoreRecord {
        id: one.manifest.begun.id.clone(),
        cluster: String::new(),
        from: one.table.directory(),
        to: scratch.name.clone(),
        tid: scratch.tid,
        since: one.stamp()?,
        on_conflict: "fail".into(),
        made: true,
        kinds: Vec::new(),
        at_ms: 0,
        done: Vec::new(),
    };
    let manner = Manner { speed, expiry_shift_ms: EXPIRY_SHIFT_MS, again: false, keeps_record: false };
    one.write(&mut record, manner).map(|_| ())
}

/// What the scratch table holds.
fn measure(client: &Client, crew: &Crew, scratch: &Scratch) -> Result<ContentSum, Fault> {
    let hold = hold_of(&scratch.name);
    let report = barrier(client, vec![scratch.name.clone()], &hold)?;
    let places: Vec<_> = report.tables.iter().flat_map(|table| &table.partitions).collect();
    let job = |piece: usize, _repeated: bool| {
        Job::Measure(HeldPartition {
            group: places[piece].group,
            hold: hold.clone(),
            index: places[piece].index,
            kinds: Vec::new(),
            expiry_shift_ms: EXPIRY_SHIFT_MS,
            prefix: String::new(),
        })
    };
    let mut sum = ContentSum::default();
    crew.run(Work {
        verb: "compared",
        name: format!("measure-{}", scratch.name),
        pieces: places.iter().map(|place| place.nodes.clone()).collect(),
        done: Vec::new(),
        job: &job,
        ended: &mut |_, status| {
            sum.merge(&status.sum.as_ref().map(|sum| sum.to_sum()).unwrap_or_default());
            Ok(())
        },
        speed: Speed::default(),
        bytes: 0,
        hold: Some(hold.clone()),
    })?;
    Ok(sum)
}

fn compare(table: &TableRecord, copy: &ContentSum) -> Result<(), Fault> {
    let (source, copy) = (table.sum(), SumRecord::from(copy));
    if source == copy {
        return Ok(());
    }
    let told =
        |sum: &SumRecord| format!("{} keys, {} elements, digest {}", sum.keys, sum.elements, sum.digest);
    let detail = format!("{}\nsaved:    {}\nrestored: {}", table.title(), told(&source), told(&copy));
    Err(Fault::new(ErrorCode::DrillFailed, detail))
}
