//! From arguments to a plan, with the checks in Redis' order.
//!
//! ```text
//!  1. is there such a command, such a subcommand?   ERR unknown command …
//!  2. does the number of arguments fit?             ERR wrong number of arguments …
//!  3. may the client do anything?                   NOAUTH Authentication required.
//!     inside MULTI the command is queued here; the rest happens at EXEC
//!  4. what the command itself says                  ERR syntax error, …
//!  5. where the keys lie, and their lengths         CROSSSLOT …          (address, split)
//!  6. what the stored value says                    WRONGTYPE …          (the engine)
//! ```

use crate::plan::Plan;
use crate::reply::Reply;
use crate::session::Session;
use crate::table::{self, Call, Command, Numbered};
use crate::text::{ErrorText, wrong_arity};
use crate::{faults, unsupported};
use bytes::Bytes;
use types::limits::{COMMAND_PART_BYTES_MAX, VALUE_BYTES_MAX};
use types::{ErrorCode, Fault};

/// Bytes of a command's name and of its arguments that an error repeats, as in Redis.
const SHOWN_BYTES_MAX: usize = 128;
const NOT_AUTHENTICATED: ErrorText = ErrorText::fixed("NOAUTH Authentication required.");

/// Makes a plan of one command. `args` has the command's name first, as [`crate::Decoder`] fills it.
///
/// [`Session::reply_mode`] says afterwards how to send the reply, whether it is a plan's or an error.
pub fn parse(args: &[Bytes], session: &mut Session) -> Result<Plan, ErrorText> {
    session.begin_command();
    let command = match allowed(args, session) {
        Ok(command) => command,
        Err(error) => return Err(session.transaction_mut().refuse(args.first(), error)),
    };
    if let Some(queued) = session.transaction_mut().enqueue(command, args) {
        return queued;
    }
    (command.parse)(&mut Call { args, command, session })
}

/// The command, if there is one and the client may use it like this.
fn allowed(args: &[Bytes], session: &mut Session) -> Result<&'static Command, ErrorText> {
    let Numbered { number, command } = find(args)?;
    session.note_rejected(number);
    if !command.accepts(args.len()) {
        return Err(wrong_arity(command.full_name));
    }
    session.note_command(command.full_name);
    if !session.is_authenticated() && !command.has_flag("no_auth") {
        return Err(NOT_AUTHENTICATED);
    }
    session.note_allowed();
    Ok(command)
}

/// The command or subcommand that the arguments name.
fn find(args: &[Bytes]) -> Result<Numbered, ErrorText> {
    let [name, rest @ ..] = args else { return Err(unknown_command(&[], &[])) };
    let Some(found) = table::lookup_numbered(name) else {
        return Err(unsupported::refusal(name).unwrap_or_else(|| unknown_command(name, rest)));
    };
    match rest.first() {
        Some(name) if !found.command.subcommands.is_empty() => {
            found.subcommand(name).ok_or_else(|| unknown_subcommand(found.command, name))
        }
        _ => Ok(found),
    }
}

impl Call<'_> {
    /// An argument as an owned slice.
    pub(crate) fn arg(&self, index: usize) -> Bytes {
        self.args[index].clone()
    }

    /// An argument that is to be stored.
    pub(crate) fn value(&self, index: usize) -> Result<Bytes, ErrorText> {
        let value = self.arg(index);
        if value.len() > VALUE_BYTES_MAX {
            let detail = format!("a value of {} bytes, at most {VALUE_BYTES_MAX} are allowed", value.len());
            return Err(too_large(detail));
        }
        Ok(value)
    }

    /// All arguments from one on, which are to be stored in one partition.
    pub(crate) fn values(&self, from: usize) -> Result<Vec<Bytes>, ErrorText> {
        let bytes: usize = self.args.iter().map(Bytes::len).sum();
        if bytes > COMMAND_PART_BYTES_MAX {
            let detail =
                format!("{bytes} bytes of keys and values, at most {COMMAND_PART_BYTES_MAX} are allowed");
            return Err(too_large(detail));
        }
        (from..self.args.len()).map(|index| self.value(index)).collect()
    }
}

/// A reply that needs nothing more.
pub(crate) fn done(reply: Reply) -> Result<Plan, ErrorText> {
    Ok(Plan::Answer(reply))
}

/// The request breaks a limit.
pub(crate) fn too_large(detail: String) -> ErrorText {
    faults::fault_error(&Fault::new(ErrorCode::RequestTooLarge, detail))
}

/// `ERR unknown command 'name', with args beginning with: 'a' 'b' `, with the space at the end.
fn unknown_command(name: &[u8], args: &[Bytes]) -> ErrorText {
    let mut shown: Vec<u8> = Vec::new();
    for arg in args {
        if shown.len() >= SHOWN_BYTES_MAX {
            break;
        }
        shown.push(b'\'');
        let room = SHOWN_BYTES_MAX - (shown.len() - 1);
        shown.extend_from_slice(printable(arg, room));
        shown.extend_from_slice(b"' ");
    }
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(printable(name, SHOWN_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&shown);
    ErrorText::new(text)
}

fn unknown_subcommand(command: &Command, name: &[u8]) -> ErrorText {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(printable(name, SHOWN_BYTES_MAX));
    text.extend_from_slice(b"'. Try ");
    text.extend_from_slice(command.name.to_ascii_uppercase().as_bytes());
    text.extend_from_slice(b" HELP.");
    ErrorText::new(text)
}

/// As much as fits; like Redis' format strings it ends at a NUL byte.
pub(crate) fn printable(text: &[u8], room: usize) -> &[u8] {
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    &text[..end.min(room)]
}
