//! The index that counts members in nodes. The folder's page has the drawing and the rules.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use engine::{ApplyContext, EngineError};

use super::place::{INDEX, damaged, separator};
use super::read::Sorted;
use crate::collection::Edit;
use crate::staging::Staging;

/// Most children of a node. A rank costs reading half of a node on each level, and writing one record on each
/// level keeps it: few children make reads cheap, many make levels few. 64 reads faster than 128 and 256, and a million
/// members have three levels with each (`cargo run --release -p engine-kv --example sorted`).
///
/// Unit tests have few, so that small sets have several levels.
pub(crate) const NODE_CHILDREN_MAX: usize = if cfg!(test) { 6 } else { 64 };
/// With at most so many members a set has no index. Half of what it takes to get one, so that a set that grows and
/// shrinks by one does not build it again and again.
const UNINDEXED_MEMBERS: u64 = NODE_CHILDREN_MAX as u64 / 2;
/// Children of a new node where many are made at once: there is room for some more.
const NODE_CHILDREN_NEW: usize = NODE_CHILDREN_MAX * 2 / 3;

/// Bytes of the root in the key's record.
const ROOT_BYTES: usize = 5;
/// Bytes of a node.
const NODE_BYTES: usize = 12;
/// Bytes of a node's sub-key in front of its separator.
const NODE_PREFIX_BYTES: usize = 2;

/// What the key's record says about the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// How many levels of nodes there are.
    pub(super) levels: u8,
    /// Nodes of the uppermost level, or members if there is none.
    pub(super) children: u64,
}

impl Root {
    /// Reads it; without an index it is left out.
    pub(super) fn decode(mut bytes: &[u8], count: u64) -> Result<Self, EngineError> {
        match bytes.len() {
            0 => Ok(Self { levels: 0, children: count }),
            ROOT_BYTES => Ok(Self { levels: bytes.get_u8(), children: u64::from(bytes.get_u32()) }),
            _ => Err(damaged("the root of the index does not fit")),
        }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        if self.levels == 0 {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(ROOT_BYTES);
        bytes.put_u8(self.levels);
        bytes.put_u32(self.children as u32);
        bytes
    }
}

/// What a node counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Nodes of the level below that it covers, or members on the lowest level.
    pub(super) children: u64,
    /// Members that it covers.
    pub(super) members: u64,
}

impl Node {
    pub(super) fn decode(mut bytes: &[u8]) -> Result<Self, EngineError> {
        if bytes.len() != NODE_BYTES {
            return Err(damaged("a node of the index does not fit"));
        }
        Ok(Self { children: u64::from(bytes.get_u32()), members: bytes.get_u64() })
    }

    fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(NODE_BYTES);
        // More than the limit only for the moment before it is divided.
        bytes.put_u32(u32::try_from(self.children).unwrap_or(u32::MAX));
        bytes.put_u64(self.members);
        bytes.freeze()
    }
}

/// The sub-key of a node.
pub(super) fn node_key(level: u8, separator: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(NODE_PREFIX_BYTES + separator.len());
    bytes.put_u8(INDEX);
    bytes.put_u8(level);
    bytes.put_slice(separator);
    bytes.freeze()
}

/// The separator in a node's sub-key.
pub(super) fn split_node_key(sub_key: &Bytes) -> Result<Bytes, EngineError> {
    if sub_key.len() < NODE_PREFIX_BYTES {
        return Err(damaged("the key of a node is too short"));
    }
    Ok(sub_key.slice(NODE_PREFIX_BYTES..))
}

/// A node with its separator.
type NodeAt = (Bytes, Node);

/// An index being brought in step with places that were added and removed.
pub(super) struct IndexEdit<'a> {
    pub(super) staging: &'a mut Staging,
    pub(super) context: &'a ApplyContext,
    /// The set; its places are staged and its members counted.
    pub(super) edit: &'a Edit,
    pub(super) root: Root,
}

