//! `SLOWLOG`: a ring of the commands that took long, as Redis keeps it.
//!
//! An entry holds a command as Redis would show it: at most 32 arguments of at most 128 bytes, with a word about
//! what was left out, and no password. It is packed like that when the command begins, because the bytes that the
//! client sent are gone when it ends.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes};

use crate::reply::Reply;

/// Arguments that are kept of a command; with more, the last one says how many were left out.
const ARGUMENTS_MAX: usize = 32;
/// Bytes that are kept of an argument; of a longer one they are followed by a word about the rest.
const ARGUMENT_BYTES_MAX: usize = 128;
/// Entries that `SLOWLOG GET` shows when it is not told how many.
pub(crate) const SHOWN_DEFAULT: i64 = 10;
/// What is shown instead of a password.
const REDACTED: &[u8] = b"(redacted)";

/// What `SLOWLOG` is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowLogQuestion {
    /// `GET`: so many entries, the newest first; all of them when there is no number. See [`SlowLog::get`].
    Get(Option<usize>),
    /// `LEN`: how many there are.
    Len,
    /// `RESET`: forget all of them, and answer [`Reply::OK`].
    Reset,
}

/// A command that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowCommand {
    /// When it was noted, in seconds since 1970.
    pub at_seconds: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// The command, made by [`pack`].
    pub packed: Bytes,
    /// The client's address.
    pub address: String,
    /// The client's name, or nothing.
    pub name: Bytes,
}

impl SlowCommand {
    /// The words of the command, as [`pack`] has shortened them.
    pub fn words(&self) -> Vec<Bytes> {
        unpack(self.packed.clone())
    }
}

/// The commands that took long, the newest first.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<(u64, SlowCommand)>,
    next: u64,
}

impl SlowLog {
    /// Notes a command; the oldest beyond `most` go.
    pub fn note(&mut self, command: SlowCommand, most: usize) {
        self.entries.push_front((self.next, command));
        self.next += 1;
        self.entries.truncate(most);
    }

    /// The oldest beyond `most` go.
    pub fn shorten(&mut self, most: usize) {
        self.entries.truncate(most);
    }

    /// Forgets all of them; numbers go on.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// The commands with their numbers, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &(u64, SlowCommand)> {
        self.entries.iter()
    }

    /// The answer to a question.
    pub fn answer(&mut self, question: SlowLogQuestion) -> Reply {
        match question {
            SlowLogQuestion::Get(count) => {
                let shown = self.entries.iter().take(count.unwrap_or(usize::MAX));
                Reply::Array(shown.map(|(id, command)| entry(*id, command)).collect())
            }
            SlowLogQuestion::Len => Reply::Integer(self.entries.len() as i64),
            SlowLogQuestion::Reset => {
                self.reset();
                Reply::OK
            }
        }
    }
}

fn entry(id: u64, command: &SlowCommand) -> Reply {
    Reply::Array(vec![
        Reply::Integer(id as i64),
        Reply::Integer(command.at_seconds as i64),
        Reply::Integer(command.micros as i64),
        Reply::Array(command.words().into_iter().map(Reply::Bulk).collect()),
        Reply::bulk(command.address.clone()),
        Reply::Bulk(command.name.clone()),
    ])
}

/// Packs a command as it will be shown.
pub fn pack(args: &[Bytes], out: &mut impl BufMut) {
    let kept = if args.len() > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { args.len() };
    let secret = secrets(args);
    for (place, argument) in args.iter().enumerate().take(kept) {
        if secret.contains(&place) {
            put(REDACTED, b"", out);
        } else if argument.len() > ARGUMENT_BYTES_MAX {
            let rest = format!("... ({} more bytes)", argument.len() - ARGUMENT_BYTES_MAX);
            put(&argument[..ARGUMENT_BYTES_MAX], rest.as_bytes(), out);
        } else {
            put(argument, b"", out);
        }
    }
    if kept < args.len() {
        put(format!("... ({} more arguments)", args.len() - kept).as_bytes(), b"", out);
    }
}

