//! The index that counts members. The folder's page has the drawing and the rules.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use engine::{ApplyContext, EngineError};

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
/// Most entries of a node. A write rewrites one node on each level, about 20 bytes for each entry, so small nodes are
/// cheaper than few levels: with 32 instead of 64 a `ZADD` takes a fifth less time. A million members have four levels.
pub(super) const NODE_ENTRIES_MAX: usize = if cfg!(test) { 5 } else { 32 };
/// With at most so many members a set has no index. Half of what it takes to get one, so that a set that grows and
/// shrinks by one does not build it again and again.
const UNINDEXED_MEMBERS: u64 = RUN_MEMBERS_MAX as u64 / 2;

/// A run of members, or a node below, as the node above it knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it begins, except that the first entry of a node begins where the node does. It names the node below.
    pub(super) separator: Bytes,
    /// How many members it has.
    pub(super) members: u64,
}

/// A node of the index: what follows each other between two places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) entries: Vec<Entry>,
}

impl Node {
    /// Reads a node.
    pub(super) fn get(sorted: &Sorted<'_>, level: u8, separator: &[u8]) -> Result<Self, EngineError> {
        let bytes = sorted.part(&node_key(level, separator))?;
        Self::decode(bytes.ok_or_else(|| damaged("a node of the index is gone"))?)
    }

    fn decode(mut bytes: Bytes) -> Result<Self, EngineError> {
        let mut entries = Vec::with_capacity(bytes.len() / 12);
        while bytes.has_remaining() {
            let members = bytes.try_get_u64().map_err(|_| damaged("a node of the index is too short"))?;
            let length = usize::from(bytes.try_get_u16().unwrap_or(u16::MAX));
            if length > bytes.len() {
                return Err(damaged("a node of the index is too short"));
            }
            entries.push(Entry { separator: bytes.split_to(length), members });
        }
        if entries.is_empty() { Err(damaged("a node of the index is empty")) } else { Ok(Self { entries }) }
    }

    fn encode(&self) -> Bytes {
        let bytes: usize = self.entries.iter().map(|entry| 10 + entry.separator.len()).sum();
        let mut bytes = BytesMut::with_capacity(bytes);
        for entry in &self.entries {
            bytes.put_u64(entry.members);
            // Separators are parts of record keys, whose lengths have 16 bits.
            bytes.put_u16(entry.separator.len() as u16);
            bytes.put_slice(&entry.separator);
        }
        bytes.freeze()
    }

    /// The entry that covers a place.
    pub(super) fn covering(&self, place: &[u8]) -> usize {
        self.entries.partition_point(|entry| entry.separator <= place).saturating_sub(1)
    }

    fn members(&self) -> u64 {
        self.entries.iter().map(|entry| entry.members).sum()
    }
}

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
pub(super) fn node_key(level: u8, separator: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(2 + separator.len());
    bytes.put_u8(INDEX);
    bytes.put_u8(level);
    bytes.put_slice(separator);
    bytes.freeze()
}

/// One step on the way from the uppermost node to a run.
struct Step {
    level: u8,
    /// The node's name.
    name: Bytes,
    /// Where it begins. Its name lies behind, if a node before it was removed.
    from: Bytes,
    node: Node,
    /// Where the way goes on.
    at: usize,
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
            let (path, run) = self.path(first)?;
            // All places of the run at once.
            let is_in_run = |place: &Bytes| run.to.as_ref().is_none_or(|to| place < to);
            while let Some((_, one)) = places.next_if(|(place, _)| is_in_run(place)) {
                difference += one;
            }
            if difference != 0 {
                self.count(path, &run, difference)?;
            }
        }
        self.lower()
    }

    /// The way to the run that covers a place, and what the run covers.
    fn path(&self, place: &Bytes) -> Result<(Vec<Step>, Cover), EngineError> {
        self.with_look(|sorted| {
            let (mut path, mut cover, mut name) = (Vec::new(), Cover::default(), Bytes::new());
            for level in (1..=sorted.root.levels).rev() {
                let node = Node::get(sorted, level, &name)?;
                let (at, from) = (node.covering(place), cover.from.clone());
                cover.narrow(&node, at);
                let below = node.entries[at].separator.clone();
                path.push(Step { level, name, from, node, at });
                name = below;
            }
            Ok((path, cover))
        })
    }

    /// Counts members of a run more or less in all nodes above it, and divides or removes what is too large or empty.
    fn count(&mut self, mut path: Vec<Step>, run: &Cover, difference: i64) -> Result<(), EngineError> {
        for step in &mut path {
            let members = &mut step.node.entries[step.at].members;
            let counted = members.checked_add_signed(difference);
            *members = counted.ok_or_else(|| damaged("a node counts fewer members than there are"))?;
        }
        let mut entries = match path.last() {
            Some(step) => self.divide_run(&step.node.entries[step.at], run)?,
            None => return Ok(()),
        };
        let mut level = 0;
        for mut step in path.into_iter().rev() {
            step.node.entries.splice(step.at..=step.at, entries);
            entries = self.store(step.level, &step.name, &step.from, step.node);
            level = step.level;
        }
        // More than one node on the uppermost level: one more level.
        self.grow(level, entries);
        Ok(())
    }

    /// What takes the place of a run: nothing if it is empty, several if it has become too large.
    fn divide_run(&self, entry: &Entry, run: &Cover) -> Result<Vec<Entry>, EngineError> {
        match entry.members {
            0 => Ok(Vec::new()),
            members if members <= RUN_MEMBERS_MAX as u64 => Ok(vec![entry.clone()]),
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

    #[test]
    fn damage_is_named() {
        let entry = |separator: &'static str| Entry { separator: separator.into(), members: 7 };
        let node = Node { entries: vec![entry(""), entry("b"), entry("cd")] };
        let bytes = node.encode();
        assert_eq!(Node::decode(bytes.clone()).unwrap(), node);
        for length in [0, 1, 9, 11, 19, bytes.len() - 1] {
            assert!(matches!(Node::decode(bytes.slice(..length)), Err(EngineError::Damaged(_))), "{length}");
        }
        assert_eq!(
            ["", "a", "b", "c", "cd", "d"].map(|place| node.covering(place.as_bytes())),
            [0, 0, 1, 1, 2, 2]
        );
    }
}