impl IndexEdit<'_> {
    /// Counts places: those that are mapped to true were added, the others removed. Returns the root.
    pub(super) fn apply(mut self, places: &BTreeMap<Bytes, bool>) -> Result<Root, EngineError> {
        let count = self.edit.count;
        if self.root.levels == 0 {
            self.root.children = count;
            if count > NODE_CHILDREN_MAX as u64 {
                self.raise_root()?;
            }
            return Ok(self.root);
        }
        if count <= UNINDEXED_MEMBERS {
            self.drop_nodes()?;
            return Ok(Root { levels: 0, children: count });
        }
        let mut places = places.iter().map(|(place, added)| (place, if *added { 1 } else { -1 })).peekable();
        while let Some((first, mut difference)) = places.next() {
            let path = self.path(first)?;
            if places.peek().is_some() {
                // All places of one node of the lowest level at once.
                let end = self.following(&path)?;
                while let Some((_, one)) =
                    places.next_if(|(place, _)| end.as_ref().is_none_or(|end| *place < end))
                {
                    difference += one;
                }
            }
            if difference != 0 {
                self.add(path, difference)?;
            }
        }
        self.lower_root()?;
        Ok(self.root)
    }

    /// The nodes that cover a place, the lowest first.
    fn path(&self, place: &Bytes) -> Result<Vec<NodeAt>, EngineError> {
        let look = self.staging.look(self.context);
        let sorted = Sorted::new(&look, self.edit.parts, self.edit.count, self.root);
        let covering = |level| {
            let mut nodes = sorted.nodes(level, Bound::Unbounded, Bound::Included(place), true);
            nodes.next().unwrap_or_else(|| Err(damaged("a level of the index has no first node")))
        };
        (1..=self.root.levels).map(covering).collect()
    }

    /// The separator behind the lowest node of a path, if there is one.
    fn following(&self, path: &[NodeAt]) -> Result<Option<Bytes>, EngineError> {
        self.next_separator(1, &path[0].0)
    }

    fn next_separator(&self, level: u8, separator: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let look = self.staging.look(self.context);
        let sorted = Sorted::new(&look, self.edit.parts, self.edit.count, self.root);
        let next = sorted.nodes(level, Bound::Excluded(separator), Bound::Unbounded, false).next();
        Ok(next.transpose()?.map(|(separator, _)| separator))
    }

    /// Counts members more or less under all nodes of a path; divides or removes nodes where it is due.
    fn add(&mut self, mut path: Vec<NodeAt>, difference: i64) -> Result<(), EngineError> {
        for (_, node) in &mut path {
            let members = node.members.checked_add_signed(difference);
            node.members = members.ok_or_else(|| damaged("a node counts fewer members than there are"))?;
        }
        path[0].1.children = path[0].1.members;
        let stays = self.remove_empty(&mut path);
        for level in stays..path.len() {
            let (separator, node) = path[level].clone();
            self.put(level as u8 + 1, &separator, node);
            if node.children > NODE_CHILDREN_MAX as u64 {
                let more = self.divide(level as u8 + 1, &separator)? - 1;
                match path.get_mut(level + 1) {
                    Some((_, parent)) => parent.children += more,
                    None => self.root.children += more,
                }
            }
        }
        if self.root.children > NODE_CHILDREN_MAX as u64 {
            self.raise_root()?;
        }
        Ok(())
    }

    /// Removes the nodes of a path that cover nothing and are nobody's first child; the first that stays.
    fn remove_empty(&mut self, path: &mut [NodeAt]) -> usize {
        let mut stays = 0;
        while let Some((separator, _)) = path.get(stays) {
            let separator = separator.clone();
            // The nodes that have this separator, from here up.
            let same = path[stays..].iter().take_while(|(other, _)| *other == separator).count();
            let above = stays + same;
            if separator.is_empty() || path[above - 1].1.members > 0 {
                break;
            }
            for level in 1..=above {
                self.edit.remove(self.staging, self.context, &node_key(level as u8, &separator));
            }
            match path.get_mut(above) {
                Some((_, parent)) => parent.children = parent.children.saturating_sub(1),
                None => self.root.children = self.root.children.saturating_sub(1),
            }
            stays = above;
        }
        stays
    }

    /// Makes several nodes of one that has too many children; how many.
    fn divide(&mut self, level: u8, first: &Bytes) -> Result<u64, EngineError> {
        let end = self.next_separator(level, first)?;
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let children = self.children(level, Bound::Included(first), to)?;
        let nodes = group(level, first, &children);
        for (separator, node) in &nodes {
            self.put(level, separator, *node);
        }
        Ok(nodes.len() as u64)
    }

    /// Adds levels, the first one as well, until the root has no more children than allowed.
    fn raise_root(&mut self) -> Result<(), EngineError> {
        let mut level = self.root.levels;
        let mut children = self.children(level + 1, Bound::Unbounded, Bound::Unbounded)?;
        while children.len() > NODE_CHILDREN_MAX {
            level += 1;
            children = group(level, &Bytes::new(), &children);
            for (separator, node) in &children {
                self.put(level, separator, *node);
            }
        }
        self.root = Root { levels: level, children: children.len() as u64 };
        Ok(())
    }

    /// Removes levels that have one node.
    fn lower_root(&mut self) -> Result<(), EngineError> {
        while self.root.levels > 0 && self.root.children == 1 {
            let top = self.root.levels;
            let key = node_key(top, &[]);
            let value = self.edit.parts.get(&self.staging.look(self.context), &key)?;
            let value = value.ok_or_else(|| damaged("a level of the index has no first node"))?;
            self.root = Root { levels: top - 1, children: Node::decode(&value)?.children };
            self.edit.remove(self.staging, self.context, &key);
        }
        Ok(())
    }

    fn drop_nodes(&mut self) -> Result<(), EngineError> {
        let keys: Vec<_> = {
            let look = self.staging.look(self.context);
            let nodes = self.edit.parts.with_prefix(&look, &[INDEX]);
            nodes.map(|record| Ok(record?.0)).collect::<Result<_, EngineError>>()?
        };
        for key in keys {
            self.edit.remove(self.staging, self.context, &key);
        }
        Ok(())
    }

    /// What nodes of a level are made of, between two places: nodes of the level below, or members.
    fn children(&self, level: u8, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<Vec<NodeAt>, EngineError> {
        let look = self.staging.look(self.context);
        let sorted = Sorted::new(&look, self.edit.parts, self.edit.count, self.root);
        if level > 1 {
            return sorted.nodes(level - 1, from, to, false).collect();
        }
        let one = Node { children: 0, members: 1 };
        sorted.places(from, to, false).map(|place| Ok((place?, one))).collect()
    }

    fn put(&mut self, level: u8, separator: &[u8], node: Node) {
        self.edit.put(self.staging, self.context, &node_key(level, separator), node.encode());
    }
}

/// Groups children into nodes of about equal size. The first node has the separator `first`.
fn group(level: u8, first: &Bytes, children: &[NodeAt]) -> Vec<NodeAt> {
    let groups = children.len().div_ceil(NODE_CHILDREN_NEW).max(1);
    let start_of = |group| group * children.len() / groups;
    let node = |group| {
        let (start, end) = (start_of(group), start_of(group + 1));
        let members = children[start..end].iter().map(|(_, child)| child.members).sum();
        let separator = match start {
            0 => first.clone(),
            _ if level == 1 => separator(&children[start - 1].0, &children[start].0),
            _ => children[start].0.clone(),
        };
        (separator, Node { children: (end - start) as u64, members })
    };
    (0..groups).map(node).collect()
}
