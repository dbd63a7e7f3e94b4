//! Requests to sets.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::{Choice, Key, Keys, MemberScan, Pair};

/// A request to one set or several.
#[derive(Clone, PartialEq, Message)]
pub struct SetRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "SetOp", tags = "1, 2, 3, 4, 5, 6, 7, 8, 40, 41, 42, 43, 44")]
    pub op: Option<SetOp>,
}

/// What to do with sets. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum SetOp {
    /// How many members there are. Reply: `Integer`.
    #[prost(message, tag = "1")]
    Card(Key),
    /// Which of these are members. Reply: `Many`, each an `Integer` 0 or 1.
    #[prost(message, tag = "2")]
    Contains(KeyAndMembers),
    /// All members. Reply: `Page`.
    #[prost(message, tag = "3")]
    Members(Key),
    /// Members in order of position. Reply: `Page`.
    #[prost(message, tag = "4")]
    Scan(SetScan),
    /// Members by chance. Reply: see [`Choice`].
    #[prost(message, tag = "5")]
    Choose(SetChoice),
    /// The members of several sets, combined. Reply: `Page`.
    #[prost(message, tag = "6")]
    Combine(SetCombination),
    /// How many members an intersection has. Reply: `Integer`.
    #[prost(message, tag = "7")]
    CountCommon(CommonCount),
    /// Whether the value is a member of the set under the key. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "8")]
    Has(Pair),
    /// Add members. Reply: `Integer`, how many are new.
    #[prost(message, tag = "40")]
    Add(KeyAndMembers),
    /// Remove members. Reply: `Integer`, how many there were.
    #[prost(message, tag = "41")]
    Remove(KeyAndMembers),
    /// Move a member from one set to another. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "42")]
    Move(SetMove),
    /// Remove members by chance, the entry's. Reply: `Value` or `Nil`; with a count `Page`.
    #[prost(message, tag = "43")]
    Pop(SetPop),
    /// Store a combination of sets in place of whatever a key holds. Reply: `Integer`, how many members.
    #[prost(message, tag = "44")]
    Store(StoreCombination),
}

/// A key and members.
#[derive(Clone, PartialEq, Message)]
pub struct KeyAndMembers {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The members.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub members: Vec<Bytes>,
}

/// A page of a set.
#[derive(Clone, PartialEq, Message)]
pub struct SetScan {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Which page.
    #[prost(message, required, tag = "2")]
    pub scan: MemberScan,
}

/// Members of a set by chance.
#[derive(Clone, PartialEq, Message)]
pub struct SetChoice {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// How many.
    #[prost(message, required, tag = "2")]
    pub choice: Choice,
}

/// How sets are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Combining {
    /// What is in all of them.
    Intersection = 0,
    /// What is in any of them.
    Union = 1,
    /// What is in the first and in no other.
    Difference = 2,
}

/// Several sets, combined.
#[derive(Clone, PartialEq, Message)]
pub struct SetCombination {
    /// How.
    #[prost(enumeration = "Combining", tag = "1")]
    pub how: i32,
    /// The keys of the sets, at least one; absent ones are empty.
    #[prost(message, required, tag = "2")]
    pub sets: Keys,
}

/// How many members an intersection has.
#[derive(Clone, PartialEq, Message)]
pub struct CommonCount {
    /// The keys of the sets, at least one.
    #[prost(message, required, tag = "1")]
    pub sets: Keys,
    /// Do not count further than this; 0 counts all.
    #[prost(uint64, tag = "2")]
    pub limit: u64,
}

/// Move a member from one set to another.
#[derive(Clone, PartialEq, Message)]
pub struct SetMove {
    /// The set that has it.
    #[prost(bytes = "bytes", tag = "1")]
    pub from: Bytes,
    /// The set that gets it.
    #[prost(bytes = "bytes", tag = "2")]
    pub to: Bytes,
    /// The member.
    #[prost(bytes = "bytes", tag = "3")]
    pub member: Bytes,
}

/// Remove members by chance.
#[derive(Clone, PartialEq, Message)]
pub struct SetPop {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// How many, or all if there are fewer; absent: one, and the reply is no list.
    #[prost(uint64, optional, tag = "2")]
    pub count: Option<u64>,
}

/// Store a combination of sets.
#[derive(Clone, PartialEq, Message)]
pub struct StoreCombination {
    /// Where; its expiry goes, too. If the combination is empty the key goes.
    #[prost(bytes = "bytes", tag = "1")]
    pub to: Bytes,
    /// Of what; `to` may be among it.
    #[prost(message, required, tag = "2")]
    pub combination: SetCombination,
}

impl SetRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None
            | Some(
                SetOp::Card(_)
                | SetOp::Contains(_)
                | SetOp::Members(_)
                | SetOp::Scan(_)
                | SetOp::Choose(_)
                | SetOp::Combine(_)
                | SetOp::CountCommon(_)
                | SetOp::Has(_),
            ) => false,
            Some(SetOp::Add(_) | SetOp::Remove(_) | SetOp::Move(_) | SetOp::Pop(_) | SetOp::Store(_)) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(SetOp::Card(key) | SetOp::Members(key)) => visit(&mut key.key),
            Some(SetOp::Contains(op) | SetOp::Add(op) | SetOp::Remove(op)) => visit(&mut op.key),
            Some(SetOp::Has(pair)) => visit(&mut pair.key),
            Some(SetOp::Scan(scan)) => visit(&mut scan.key),
            Some(SetOp::Choose(choice)) => visit(&mut choice.key),
            Some(SetOp::Pop(pop)) => visit(&mut pop.key),
            Some(SetOp::Combine(combination)) => combination.sets.keys.iter_mut().try_for_each(visit),
            Some(SetOp::CountCommon(count)) => count.sets.keys.iter_mut().try_for_each(visit),
            Some(SetOp::Move(op)) => visit(&mut op.from).and_then(|()| visit(&mut op.to)),
            Some(SetOp::Store(store)) => {
                visit(&mut store.to)?;
                store.combination.sets.keys.iter_mut().try_for_each(visit)
            }
        }
    }
}
