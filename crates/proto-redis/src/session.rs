//! The state of one connection that commands see and change.

use crate::reply::Protocol;
use crate::table::CommandNumber;
use crate::text::ErrorText;
use crate::transaction::TransactionState;
use bytes::Bytes;
use std::sync::Arc;

/// One connection: who it is, what it speaks, whether it may do anything.
#[derive(Clone, Debug)]
pub struct Session {
    id: u64,
    password: Option<Arc<[u8]>>,
    authenticated: bool,
    protocol: Protocol,
    name: Bytes,
    library_name: Bytes,
    library_version: Bytes,
    replies_off: bool,
    skip: Skip,
    closing: bool,
    last_command: &'static str,
    counted: Option<CountedCall>,
    no_evict: bool,
    zankv: bool,
    chance: u64,
    transaction: TransactionState,
}

/// How the reply to the command parsed last must be sent. It is fixed when the command is parsed: a later
/// `HELLO 3` does not change replies that are still on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyMode {
    /// How to encode it.
    pub protocol: Protocol,
    /// Do not send it at all.
    pub silent: bool,
    /// Close the connection after it.
    pub close: bool,
}

/// How statistics count a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedCall {
    /// Which one it is.
    pub command: CommandNumber,
    /// It was refused before it was looked at: a wrong number of arguments, or no password.
    pub rejected: bool,
}

/// `CLIENT REPLY SKIP` silences itself and the next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    No,
    This,
    Next,
}

/// The only user there is.
pub const USER: &[u8] = b"default";

const NO_PASSWORD: ErrorText = ErrorText::fixed(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
);
const WRONG_PASSWORD: ErrorText =
    ErrorText::fixed("WRONGPASS invalid username-password pair or user is disabled.");
const BAD_NAME: ErrorText =
    ErrorText::fixed("ERR Client names cannot contain spaces, newlines or special characters.");

impl Session {
    /// A new connection. `id` is unique on its node, from 1, never reused; `password` is `--requirepass`.
    pub fn new(id: u64, password: Option<Arc<[u8]>>) -> Self {
        Self {
            id,
            authenticated: password.is_none(),
            password,
            protocol: Protocol::Resp2,
            name: Bytes::new(),
            library_name: Bytes::new(),
            library_version: Bytes::new(),
            replies_off: false,
            skip: Skip::No,
            closing: false,
            last_command: "",
            counted: None,
            no_evict: false,
            zankv: false,
            chance: id,
            transaction: TransactionState::default(),
        }
    }

    /// Gives the connection a chance of its own: `random` is any number. What a command leaves to chance and only
    /// reads (`SRANDMEMBER`, `HRANDFIELD`, `ZRANDMEMBER`) follows from it, so parsing stays a function of the
    /// session and the arguments. Commands that change something take the chance of their log entry.
    pub fn seed(&mut self, random: u64) {
        self.chance = random;
    }

    /// Makes it a connection of ZanKV's port: names that newer releases of Redis use otherwise mean what they mean
    /// in ZanKV.
    pub fn set_zankv(&mut self) {
        self.zankv = true;
    }

    /// Whether names mean what they mean in ZanKV.
    pub fn is_zankv(&self) -> bool {
        self.zankv
    }

    /// `CLIENT ID`.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether the client may use all commands.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// What the connection speaks from the next command on.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// `CLIENT SETNAME`; empty when not set.
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// `CLIENT SETINFO LIB-NAME` and `LIB-VER`.
    pub fn library(&self) -> (&Bytes, &Bytes) {
        (&self.library_name, &self.library_version)
    }

