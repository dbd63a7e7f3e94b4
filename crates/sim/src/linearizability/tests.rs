//! Good and bad histories, planted.

use super::*;
use crate::random::Random;

fn operation(client: u64, call: Call, invoked: u64, outcome: Outcome) -> Operation {
    Operation { client, key: b"k".to_vec(), call, invoked, outcome }
}

fn set(value: &str) -> Call {
    Call::Set(value.as_bytes().to_vec())
}

fn returned(at: u64, reply: Reply) -> Outcome {
    Outcome::Returned(at, reply)
}

fn value(value: &str) -> Reply {
    Reply::Value(Some(value.as_bytes().to_vec()))
}

#[test]
fn overlapping_writes_may_take_effect_in_either_order() {
    for seen in ["1", "2"] {
        let history = [
            operation(1, set("1"), 0, returned(10, Reply::Stored)),
            operation(2, set("2"), 5, returned(15, Reply::Stored)),
            operation(3, Call::Get, 20, returned(25, value(seen))),
        ];
        assert_eq!(check(&history), Ok(()));
    }
}

#[test]
fn a_stale_read_is_rejected() {
    let history = [
        operation(1, set("1"), 0, returned(1, Reply::Stored)),
        operation(1, set("2"), 2, returned(3, Reply::Stored)),
        operation(2, Call::Get, 4, returned(5, value("1"))),
    ];
    let violation = check(&history).unwrap_err();
    assert!(violation.to_string().contains("the value could be \"2\""), "{violation}");
}

#[test]
fn two_reads_that_see_time_go_back_are_rejected() {
    let history = [
        operation(1, set("1"), 0, returned(1, Reply::Stored)),
        operation(1, set("2"), 2, returned(20, Reply::Stored)),
        operation(2, Call::Get, 4, returned(5, value("2"))),
        operation(3, Call::Get, 6, returned(7, value("1"))),
    ];
    assert!(check(&history).is_err());
}

#[test]
fn a_lost_acknowledged_write_is_rejected() {
    let history = [
        operation(1, set("1"), 0, returned(1, Reply::Stored)),
        operation(2, Call::Get, 4, returned(5, Reply::Value(None))),
    ];
    assert!(check(&history).is_err());
}

#[test]
fn a_doubled_addition_is_rejected() {
    let add = |at, sum| operation(1, Call::Add(1), at, returned(at + 1, Reply::Number(sum)));
    assert_eq!(check(&[add(0, 1), add(2, 2), add(4, 3)]), Ok(()));
    assert!(check(&[add(0, 1), add(2, 3)]).is_err());
}

#[test]
fn two_winners_of_set_if_absent_are_rejected() {
    let claim = |client, word: &str| {
        operation(client, Call::SetIfAbsent(word.as_bytes().to_vec()), 0, returned(9, Reply::Stored))
    };
    assert!(check(&[claim(1, "a"), claim(2, "b")]).is_err());
}

#[test]
fn an_unknown_write_may_take_effect_late_or_never_but_only_once() {
    let unknown = operation(1, Call::Add(1), 0, Outcome::Unknown);
    let add = |at, sum| operation(2, Call::Add(10), at, returned(at + 1, Reply::Number(sum)));
    assert_eq!(check(&[unknown.clone(), add(5, 10), add(7, 20)]), Ok(()));
    assert_eq!(check(&[unknown.clone(), add(5, 10), add(7, 21)]), Ok(()));
    assert_eq!(check(&[unknown.clone(), add(5, 11), add(7, 21)]), Ok(()));
    assert!(check(&[unknown.clone(), add(5, 11), add(7, 22)]).is_err());
    assert!(check(&[add(5, 11), unknown]).is_ok(), "the order of the list does not matter");
}

#[test]
fn a_refused_write_never_takes_effect() {
    let refused = operation(1, set("1"), 0, Outcome::Refused);
    let read = operation(2, Call::Get, 5, returned(6, value("1")));
    assert!(check(&[refused, read]).is_err());
}

#[test]
fn an_unknown_write_cannot_take_effect_before_it_was_called() {
    let read = operation(2, Call::Get, 5, returned(6, value("1")));
    let late = operation(1, set("1"), 7, Outcome::Unknown);
    assert!(check(&[read, late]).is_err());
}

/// A history of clients against one real copy, in which some clients do not hear the reply.
fn real_history(seed: u64, operations: usize, keys: u64, unknown_permille: u64) -> Vec<Operation> {
    let mut random = Random::new(seed);
    let mut values: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    let mut history = Vec::new();
    let mut now = 0;
    for number in 0..operations {
        now += random.between(1, 10);
        let key = format!("k{}", random.below(keys)).into_bytes();
        let call = match random.below(8) {
            0..=2 => Call::Get,
            3 => Call::Remove,
            4 => Call::SetIfAbsent(format!("n{number}").into_bytes()),
            5 => Call::Add(1),
            6 => Call::Set(number.to_string().into_bytes()),
            _ => Call::Set(format!("s{number}").into_bytes()),
        };
        let unknown = random.permille(unknown_permille);
        let happens = !unknown || random.permille(500);
        let current = values.entry(key.clone()).or_default();
        let (effect, reply) = call.apply(current.as_deref());
        if let (Effect::Becomes(new), true) = (effect, happens) {
            *current = new;
        }
        let invoked = now - random.below(now.min(100));
        let outcome = match unknown {
            true => Outcome::Unknown,
            false => returned(now + random.below(100), reply),
        };
        history.push(Operation { client: number as u64 % 50, key, call, invoked, outcome });
    }
    history
}

#[test]
fn real_histories_pass_and_one_changed_reply_is_found() {
    for seed in 0..200 {
        let mut history = real_history(seed, 200, 4, 30);
        assert_eq!(check(&history), Ok(()), "seed {seed}");
        let read = history.iter_mut().rev().find(|operation| {
            operation.call == Call::Get && matches!(operation.outcome, Outcome::Returned(..))
        });
        if let Some(Operation { outcome: Outcome::Returned(_, reply), .. }) = read {
            *reply = value("nobody wrote this");
            assert!(check(&history).is_err(), "seed {seed}");
        }
    }
}

#[test]
fn a_long_history_with_many_unknown_outcomes_is_decided() {
    let history = real_history(1, 100_000, 50, 10);
    assert_eq!(check(&history), Ok(()));
}
