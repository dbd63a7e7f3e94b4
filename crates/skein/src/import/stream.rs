//! What commands of a stream mean to the connection that they were recorded on, and not to the one that carries them
//! out here.

use bytes::Bytes;
use types::{ErrorCode, Fault};

/// How a file of values begins; an append-only file of Redis may begin with one.
const VALUES: &[u8] = b"REDIS0";
/// How a line begins in which Redis' append-only file notes the time.
const TIMESTAMP: &[u8] = b"#TS:";

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Sent,
    /// It means nothing here: a note of the time, or the choice of a database.
    Nothing,
    /// It is about another database.
    OtherDatabase,
    /// It is not sent, for this reason.
    Refused(&'static str),
}

/// Where a stream is.
#[derive(Debug)]
pub struct Stream {
    /// The database whose commands are wanted.
    wanted: u64,
    /// The one that the commands are about.
    database: u64,
    in_transaction: bool,
}

impl Stream {
    /// The begin of a stream, of which one database is wanted.
    pub fn new(wanted: u64) -> Self {
        Self { wanted, database: 0, in_transaction: false }
    }

    /// Takes the first bytes of a stream.
    ///
    /// # Errors
    /// `BadFile` if it is a file of values, or begins with one.
    pub fn begin(bytes: &[u8]) -> Result<(), Fault> {
        match bytes.starts_with(VALUES) {
            true => {
                let detail = "it begins with values and not with commands: 'skein import redis-rdb FILE' reads them. \
                              Redis 7 has both in files of their own; an older one writes them so after 'CONFIG SET \
                              aof-use-rdb-preamble no' and 'BGREWRITEAOF'";
                Err(Fault::new(ErrorCode::BadFile, detail))
            }
            false => Ok(()),
        }
    }

    /// What becomes of the next command.
    ///
    /// # Errors
    /// `BadFile` if the stream changes its database where that cannot be followed.
    pub fn next(&mut self, args: &[Bytes]) -> Result<Fate, Fault> {
        let is = |place: usize, name: &str| {
            args.get(place).is_some_and(|arg| arg.eq_ignore_ascii_case(name.as_bytes()))
        };
        if args[0].starts_with(TIMESTAMP) {
            return Ok(Fate::Nothing);
        }
        if is(0, "SELECT") {
            return self.select(args);
        }
        if self.database != self.wanted {
            return Ok(Fate::OtherDatabase);
        }
        self.in_transaction = match () {
            () if is(0, "MULTI") => true,
            () if is(0, "EXEC") || is(0, "DISCARD") => false,
            () => self.in_transaction,
        };
        let is_any = |names: &[&str]| names.iter().any(|name| is(0, name));
        Ok(match () {
            () if is(0, "CLIENT") && is(1, "REPLY") => Fate::Refused("every reply is read here"),
            () if is_any(&["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC"]) => {
                Fate::Refused("it has no end")
            }
            () if is_any(&["HELLO", "RESET", "QUIT"]) => Fate::Refused("it changes or ends the connection"),
            () => Fate::Sent,
        })
    }

    fn select(&mut self, args: &[Bytes]) -> Result<Fate, Fault> {
        let bad = |detail: &str| Fault::new(ErrorCode::BadFile, detail.to_owned());
        if self.in_transaction {
            return Err(bad("a transaction changes the database, which none can here"));
        }
        let number = args.get(1).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        self.database = number.ok_or_else(|| bad("SELECT names no database"))?;
        Ok(Fate::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(wanted: u64, commands: &str) -> Vec<Fate> {
        let mut stream = Stream::new(wanted);
        let mut fate = |line: &str| {
            let args: Vec<Bytes> =
                line.split(' ').map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect();
            stream.next(&args).unwrap()
        };
        commands.split('|').map(|line| fate(line.trim())).collect()
    }

    #[test]
    fn only_the_wanted_database_is_followed() {
        use Fate::{Nothing, OtherDatabase, Sent};
        let commands = "SET a 1 | select 1 | SET a 2 | MULTI | EXEC | SELECT 0 | SET b 1";
        let other = OtherDatabase;
        assert_eq!(fates(0, commands), [Sent, Nothing, other, other, other, Nothing, Sent]);
        assert_eq!(fates(1, commands), [other, Nothing, Sent, Sent, Sent, Nothing, other]);
        let mut stream = Stream::new(0);
        assert_eq!(stream.next(&["MULTI".into()]).unwrap(), Sent);
        for bad in ["1", "x"] {
            assert_eq!(stream.next(&["SELECT".into(), bad.into()]).unwrap_err().code, ErrorCode::BadFile);
        }
        assert!(Stream::new(0).next(&["SELECT".into(), "x".into()]).is_err());
    }

    #[test]
    fn what_concerns_the_connection_is_not_sent() {
        let fates =
            fates(0, "#TS:1628217470 | CLIENT REPLY OFF | CLIENT SETNAME x | MONITOR | hello 3 | SET a 1");
        assert_eq!(fates[0], Fate::Nothing);
        let is_refused = |fate: &Fate| matches!(fate, Fate::Refused(_));
        assert!(is_refused(&fates[1]) && is_refused(&fates[3]) && is_refused(&fates[4]), "{fates:?}");
        assert_eq!((fates[2], fates[5]), (Fate::Sent, Fate::Sent));
    }

    #[test]
    fn values_are_not_taken_for_commands() {
        let fault = Stream::begin(b"REDIS0011\xfa\x09redis-ver").unwrap_err();
        assert!(fault.detail.contains("skein import redis-rdb"), "{fault}");
        assert!(Stream::begin(b"*1\r\n$4\r\nPING\r\n").is_ok());
    }
}
