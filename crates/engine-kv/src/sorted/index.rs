//! The index that counts members. The folder's page has the drawing and the rules.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use engine::{ApplyContext, EngineError};

use super::node::{Entry, Node, Standing, covering, gone, with_members};
use super::place::{INDEX, damaged, separator};
use super::read::Sorted;
use super::root::Root;
use crate::collection::Edit;
use crate::look::Look;
use crate::staging::Staging;

/// Most members of a run. Finding a rank walks past half of a run on average, and the fewer members a run has, the more
/// runs there are to count. Measured with 32, 64 and 128 by `cargo run --release -p engine-kv --example sorted`: what is
/// between them is less than a fifth, and 64 is never the slowest.
///
/// Unit tests have small runs and nodes, so that small sets have several levels.
pub(super) const RUN_MEMBERS_MAX: usize = if cfg!(test) { 6 } else { 64 };
/// Most entries of a node. A write stores one node on each level again, with some bytes for each entry, so small nodes
/// are cheaper than few levels. A million members have four levels.
pub(super) const NODE_ENTRIES_MAX: usize = if cfg!(test) { 5 } else { 32 };
/// With at most so many members a set has no index. Half of what it takes to get one, so that a set that grows and
/// shrinks by one does not build it again and again.
const UNINDEXED_MEMBERS: u64 = RUN_MEMBERS_MAX as u64 / 2;

/// Between which places something lies; the second does not belong to it, and without one there is no end.
#[derive(Clone, Debug, Default)]
pub(super) struct Cover {
    pub(super) from: Bytes,
    pub(super) to: Option<Bytes>,
}

impl Cover {
    /// What an entry of a node covers, if this is what the node covers.
    pub(super) fn narrow(&mut self, node: &Node, at: usize) {
        if let Some(next) = node.entries.get(at + 1) {
            self.to = Some(next.separator.clone());
        }
        if at > 0 {
            self.from = node.entries[at].separator.clone();
        }
    }
}

/// The sub-key of a node.
fn node_key(level: u8, separator: &[u8]) -> Bytes {
    [&[INDEX, level], separator].concat().into()
}

/// One step on the way from the uppermost node to a run: a node as it is stored, and where the way goes on.
struct Step {
    level: u8,
    record_key: Bytes,
    stored: Bytes,
    standing: Standing,
}

impl Step {
    /// The name of what the way goes on to, and where that begins unless it is the first of the node.
    fn separator(&self) -> Bytes {
        self.stored.slice(self.standing.separator.clone())
    }

    fn is_first(&self) -> bool {
        self.standing.at == 0
    }
}

/// What lies at the end of a way; see [`Cover`].
fn cover(path: &[Step]) -> Cover {
    let from = path.iter().rev().find(|step| !step.is_first()).map_or_else(Bytes::new, Step::separator);
    let to = path.iter().rev().find_map(|step| Some(step.stored.slice(step.standing.next.clone()?)));
    Cover { from, to }
}

/// An index being brought in step with places that were added and removed.
pub(super) struct IndexEdit<'a> {
    pub(super) staging: &'a mut Staging,
    pub(super) context: &'a ApplyContext,
    /// The set; its places are staged and its members counted.
    pub(super) edit: &'a Edit,
    pub(super) root: &'a mut Root,
}

