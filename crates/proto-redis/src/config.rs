//! `CONFIG GET` and `CONFIG SET`: a small table of the parameters that clients and tools ask for.
//!
//! Skein is configured by its own settings. What is here tells clients the truth in Redis' words
//! (`appendonly` is `yes`: every write is on disk before it is acknowledged) and refuses to pretend
//! otherwise.

use crate::reply::Reply;
use crate::text::{ErrorText, SYNTAX, parse_integer};
use bytes::Bytes;
use types::glob;
use types::limits::{
    CLIENT_CONNECTIONS_MAX, SLOW_LOG_ENTRIES_DEFAULT, SLOW_LOG_ENTRIES_MAX, SLOW_LOG_MICROS_DEFAULT,
    VALUE_BYTES_MAX,
};

/// What the listener has in force now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// Seconds after which an idle client is disconnected; 0 is never.
    pub timeout_seconds: u64,
    /// The port of this listener.
    pub port: u16,
    /// The addresses of this listener, with spaces between.
    pub bind: String,
    /// The node's data directory.
    pub directory: String,
    /// Commands that take so many microseconds are noted in the slow log; none if it is negative.
    pub slow_log_micros: i64,
    /// Commands that the slow log keeps.
    pub slow_log_entries: u64,
}

impl Default for LiveConfig {
    /// As a face starts, without an address.
    fn default() -> Self {
        Self {
            timeout_seconds: 0,
            port: 0,
            bind: String::new(),
            directory: String::new(),
            slow_log_micros: SLOW_LOG_MICROS_DEFAULT,
            slow_log_entries: SLOW_LOG_ENTRIES_DEFAULT,
        }
    }
}

/// A checked change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// `timeout`, in seconds.
    Timeout(u64),
    /// `slowlog-log-slower-than`, in microseconds; negative: never.
    SlowLogMicros(i64),
    /// `slowlog-max-len`, in commands.
    SlowLogEntries(u64),
}

/// One parameter.
struct Parameter {
    name: &'static str,
    value: Value,
}

