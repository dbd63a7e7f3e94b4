//! From what lies on disk to a running replica, or to the verdict that it is damaged.
//!
//! ```text
//!   log:     start ─────────── entries ─────────── last
//!   state:            ▲ applied
//!   fine when         start ≤ applied ≤ last, and the terms agree at `applied`
//!   applied > last:   the log lost what was acknowledged        → log damage
//!   applied < start:  the state lost what the log gave up       → state damage
//! ```
//!
//! A damaged replica never votes and never serves: it is reported, and comes back under a new replica id
//! from a snapshot. Lagging is not damage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::catalog::EngineKind;
use api::peer::Membership;
use engine::{Engine, EngineError};
use types::{ErrorCode, Fault, Generation, GroupId, ReplicaId, StateId, limits};
use wal::{GroupSummary, GroupWrite, LogError, LogPosition, LogStore};

use crate::apply::Applier;
use crate::effects::GroupStart;
use crate::record::GroupRecord;

/// The engines of a node, by kind.
pub type Engines = BTreeMap<i32, Arc<dyn Engine>>;

/// A replica to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReplica {
    /// The group.
    pub group: GroupId,
    /// The replica.
    pub replica: ReplicaId,
    /// What stores it.
    pub engine: EngineKind,
    /// The generation that requests must name.
    pub generation: Generation,
    /// The group's membership at its birth for a founding member; empty for one that waits for its
    /// first snapshot.
    pub founding: Membership,
}

/// A replica that was opened, or why it was not.
pub type Opened = Result<(GroupStart, Applier), (GroupId, ReplicaId, Fault)>;

/// Makes a replica: its state first, then the log's record of it, which is the moment it exists.
pub fn create(
    log: &dyn LogStore,
    engines: &Engines,
    new: &NewReplica,
    state: StateId,
) -> Result<(GroupStart, Applier), Fault> {
    let engine = engine_of(engines, new.engine as i32)?;
    let applier = Applier::create(engine, new.group, state, new.generation, new.founding.clone())
        .map_err(|error| error.to_fault())?;
    let first = match new.founding.members.is_empty() {
        true => 0,
        false => limits::FIRST_LOG_INDEX,
    };
    let position = LogPosition { index: first.into(), term: first.into() };
    let record = GroupRecord {
        replica: new.replica.get(),
        state: state.get(),
        engine: new.engine as i32,
        generation: new.generation.get(),
        term: first,
        vote: 0,
        commit: first,
        takeover: None,
    };
    let write = GroupWrite {
        group: new.group,
        reset: Some(position),
        record: Some(record.to_bytes()),
        ..Default::default()
    };
    if let Err(error) = log.write(&[write], true) {
        drop(applier);
        // Nobody names it: a failure here costs bytes until the next start, nothing else.
        let _ = engine.remove(state);
        return Err(log_fault(&error));
    }
    let start = GroupStart {
        group: new.group,
        record,
        log: (position, position),
        applied: applier.applied(),
        membership: applier.membership().clone(),
        hlc: applier.hlc(),
        is_new: true,
    };
    Ok((start, applier))
}

/// Opens every replica that the log knows, removes states that no record names, and returns the first
/// state id that is free.
pub fn open_all(log: &dyn LogStore, engines: &Engines) -> Result<(Vec<Opened>, StateId), Fault> {
    let summaries = log.groups();
    let mut named = BTreeSet::new();
    for summary in &summaries {
        // Without every record it is not known which states are nobody's: then nothing may be touched.
        let record = GroupRecord::from_bytes(&summary.record).ok_or_else(|| unreadable(summary))?;
        named.insert(record.state());
    }
    let mut next = StateId(1);
    for engine in engines.values() {
        for state in engine.list().map_err(|error| engine_fault(&error))? {
            next = next.max(state.next());
            if !named.contains(&state) {
                engine.remove(state).map_err(|error| engine_fault(&error))?;
            }
        }
    }
    next = named.last().map_or(next, |last| next.max(last.next()));
    let opened: Vec<Opened> = summaries.iter().map(|summary| open(log, engines, summary)).collect();
    // A disk that refuses is no damage of a replica: nothing is to be replaced because of it.
    let refused = |opened: &Opened| match opened {
        Err((_, _, fault)) if matches!(fault.code, ErrorCode::DiskFull | ErrorCode::DataUnreadable) => {
            Some(fault.clone())
        }
        _ => None,
    };
    match opened.iter().find_map(refused) {
        Some(fault) => Err(fault),
        None => Ok((opened, next)),
    }
}

