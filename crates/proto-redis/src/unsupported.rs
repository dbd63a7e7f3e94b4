//! Commands of Redis and of ZanKV that Skein knows and does not carry out.
//!
//! They are told apart from unknown commands, so that a user learns why instead of looking for a typing
//! error. They are not listed by `COMMAND`.

use crate::text::ErrorText;

/// Why a group of commands is not carried out, and the commands, in lower case.
pub const UNSUPPORTED: &[(&str, &[&str])] = &[
    (
        "publish and subscribe are not part of this release",
        &[
            "psubscribe",
            "publish",
            "pubsub",
            "punsubscribe",
            "spublish",
            "ssubscribe",
            "subscribe",
            "sunsubscribe",
            "unsubscribe",
        ],
    ),
    (
        "scripting is not part of this release",
        &["eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro", "script"],
    ),
    (
        "streams are not part of this release",
        &[
            "xack",
            "xadd",
            "xautoclaim",
            "xclaim",
            "xdel",
            "xgroup",
            "xinfo",
            "xlen",
            "xpending",
            "xrange",
            "xread",
            "xreadgroup",
            "xrevrange",
            "xsetid",
            "xtrim",
        ],
    ),
    (
        "it inspects the inside of a Redis server",
        &["debug", "latency", "module", "monitor", "pfdebug", "pfselftest"],
    ),
    ("moving values as opaque bytes is not part of this release", &["migrate", "restore-asking"]),
    ("there is one database, number 0", &["move", "swapdb"]),
    ("there is one user; the password is given to 'skein up --requirepass'", &["acl"]),
    (
        "every write is on disk before it is acknowledged; there is nothing to save by hand",
        &["bgrewriteaof", "bgsave", "lastsave", "save"],
    ),
    (
        "replication is the cluster's own; 'skein status' shows it",
        &["failover", "psync", "replconf", "replicaof", "role", "slaveof", "sync"],
    ),
    ("nodes are stopped with 'skein down'", &["shutdown"]),
    ("it is a greeting of Redis", &["lolwut"]),
    (
        "there is no JSON type; keep documents in strings, or their fields in hashes",
        &[
            "json.arrappend",
            "json.arrlen",
            "json.arrpop",
            "json.del",
            "json.get",
            "json.keyexists",
            "json.mkget",
            "json.objkeys",
            "json.objlen",
            "json.set",
            "json.type",
        ],
    ),
    ("no index is kept over the fields of hashes", &["hidx.from"]),
    (
        "it shows how ZanKV stores versions and what has expired, and nothing is stored like that here",
        &[
            "stale.getexpired",
            "stale.getversion",
            "stale.hget.version",
            "stale.hgetall.expired",
            "stale.hmget.expired",
        ],
    ),
    ("it is what ZanKV makes of pipelined SETs for itself; send SET or MSET", &["plset"]),
    (
        "collections count their elements together with every change, so there is nothing to mend",
        &["lfixkey", "zfixkey"],
    ),
    ("a connection ends with QUIT", &["detach"]),
];

/// The error for a command of this name, if it is one of these.
pub fn refusal(name: &[u8]) -> Option<ErrorText> {
    let (why, command) = UNSUPPORTED.iter().find_map(|(why, commands)| {
        let command = commands.iter().find(|command| command.as_bytes().eq_ignore_ascii_case(name))?;
        Some((why, command))
    })?;
    Some(refuse(command, why))
}

/// `ERR '<command>' is not supported by Skein: <why>`.
pub fn refuse(command: &str, why: &str) -> ErrorText {
    format!("ERR '{command}' is not supported by Skein: {why}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::lookup;
    use std::collections::BTreeSet;

    #[test]
    fn each_is_listed_once_and_not_in_the_table() {
        let mut seen = BTreeSet::new();
        for command in UNSUPPORTED.iter().flat_map(|(_, commands)| *commands) {
            assert!(seen.insert(command), "{command} is listed twice");
            assert!(lookup(command.as_bytes()).is_none(), "{command} is carried out");
        }
    }

    #[test]
    fn the_refusal_says_why() {
        assert_eq!(
            refusal(b"PUBLISH").unwrap().to_string(),
            "ERR 'publish' is not supported by Skein: publish and subscribe are not part of this release"
        );
        assert_eq!(refusal(b"nosuch"), None);
    }
}