/// Where its value comes from.
enum Value {
    /// Always this; setting it to this is no change and allowed.
    Fixed(&'static str),
    /// A fixed number.
    Number(usize),
    /// Given at start, shown, never changed.
    Started(fn(&LiveConfig) -> String),
    /// How Redis lays out small collections in memory: shown with its default, checked, and without effect,
    /// because there is one layout here. Tools set these and go on; refusing would gain nobody anything.
    Layout(&'static str),
    /// A secret: never shown, never changed here.
    Hidden,
    /// Changed while running: a whole number within these bounds.
    Live { min: i64, max: i64, get: fn(&LiveConfig) -> i64, change: fn(i64) -> ConfigChange },
}

const fn fixed(name: &'static str, value: &'static str) -> Parameter {
    Parameter { name, value: Value::Fixed(value) }
}

const fn layout(name: &'static str, default: &'static str) -> Parameter {
    Parameter { name, value: Value::Layout(default) }
}

/// In order of name.
const PARAMETERS: &[Parameter] = &[
    fixed("appendfsync", "always"),
    fixed("appendonly", "yes"),
    Parameter { name: "bind", value: Value::Started(|live| live.bind.clone()) },
    fixed("cluster-enabled", "no"),
    fixed("databases", "1"),
    Parameter { name: "dir", value: Value::Started(|live| live.directory.clone()) },
    layout("hash-max-listpack-entries", "512"),
    layout("hash-max-listpack-value", "64"),
    layout("hash-max-ziplist-entries", "512"),
    layout("hash-max-ziplist-value", "64"),
    layout("hll-sparse-max-bytes", "3000"),
    fixed("lazyfree-lazy-user-del", "no"),
    fixed("lazyfree-lazy-user-flush", "no"),
    layout("list-compress-depth", "0"),
    layout("list-max-listpack-size", "-2"),
    layout("list-max-ziplist-size", "-2"),
    Parameter { name: "maxclients", value: Value::Number(CLIENT_CONNECTIONS_MAX) },
    fixed("maxmemory", "0"),
    fixed("maxmemory-policy", "noeviction"),
    fixed("notify-keyspace-events", ""),
    Parameter { name: "port", value: Value::Started(|live| live.port.to_string()) },
    Parameter { name: "proto-max-bulk-len", value: Value::Number(VALUE_BYTES_MAX) },
    fixed("protected-mode", "no"),
    fixed("replica-read-only", "no"),
    Parameter { name: "requirepass", value: Value::Hidden },
    fixed("save", ""),
    layout("set-max-intset-entries", "512"),
    fixed("slave-read-only", "no"),
    Parameter {
        name: "slowlog-log-slower-than",
        value: Value::Live {
            min: -1,
            max: i64::MAX,
            get: |live| live.slow_log_micros,
            change: ConfigChange::SlowLogMicros,
        },
    },
    Parameter {
        name: "slowlog-max-len",
        value: Value::Live {
            min: 0,
            max: SLOW_LOG_ENTRIES_MAX as i64,
            get: |live| live.slow_log_entries as i64,
            change: |entries| ConfigChange::SlowLogEntries(entries.unsigned_abs()),
        },
    },
    fixed("tcp-keepalive", "300"),
    Parameter {
        name: "timeout",
        value: Value::Live {
            min: 0,
            max: i32::MAX as i64,
            get: |live| live.timeout_seconds as i64,
            change: |seconds| ConfigChange::Timeout(seconds.unsigned_abs()),
        },
    },
    layout("zset-max-listpack-entries", "128"),
    layout("zset-max-listpack-value", "64"),
    layout("zset-max-ziplist-entries", "128"),
    layout("zset-max-ziplist-value", "64"),
];

/// The reply to `CONFIG GET`: every parameter that one of the patterns matches, once. A name without
/// wildcards is shown as the client wrote it, so that clients find it in the reply.
pub fn get(patterns: &[Bytes], live: &LiveConfig) -> Reply {
    let shown = |parameter: &Parameter| {
        let name = parameter.name.as_bytes();
        let pattern = patterns.iter().find(|pattern| glob::matches(pattern, name, true))?;
        let as_written = pattern.eq_ignore_ascii_case(name).then(|| Reply::Bulk(pattern.clone()));
        let value = parameter.value.text(live)?;
        Some((as_written.unwrap_or(Reply::text(parameter.name)), Reply::bulk(value)))
    };
    Reply::Map(PARAMETERS.iter().filter_map(shown).collect())
}

/// Checks the arguments of `CONFIG SET`: names and values in turn. All are valid, or nothing is changed.
pub(crate) fn check_changes(arguments: &[Bytes]) -> Result<Vec<ConfigChange>, ErrorText> {
    if !arguments.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    let mut pairs: Vec<(&Parameter, &Bytes)> = Vec::new();
    for pair in arguments.chunks_exact(2) {
        let known = |parameter: &&Parameter| parameter.name.as_bytes().eq_ignore_ascii_case(&pair[0]);
        let parameter = PARAMETERS.iter().find(known).ok_or_else(|| unknown(&pair[0]))?;
        if matches!(parameter.value, Value::Started(_)) || parameter.name == "databases" {
            return Err(refused(parameter, "can't set immutable config"));
        }
        if pairs.iter().any(|(other, _)| other.name == parameter.name) {
            return Err(refused(parameter, "duplicate parameter"));
        }
        pairs.push((parameter, &pair[1]));
    }
    let checked = pairs.into_iter().map(|(parameter, value)| parameter.check(value));
    checked.filter_map(Result::transpose).collect()
}

impl Parameter {
    fn check(&self, value: &[u8]) -> Result<Option<ConfigChange>, ErrorText> {
        let same = |shown: &str| value.eq_ignore_ascii_case(shown.as_bytes());
        match &self.value {
            Value::Fixed(fixed) if same(fixed) => Ok(None),
            Value::Number(number) if same(&number.to_string()) => Ok(None),
            Value::Fixed(_) | Value::Number(_) => {
                Err(refused(self, "Skein has one value for it, shown by CONFIG GET"))
            }
            Value::Layout(_) => match parse_integer(value) {
                None => Err(refused(self, "argument couldn't be parsed into an integer")),
                Some(_) => Ok(None),
            },
            Value::Started(_) => Err(refused(self, "can't set immutable config")),
            Value::Hidden => Err(refused(self, "the password is given to 'skein up --requirepass'")),
            Value::Live { min, max, change, .. } => match parse_integer(value) {
                None => Err(refused(self, "argument couldn't be parsed into an integer")),
                Some(number) if (*min..=*max).contains(&number) => Ok(Some(change(number))),
                Some(_) => Err(refused(self, &format!("argument must be between {min} and {max} inclusive"))),
            },
        }
    }
}

impl Value {
    /// As shown; `None` for a secret.
    fn text(&self, live: &LiveConfig) -> Option<String> {
        match self {
            Value::Fixed(text) | Value::Layout(text) => Some((*text).to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Started(get) => Some(get(live)),
            Value::Live { get, .. } => Some(get(live).to_string()),
            Value::Hidden => None,
        }
    }
}

fn refused(parameter: &Parameter, why: &str) -> ErrorText {
    format!("ERR CONFIG SET failed (possibly related to argument '{}') - {why}", parameter.name).into()
}

fn unknown(name: &[u8]) -> ErrorText {
    let mut text = b"ERR Unknown option or number of arguments for CONFIG SET - '".to_vec();
    text.extend_from_slice(name);
    text.push(b'\'');
    ErrorText::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_shown() {
        let Reply::Map(all) = get(&[Bytes::from_static(b"*")], &LiveConfig::default()) else { panic!() };
        assert!(all.iter().all(|(name, _)| *name != Reply::text("requirepass")));
        assert_eq!(all.len(), PARAMETERS.len() - 1);
    }

    #[test]
    fn what_cannot_change_may_be_set_to_what_it_is() {
        let check = |text: &'static str| {
            let words: Vec<_> = text.split(' ').map(|word| Bytes::from_static(word.as_bytes())).collect();
            check_changes(&words)
        };
        assert_eq!(check("appendonly YES maxmemory 0"), Ok(vec![]));
        assert_eq!(check("list-max-listpack-size 5 hash-max-ziplist-value 1"), Ok(vec![]));
        assert!(check("list-max-listpack-size five").is_err());
        assert_eq!(check("Timeout 30"), Ok(vec![ConfigChange::Timeout(30)]));
        assert!(check("timeout 30 appendonly no").is_err());
        assert_eq!(
            check("slowlog-log-slower-than -1 slowlog-max-len 0"),
            Ok(vec![ConfigChange::SlowLogMicros(-1), ConfigChange::SlowLogEntries(0)])
        );
        let error = check("slowlog-log-slower-than -2").unwrap_err().to_string();
        assert!(error.ends_with("argument must be between -1 and 9223372036854775807 inclusive"), "{error}");
    }
}