    /// The command parsed last, as `client|list`.
    pub fn last_command(&self) -> &'static str {
        self.last_command
    }

    /// How the command parsed last is counted; nothing if there is no such command.
    pub fn counted(&self) -> Option<CountedCall> {
        self.counted
    }

    /// Whether `CLIENT NO-EVICT ON` was said. Skein never evicts clients; it is shown in `CLIENT LIST`.
    pub fn no_evict(&self) -> bool {
        self.no_evict
    }

    /// Commands that wait for `EXEC`; `None` outside of a transaction.
    pub fn queued_commands(&self) -> Option<usize> {
        self.transaction.queued()
    }

    /// Keys that are watched.
    pub fn watched_keys(&self) -> usize {
        self.transaction.watched()
    }

    pub(crate) fn transaction(&self) -> &TransactionState {
        &self.transaction
    }

    pub(crate) fn transaction_mut(&mut self) -> &mut TransactionState {
        &mut self.transaction
    }

    /// How to send the reply to the command parsed last.
    pub fn reply_mode(&self) -> ReplyMode {
        let silent = self.replies_off || self.skip != Skip::No;
        ReplyMode { protocol: self.protocol, silent, close: self.closing }
    }

    /// The next number of the connection's chance (splitmix64).
    pub(crate) fn next_chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn begin_command(&mut self) {
        self.counted = None;
        self.skip = match self.skip {
            Skip::Next => Skip::This,
            _ => Skip::No,
        };
    }

    pub(crate) fn note_rejected(&mut self, command: CommandNumber) {
        self.counted = Some(CountedCall { command, rejected: true });
    }

    pub(crate) fn note_allowed(&mut self) {
        if let Some(counted) = &mut self.counted {
            counted.rejected = false;
        }
    }

    pub(crate) fn note_command(&mut self, name: &'static str) {
        self.last_command = name;
    }

    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    pub(crate) fn set_no_evict(&mut self, on: bool) {
        self.no_evict = on;
    }

    pub(crate) fn set_replies(&mut self, on: bool) {
        self.replies_off = !on;
        self.skip = Skip::No;
    }

    pub(crate) fn skip_next_reply(&mut self) {
        if !self.replies_off {
            self.skip = Skip::Next;
        }
    }

    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    pub(crate) fn check_name(name: &[u8]) -> Result<(), ErrorText> {
        if is_plain(name) { Ok(()) } else { Err(BAD_NAME) }
    }

    /// Names are shown in lists of `key=value`, so they hold no spaces and nothing that is not ASCII.
    pub(crate) fn set_name(&mut self, name: &Bytes) -> Result<(), ErrorText> {
        Self::check_name(name)?;
        self.name = Bytes::copy_from_slice(name);
        Ok(())
    }

    pub(crate) fn set_library(&mut self, attribute: &[u8], value: &Bytes) -> Result<(), ErrorText> {
        let (field, shown) = if attribute.eq_ignore_ascii_case(b"lib-name") {
            (&mut self.library_name, "lib-name")
        } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
            (&mut self.library_version, "lib-ver")
        } else {
            let mut text = b"ERR Unrecognized option '".to_vec();
            text.extend_from_slice(attribute);
            text.push(b'\'');
            return Err(ErrorText::new(text));
        };
        if !is_plain(value) {
            return Err(format!("ERR {shown} cannot contain spaces, newlines or special characters.").into());
        }
        *field = Bytes::copy_from_slice(value);
        Ok(())
    }

    /// `AUTH password`, which Redis refuses where no password is set.
    pub(crate) fn authenticate_with_password(&mut self, password: &[u8]) -> Result<(), ErrorText> {
        if self.password.is_none() {
            return Err(NO_PASSWORD);
        }
        self.authenticate(USER, password)
    }

    /// `AUTH user password`; where no password is set any password of the default user is right.
    pub(crate) fn authenticate(&mut self, user: &[u8], password: &[u8]) -> Result<(), ErrorText> {
        let right = self.password.as_ref().is_none_or(|expected| equal_in_constant_time(expected, password));
        if user != USER || !right {
            return Err(WRONG_PASSWORD);
        }
        self.authenticated = true;
        Ok(())
    }

    /// `RESET`: a new session on the same connection.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            library_name: std::mem::take(&mut self.library_name),
            library_version: std::mem::take(&mut self.library_version),
            chance: self.chance,
            counted: self.counted,
            zankv: self.zankv,
            ..Self::new(self.id, self.password.take())
        };
    }
}

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// Takes the same time wherever the first difference lies, so that it cannot be found by measuring.
fn equal_in_constant_time(expected: &[u8], given: &[u8]) -> bool {
    let mut difference = expected.len() ^ given.len();
    for (place, &byte) in given.iter().enumerate() {
        let other = expected.get(place).copied().unwrap_or(0);
        difference |= usize::from(byte ^ other);
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_compared_in_full() {
        for (given, right) in [("secret", true), ("secre", false), ("secret1", false), ("", false)] {
            assert_eq!(equal_in_constant_time(b"secret", given.as_bytes()), right, "{given}");
        }
        assert!(!equal_in_constant_time(b"a\0", b"a"));
    }
}
