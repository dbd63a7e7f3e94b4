//! Laws: the Redis protocol, bytes to requests and replies to bytes.
//!
//! Nothing here opens a socket, reads a clock or waits. A listener owns those and walks a command
//! through pure functions:
//!
//! ```text
//!  bytes ──Decoder──▶ args ──parse(&mut Session)──▶ Plan
//!                                                    │
//!     ┌──────────────┬───────────────┬───────────────┼────────────────┬─────────────┐
//!  Answer          Keyed          Scatter        Everywhere         Walk           Ask
//!  the reply    one partition   keys by           every         one partition   facts only the
//!  itself           │           partition       partition       at a time       listener has
//!                address(place)  split(place)   parts(targets)  begin(targets)      │
//!                   └──────────────┴──────┬────────┴────────────────┘               │
//!                              KvOp to the partition's leader                       │
//!                                         │ KvReply or Fault                        │
//!                              Form, Gather, Walk::absorb              info, config, client
//!                                         └─────────────▶ Reply ◀───────────────────┘
//!                                                           │ encode(Protocol)
//!                                                         bytes
//! ```
//!
//! Besides, `Block` is `Keyed` and a wait if there was nothing ([`blocking`]); `Queued`, `Watch` and `Exec` are
//! transactions, which are `Keyed` in the end ([`transaction`]).
//!
//! Three ideas carry the crate.
//!
//! **One table.** [`table::COMMANDS`] says for each command its arity, flags, keys, documentation, how it
//! is addressed and the function that parses it. Arity errors, `COMMAND` and the reference in
//! `docs/redis.md` come from there.
//!
//! **Addressing belongs to the listener.** A plan holds keys as the client typed them. The listener's
//! closure turns each into a [`Place`]: a table, a partition and the key as it is stored. A command whose
//! keys must lie together answers `CROSSSLOT` when the closure says that they do not.
//!
//! **The order of checks is Redis'.** A client that tests for an error text finds the same text for the
//! same mistake, also when a command has several mistakes. `testscripts/corpus` of the kv engine holds what a real
//! server answered; the tests compare.

pub mod blocked;
pub mod blocking;
pub mod client;
pub mod config;
pub mod corpus;
pub mod decode;
pub mod faults;
pub mod form;
pub mod info;
pub mod line;
pub mod lookups;
pub mod packed;
pub mod parse;
pub mod plan;
pub mod reply;
pub mod reply_decode;
pub mod scan;
pub mod scatter;
pub mod session;
pub mod slow_log;
pub mod table;
pub mod table_scan;
pub mod text;
pub mod transaction;
pub mod unsupported;

mod base64;
mod commands;
mod float;

pub use decode::{Decoder, ProtocolError};
pub use faults::fault_error;
pub use form::Form;
pub use parse::parse;
pub use plan::{Keyed, Place, Plan, Question, Target};
pub use reply::{Protocol, Reply};
pub use reply_decode::{ReplyDecodeError, ReplyDecoder};
pub use scan::{Shown, Step, Walk};
pub use scatter::{Everywhere, Gather, Part, Scatter};
pub use session::{CountedCall, ReplyMode, Session};
pub use text::ErrorText;

/// The version of Redis whose behaviour clients may expect: the one that the corpus is compared with. Some commands of
/// 7.2 that clients send without looking at the version are there as well.
pub const REDIS_VERSION: &str = "7.0.15";
