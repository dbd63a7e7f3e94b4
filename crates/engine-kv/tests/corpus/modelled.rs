//! Random commands of all types against the engine and against a model of Redis: every reply must be equal, and so
//! must be all contents in the end and now and then in between, whatever else happens to the engine.
//!
//! Besides commands a line may be a step that only one side knows of:
//!
//! ```text
//!   PASS millis              time goes on
//!   REOPEN                   every partition is closed and opened again
//!   TRANSFER bytes           every partition goes on as a copy made of its snapshot, which has the same digest
//!   SWEEP                    what has expired is removed, as a leader does it
//!   DUMPED key key REPLACE   DUMP of one key, RESTORE of another
//! ```
//!
//! A real server, where it is installed, is compared with the model as well: it shows that the model is right.

use std::fmt::Write as _;

use proto_redis::{Reply, corpus};

use crate::direct::{Direct, NOW};
use crate::model::{Model, Text, Value};
use crate::random::{self, Chance, comparable, words};
use crate::redis::{Connection, Server};
use crate::skip;

/// Seeds of a normal test; `SKEIN_SEEDS=n` tries others.
const SEEDS: u64 = 24;
/// Commands of each seed.
const COMMANDS: usize = 400;
/// Contents are compared each so many lines.
const LOOK_EVERY: usize = 100;

#[test]
fn the_engine_is_like_the_model() {
    for seed in 0..seeds() {
        let partitions = if seed % 2 == 0 { 1 } else { 4 };
        let lines = lines(seed, true);
        let run = |lines: &[String]| difference(&mut Direct::new(partitions, None), lines);
        shrunk(lines, seed, run);
    }
}

#[test]
fn redis_is_like_the_model() {
    let Some(server) = Server::start(None) else { return skip() };
    for seed in 0..seeds() {
        let run = |lines: &[String]| {
            let mut connection = server.connect();
            connection.command(&words("FLUSHALL"));
            difference(&mut connection, lines)
        };
        shrunk(lines(seed, false), seed, run);
    }
}

/// Finds a difference, and the few lines that it takes.
fn shrunk(lines: Vec<String>, seed: u64, mut run: impl FnMut(&[String]) -> Option<String>) {
    if run(&lines).is_some() {
        let few = random::fewest(lines, |lines| run(lines).is_some());
        panic!("seed {seed}\n{}", run(&few).unwrap());
    }
}

fn seeds() -> u64 {
    std::env::var("SKEIN_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap())
}

/// What happens under a seed, with steps that only the engine knows or without.
fn lines(seed: u64, steps: bool) -> Vec<String> {
    let mut chance = Chance::new(seed);
    let mut lines = Vec::new();
    while lines.len() < COMMANDS {
        let line = match chance.below(40) {
            0 if steps => step(&mut chance),
            1 if steps => format!("PEXPIRE {} {}", chance.any_key(), chance.below(60)),
            2 => random::transaction(&mut chance),
            3 => {
                let replace = chance.pick(&["", " REPLACE"]);
                format!("DUMPED {} {}{replace}", chance.any_key(), chance.any_key())
            }
            4 | 5 => random::large(&mut chance),
            6 => format!("LCS {} {} LEN", chance.key('t'), chance.key('t')),
            _ => random::any_command(&mut chance),
        };
        // The bytes of HyperLogLogs are not modelled, nor which places of many `ANY` stores.
        let foreign = line.starts_with("PF") && line.split("{t}").skip(1).any(|key| !key.starts_with('p'));
        if !foreign {
            // A page of a scan is to hold everything.
            lines.push(line.replace(" COUNT 5 ANY", "").replace("COUNT 1000 ", "COUNT 16000 "));
        }
    }
    lines
}

fn step(chance: &mut Chance) -> String {
    match chance.below(6) {
        0..=2 => format!("PASS {}", 1 + chance.below(40)),
        3 => "REOPEN".into(),
        4 => format!("TRANSFER {}", 1 + chance.below(5000)),
        _ => "SWEEP".into(),
    }
}

/// What is compared with the model.
trait Side {
    fn answer(&mut self, words: &[Text]) -> Reply;

    /// A step that only the engine knows; how much time it takes.
    fn step(&mut self, words: &[Text]) -> Option<i64>;
}

impl Side for Connection {
    fn answer(&mut self, words: &[Text]) -> Reply {
        self.command(words)
    }

    fn step(&mut self, _words: &[Text]) -> Option<i64> {
        None
    }
}

impl Side for Direct {
    fn answer(&mut self, words: &[Text]) -> Reply {
        if words[0] == b"DBSIZE" {
            // It counts what nobody has removed, as it does in Redis.
            self.sweep();
        }
        self.command(words)
    }

    fn step(&mut self, words: &[Text]) -> Option<i64> {
        let number = || String::from_utf8_lossy(&words[1]).parse::<usize>().unwrap();
        match &words[0][..] {
            b"PASS" => self.pass(number() as u64),
            b"REOPEN" => self.reopen(),
            b"TRANSFER" => self.transfer(number()),
            b"SWEEP" => self.sweep(),
            _ => return None,
        }
        Some(if words[0] == b"PASS" { number() as i64 } else { 0 })
    }
}

/// A side and the model, with the commands that wait for `EXEC`.
struct Pair<'a> {
    side: &'a mut dyn Side,
    model: Model,
    queued: Option<Vec<Vec<Text>>>,
}

