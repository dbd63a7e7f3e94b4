//! Plans: what a command asks of whom, as plain data.

use crate::blocking::Block;
use crate::config::ConfigChange;
use crate::form::Form;
use crate::info::Sections;
use crate::reply::Reply;
use crate::scan::Walk;
use crate::scatter::{Everywhere, Scatter};
use crate::slow_log::SlowLogQuestion;
use crate::text::{CROSS_SLOT, ErrorText};
use crate::transaction::{Exec, Watch};
use crate::{client::ClientFilter, faults};
use api::kv::KvOp;
use bytes::Bytes;
use types::limits::KEY_BYTES_MAX;
use types::{ErrorCode, Fault};

/// One partition of one table, as the listener names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The listener's handle of the table.
    pub table: u64,
    /// The partition's index.
    pub partition: u32,
}

/// Where a key lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub target: Target,
    /// The key as it is stored there.
    pub key: Bytes,
}

/// What a command asks, and of whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing more: this is the reply.
    Answer(Reply),
    /// One operation of one partition.
    Keyed(Keyed),
    /// One operation of each partition that holds some of the keys. Atomic per partition, not as a whole.
    Scatter(Scatter),
    /// The same operation of every partition that the listener serves.
    Everywhere(Everywhere),
    /// `SCAN`, `KEYS`, `RANDOMKEY`: one partition after another.
    Walk(Walk),
    /// Facts that only the listener has.
    Ask(Question),
    /// One operation of one partition, which waits if there is nothing.
    Block(Block),
    /// A command waits for `EXEC`; these are its keys. See [`Session::queued`](crate::Session::queued).
    Queued(Vec<Bytes>),
    /// `WATCH`: versions to read, one read per key.
    Watch(Watch),
    /// `EXEC`: several operations of one partition, as one.
    Exec(Exec),
}

/// Facts that only the listener has. Each names the function that makes the reply from them.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// `INFO`: see [`crate::info::render`].
    Info(Sections),
    /// `CONFIG GET` with these patterns: see [`crate::config::get`].
    ConfigGet(Vec<Bytes>),
    /// `CONFIG SET`, already checked: put the values in force and answer [`Reply::OK`].
    ConfigSet(Vec<ConfigChange>),
    /// `CONFIG RESETSTAT`: zero the counters that `INFO` shows and answer [`Reply::OK`].
    ResetStatistics,
    /// `SLOWLOG`: see [`crate::slow_log::SlowLog::answer`].
    SlowLog(SlowLogQuestion),
    /// `TIME`: see [`crate::client::time_reply`].
    Time,
    /// `WAIT` and `WAITAOF`: answer on how many replicas besides the leader this connection's writes are, see
    /// [`crate::client::wait_reply`]. Every acknowledged write is on a quorum's disks already, so there is nothing to
    /// wait for.
    Wait {
        /// The client asks about disks: `WAITAOF`.
        disks: bool,
        /// How many replicas the client hopes for.
        replicas: i64,
        /// How long it would wait; 0 is for ever.
        timeout_millis: i64,
    },
    /// `CLIENT INFO`: see [`crate::client::info_reply`].
    ClientInfo,
    /// `CLIENT LIST`: see [`crate::client::list_reply`].
    ClientList(ClientFilter),
    /// `CLIENT UNBLOCK`: end the wait of a client, as if its time were up or with
    /// [`UNBLOCKED`](crate::blocking::UNBLOCKED); answer whether it waited, as 1 or 0.
    ClientUnblock {
        /// The client.
        id: u64,
        /// With an error.
        with_error: bool,
    },
    /// `CLIENT KILL`: close the connections that match; see [`crate::client::kill_reply`].
    ClientKill(ClientFilter),
}

/// One operation of one partition, with keys as the client typed them.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyed {
    /// The operation.
    pub op: KvOp,
    /// How its reply reads.
    pub form: Form,
}

impl Keyed {
    /// Finds the partition and puts the stored keys into the operation.
    ///
    /// Errors: what `place` says, `CROSSSLOT` if the keys lie in several partitions, or a key that is
    /// too long.
    pub fn address(
        self,
        place: impl Fn(&Bytes) -> Result<Place, ErrorText>,
    ) -> Result<(Target, KvOp, Form), ErrorText> {
        let Keyed { mut op, form } = self;
        let mut target = None;
        op.visit_keys(&mut |key| {
            let found = place_checked(key, &place)?;
            if *target.get_or_insert(found.target) != found.target {
                return Err(CROSS_SLOT);
            }
            *key = found.key;
            Ok(())
        })?;
        let target = target.ok_or_else(|| faults::fault_error(&Fault::new(ErrorCode::Internal, "no key")))?;
        op.visit_patterns(&mut |option, pattern| {
            *pattern = place_pattern(option, pattern, target, &place)?;
            Ok::<_, ErrorText>(())
        })?;
        Ok((target, op, form))
    }
}

