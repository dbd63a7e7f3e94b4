//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`.

use proto_redis::Reply;

use super::arguments::option;
use super::{Answer, Entry, Model, Text, flat, is_too_short, wrong_arity};

/// What a connection keeps of its transaction.
#[derive(Default)]
pub(super) struct Transaction {
    /// The commands that wait, after `MULTI`.
    queue: Option<Vec<Vec<Text>>>,
    /// One of them was refused.
    is_spoilt: bool,
    /// Watched keys, and what they held.
    watched: Vec<(Text, Option<Entry>)>,
    /// Commands that named a watched key since.
    named: bool,
}

impl Model {
    /// What is about the connection; `None` for a command that is to be carried out now.
    pub(super) fn connection(&mut self, words: &[Text], found: &Reply) -> Option<Answer> {
        let name = option(&words[0]);
        let nested = |what: &str| Err(format!("ERR {what}"));
        match (&name[..], self.transaction.queue.is_some()) {
            ("MULTI", false) => {
                self.transaction.queue = Some(Vec::new());
                Some(Ok(Reply::OK))
            }
            ("MULTI", true) => Some(nested("MULTI calls can not be nested")),
            ("WATCH", true) => Some(nested("WATCH inside MULTI is not allowed")),
            ("EXEC" | "DISCARD", false) => Some(nested(&format!("{name} without MULTI"))),
            ("WATCH", false) => {
                for key in &words[1..] {
                    let held = self.entry(key).cloned();
                    self.transaction.watched.push((key.clone(), held));
                }
                Some(Ok(Reply::OK))
            }
            ("UNWATCH", false) => {
                self.transaction.watched.clear();
                self.transaction.named = false;
                Some(Ok(Reply::OK))
            }
            ("DISCARD", true) => {
                self.transaction = Transaction::default();
                Some(Ok(Reply::OK))
            }
            ("EXEC", true) => Some(self.exec(found)),
            (_, true) => {
                if is_too_short(words) {
                    self.transaction.is_spoilt = true;
                    return Some(Err(wrong_arity(words)));
                }
                self.transaction.queue.as_mut()?.push(words.to_vec());
                Some(Ok(Reply::simple("QUEUED")))
            }
            (_, false) => {
                let watched = &self.transaction.watched;
                self.transaction.named |= watched.iter().any(|(key, _)| words[1..].contains(key));
                None
            }
        }
    }

    fn exec(&mut self, found: &Reply) -> Answer {
        let transaction = std::mem::take(&mut self.transaction);
        if transaction.is_spoilt {
            return Err("EXECABORT Transaction discarded because of previous errors.".into());
        }
        let differs = transaction.watched.iter().any(|(key, held)| self.entry(key) != held.as_ref());
        // A command that wrote what was there already may count as a change, or not.
        let may_differ = transaction.named && *found == Reply::NullArray;
        if differs || may_differ {
            return Ok(Reply::NullArray);
        }
        let found = match found {
            Reply::Array(found) => &found[..],
            _ => &[],
        };
        let commands = transaction.queue.unwrap_or_default();
        let replies = commands.iter().enumerate();
        let replies = replies.map(|(place, command)| {
            if option(&command[0]) == "UNWATCH" {
                return Reply::OK;
            }
            flat(self.one(command, found.get(place).unwrap_or(&Reply::Null)))
        });
        Ok(Reply::Array(replies.collect()))
    }
}
