//! No element of a queue is lost, and none is served twice: what can be counted without a search.
//!
//! Every word is pushed once. So it is served at most once, or is still there; an acknowledged one that is neither was
//! taken by a client that did not hear of it, and of those there are only so many.

use std::collections::BTreeMap;

use crate::history::collections::Lists;
use crate::history::{Call, Operation, Outcome, Reply, Text};

/// What became of a word.
#[derive(Default)]
struct Fate<'a> {
    pushed: Option<&'a Outcome>,
    served: usize,
    moved: usize,
    there: usize,
}

/// Checks every queue. The history must end with a look at each.
///
/// # Errors
/// What is missing or too much, in words.
pub fn check(history: &[Operation]) -> Result<(), String> {
    let mut queues: BTreeMap<&[u8], Vec<&Operation>> = BTreeMap::new();
    for operation in history.iter().filter(|operation| operation.call.is_of_queue()) {
        queues.entry(&operation.key).or_default().push(operation);
    }
    queues.into_iter().try_for_each(|(key, operations)| {
        check_queue(&operations).map_err(|detail| format!("queue {}: {detail}", Text(key)))
    })
}

fn check_queue(operations: &[&Operation]) -> Result<(), String> {
    let looks = operations.iter().filter(|operation| operation.call == Call::Lists);
    let Some(last) = looks.max_by_key(|look| look.invoked) else { return Ok(()) };
    let Outcome::Returned(_, Reply::Value(value)) = &last.outcome else { return Ok(()) };
    let lists = Lists::of(value.as_deref());
    let mut fates: BTreeMap<&[u8], Fate<'_>> = BTreeMap::new();
    for word in lists.first.iter().chain(&lists.moved) {
        fates.entry(word).or_default().there += 1;
    }
    let mut unheard = 0;
    for operation in operations {
        match (&operation.call, &operation.outcome) {
            (Call::Push(word), outcome) => fates.entry(word).or_default().pushed = Some(outcome),
            (Call::Take { .. } | Call::TakeMoved, Outcome::Unknown) => unheard += 1,
            (Call::Take { .. } | Call::TakeMoved, Outcome::Returned(_, Reply::Value(Some(word)))) => {
                fates.entry(word).or_default().served += 1;
            }
            (Call::Move { .. }, Outcome::Returned(_, Reply::Value(Some(word)))) => {
                fates.entry(word).or_default().moved += 1;
            }
            _ => {}
        }
    }
    let mut missing = Vec::new();
    for (word, fate) in &fates {
        let Fate { pushed, served, moved, there } = fate;
        let known = match pushed {
            None => return Err(format!("nobody pushed {}", Text(word))),
            Some(Outcome::Refused) if served + there > 0 => {
                return Err(format!("{} is there, and its push was refused", Text(word)));
            }
            Some(outcome) => matches!(outcome, Outcome::Returned(..)),
        };
        if served + there > 1 || *moved > 1 {
            return Err(format!(
                "{} was served {served} times, moved {moved} times, and is there {there} times",
                Text(word)
            ));
        }
        if known && served + there == 0 {
            missing.push(Text(word).to_string());
        }
    }
    if missing.len() > unheard {
        return Err(format!(
            "{} were pushed and neither served nor left, and only {unheard} clients took something without hearing of it",
            missing.join(", ")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(call: Call, invoked: u64, outcome: Outcome) -> Operation {
        Operation { client: 1, key: b"q".to_vec(), call, invoked, outcome }
    }

    fn push(word: &str, outcome: Outcome) -> Operation {
        operation(Call::Push(word.as_bytes().to_vec()), 1, outcome)
    }

    fn known(reply: Reply) -> Outcome {
        Outcome::Returned(5, reply)
    }

    fn word(word: &str) -> Reply {
        Reply::Value(Some(word.as_bytes().to_vec()))
    }

    #[test]
    fn lost_doubled_and_refused_words_are_seen() {
        let check = |takes: Vec<Outcome>, left: &str| {
            let mut history = vec![
                push("a", known(Reply::Number(1))),
                push("b", Outcome::Unknown),
                push("c", Outcome::Refused),
            ];
            let take = |outcome| operation(Call::Take { waits: true }, 3, outcome);
            history.extend(takes.into_iter().map(take));
            history.push(operation(Call::Lists, 9, known(word(left))));
            super::check(&history)
        };
        for (takes, left) in [
            (vec![], "a;|"),
            (vec![], "b;|a;"),
            (vec![known(word("a"))], "|"),
            (vec![Outcome::Unknown], "|"),
            (vec![known(word("b"))], "|a;"),
        ] {
            assert_eq!(check(takes, left), Ok(()), "{left}");
        }
        for (takes, left) in [
            (vec![], "|"),
            (vec![], "a;|a;"),
            (vec![known(word("a"))], "a;|"),
            (vec![known(word("a")), known(word("a"))], "|"),
            (vec![], "a;c;|"),
            (vec![known(word("d"))], "a;|"),
        ] {
            assert!(check(takes, left).is_err(), "{left}");
        }
    }
}
