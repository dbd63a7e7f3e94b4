//! No acknowledged write is lost, and none is carried out twice: what can be counted without a search.
//!
//! Two kinds of keys are made for this. To a *counter* clients only add 1, so its final value lies between
//! the acknowledged additions and those plus the ones of unknown outcome. To a *list* clients only append
//! words of their own, so each acknowledged word is in the final value exactly once, an unknown one at
//! most once, and a refused one never.

use std::collections::BTreeMap;

use crate::history::{Call, Operation, Outcome, Reply};

/// What ends each word of a list.
pub const WORD_END: u8 = b';';

/// Checks every counter and list among the keys. The history must end with a read of each key.
///
/// # Errors
/// What is missing or too much, in words.
pub fn check(history: &[Operation]) -> Result<(), String> {
    let mut keys: BTreeMap<&[u8], Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation);
    }
    for (key, operations) in keys {
        let writes: Vec<&&Operation> =
            operations.iter().filter(|operation| operation.call.is_write()).collect();
        let Some(last) = final_value(&operations) else { continue };
        let found = if writes.iter().all(|write| write.call == Call::Add(1)) {
            check_counter(&writes, last)
        } else if writes.iter().all(|write| matches!(write.call, Call::Append(_))) {
            check_list(&writes, last)
        } else {
            Ok(())
        };
        found.map_err(|detail| format!("key {}: {detail}", String::from_utf8_lossy(key)))?;
    }
    Ok(())
}

/// What the last read returned, if every other call was over when it began.
fn final_value<'a>(operations: &[&'a Operation]) -> Option<Option<&'a [u8]>> {
    let read =
        operations.iter().filter(|operation| operation.call == Call::Get).max_by_key(|read| read.invoked)?;
    let Outcome::Returned(_, Reply::Value(value)) = &read.outcome else { return None };
    let over = |operation: &&&Operation| match operation.outcome {
        Outcome::Returned(at, _) => at <= read.invoked,
        Outcome::Unknown | Outcome::Refused => operation.invoked <= read.invoked,
    };
    operations
        .iter()
        .filter(|operation| operation.call.is_write())
        .all(|write| over(&write))
        .then_some(value.as_deref())
}

fn check_counter(writes: &[&&Operation], last: Option<&[u8]>) -> Result<(), String> {
    let text = std::str::from_utf8(last.unwrap_or(b"0")).unwrap_or("");
    let value: usize = text.parse().map_err(|_| format!("{text} is no count"))?;
    let count = |is: fn(&Outcome) -> bool| writes.iter().filter(|write| is(&write.outcome)).count();
    let known = count(|outcome| matches!(outcome, Outcome::Returned(..)));
    let unknown = count(|outcome| matches!(outcome, Outcome::Unknown));
    match value {
        _ if value < known => Err(format!("{known} additions were acknowledged, the count is {value}")),
        _ if value > known + unknown => {
            Err(format!("{known} additions were acknowledged, {unknown} are unknown, the count is {value}"))
        }
        _ => Ok(()),
    }
}

fn check_list(writes: &[&&Operation], last: Option<&[u8]>) -> Result<(), String> {
    let mut found: BTreeMap<&[u8], usize> = BTreeMap::new();
    for word in last.unwrap_or_default().split_inclusive(|byte| *byte == WORD_END) {
        *found.entry(word).or_default() += 1;
    }
    for write in writes {
        let Call::Append(word) = &write.call else { continue };
        let times = found.remove(word.as_slice()).unwrap_or(0);
        let fits = match write.outcome {
            Outcome::Returned(..) => times == 1,
            Outcome::Unknown => times <= 1,
            Outcome::Refused => times == 0,
        };
        if !fits {
            return Err(format!("{write}: its word is in the final value {times} times"));
        }
    }
    match found.keys().next() {
        Some(word) => Err(format!("nobody appended {}", String::from_utf8_lossy(word))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(call: Call, invoked: u64, outcome: Outcome) -> Operation {
        Operation { client: 1, key: b"k".to_vec(), call, invoked, outcome }
    }

    fn read(at: u64, value: &str) -> Operation {
        let value = Some(value.as_bytes().to_vec());
        operation(Call::Get, at, Outcome::Returned(at + 1, Reply::Value(value)))
    }

    #[test]
    fn a_lost_and_a_doubled_addition_are_seen() {
        let add = |at, outcome| operation(Call::Add(1), at, outcome);
        let done = |at| Outcome::Returned(at, Reply::Number(1));
        let history =
            |value| vec![add(1, done(2)), add(3, Outcome::Unknown), add(4, done(5)), read(9, value)];
        assert!(check(&history("1")).is_err());
        assert!(check(&history("2")).is_ok());
        assert!(check(&history("3")).is_ok());
        assert!(check(&history("4")).is_err());
    }

    #[test]
    fn lost_doubled_and_refused_words_are_seen() {
        let append = |word: &str, at, outcome| operation(Call::Append(word.as_bytes().to_vec()), at, outcome);
        let history = |value| {
            vec![
                append("a;", 1, Outcome::Returned(2, Reply::Number(2))),
                append("b;", 3, Outcome::Unknown),
                append("c;", 4, Outcome::Refused),
                read(9, value),
            ]
        };
        assert!(check(&history("a;")).is_ok());
        assert!(check(&history("a;b;")).is_ok());
        for bad in ["b;", "a;a;", "a;b;b;", "a;c;", "a;d;"] {
            assert!(check(&history(bad)).is_err(), "{bad}");
        }
    }
}
