//! What clients did and what they were told: plain data for the checkers, whoever recorded it.

use std::fmt;

pub mod collections;

/// One call of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who called. Only for people who read a violation.
    pub client: u64,
    /// The key.
    pub key: Vec<u8>,
    /// What was asked.
    pub call: Call,
    /// When the call left the client. Any unit, as long as all times of a history share one clock.
    pub invoked: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// What was asked of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `GET`.
    Get,
    /// `SET key value`.
    Set(Vec<u8>),
    /// `SET key value NX`.
    SetIfAbsent(Vec<u8>),
    /// `INCRBY key delta`.
    Add(i64),
    /// `APPEND key value`.
    Append(Vec<u8>),
    /// `DEL key`.
    Remove,
    /// What `WATCH key` asks for. It is no part of what must be linearizable.
    Version,
    /// `MULTI SET key new EXEC` with the key watched since it had this version; it held `old` a little later.
    Exchange {
        /// The version.
        version: i64,
        /// What it holds if it is unchanged: what a read after the watch said.
        old: Option<Vec<u8>>,
        /// What it becomes.
        new: Vec<u8>,
    },
    /// `RPUSH queue word`.
    Push(Vec<u8>),
    /// `LPOP queue`, or `BLPOP` if it waits.
    Take {
        /// Whether it waits for a word.
        waits: bool,
    },
    /// `LMOVE queue queue:moved LEFT RIGHT`, or `BLMOVE` if it waits.
    Move {
        /// Whether it waits for a word.
        waits: bool,
    },
    /// `LPOP queue:moved`.
    TakeMoved,
    /// Both lists of a queue, in a transaction.
    Lists,
    /// A word into all parts of a bundle, in a transaction.
    Join(Vec<u8>),
    /// All parts of a bundle, in a transaction.
    Members,
    /// `DEL` of all parts of a bundle.
    Leave,
}

/// How a call ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a reply, which reached the client at this time.
    Returned(u64, Reply),
    /// Nobody knows: it may have taken effect at any time since, or will, or never does.
    Unknown,
    /// It certainly had no effect and never will.
    Refused,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The value of the key, or that there is none.
    Value(Option<Vec<u8>>),
    /// It was stored.
    Stored,
    /// It was not stored, because the key exists.
    NotStored,
    /// A number: a sum, a length, or how many keys were removed.
    Number(i64),
    /// The value is not a whole number, or the sum would not fit.
    NotANumber,
}

impl Call {
    /// What the call does to a value and what its client is told.
    pub fn apply(&self, value: Option<&[u8]>) -> (Effect, Reply) {
        match self {
            Call::Get => (Effect::None, Reply::Value(value.map(<[u8]>::to_vec))),
            Call::Set(new) => (Effect::Becomes(Some(new.clone())), Reply::Stored),
            Call::SetIfAbsent(_) if value.is_some() => (Effect::None, Reply::NotStored),
            Call::SetIfAbsent(new) => (Effect::Becomes(Some(new.clone())), Reply::Stored),
            Call::Add(delta) => match whole_number(value).and_then(|number| number.checked_add(*delta)) {
                Some(sum) => (Effect::Becomes(Some(sum.to_string().into_bytes())), Reply::Number(sum)),
                None => (Effect::None, Reply::NotANumber),
            },
            Call::Append(more) => {
                let mut whole = value.unwrap_or_default().to_vec();
                whole.extend_from_slice(more);
                let length = whole.len() as i64;
                (Effect::Becomes(Some(whole)), Reply::Number(length))
            }
            Call::Remove | Call::Leave if value.is_some() => (Effect::Becomes(None), Reply::Number(1)),
            Call::Remove | Call::Leave => (Effect::None, Reply::Number(0)),
            Call::Exchange { old, new, .. } if value == old.as_deref() => {
                (Effect::Becomes(Some(new.clone())), Reply::Stored)
            }
            Call::Exchange { .. } => (Effect::None, Reply::NotStored),
            // The version is nobody's but the engine's.
            Call::Version => (Effect::None, Reply::NotStored),
            _ => collections::apply(self, value).unwrap_or((Effect::None, Reply::NotStored)),
        }
    }

    /// Whether it can change anything.
    pub fn is_write(&self) -> bool {
        !matches!(self, Call::Get | Call::Version | Call::Lists | Call::Members)
    }

    /// Whether it waits for a word.
    pub fn waits(&self) -> bool {
        matches!(self, Call::Take { waits: true } | Call::Move { waits: true })
    }

    /// Whether it is about a queue.
    pub fn is_of_queue(&self) -> bool {
        let of_lists = matches!(self, Call::Push(_) | Call::TakeMoved | Call::Lists);
        of_lists || matches!(self, Call::Take { .. } | Call::Move { .. })
    }
}

/// What a call does to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The value afterwards.
    Becomes(Option<Vec<u8>>),
}

/// The number that a value stands for, as Redis reads it; an absent value is 0.
fn whole_number(value: Option<&[u8]>) -> Option<i64> {
    let Some(bytes) = value else { return Some(0) };
    let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == bytes).then_some(number)
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = String::from_utf8_lossy(&self.key);
        write!(f, "client {} at {}: {} {key}", self.client, self.invoked, self.call)?;
        match &self.outcome {
            Outcome::Returned(at, reply) => write!(f, " → {reply} at {at}"),
            Outcome::Unknown => write!(f, " → unknown"),
            Outcome::Refused => write!(f, " → refused"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Get => write!(f, "GET"),
            Call::Set(value) => write!(f, "SET({})", Text(value)),
            Call::SetIfAbsent(value) => write!(f, "SET NX({})", Text(value)),
            Call::Add(delta) => write!(f, "INCRBY({delta})"),
            Call::Append(value) => write!(f, "APPEND({})", Text(value)),
            Call::Remove => write!(f, "DEL"),
            Call::Version => write!(f, "WATCH"),
            Call::Exchange { version, old, new } => {
                let old = old.as_deref().unwrap_or(b"nothing");
                write!(f, "SET({}) if unchanged since {version}, after {}", Text(new), Text(old))
            }
            Call::Push(word) => write!(f, "RPUSH({})", Text(word)),
            Call::Take { waits } => write!(f, "{}", if *waits { "BLPOP" } else { "LPOP" }),
            Call::Move { waits } => write!(f, "{}", if *waits { "BLMOVE" } else { "LMOVE" }),
            Call::TakeMoved => write!(f, "LPOP of what was moved"),
            Call::Lists => write!(f, "both lists"),
            Call::Join(word) => write!(f, "join({})", Text(word)),
            Call::Members => write!(f, "members"),
            Call::Leave => write!(f, "DEL of all parts"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Value(Some(value)) => write!(f, "{}", Text(value)),
            Reply::Value(None) => write!(f, "nothing"),
            Reply::Stored => write!(f, "OK"),
            Reply::NotStored => write!(f, "not stored"),
            Reply::Number(number) => write!(f, "{number}"),
            Reply::NotANumber => write!(f, "not a number"),
        }
    }
}

/// Bytes for people, cut to what a line has room for.
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 48;
        let text = String::from_utf8_lossy(self.0);
        match self.0.len() {
            0..=SHOWN => write!(f, "\"{text}\""),
            bytes => {
                let start = text.chars().skip(text.chars().count().saturating_sub(SHOWN));
                write!(f, "\"…{}\" ({bytes} bytes)", start.collect::<String>())
            }
        }
    }
}
