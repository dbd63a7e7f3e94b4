//! Random writes of all types to a few keys, from a seed.

use api::kv::{
    BitCombine, BitOperation, BitSet, BitsOp, BitsRequest, Bounds, Combination, Combining, ContentKind, Copy,
    Element, Expire, Expiry, ExpiryKind, HashAdd, HashOp, HashRequest, HashSet, Import, IncrBy,
    KeyAndMembers, Keys, KvOp, KvRequest, ListInsert, ListMove, ListOp, ListPop, ListPush, ListRange,
    ListRemove, ListRequest, ListSet, Members, Nothing, OnConflict, Pair, Piece, RankBounds, Rename,
    ScoredMember, Set, SetCombination, SetMove, SetOp, SetPop, SetRange, SetRequest, SortedAdd,
    SortedBetween, SortedBounds, SortedCombine, SortedOp, SortedPop, SortedRequest, SortedStoreCombined,
    StoreCombination, Transaction,
};
use bytes::Bytes;

/// Chance of a seed.
pub struct Chance(pub u64);

impl Chance {
    /// A number below another.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn key(&mut self) -> Bytes {
        format!("k{}", self.below(6)).into()
    }

    fn member(&mut self) -> Bytes {
        format!("m{}", self.below(12)).into()
    }

    fn members(&mut self) -> Vec<Bytes> {
        (0..=self.below(4)).map(|_| self.member()).collect()
    }

    fn some(&mut self) -> Vec<Bytes> {
        // Now and then so many that a trim or removal starts over under a new number.
        let count = if self.below(12) == 0 { 300 } else { 1 + self.below(4) };
        (0..count).map(|_| self.member()).collect()
    }

    fn index(&mut self) -> i64 {
        self.below(9) as i64 - 4
    }

    fn hash(&mut self, op: HashOp) -> KvOp {
        KvOp::Hash(HashRequest { key: self.key(), op: Some(op) })
    }

    fn sorted_members(&mut self) -> Vec<ScoredMember> {
        let member =
            |chance: &mut Self| ScoredMember { member: chance.member(), score: chance.index() as f64 };
        (0..=self.below(5)).map(|_| member(self)).collect()
    }

    fn string(&mut self) -> KvOp {
        let (key, value) = (self.key(), self.member());
        match self.below(6) {
            0 => KvOp::Set(Set { key, value, ..Default::default() }),
            1 => {
                let expiry = Some(Expiry { kind: ExpiryKind::In as i32, millis: 1 + self.below(9) as i64 });
                KvOp::Set(Set { key, value, expiry, ..Default::default() })
            }
            2 => KvOp::Append(Pair { key, value }),
            3 => KvOp::IncrBy(IncrBy { key, delta: 3 }),
            4 => KvOp::SetRange(SetRange { key, offset: self.below(20_000), value }),
            _ => {
                let offset = self.below(300_000);
                let set = BitsOp::Set(BitSet { key, offset, on: self.below(3) > 0 });
                KvOp::Bits(BitsRequest { op: Some(set) })
            }
        }
    }

    fn list(&mut self) -> KvOp {
        let (key, left, element) = (self.key(), self.below(2) == 0, self.member());
        let (start, stop) = (self.index(), self.index());
        let op = match self.below(10) {
            0..=2 => ListOp::Push(ListPush { key, elements: self.some(), left, ..Default::default() }),
            3 => ListOp::Pop(ListPop { key, left, count: Some(self.below(3)) }),
            4 => ListOp::Move(ListMove { from: key, to: self.key(), from_left: left, to_left: !left }),
            5 => ListOp::Set(ListSet { key, index: start, element }),
            6 => ListOp::Trim(ListRange { key, start, stop }),
            7 => ListOp::Insert(ListInsert { key, pivot: self.member(), element, before: left }),
            8 => ListOp::Remove(ListRemove { key, count: start, element }),
            _ => ListOp::Trim(ListRange { key, start: 1, stop: -2 }),
        };
        KvOp::List(ListRequest { op: Some(op) })
    }

    fn members_of(&mut self) -> KvOp {
        let key = self.key();
        match self.below(8) {
            0 => {
                let field = |member: Bytes| Pair { key: member.clone(), value: member };
                let fields = self.some().into_iter().map(field).collect();
                self.hash(HashOp::Set(HashSet { fields }))
            }
            1 => {
                let members = self.members();
                self.hash(HashOp::Remove(Members { members }))
            }
            2 => {
                let field = self.member();
                self.hash(HashOp::Add(HashAdd { field, delta: 2 }))
            }
            3 | 4 => {
                let members = self.some();
                KvOp::Sets(SetRequest { op: Some(SetOp::Add(KeyAndMembers { key, members })) })
            }
            5 => {
                let members = self.members();
                KvOp::Sets(SetRequest { op: Some(SetOp::Remove(KeyAndMembers { key, members })) })
            }
            6 => {
                let (to, member) = (self.key(), self.member());
                KvOp::Sets(SetRequest { op: Some(SetOp::Move(SetMove { from: key, to, member })) })
            }
            _ => KvOp::Sets(SetRequest { op: Some(SetOp::Pop(SetPop { key, count: Some(self.below(3)) })) }),
        }
    }

    fn sorted(&mut self) -> KvOp {
        let key = self.key();
        let (start, stop) = (self.index(), self.index());
        let op = match self.below(5) {
            0 | 1 => SortedOp::Add(SortedAdd { key, members: self.sorted_members(), ..Default::default() }),
            2 => SortedOp::Remove(KeyAndMembers { key, members: self.members() }),
            3 => SortedOp::PopFirst(SortedPop { keys: vec![key], min: true, count: 1 + self.below(2) }),
            _ => {
                let bounds = Some(Bounds::Rank(RankBounds { start, stop }));
                let between = Some(SortedBounds { bounds });
                SortedOp::RemoveBetween(SortedBetween { key, between })
            }
        };
        KvOp::Sorted(SortedRequest { op: Some(op) })
    }

    fn any_key(&mut self) -> KvOp {
        let (from, to, keys) = (self.key(), self.key(), vec![self.key(), self.key()]);
        match self.below(13) {
            0..=2 => KvOp::Rename(Rename { from, to, only_if_absent: false }),
            3 | 4 => KvOp::Copy(Copy { from, to, replace: true }),
            5 => KvOp::Del(Keys { keys }),
            6 => {
                let expiry = Some(Expiry { kind: ExpiryKind::In as i32, millis: self.below(12) as i64 });
                KvOp::Expire(Expire { key: from, expiry, condition: 0 })
            }
            7 => {
                let expiry = Some(Expiry { kind: ExpiryKind::Clear as i32, millis: 0 });
                KvOp::Expire(Expire { key: from, expiry, condition: 0 })
            }
            8 => KvOp::RemoveExpired(Keys { keys: (0..6).map(|key| format!("k{key}").into()).collect() }),
            9 => {
                let combination = SetCombination { how: Combining::Union as i32, sets: Keys { keys } };
                KvOp::Sets(SetRequest { op: Some(SetOp::Store(StoreCombination { to, combination })) })
            }
            10 => {
                let combination = Combination::Union as i32;
                let combine = Some(SortedCombine { combination, keys, ..Default::default() });
                let op = SortedOp::StoreCombined(SortedStoreCombined { to, combine });
                KvOp::Sorted(SortedRequest { op: Some(op) })
            }
            11 => {
                let combine = BitCombine { operation: BitOperation::Or as i32, to, from: keys };
                KvOp::Bits(BitsRequest { op: Some(BitsOp::Combine(combine)) })
            }
            _ if self.below(4) == 0 => KvOp::Flush(Nothing {}),
            _ => KvOp::Del(Keys { keys: vec![from] }),
        }
    }

    /// Any write to some of six keys.
    pub fn op(&mut self) -> KvOp {
        match self.below(13) {
            0..=2 => self.string(),
            3..=5 => self.list(),
            6 | 7 => self.members_of(),
            8 => self.sorted(),
            12 => self.import(),
            9 => {
                let requests = (0..3).map(|_| KvRequest::new(self.plain())).collect();
                KvOp::Transaction(Transaction { requests, ..Default::default() })
            }
            _ => self.any_key(),
        }
    }

    /// A piece of a collection: its first, one in the middle or its last. One that fits nothing is refused.
    fn import(&mut self) -> KvOp {
        let kinds = [ContentKind::Hash, ContentKind::List, ContentKind::Set, ContentKind::SortedSet];
        let kind = kinds[self.below(kinds.len() as u64) as usize];
        let element = |name: Bytes| match kind {
            ContentKind::List => Element { value: name, ..Default::default() },
            ContentKind::Hash => Element { name: name.clone(), value: name, score: 0.0 },
            _ => Element { name, ..Default::default() },
        };
        let piece = Piece {
            key: self.key(),
            kind: kind as i32,
            first: self.below(3),
            more: self.below(3) > 0,
            elements: self.some().into_iter().map(element).collect(),
            ..Default::default()
        };
        let on_conflict = if self.below(2) == 0 { OnConflict::Overwrite } else { OnConflict::Skip };
        KvOp::Import(Import { pieces: vec![piece], on_conflict: on_conflict as i32, ..Default::default() })
    }

    fn plain(&mut self) -> KvOp {
        match self.below(5) {
            0 => self.string(),
            1 => self.list(),
            2 => self.members_of(),
            3 => self.sorted(),
            _ => self.any_key(),
        }
    }
}