/// Runs lines up to the first difference, and tells how it came to it.
fn difference(side: &mut dyn Side, lines: &[String]) -> Option<String> {
    let mut pair = Pair { side, model: Model::new(NOW), queued: None };
    let mut told = String::new();
    for (number, line) in lines.iter().enumerate() {
        writeln!(told, "> {}", line.get(..400).unwrap_or(line)).unwrap();
        let different = pair.take(&words(line)).or_else(|| {
            let looks = number % LOOK_EVERY == LOOK_EVERY - 1 || number + 1 == lines.len();
            looks.then(|| pair.contents()).flatten()
        });
        if let Some(different) = different {
            return Some(told + &different);
        }
    }
    None
}

impl Pair<'_> {
    fn take(&mut self, words: &[Text]) -> Option<String> {
        if let Some(passed) = self.side.step(words) {
            self.model.now += passed;
            return None;
        }
        if words[0] == b"DUMPED" {
            return self.dumped(words);
        }
        if self.queued.is_some() && words[0] == b"DBSIZE" {
            // What is about all partitions is refused there, see docs/redis.md.
            return None;
        }
        let found = self.side.answer(words);
        let wanted = self.model.command(words, &found);
        let commands = match &words[0][..] {
            b"MULTI" if !wanted.is_error() => {
                self.queued = Some(Vec::new());
                None
            }
            b"EXEC" | b"DISCARD" => self.queued.take(),
            _ => {
                if let Some(queued) = self.queued.as_mut().filter(|_| wanted == Reply::simple("QUEUED")) {
                    queued.push(words.to_vec());
                }
                None
            }
        };
        let compared = |reply: &Reply| match (&commands, reply) {
            (Some(commands), Reply::Array(replies)) => {
                let each = commands.iter().zip(replies.clone());
                Reply::Array(each.map(|(words, reply)| order_aside(words, reply)).collect())
            }
            _ => order_aside(words, reply.clone()),
        };
        different(words, &compared(&wanted), &compared(&found))
    }

    /// Carries a value over by its dump. Inside of a transaction nobody has a dump.
    fn dumped(&mut self, words: &[Text]) -> Option<String> {
        if self.queued.is_some() {
            return None;
        }
        let dump = self.side.answer(&[b"DUMP".to_vec(), words[1].clone()]);
        let Reply::Bulk(dump) = dump else { return None };
        let mut command = vec![b"RESTORE".to_vec(), words[2].clone(), b"0".to_vec(), dump.to_vec()];
        command.extend_from_slice(&words[3..]);
        let found = self.side.answer(&command);
        let wanted = self.model.restore(&words[1], &words[2], words.len() > 3);
        let wanted = wanted.map_or_else(|text| Reply::Error(text.into()), |()| Reply::OK);
        different(words, &wanted, &found)
    }

    /// Everything that is stored agrees.
    fn contents(&mut self) -> Option<String> {
        if self.queued.is_some() {
            return None;
        }
        let commands: Vec<Vec<Text>> =
            self.model.contents().flat_map(|(key, entry)| questions(key, &entry.value)).collect();
        let all = [words("DBSIZE"), words("UNWATCH")];
        commands.iter().chain(&all).find_map(|command| self.take(command))
    }
}

/// What shows the whole of a value, and how long it lives.
fn questions(key: &Text, value: &Value) -> [Vec<Text>; 2] {
    let question = match value {
        Value::String(_) => "GET",
        Value::HyperLogLog(_) => "PFCOUNT",
        Value::List(_) => "LRANGE KEY 0 -1",
        Value::Hash(_) => "HGETALL",
        Value::Set(_) => "SMEMBERS",
        Value::Sorted(_) => "ZRANGE KEY 0 -1 WITHSCORES",
    };
    let mut question = words(question);
    question.splice(1..(question.len().min(2)), [key.clone()]);
    [question, vec![b"PEXPIRETIME".to_vec(), key.clone()]]
}

/// A reply without the order that Redis does not promise.
fn order_aside(words: &[Text], reply: Reply) -> Reply {
    let geo = words[0].starts_with(b"GEOSEARCH") || words[0].starts_with(b"GEORADIUS");
    let ordered = words.iter().any(|word| word == b"ASC" || word == b"DESC");
    if geo && !ordered {
        return random::sorted(reply, 1);
    }
    match &words[0][..] {
        b"HRANDFIELD" | b"SRANDMEMBER" | b"ZRANDMEMBER" | b"SORT" => reply,
        _ => comparable(words, reply),
    }
}

fn different(words: &[Text], wanted: &Reply, found: &Reply) -> Option<String> {
    let show = |reply: &Reply| {
        let text = corpus::render(reply);
        text.chars().take(2000).collect::<String>()
    };
    let command = || words.iter().map(|word| format!("{} ", word.escape_ascii())).collect::<String>();
    let command = || command().chars().take(300).collect::<String>();
    (wanted != found)
        .then(|| format!("at {}\n  model: {}\n  found: {}", command(), show(wanted), show(found)))
}
