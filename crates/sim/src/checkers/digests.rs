//! Replicas at equal positions are equal: their records, and what replication keeps with them.

use std::collections::BTreeMap;

use replication::Applier;
use types::GroupId;
use xxhash_rust::xxh3::Xxh3;

use crate::event::Place;
use crate::random::mix;

/// One position in so many is compared. Which ones is a function of the position, so that all replicas
/// that stop there are looked at.
const EVERY: u64 = 2;

/// Digests by group and index.
#[derive(Default)]
pub struct Digests {
    known: BTreeMap<(GroupId, u64), (Shown, Place)>,
    compared: u64,
}

/// What is compared, apart so that a difference can be named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shown {
    term: u64,
    records: u64,
    live: u128,
    system: u64,
}

impl Digests {
    /// How many were compared with an earlier one.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// A replica stands at a position.
    pub fn applied(&mut self, place: Place, group: GroupId, applier: &Applier) -> Result<(), String> {
        let applied = applier.applied();
        if !mix(applied.index.get()).is_multiple_of(EVERY) || applied.index.get() == 0 {
            return Ok(());
        }
        let shown = show(applier).map_err(|error| format!("node {}: group {group}: {error}", place + 1))?;
        let index = applied.index.get();
        match self.known.get(&(group, index)) {
            None => {
                self.known.insert((group, index), (shown, place));
                Ok(())
            }
            Some((known, there)) => {
                self.compared += 1;
                match known == &shown {
                    true => Ok(()),
                    false => Err(format!(
                        "group {group} at {index}: node {} has {known:?}, node {} has {shown:?}",
                        there + 1,
                        place + 1
                    )),
                }
            }
        }
    }
}

fn show(applier: &Applier) -> Result<Shown, engine::EngineError> {
    let state = applier.state();
    let digest = state.digest(applier.hlc())?()?;
    let mut hasher = Xxh3::new();
    for record in state.system()? {
        for part in [&record.name, &record.value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let term = applier.applied().term.get();
    Ok(Shown { term, records: digest.records, live: digest.hash, system: hasher.digest() })
}
