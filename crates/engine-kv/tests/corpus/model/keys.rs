//! Keys of any type, and their deadlines.

use proto_redis::Reply;

use super::arguments::{option, whole_argument};
use super::{Answer, Model, NO_SUCH_KEY, Text, integer};

impl Model {
    pub(super) fn key_command(&mut self, name: &str, words: &[Text]) -> Option<Answer> {
        let key = words.first().map_or(&[][..], |key| key);
        let deadline = self.entry(key).map(|entry| entry.deadline);
        Some(match name {
            "DEL" | "UNLINK" => integer(words.iter().filter(|key| self.remove(key)).count()),
            "EXISTS" => integer(words.iter().filter(|key| self.entry(key).is_some()).count()),
            "TYPE" => Ok(Reply::simple(self.entry(key).map_or("none", |entry| entry.value.kind()))),
            "EXPIRE" => self.expire(key, &words[1], 1000, true, &[]),
            "PEXPIRE" => self.expire(key, &words[1], 1, true, &words[2..]),
            "EXPIREAT" => self.expire(key, &words[1], 1000, false, &words[2..]),
            "EXPIRETIME" => Ok(time(deadline, |at| (at + 500) / 1000)),
            "PEXPIRETIME" => Ok(time(deadline, |at| at)),
            "PTTL" => Ok(time(deadline, |at| at - self.now)),
            "TTL" => Ok(time(deadline, |at| (at - self.now + 500) / 1000)),
            "PERSIST" => {
                if let (Some(_), Some(entry)) = (deadline, self.keys.get_mut(key)) {
                    entry.deadline = None;
                }
                Ok(Reply::flag(deadline.flatten().is_some()))
            }
            "RENAME" | "RENAMENX" => self.rename(name, key, &words[1]),
            "COPY" => self.copy(key, &words[1], words.get(2).is_some()),
            "DBSIZE" => integer(self.contents().count()),
            _ => return None,
        })
    }

    fn expire(&mut self, key: &[u8], number: &[u8], unit: i64, relative: bool, options: &[Text]) -> Answer {
        let deadline = whole_argument(number)? * unit + if relative { self.now } else { 0 };
        let Some(entry) = self.entry(key).cloned() else { return integer(0) };
        let old = entry.deadline;
        let allowed = match options.first().map(|word| option(word)).as_deref() {
            Some("NX") => old.is_none(),
            Some("XX") => old.is_some(),
            Some("GT") => old.is_some_and(|old| deadline > old),
            Some("LT") => old.is_none_or(|old| deadline < old),
            _ => true,
        };
        if allowed {
            self.set_entry(key, entry.value, Some(deadline));
        }
        Ok(Reply::flag(allowed))
    }

    fn rename(&mut self, name: &str, from: &[u8], to: &[u8]) -> Answer {
        let entry = self.entry(from).cloned().ok_or(NO_SUCH_KEY)?;
        if name == "RENAMENX" && self.entry(to).is_some() {
            return integer(0);
        }
        self.keys.remove(from);
        self.keys.insert(to.to_vec(), entry);
        Ok(if name == "RENAMENX" { Reply::Integer(1) } else { Reply::OK })
    }

    fn copy(&mut self, from: &[u8], to: &[u8], replace: bool) -> Answer {
        if from == to {
            return Err("ERR source and destination objects are the same".into());
        }
        let Some(entry) = self.entry(from).cloned() else { return integer(0) };
        if self.entry(to).is_some() && !replace {
            return integer(0);
        }
        self.keys.insert(to.to_vec(), entry);
        integer(1)
    }

    /// What `DUMP` of one key and `RESTORE` of another come to.
    pub fn restore(&mut self, from: &[u8], to: &[u8], replace: bool) -> Result<(), String> {
        let Some(entry) = self.entry(from).cloned() else { return Ok(()) };
        if self.entry(to).is_some() && !replace {
            return Err("BUSYKEY Target key name already exists.".into());
        }
        self.replace(to, entry.value);
        Ok(())
    }
}

fn time(deadline: Option<Option<i64>>, show: impl Fn(i64) -> i64) -> Reply {
    Reply::Integer(match deadline {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => show(at),
    })
}
