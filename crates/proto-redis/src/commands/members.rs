//! What commands on hashes, sets and sorted sets have in common.

use super::keys::{SCAN_COUNT, parse_cursor};
use super::{integer, is_word};
use crate::parse::too_large;
use crate::scan::INVALID_CURSOR;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX};
use api::kv::{Choice, MemberScan, Members};
use bytes::Bytes;
use types::limits::{COMMAND_PART_BYTES_MAX, MEMBER_BYTES_MAX};

/// An argument that becomes a field or a member.
pub(super) fn member(call: &Call<'_>, index: usize) -> Result<Bytes, ErrorText> {
    let member = call.arg(index);
    if member.len() > MEMBER_BYTES_MAX {
        let detail =
            format!("a field or member of {} bytes, at most {MEMBER_BYTES_MAX} are allowed", member.len());
        return Err(too_large(detail));
    }
    Ok(member)
}

/// All arguments from here on, each a field or a member that is stored or removed.
pub(super) fn members(call: &Call<'_>, from: usize) -> Result<Members, ErrorText> {
    check_bytes(call)?;
    let members = (from..call.args.len()).map(|index| member(call, index)).collect::<Result<_, _>>()?;
    Ok(Members { members })
}

/// All arguments from here on; there is nothing of a length that is not allowed.
pub(super) fn all(call: &Call<'_>, from: usize) -> Members {
    Members { members: call.args[from..].to_vec() }
}

/// Refuses a command that is too long for one request to a partition.
pub(super) fn check_bytes(call: &Call<'_>) -> Result<(), ErrorText> {
    let bytes: usize = call.args.iter().map(Bytes::len).sum();
    if bytes > COMMAND_PART_BYTES_MAX {
        let detail = format!("a command of {bytes} bytes, at most {COMMAND_PART_BYTES_MAX} are allowed");
        return Err(too_large(detail));
    }
    Ok(())
}

/// The count of `SRANDMEMBER key [count]`, `HRANDFIELD key [count [WITHVALUES]]` and `ZRANDMEMBER key [count
/// [WITHSCORES]]`.
pub(super) fn choice(call: &mut Call<'_>) -> Result<Choice, ErrorText> {
    let count = match call.args.get(2) {
        None => None,
        Some(text) => match integer(text)? {
            i64::MIN => {
                let most = i64::MAX;
                let text = format!("ERR value is out of range, value must between -{most} and {most}");
                return Err(text.into());
            }
            count => Some(count),
        },
    };
    Ok(Choice { count, with_values: false, seed: call.session.next_chance() })
}

/// Refuses a count of pairs whose double is no number of elements any more, as Redis does.
pub(super) fn check_pairs(choice: &Choice) -> Result<(), ErrorText> {
    let fits = choice.count.is_none_or(|count| count.unsigned_abs() <= i64::MAX as u64 / 2);
    if fits { Ok(()) } else { Err(ErrorText::fixed("ERR value is out of range")) }
}

/// `… key cursor [MATCH pattern] [COUNT count]`. The inner error is one that Redis only finds when there is
/// something under the key.
pub(super) fn scan(call: &Call<'_>) -> Result<Result<MemberScan, ErrorText>, ErrorText> {
    let position = parse_cursor(&call.args[2]).ok_or(INVALID_CURSOR)?;
    Ok(scan_options(&call.args[3..], position))
}

fn scan_options(mut rest: &[Bytes], position: u64) -> Result<MemberScan, ErrorText> {
    let mut scan = MemberScan { position, count: SCAN_COUNT, pattern: None };
    while let [word, tail @ ..] = rest {
        let [argument, tail @ ..] = tail else { return Err(SYNTAX) };
        rest = tail;
        if is_word(word, "COUNT") {
            let count = u64::try_from(integer(argument)?).map_err(|_| SYNTAX)?;
            scan.count = if count == 0 { return Err(SYNTAX) } else { count };
        } else if is_word(word, "MATCH") {
            scan.pattern = Some(argument.clone());
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(scan)
}
