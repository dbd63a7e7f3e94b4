//! `BITOP`.

use api::kv::{BitCombine, BitOperation, KvError};
use engine::ApplyContext;

use crate::look::Look;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::strings::string_of;

/// Stores the combination of strings. The result has no expiry.
pub(super) fn store(staging: &mut Staging, context: &ApplyContext, combine: &BitCombine) -> Outcome {
    let operation =
        BitOperation::try_from(combine.operation).map_err(|_| Stop::Refused(KvError::Unsupported))?;
    let mut result = Vec::new();
    for (place, key) in combine.from.iter().enumerate() {
        let string = {
            let look = staging.look(context);
            look.live(key)?.map(|stored| string_of(&look, &stored)).transpose()?.unwrap_or_default()
        };
        match place {
            0 => result.extend_from_slice(&string),
            _ => fold(&mut result, &string, operation),
        }
    }
    if operation == BitOperation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    staging.make(context, result.len())?;
    let slot = staging.slot(context, &combine.to)?;
    if result.is_empty() {
        staging.remove(context, &slot);
    } else {
        staging.put_string(context, &slot, None, &[&result]);
    }
    Ok(reply::integer(result.len() as i64))
}

/// Combines with one more string; the shorter of the two goes on with zeros.
fn fold(result: &mut Vec<u8>, string: &[u8], operation: BitOperation) {
    result.resize(result.len().max(string.len()), 0);
    let (common, rest) = result.split_at_mut(string.len());
    let pairs = common.iter_mut().zip(string);
    match operation {
        BitOperation::And => {
            pairs.for_each(|(byte, other)| *byte &= other);
            rest.fill(0);
        }
        BitOperation::Or => pairs.for_each(|(byte, other)| *byte |= other),
        BitOperation::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
        // It has one string only; a face refuses more.
        BitOperation::Not => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_strings_go_on_with_zeros() {
        for (operation, wanted) in [
            (BitOperation::And, [0x0f & 0x3c, 0]),
            (BitOperation::Or, [0x0f | 0x3c, 0xaa]),
            (BitOperation::Xor, [0x0f ^ 0x3c, 0xaa]),
        ] {
            let mut result = vec![0x0f];
            fold(&mut result, &[0x3c, 0xaa], operation);
            assert_eq!(result, wanted, "{operation:?}");
            let mut result = vec![0x3c, 0xaa];
            fold(&mut result, &[0x0f], operation);
            assert_eq!(result, wanted, "{operation:?}");
        }
    }
}
