//! Matter: the kv engine, Redis values over ordered records.
//!
//! # What is stored
//!
//! A replica's state is one set of ordered records. The first byte of a record's key says what it is;
//! numbers in keys are big-endian so that the byte order is the order of the numbers.
//!
//! ```text
//!          0x10 │ name                                              system records (replication's)
//!          0x17 │                                                   how changes are kept (see `changes`)
//!          0x18 │ entry u64 │ piece u32                             changes that are kept
//!          0x20 │ data epoch u32 │ collection u64 │ sub-key        parts of hashes, lists, sets …
//!          0x28 │ data epoch u32 │ collection u64                  dead collections; empty
//!          0x30 │ data epoch u32 │ position 6 bytes │ key           one per key: header and value
//!          0x40 │ data epoch u32 │ deadline u64, ms │ key           one per key that expires; empty
//!          0x7f │                                                   the engine's own facts
//! ```
//!
//! The **position** is 42 bits of the key's hash (`types::hash::position`), so keys lie in an order that
//! a 42-bit cursor can name: a scan is stateless, survives a change of leader, and returns every key that
//! was there throughout. All keys of one position travel in one page, because the cursor cannot stop
//! between them.
//!
//! The **data epoch** makes FLUSH cheap: the next epoch has no records. What is left of older epochs is
//! garbage, invisible to everything, and removed a few records at a time together with later commits
//! (see `garbage`). The same happens to the parts of a collection whose key was removed or overwritten: the
//! record of the key goes at once, and the collection's number is noted as dead (see `collection`).
//!
//! The **facts** record has the greatest key: a snapshot is written in key order, so a state without it
//! is one that was never completed, and opening it says that it is missing.
//!
//! # The value of a key
//!
//! ```text
//!   0        1      2       3                11
//!   ├────────┼──────┼───────┼────────────────┼──────────────┬─────────────────────┬──────────
//!   │ format │ type │ flags │ version, HLC   │ expiry ms    │ collection number   │ body …
//!   │ 1      │      │       │ u64            │ u64 (flag 1) │ u64 (flag 2)        │
//!   └────────┴──────┴───────┴────────────────┴──────────────┴─────────────────────┴──────────
//!   flag 4: an import has not brought all of it yet, and only the import sees it (see `import`)
//!   type 1 string: the body is the string
//!        2 hash, 3 list, 4 set, 5 sorted set, 6 bitmap: the body begins with the number of elements, u64;
//!        the parts lie under the collection's number
//! ```
//!
//! # The facts
//!
//! ```text
//!   format u8 = 1 │ applied index u64 │ applied term u64 │ data epoch u32 │ oldest epoch u32
//!                 │ records u64 │ next collection number u64
//! ```
//!
//! They are written in every commit, in the same batch as the data: position, system records and data
//! are durable together or not at all.
//!
//! # Time
//!
//! A key is expired when now is *after* its deadline, as in Redis. In `stage`, now is the entry's stamp;
//! in reads it is what the reader is told. An expired record is invisible everywhere; it is removed by a
//! write that meets it or by a `RemoveExpired` that the leader proposes, never by a clock of its own, so
//! replicas at the same position have the same records.
//!
//! # What a commit shows
//!
//! A batch becomes visible at once in the store. The one thing that readers know outside the store is
//! the data epoch; a commit that changes it locks readers out for the moment of the switch.

mod big;
mod bits;
mod chance;
mod changes;
mod collection;
mod digest;
mod dump;
mod elements;
mod engine;
mod export;
mod garbage;
mod generic;
mod hashes;
mod hyperloglog;
mod import;
mod inspect;
mod keys;
mod layout;
mod lcs;
mod lists;
mod long_double;
mod look;
mod members;
mod number;
mod probe;
mod reader;
mod reply;
mod scan;
mod sets;
mod snapshot;
mod sort;
mod sorted;
mod staging;
mod state;
mod strings;
mod transaction;
mod typed;
mod unchanged;
mod value;

pub use engine::KvEngine;
pub use value::{Header, Kind};
