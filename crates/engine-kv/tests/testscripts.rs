//! Scripts of commands with the replies that they must get: `testscripts/*.txt`.
//!
//! ```text
//! # A comment.
//! > SET a 1 PX 100          a command, in the words of Redis; each is an entry of its own
//! OK                        its reply
//! @ +101                    time passes, in milliseconds; a script begins at 1000000
//! > GET a
//! nil
//! ```
//!
//! Replies: `OK`, `nil`, `5`, `"text"`, `["a" nil]`, `next 77 ["a"]`, `error WrongType`. Arguments may be
//! quoted, with `\xNN` for any byte. `SKEIN_REWRITE=1 cargo test` writes the replies that came into
//! the scripts; read the difference before committing it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;

use api::kv::{KvAnswer, KvError, KvReply, KvRequest, Maybe};
use common::commands::{Command, parse};
use common::{Disk, Memory, context, engine};
use engine::{Applied, Engine, Reader, StateMachine};
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

#[test]
fn scripts_get_their_replies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts");
    golden::scripts(&folder, 1, |script| Session::new().run(script));
}

/// A state, its clock, and the position of its next entry.
struct Session {
    _engine: Arc<dyn Engine>,
    state: Box<dyn StateMachine>,
    reader: Arc<dyn Reader>,
    millis: u64,
    index: u64,
}

impl Session {
    fn new() -> Self {
        let engine = engine(Memory::default().open());
        let state = engine.create(StateId(1)).unwrap();
        let reader = state.reader();
        Self { _engine: engine, state, reader, millis: 1_000_000, index: 5 }
    }

    /// The script with the replies that its commands get.
    fn run(&mut self, script: &str) -> String {
        let mut output = String::new();
        for line in script.lines() {
            if let Some(command) = line.strip_prefix("> ") {
                let reply = self.execute(parse(command));
                output.push_str(&format!("{line}\n{reply}\n"));
            } else if let Some(millis) = line.strip_prefix("@ +") {
                self.millis += millis.parse::<u64>().unwrap();
                output.push_str(&format!("{line}\n"));
            } else if line.is_empty() || line.starts_with('#') {
                output.push_str(&format!("{line}\n"));
            }
            // Everything else is a reply of before.
        }
        output
    }

    fn execute(&mut self, command: Command) -> String {
        let bytes = match &command {
            Command::Op(op) => KvRequest::new(op.clone()).encode_to_vec(),
            Command::Bytes(bytes) => bytes.clone(),
        };
        let is_write = matches!(&command, Command::Op(op) if op.is_write());
        let reply = if is_write {
            let context = context(self.millis, self.index);
            let reply = self.state.stage(&context, &bytes).unwrap();
            let applied = Applied { index: LogIndex(self.index), term: Term(1) };
            self.state.commit(applied, &[]).unwrap();
            self.index += 1;
            reply
        } else {
            self.reader.read(&bytes, Hlc::from_millis(self.millis)).unwrap()
        };
        show(&KvReply::decode(&reply[..]).unwrap())
    }
}

fn show(reply: &KvReply) -> String {
    match reply.answer.as_ref().unwrap() {
        KvAnswer::Ok(_) => "OK".into(),
        KvAnswer::Nil(_) => "nil".into(),
        KvAnswer::Integer(number) => number.to_string(),
        KvAnswer::Value(bytes) => quoted(bytes),
        KvAnswer::Values(values) => {
            let shown = |maybe: &Maybe| maybe.value.as_ref().map_or("nil".into(), |value| quoted(value));
            format!("[{}]", values.values.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        KvAnswer::Page(page) => {
            let keys = page.keys.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(" ");
            let next = page.next.map_or("end".into(), |next| format!("next {next}"));
            format!("{next} [{keys}]")
        }
        KvAnswer::Error(error) => format!("error {:?}", KvError::try_from(*error).unwrap()),
        KvAnswer::Refusal(text) => format!("refused {text}"),
        KvAnswer::Imported(imported) => format!("{imported:?}"),
        KvAnswer::Recording(recording) => format!("{recording:?}"),
        KvAnswer::Changes(changes) => format!("{changes:?}"),
        KvAnswer::Places(places) => format!("{places:?}"),
        KvAnswer::Double(number) => format!("{number:?}"),
        KvAnswer::Scored(scored) => {
            let shown = scored.members.iter().map(|it| format!("{} {}", quoted(&it.member), it.score));
            format!("[{}]", shown.collect::<Vec<_>>().join(", "))
        }
        KvAnswer::Many(many) => format!("({})", many.replies.iter().map(show).collect::<Vec<_>>().join(" ")),
    }
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
