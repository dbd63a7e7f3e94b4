//! Clients: each does one thing after the other and notes what it was told.

use crate::event::Place;
use crate::history::{Call, Operation, Outcome, Reply};
use crate::random::Random;

mod requests;

pub use requests::{Way, outcome, way};

/// A client.
pub struct Client {
    /// Its chance.
    pub random: Random,
    /// Operations that it began.
    pub begun: u64,
    /// The one that it waits for.
    pub waiting: Option<Waiting>,
    /// What it is about to exchange.
    pub watch: Option<Watch>,
}

/// A key that a client watches: its version, and what it held a little later.
pub struct Watch {
    key: Vec<u8>,
    version: i64,
    held: Option<Option<Vec<u8>>>,
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The client's number for it.
    pub number: u64,
    /// Its place in the history.
    pub entry: usize,
    /// Whom it asked, and which run.
    pub node: (Place, u64),
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Anything.
    Register,
    /// Only additions of 1; see `checkers::lost`.
    Counter,
    /// Only appended words; see `checkers::lost`.
    List,
    /// Two lists through which words go; see `checkers::queues`.
    Queue,
    /// A hash, a set and a sorted set that are changed together.
    Bundle,
}

impl Use {
    /// The call that shows everything.
    pub fn whole(self) -> Call {
        match self {
            Use::Register | Use::Counter | Use::List => Call::Get,
            Use::Queue => Call::Lists,
            Use::Bundle => Call::Members,
        }
    }
}

/// The keys of a world and their uses.
pub fn keys() -> Vec<(Vec<u8>, Use)> {
    let of = |prefix: &str, count: usize, used: Use| -> Vec<(Vec<u8>, Use)> {
        (0..count).map(|number| (format!("{prefix}{number}").into_bytes(), used)).collect()
    };
    let strings =
        [of("register", 5, Use::Register), of("counter", 2, Use::Counter), of("list", 2, Use::List)];
    [strings.concat(), of("queue", 2, Use::Queue), of("bundle", 1, Use::Bundle)].concat()
}

impl Client {
    /// What it does next. Values name the client and its operation, so that every one is unique.
    pub fn choose(&mut self, client: usize, keys: &[(Vec<u8>, Use)]) -> (Vec<u8>, Call) {
        let word = format!("{client}.{}", self.begun).into_bytes();
        if let Some(Watch { key, version, held }) = &self.watch {
            let (key, version) = (key.clone(), *version);
            let Some(old) = held.clone() else { return (key, Call::Get) };
            self.watch = None;
            // A key that was absent counts as unchanged when it is absent again, see docs/redis.md.
            let old = if version == 0 { None } else { old };
            return (key, Call::Exchange { version, old, new: word });
        }
        let (key, used) = self.random.pick(keys).clone();
        let call = match used {
            Use::Queue => self.choose_of_queue(word),
            Use::Bundle => match self.random.below(10) {
                0..=2 => Call::Members,
                3 => Call::Leave,
                _ => Call::Join(word),
            },
            Use::Register if self.random.permille(150) => Call::Version,
            _ => self.choose_of_string(client, used, word),
        };
        (key, call)
    }

    fn choose_of_string(&mut self, client: usize, used: Use, word: Vec<u8>) -> Call {
        match (used, self.random.below(10)) {
            (_, 0..=2) => Call::Get,
            (Use::Counter, _) => Call::Add(1),
            (Use::List, _) => Call::Append([&word[..], b";"].concat()),
            (_, 3) => Call::Remove,
            (_, 4) => Call::SetIfAbsent(word),
            (_, 5) => Call::Append([b"+", &word[..]].concat()),
            (_, 6) => Call::Add(self.random.between(1, 100) as i64),
            // Half of the values are numbers, so that additions find some.
            (_, 7) => Call::Set((self.begun * 100 + client as u64).to_string().into_bytes()),
            _ => Call::Set(word),
        }
    }

    fn choose_of_queue(&mut self, word: Vec<u8>) -> Call {
        match self.random.below(20) {
            0 => Call::Lists,
            1..=8 => Call::Push(word),
            9 | 10 => Call::Take { waits: false },
            11..=14 => Call::Take { waits: true },
            15 => Call::Move { waits: false },
            16 | 17 => Call::Move { waits: true },
            _ => Call::TakeMoved,
        }
    }

    /// It hears how an operation ended, and may go on from there.
    pub fn hears(&mut self, operation: &Operation) {
        let told = match &operation.outcome {
            Outcome::Returned(_, told) => told.clone(),
            Outcome::Unknown | Outcome::Refused => return self.watch = None,
        };
        match (&operation.call, told) {
            (Call::Version, Reply::Number(version)) => {
                self.watch = Some(Watch { key: operation.key.clone(), version, held: None });
            }
            (Call::Get, Reply::Value(value)) => {
                if let Some(watch) = self.watch.as_mut().filter(|watch| watch.key == operation.key) {
                    watch.held = Some(value);
                }
            }
            _ => {}
        }
    }

    /// How long it rests, in nanoseconds.
    pub fn rest(&mut self) -> u64 {
        match self.random.below(10) {
            0..=3 => self.random.below(3_000_000),
            4..=6 => self.random.below(300_000_000),
            _ => self.random.below(1_500_000_000),
        }
    }
}
