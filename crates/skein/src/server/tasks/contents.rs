//! What tables hold: measured as a backup measures it, and hashed replica by replica.

use std::time::{Duration, Instant};

use api::job::{HeldPartition, Job};
use api::kv::ContentSum;
use backup::{SumRecord, TableRecord};
use types::{ErrorCode, Fault, GroupId, LogIndex};

use super::AtWork;
use crate::backups::crew::Work;
use crate::backups::{barrier, hold_of};
use crate::cli::Speed;

/// How long replicas may take to tell a digest, before those that have told it are taken for all that are there, or
/// another one is asked for.
const DIGEST_PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// What a table holds, and in how many partitions. Deadlines are told so many milliseconds earlier than they are.
/// `bytes`: of what was measured before it, and of all.
pub(super) fn measure(
    at_work: &AtWork<'_>,
    title: &str,
    expiry_shift_ms: u64,
    bytes: (u64, u64),
) -> Result<(ContentSum, u32), Fault> {
    at_work.check("what was restored is compared with what was saved")?;
    let hold = hold_of(title);
    let report = barrier(&at_work.client(), vec![title.to_owned()], &hold)?;
    let places: Vec<_> = report.tables.iter().flat_map(|table| &table.partitions).collect();
    let job = |piece: usize, _repeated: bool| {
        Job::Measure(HeldPartition {
            group: places[piece].group,
            hold: hold.clone(),
            index: places[piece].index,
            kinds: Vec::new(),
            expiry_shift_ms,
            prefix: String::new(),
        })
    };
    let mut sum = ContentSum::default();
    at_work.crew().run(Work {
        // Another barrier is another measurement.
        name: format!("measure-{title}-{:x}", report.at_ms),
        pieces: places.iter().map(|place| place.nodes.clone()).collect(),
        done: Vec::new(),
        job: &job,
        ended: &mut |_, status| {
            sum.merge(&status.sum.as_ref().map(|sum| sum.to_sum()).unwrap_or_default());
            Ok(())
        },
        speed: Speed::default(),
        hold: Some(hold.clone()),
        takes_over: false,
        watch: &mut |seen| at_work.tell_seen("partitions are compared", seen, bytes),
    })?;
    Ok((sum, places.len() as u32))
}

/// Has every replica of a group hash what it holds; how many were compared.
///
/// # Errors
/// `DataDamaged` if they are not equal.
pub(super) fn compare_replicas(at_work: &AtWork<'_>, group: u64, name: &str) -> Result<usize, Fault> {
    let doing = format!("the replicas of {name} are compared");
    let group = GroupId(group);
    loop {
        let index = begin_digest(at_work, group, &doing)?;
        let begun = Instant::now();
        while begun.elapsed() < DIGEST_PATIENCE {
            let told = at_work.node.digests(group, index);
            if told.windows(2).any(|pair| pair[0].hash != pair[1].hash) {
                let detail = format!("the replicas of {name} are not equal at log index {index}");
                return Err(Fault::new(ErrorCode::DataDamaged, detail));
            }
            let wished = at_work.node.catalog().partition(group).map_or(0, |known| known.replicas.len());
            if told.len() >= wished {
                return Ok(told.len());
            }
            at_work.pause(&doing, LOOK)?;
        }
        // Those of nodes that are down for long are compared when they come back.
        let told = at_work.node.digests(group, index).len();
        if told > 0 {
            return Ok(told);
        }
    }
}

/// Asks for a digest until a leader takes it.
fn begin_digest(at_work: &AtWork<'_>, group: GroupId, doing: &str) -> Result<LogIndex, Fault> {
    loop {
        let (sender, answer) = std::sync::mpsc::channel();
        at_work.node.begin_digest(group, move |index| drop(sender.send(index)));
        match answer.recv().unwrap_or_else(|_| Err(ErrorCode::OutcomeUnknown.into())) {
            Err(fault) if fault.code.is_retryable() || fault.code == ErrorCode::OutcomeUnknown => {
                at_work.pause(doing, LOOK)?;
            }
            other => return other,
        }
    }
}

/// A table holds something else than what was saved of it.
pub(super) fn differ(table: &TableRecord, copy: &SumRecord) -> Fault {
    let told =
        |sum: &SumRecord| format!("{} keys, {} elements, digest {}", sum.keys, sum.elements, sum.digest);
    let (source, title) = (table.sum(), table.title());
    let detail = format!("{title}\nsaved:    {}\nrestored: {}", told(&source), told(copy));
    Fault::new(ErrorCode::ContentsDiffer, detail)
}