impl IndexEdit<'_> {
    /// Counts places: those that are mapped to true were added, the others removed.
    pub(super) fn apply(mut self, places: &BTreeMap<Bytes, bool>) -> Result<(), EngineError> {
        let count = self.edit.count;
        if self.root.levels == 0 {
            return if count > RUN_MEMBERS_MAX as u64 { self.build() } else { Ok(()) };
        }
        if count <= UNINDEXED_MEMBERS {
            return self.remove_index();
        }
        let mut places = places.iter().map(|(place, added)| (place, if *added { 1 } else { -1 })).peekable();
        while let Some((first, mut difference)) = places.next() {
            let path = self.path(first)?;
            // All places of the run at once.
            if places.peek().is_some() {
                let end = cover(&path).to;
                let is_in_run = |place: &Bytes| end.as_ref().is_none_or(|end| place < end);
                while let Some((_, one)) = places.next_if(|(place, _)| is_in_run(place)) {
                    difference += one;
                }
            }
            if difference != 0 && !self.count_in_place(&path, difference)? {
                self.count(&path, difference)?;
                self.lower()?;
            }
        }
        Ok(())
    }

    /// The way to the run that covers a place.
    fn path(&self, place: &[u8]) -> Result<Vec<Step>, EngineError> {
        let mut path: Vec<Step> = Vec::with_capacity(usize::from(self.root.levels));
        for level in (1..=self.root.levels).rev() {
            let name = path.last().map_or(&[][..], |step| &step.stored[step.standing.separator.clone()]);
            let record_key = self.edit.parts.key_of(&[&[INDEX, level], name]);
            let stored = self.edit.get_record(self.staging, self.context, &record_key)?.ok_or_else(gone)?;
            let standing = covering(&stored, place)?;
            path.push(Step { level, record_key, stored, standing });
        }
        Ok(path)
    }

    /// Counts members of a run more or less in all nodes above it, if no node changes in another way: the run is
    /// neither empty nor too large then, and the new numbers have room where the old ones stand. Returns whether it did.
    fn count_in_place(&mut self, path: &[Step], difference: i64) -> Result<bool, EngineError> {
        let mut changed = Vec::with_capacity(path.len());
        for step in path {
            let members = counted(step.standing.members, difference)?;
            let Some(node) = with_members(&step.stored, &step.standing, members) else { return Ok(false) };
            changed.push(node);
        }
        let run = path.last().map_or(0, |step| step.standing.members);
        if !(1..=RUN_MEMBERS_MAX as u64).contains(&counted(run, difference)?) {
            return Ok(false);
        }
        for (step, node) in path.iter().zip(changed) {
            self.edit.put_record(self.staging, self.context, step.record_key.clone(), Some(node));
        }
        Ok(true)
    }

    /// Counts members of a run more or less in all nodes above it, and divides or removes what is too large or empty.
    fn count(&mut self, path: &[Step], difference: i64) -> Result<(), EngineError> {
        let Some(last) = path.last() else { return Ok(()) };
        let members = counted(last.standing.members, difference)?;
        let mut entries = self.divide_run(Entry { separator: last.separator(), members }, &cover(path))?;
        let mut level = 0;
        for (depth, step) in path.iter().enumerate().rev() {
            let mut node = Node::decode(&step.stored)?;
            let at = step.standing.at;
            node.entries.splice(at..=at, entries);
            let name = depth.checked_sub(1).map_or_else(Bytes::new, |above| path[above].separator());
            entries = self.store(step.level, &name, &cover(&path[..depth]).from, node);
            level = step.level;
        }
        // More than one node on the uppermost level: one more level.
        self.grow(level, entries);
        Ok(())
    }

    /// What takes the place of a run: nothing if it is empty, several if it has become too large.
    fn divide_run(&self, entry: Entry, run: &Cover) -> Result<Vec<Entry>, EngineError> {
        match entry.members {
            0 => Ok(Vec::new()),
            members if members <= RUN_MEMBERS_MAX as u64 => Ok(vec![entry]),
            _ => self.with_look(|sorted| {
                let to = run.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let places: Vec<_> =
                    sorted.places(Bound::Included(&run.from), to, false).collect::<Result<_, _>>()?;
                Ok(runs(&run.from, &places))
            }),
        }
    }

    /// Stores a node, as several if it has too many entries, or not at all if it has none; the entries for them.
    ///
    /// The first of several is named after where it begins: a name that lies behind could lie behind the second one.
    fn store(&mut self, level: u8, name: &Bytes, from: &Bytes, node: Node) -> Vec<Entry> {
        let is_one = (1..=NODE_ENTRIES_MAX).contains(&node.entries.len());
        let first = if is_one { name } else { from };
        if !is_one {
            self.edit.remove(self.staging, self.context, &node_key(level, name));
        }
        let mut entries = Vec::new();
        for (number, piece) in pieces(node.entries.len(), NODE_ENTRIES_MAX).enumerate() {
            let node = Node { entries: node.entries[piece].to_vec() };
            let separator = if number == 0 { first } else { &node.entries[0].separator };
            self.put(level, separator, &node);
            entries.push(Entry { separator: separator.clone(), members: node.members() });
        }
        entries
    }

    /// Adds levels above one until there is a single node.
    fn grow(&mut self, mut level: u8, mut entries: Vec<Entry>) {
        while entries.len() > 1 {
            level += 1;
            entries = self.store(level, &Bytes::new(), &Bytes::new(), Node { entries });
        }
        self.root.levels = level;
    }

    /// Makes an index where there is none.
    fn build(&mut self) -> Result<(), EngineError> {
        let entries = self.with_look(|sorted| {
            let places: Vec<_> =
                sorted.places(Bound::Unbounded, Bound::Unbounded, false).collect::<Result<_, _>>()?;
            Ok(runs(&Bytes::new(), &places))
        })?;
        self.grow(0, entries);
        Ok(())
    }

    /// Removes uppermost levels whose node has one entry.
    fn lower(&mut self) -> Result<(), EngineError> {
        while self.root.levels > 1 {
            let top = self.root.levels;
            let node = self.with_look(|sorted| Node::get(sorted, top, &[]))?;
            let [only] = &node.entries[..] else { break };
            // The node below becomes the uppermost one, whose separator is empty.
            let below = self.with_look(|sorted| Node::get(sorted, top - 1, &only.separator))?;
            self.edit.remove(self.staging, self.context, &node_key(top, &[]));
            self.edit.remove(self.staging, self.context, &node_key(top - 1, &only.separator));
            self.put(top - 1, &[], &below);
            self.root.levels = top - 1;
        }
        Ok(())
    }

    fn remove_index(&mut self) -> Result<(), EngineError> {
        let keys: Vec<_> = {
            let look = self.staging.look(self.context);
            let nodes = self.edit.parts.with_prefix(&look, &[INDEX]);
            nodes.map(|record| Ok(record?.0)).collect::<Result<_, EngineError>>()?
        };
        for key in keys {
            self.edit.remove(self.staging, self.context, &key);
        }
        self.root.levels = 0;
        Ok(())
    }

    fn put(&mut self, level: u8, separator: &[u8], node: &Node) {
        self.edit.put(self.staging, self.context, &node_key(level, separator), node.encode());
    }

    fn with_look<T>(
        &self,
        read: impl FnOnce(&Sorted<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let look = self.staging.look(self.context);
        read(&Sorted::new(&look as &dyn Look, self.edit.parts, self.edit.count, self.root))
    }
}