fn unreadable(summary: &GroupSummary) -> Fault {
    let code = match summary.record.first() {
        Some(&version) if version > crate::record::FORMAT => ErrorCode::DataNewer,
        _ => ErrorCode::DataDamaged,
    };
    Fault::new(code, format!("the record of group {} cannot be read", summary.group))
}

fn open(log: &dyn LogStore, engines: &Engines, summary: &GroupSummary) -> Opened {
    let group = summary.group;
    let Some(record) = GroupRecord::from_bytes(&summary.record) else {
        return Err((group, ReplicaId::NONE, unreadable(summary)));
    };
    let replica = record.replica();
    let damaged = |fault: Fault| (group, replica, fault);
    let engine = engine_of(engines, record.engine).map_err(damaged)?;
    let state = engine.open(record.state()).map_err(|error| damaged(engine_fault(&error)))?;
    let mut applier = Applier::open(group, state).map_err(|error| damaged(error.to_fault()))?;
    // A crash came between the record of a takeover and the next commit of the state.
    if let Some(membership) = &record.takeover {
        applier.take_over(membership);
    }
    check_position(log, summary, &applier).map_err(damaged)?;
    let start = GroupStart {
        group,
        record,
        log: (summary.start, summary.last),
        applied: applier.applied(),
        membership: applier.membership().clone(),
        hlc: applier.hlc(),
        is_new: false,
    };
    Ok((start, applier))
}

fn check_position(log: &dyn LogStore, summary: &GroupSummary, applier: &Applier) -> Result<(), Fault> {
    let (group, applied) = (summary.group, applier.applied());
    let damage = |what: String| Err(Fault::new(ErrorCode::DataDamaged, format!("group {group}: {what}")));
    let (start, last) = (summary.start.index, summary.last.index);
    if applied.index > last {
        return damage(format!("the log ends at {last}, but the state has applied {}", applied.index));
    }
    if applied.index < start {
        return damage(format!("the log starts after {start}, but the state ends at {}", applied.index));
    }
    let term = log.term(group, applied.index).map_err(|error| log_fault(&error))?;
    if term != applied.term {
        return damage(format!(
            "entry {} has term {term} in the log and {} in the state",
            applied.index, applied.term
        ));
    }
    Ok(())
}

fn engine_of(engines: &Engines, kind: i32) -> Result<&Arc<dyn Engine>, Fault> {
    engines
        .get(&kind)
        .ok_or_else(|| Fault::new(ErrorCode::DataNewer, format!("this release has no engine of kind {kind}")))
}

/// What a user is told about an engine's failure.
pub fn engine_fault(error: &EngineError) -> Fault {
    let code = match error {
        EngineError::Full(_) => ErrorCode::DiskFull,
        EngineError::Storage(_) => ErrorCode::DataUnreadable,
        EngineError::Missing(_) | EngineError::Damaged(_) | EngineError::BadSnapshot(_) => {
            ErrorCode::DataDamaged
        }
    };
    Fault::new(code, error.to_string())
}

/// What a user is told about the log's failure.
pub fn log_fault(error: &LogError) -> Fault {
    let code = match error {
        LogError::DiskFull => ErrorCode::DiskFull,
        LogError::Newer(_) => ErrorCode::DataNewer,
        LogError::Damaged { .. } | LogError::Cut { .. } | LogError::Beyond { .. } => ErrorCode::DataDamaged,
        LogError::Disk(_) => ErrorCode::DataUnreadable,
    };
    Fault::new(code, error.to_string())
}
