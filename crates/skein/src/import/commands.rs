//! `import resp`: a stream of commands.

use std::io::{Read, Write};

use bytes::{Bytes, BytesMut};
use proto_redis::{Decoder, Reply};
use types::{ErrorCode, Fault};

use super::stream::{Fate, Stream};
use super::{Imported, Sender, shown};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Sends commands as they come, and counts those that were carried out; those of other databases than the wanted one are
/// left out.
///
/// # Errors
/// The source fails or is no stream of commands, or the connection broke.
pub fn commands<S: Read + Write>(
    mut source: impl Read,
    database: u64,
    sender: &mut Sender<S, Bytes>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Imported, Fault> {
    let (mut decoder, mut buffer, mut args) = (Decoder::new(), BytesMut::new(), Vec::new());
    let mut taking = Taking { stream: Stream::new(database), imported: Imported::default(), queued: None };
    let (mut read_commands, mut bytes) = (0, 0);
    let mut chunk = vec![0; READ_BYTES];
    loop {
        let read =
            source.read(&mut chunk).map_err(|error| Fault::new(ErrorCode::BadFile, error.to_string()))?;
        bytes += read as u64;
        buffer.extend_from_slice(&chunk[..read]);
        if read_commands == 0 {
            Stream::begin(&buffer)?;
        }
        let behind = |commands: u64, words: &str| {
            Fault::new(ErrorCode::BadFile, format!("behind {commands} commands: {words}"))
        };
        while decoder
            .decode(&mut buffer, &mut args)
            .map_err(|error| behind(read_commands, &error.text().to_string()))?
        {
            taking.take(&args, sender).map_err(|fault| behind(read_commands, &fault.detail))?;
            read_commands += 1;
            if sender.is_full() {
                taking.settle(sender)?;
                progress(read_commands, bytes);
            }
        }
        if read == 0 {
            taking.settle(sender)?;
            return match buffer.is_empty() {
                true => Ok(taking.imported),
                false => {
                    let detail = format!("it ends in the middle of a command, behind {read_commands} others");
                    Err(Fault::new(ErrorCode::BadFile, detail))
                }
            };
        }
    }
}

/// Commands on their way.
struct Taking {
    stream: Stream,
    imported: Imported,
    /// Commands of the transaction that was begun: they are carried out with its end, or not at all.
    queued: Option<u64>,
}

impl Taking {
    fn take<S: Read + Write>(&mut self, args: &[Bytes], sender: &mut Sender<S, Bytes>) -> Result<(), Fault> {
        match self.stream.next(args)? {
            Fate::Sent => sender.add(args, args[0].clone()),
            Fate::Nothing => {}
            Fate::OtherDatabase => self.imported.other_databases += 1,
            Fate::Refused(why) => {
                self.imported.refused += 1;
                self.imported.tell(format!("{}: not sent: {why}", shown(&args[0])));
            }
        }
        Ok(())
    }

    fn settle<S: Read + Write>(&mut self, sender: &mut Sender<S, Bytes>) -> Result<(), Fault> {
        let flushed = sender.flush();
        flushed.replies.into_iter().for_each(|(name, reply)| self.answered(&name, reply));
        let Some((error, unanswered)) = flushed.broken else { return Ok(()) };
        // Sent again, INCR would count twice; left out, it would be missing.
        let detail = format!(
            "the connection to the Redis port broke: {error}. {} commands were carried out; of the {} behind them it is \
             not known",
            self.imported.done,
            unanswered.len()
        );
        Err(Fault::new(ErrorCode::OutcomeUnknown, detail))
    }

    fn answered(&mut self, name: &Bytes, reply: Reply) {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match (reply, self.queued) {
            (Reply::Simple(word), Some(queued)) if word == "QUEUED" => self.queued = Some(queued + 1),
            (reply, Some(queued)) if is("EXEC") => {
                self.queued = None;
                self.executed(name, reply, queued);
            }
            (Reply::Error(error), _) => self.refused(name, 1, &error.to_string()),
            (_, queued) => {
                self.imported.done += 1;
                self.queued = match () {
                    () if is("MULTI") => Some(0),
                    () if is("DISCARD") => None,
                    () => queued,
                };
            }
        }
    }

    /// A transaction has ended: each of its commands has a reply, or none of them was carried out.
    fn executed(&mut self, name: &Bytes, reply: Reply, queued: u64) {
        match reply {
            Reply::Array(replies) => {
                self.imported.done += 1;
                for reply in replies {
                    match reply {
                        Reply::Error(error) => self.refused(name, 1, &error.to_string()),
                        _ => self.imported.done += 1,
                    }
                }
            }
            Reply::Error(error) => self.refused(name, 1 + queued, &error.to_string()),
            _ => self.refused(name, 1 + queued, "a key that it watches was changed"),
        }
    }

    fn refused(&mut self, name: &Bytes, commands: u64, why: &str) {
        self.imported.refused += commands;
        self.imported.tell(format!("{}: {why}", shown(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(replies: Vec<(&'static str, Reply)>) -> (u64, u64) {
        let mut taking = Taking { stream: Stream::new(0), imported: Imported::default(), queued: None };
        replies.into_iter().for_each(|(name, reply)| taking.answered(&name.into(), reply));
        (taking.imported.done, taking.imported.refused)
    }

    #[test]
    fn what_a_transaction_has_refused_counts() {
        let word = |word: &'static str| Reply::Simple(word.into());
        let error = || Reply::Error("WRONGTYPE".to_owned().into());
        let begin = vec![("MULTI", word("OK")), ("SET", word("QUEUED")), ("LPUSH", word("QUEUED"))];
        let ended = |reply| [begin.clone(), vec![("EXEC", reply), ("SET", word("OK"))]].concat();
        assert_eq!(count(ended(Reply::Array(vec![word("OK"), error()]))), (4, 1));
        assert_eq!(count(ended(error())), (2, 3));
        assert_eq!(count(ended(Reply::NullArray)), (2, 3));
        let discarded = [begin.clone(), vec![("DISCARD", word("OK")), ("SET", word("OK"))]].concat();
        assert_eq!(count(discarded), (3, 0));
        assert_eq!(count(vec![("EXEC", error()), ("SET", word("QUEUED"))]), (1, 1));
    }
}