/// A number of members and some more or less.
fn counted(members: u64, difference: i64) -> Result<u64, EngineError> {
    members
        .checked_add_signed(difference)
        .ok_or_else(|| damaged("a node counts fewer members than there are"))
}

/// Divides so many things into ranges of about equal size, none larger than allowed. Where there are several, each has
/// room for some more.
fn pieces(length: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = if length <= most { length.min(1) } else { length.div_ceil(most * 2 / 3) };
    (0..count).map(move |number| number * length / count..(number + 1) * length / count)
}

/// Runs of places that follow each other; the first one keeps its separator.
fn runs(first: &Bytes, places: &[Bytes]) -> Vec<Entry> {
    let entry = |piece: std::ops::Range<usize>| Entry {
        separator: match piece.start {
            0 => first.clone(),
            start => separator(&places[start - 1], &places[start]),
        },
        members: piece.len() as u64,
    };
    pieces(places.len(), RUN_MEMBERS_MAX).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_of_about_equal_size() {
        for length in 1..200 {
            let pieces: Vec<_> = pieces(length, 6).collect();
            assert_eq!(pieces.iter().map(ExactSizeIterator::len).sum::<usize>(), length);
            assert!(pieces.iter().all(|piece| (1..=6).contains(&piece.len())));
            assert!(pieces.len() == 1 || pieces.iter().all(|piece| piece.len() <= 4));
        }
    }
}