/// Keys that are tried for a pattern. Where keys are spread, all of them lie in one partition by chance once
/// in 2^63 patterns.
const PATTERN_TRIALS: usize = 64;

/// The stored form of a pattern whose keys all lie in one partition, whatever stands for its first `*`.
///
/// That is so for a pattern with the tag of the partition before its `*`, and for every pattern in a table with one
/// partition. What a port makes of keys is known to `place` alone, so it is asked about some keys of the
/// pattern. Each has a tag of its own in place of the `*`: only a tag before that, or no choice, keeps them together.
fn place_pattern(
    option: &str,
    pattern: &Bytes,
    target: Target,
    place: impl Fn(&Bytes) -> Result<Place, ErrorText>,
) -> Result<Bytes, ErrorText> {
    let star = pattern.iter().position(|&byte| byte == b'*').unwrap_or(pattern.len());
    let behind = pattern.get(star + 1..).unwrap_or_default();
    for trial in 0..PATTERN_TRIALS {
        let key = [&pattern[..star], format!("{{{trial}}}").as_bytes(), behind].concat();
        if place_checked(&key.into(), &place)?.target != target {
            return Err(format!("ERR {option} option of SORT denied in cluster mode.").into());
        }
    }
    Ok(place_checked(pattern, place)?.key)
}

/// Asks the listener where a key lives and checks the length of what is stored.
pub(crate) fn place_checked(
    key: &Bytes,
    place: impl Fn(&Bytes) -> Result<Place, ErrorText>,
) -> Result<Place, ErrorText> {
    let found = place(key)?;
    if found.key.len() > KEY_BYTES_MAX {
        let detail = format!("a key of {} bytes, at most {KEY_BYTES_MAX} are allowed", found.key.len());
        return Err(faults::fault_error(&Fault::new(ErrorCode::RequestTooLarge, detail)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::hash::HashRule;

    /// The stored form of a pattern of `SORT {t}list BY pattern`.
    fn stored(pattern: &'static str, rule: HashRule, partitions: u32) -> Result<Bytes, String> {
        // As on the ZanKV port: the namespace is not stored.
        let place = |key: &Bytes| {
            let stored = key.strip_prefix(b"ns:").map_or(key.clone(), |rest| key.slice_ref(rest));
            let partition = rule.partition(&stored, partitions).get() as u32;
            Ok(Place { target: Target { table: 1, partition }, key: stored })
        };
        let target = place(&Bytes::from("{t}list")).map_err(|error: ErrorText| error.to_string())?.target;
        place_pattern("BY", &pattern.into(), target, place).map_err(|error| error.to_string())
    }

    #[test]
    fn patterns_stay_in_the_partition_or_are_refused() {
        for pattern in ["{t}*", "{t}w_*", "w{t}*x", "{t}*{x}", "{t}*}"] {
            assert_eq!(stored(pattern, HashRule::Tag, 1024), Ok(pattern.into()));
            assert_eq!(stored(pattern, HashRule::Tag, 2), Ok(pattern.into()));
        }
        let refused = Err("ERR BY option of SORT denied in cluster mode.".to_owned());
        for pattern in ["w_*", "*", "*{t}", "{*}", "{t*}", "{*t}", "{}{t}*", "{t*", "{other}*"] {
            assert_eq!(stored(pattern, HashRule::Tag, 1024), refused, "{pattern}");
            assert_eq!(stored(pattern, HashRule::Tag, 1), Ok(pattern.into()), "there is one partition");
        }
        for pattern in ["w_*", "*", "*{t}", "{*}", "{t*}", "{}{t}*", "{t*"] {
            assert_eq!(stored(pattern, HashRule::Tag, 2), refused, "{pattern}");
        }
    }

    #[test]
    fn where_whole_keys_are_hashed_patterns_are_refused() {
        let refused = Err("ERR BY option of SORT denied in cluster mode.".to_owned());
        assert_eq!(stored("ns:{t}w_*", HashRule::Whole, 2), refused);
        assert_eq!(stored("ns:{t}w_*", HashRule::Whole, 1), Ok("{t}w_*".into()));
        assert_eq!(stored("ns:{t}w_*", HashRule::Tag, 4), Ok("{t}w_*".into()), "the pattern is stored, too");
    }
}