/// Where passwords stand.
fn secrets(args: &[Bytes]) -> std::ops::Range<usize> {
    let is = |place: usize, word: &[u8]| args.get(place).is_some_and(|arg| arg.eq_ignore_ascii_case(word));
    if is(0, b"auth") {
        return 1..args.len();
    }
    if is(0, b"hello") {
        let at = args.iter().position(|arg| arg.eq_ignore_ascii_case(b"auth"));
        return at.map_or(0..0, |at| at + 1..(at + 3).min(args.len()));
    }
    if is(0, b"config") && is(1, b"set") {
        let names = args.iter().skip(2).step_by(2);
        let at = names.into_iter().position(|name| name.eq_ignore_ascii_case(b"requirepass"));
        return at.map_or(0..0, |at| 3 + 2 * at..4 + 2 * at);
    }
    0..0
}

fn put(argument: &[u8], rest: &[u8], out: &mut impl BufMut) {
    out.put_u16((argument.len() + rest.len()) as u16);
    out.put_slice(argument);
    out.put_slice(rest);
}

fn unpack(mut packed: Bytes) -> Vec<Bytes> {
    let mut args = Vec::new();
    while packed.len() >= 2 {
        let length = usize::from(packed.get_u16()).min(packed.len());
        args.push(packed.split_to(length));
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(args: &[&[u8]]) -> Vec<String> {
        let args: Vec<Bytes> = args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
        let mut packed = Vec::new();
        pack(&args, &mut packed);
        let text = |arg: Bytes| String::from_utf8_lossy(&arg).into_owned();
        unpack(packed.into()).into_iter().map(text).collect()
    }

    #[test]
    fn a_long_command_is_cut_as_redis_cuts_it() {
        assert_eq!(shown(&[b"set", b"", b"v"]), ["set", "", "v"]);
        let long = [b'x'; 130];
        assert_eq!(
            shown(&[&long[..128], &long]),
            ["x".repeat(128), format!("{}... (2 more bytes)", "x".repeat(128))]
        );
        let many = shown(&vec![&b"a"[..]; 33]);
        assert_eq!((many.len(), many[31].as_str()), (32, "... (2 more arguments)"));
        assert_eq!(shown(&vec![&b"a"[..]; 32]).last().unwrap(), "a");
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown(&[b"AUTH", b"me", b"pw"]), ["AUTH", "(redacted)", "(redacted)"]);
        assert_eq!(
            shown(&[b"hello", b"3", b"AUTH", b"u", b"p", b"SETNAME", b"n"]),
            ["hello", "3", "AUTH", "(redacted)", "(redacted)", "SETNAME", "n"]
        );
        let set = shown(&[b"config", b"SET", b"timeout", b"1", b"RequirePass", b"pw"]);
        assert_eq!(set, ["config", "SET", "timeout", "1", "RequirePass", "(redacted)"]);
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_numbers_go_on() {
        let mut log = SlowLog::default();
        let command = |micros| SlowCommand {
            at_seconds: 7,
            micros,
            packed: Bytes::new(),
            address: "1.2.3.4:5".into(),
            name: Bytes::new(),
        };
        (0..4).for_each(|micros| log.note(command(micros), 3));
        let ids = |reply: Reply| match reply {
            Reply::Array(entries) => entries
                .into_iter()
                .map(|entry| match entry {
                    Reply::Array(fields) => fields[0].clone(),
                    other => other,
                })
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(ids(log.answer(SlowLogQuestion::Get(Some(2)))), [Reply::Integer(3), Reply::Integer(2)]);
        assert_eq!(log.answer(SlowLogQuestion::Len), Reply::Integer(3));
        log.shorten(1);
        assert_eq!(ids(log.answer(SlowLogQuestion::Get(None))), [Reply::Integer(3)]);
        assert_eq!(log.answer(SlowLogQuestion::Reset), Reply::OK);
        log.note(command(9), 3);
        assert_eq!(ids(log.answer(SlowLogQuestion::Get(None))), [Reply::Integer(4)]);
        log.note(command(9), 0);
        assert_eq!(log.answer(SlowLogQuestion::Len), Reply::Integer(0), "nothing is kept");
    }
}
