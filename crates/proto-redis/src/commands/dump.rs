//! Commands that move whole values.

use super::{expiry, integer, is_word, keyed};
use crate::form::Shape;
use crate::parse::too_large;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX};
use api::kv::{ExpiryKind, Key, KvOp, Restore};
use bytes::Bytes;
use types::limits::COMMAND_PART_BYTES_MAX;

type Parsed = Result<Plan, ErrorText>;

const BAD_TTL: ErrorText = ErrorText::fixed("ERR Invalid TTL value, must be >= 0");
const BAD_IDLE_TIME: ErrorText = ErrorText::fixed("ERR Invalid IDLETIME value, must be >= 0");
const BAD_FREQUENCY: ErrorText = ErrorText::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");

/// Highest frequency of use that Redis counts.
const FREQUENCY_MAX: i64 = 255;

pub(crate) fn dump(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Dump(Key { key: call.arg(1) }), Shape::Plain)
}

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub(crate) fn restore(call: &mut Call<'_>) -> Parsed {
    let options = Options::parse(&call.args[4..])?;
    let payload = call.arg(3);
    if payload.len() > COMMAND_PART_BYTES_MAX {
        let detail =
            format!("{} bytes of a value, at most {COMMAND_PART_BYTES_MAX} are allowed", payload.len());
        return Err(too_large(detail));
    }
    let kind = if options.absolute { ExpiryKind::At } else { ExpiryKind::In };
    // Redis reads the time after it has looked at the key.
    let (expiry, complaint) = match integer(&call.args[2]) {
        Ok(0) => (None, String::new()),
        Ok(millis) if millis > 0 => (expiry(kind, millis), String::new()),
        Ok(_) => (None, BAD_TTL.to_string()),
        Err(error) => (None, error.to_string()),
    };
    let restore = Restore { key: call.arg(1), payload, replace: options.replace, expiry, complaint };
    keyed(call, KvOp::Restore(restore), Shape::Plain)
}

struct Options {
    replace: bool,
    absolute: bool,
}

impl Options {
    /// How often and how lately a key was used is not kept here; the numbers are read and left alone. Redis takes
    /// one of the two.
    fn parse(words: &[Bytes]) -> Result<Self, ErrorText> {
        let mut options = Options { replace: false, absolute: false };
        let (mut idle_time, mut frequency) = (false, false);
        let mut rest = words;
        while let [word, tail @ ..] = rest {
            rest = tail;
            if is_word(word, "REPLACE") {
                options.replace = true;
            } else if is_word(word, "ABSTTL") {
                options.absolute = true;
            } else if let (true, [number, tail @ ..]) = (is_word(word, "IDLETIME") && !frequency, tail) {
                if integer(number)? < 0 {
                    return Err(BAD_IDLE_TIME);
                }
                (idle_time, rest) = (true, tail);
            } else if let (true, [number, tail @ ..]) = (is_word(word, "FREQ") && !idle_time, tail) {
                if !(0..=FREQUENCY_MAX).contains(&integer(number)?) {
                    return Err(BAD_FREQUENCY);
                }
                (frequency, rest) = (true, tail);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
}
