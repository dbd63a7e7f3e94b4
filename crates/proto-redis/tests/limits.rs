//! Every limit refuses what passes it, with the code that names it, and lets through what just fits.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use api::kv::{KvAnswer, KvReply, Page};
use bytes::Bytes;
use proto_redis::{ErrorText, Place, Plan, Reply, Session, Step, Target, parse};
use types::limits::{
    CLIENT_OUTPUT_BYTES_MAX, COMMAND_PART_BYTES_MAX, KEY_BYTES_MAX, TRANSACTION_BYTES_MAX,
    TRANSACTION_COMMANDS_MAX, VALUE_BYTES_MAX, WATCHED_KEYS_MAX,
};

const REFUSED: &str = "[request-too-large]";

fn bytes(length: usize) -> Bytes {
    Bytes::from(vec![b'x'; length])
}

/// Parses and addresses a command; the error if there is one.
fn error_of(words: &[Bytes]) -> Option<String> {
    let place = |key: &Bytes| Ok(Place { target: Target { table: 0, partition: 0 }, key: key.clone() });
    let addressed = |plan: Plan| -> Result<(), ErrorText> {
        match plan {
            Plan::Keyed(keyed) => keyed.address(place).map(|_| ()),
            Plan::Scatter(scatter) => scatter.split(place).map(|_| ()),
            other => panic!("{other:?}"),
        }
    };
    let result = parse(words, &mut Session::new(1, None)).and_then(addressed);
    result.err().map(|error| error.to_string())
}

fn is_refused(words: &[Bytes]) -> bool {
    match error_of(words) {
        None => false,
        Some(error) if error.contains(REFUSED) => true,
        Some(error) => panic!("{error}"),
    }
}

fn word(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn keys() {
    for name in ["GET", "DEL", "MGET", "INCR", "TTL"] {
        assert!(!is_refused(&[word(name), bytes(KEY_BYTES_MAX)]), "{name}");
        assert!(is_refused(&[word(name), bytes(KEY_BYTES_MAX + 1)]), "{name}");
    }
    assert!(is_refused(&[word("RENAME"), word("a"), bytes(KEY_BYTES_MAX + 1)]));
    assert!(is_refused(&[word("MSET"), word("a"), word("1"), bytes(KEY_BYTES_MAX + 1), word("2")]));
}

#[test]
fn the_stored_key_counts_not_the_typed_one() {
    let place = |key: &Bytes| {
        let stored = Bytes::from([b"table:", &key[..]].concat());
        Ok(Place { target: Target { table: 0, partition: 0 }, key: stored })
    };
    let Plan::Keyed(keyed) = parse(&[word("GET"), bytes(KEY_BYTES_MAX)], &mut Session::new(1, None)).unwrap()
    else {
        panic!("one key is due")
    };
    assert!(keyed.address(place).unwrap_err().to_string().contains(REFUSED));
}

#[test]
fn values() {
    let commands: [(&'static str, &[Bytes]); 7] = [
        ("SET", &[]),
        ("SETNX", &[]),
        ("GETSET", &[]),
        ("APPEND", &[]),
        ("INCRBYFLOAT", &[]),
        ("SETEX", &[word("10")]),
        ("SETRANGE", &[word("10")]),
    ];
    for (name, middle) in commands {
        let words = |length| [&[word(name), word("k")], middle, &[bytes(length)]].concat();
        assert!(!is_refused(&words(VALUE_BYTES_MAX)), "{name}");
        assert!(is_refused(&words(VALUE_BYTES_MAX + 1)), "{name}");
    }
}

#[test]
fn several_values_together() {
    let half = COMMAND_PART_BYTES_MAX / 2;
    let words = |length| [word("MSET"), word("a"), bytes(half), word("b"), bytes(length)];
    assert!(!is_refused(&words(half - "MSETab".len())));
    assert!(is_refused(&words(half)));
    assert!(is_refused(&[word("MSETNX"), word("a"), bytes(VALUE_BYTES_MAX + 1)]));
}

#[test]
fn the_reply_to_keys() {
    let Plan::Walk(mut walk) = parse(&[word("KEYS"), word("*")], &mut Session::new(1, None)).unwrap() else {
        panic!("a walk is due")
    };
    let mut step = walk.begin(1, 0);
    let mut received = 0;
    let reply = loop {
        match step {
            Step::Done(reply) => break reply,
            Step::Ask { .. } => {
                assert!(received <= CLIENT_OUTPUT_BYTES_MAX, "the walk does not stop");
                let keys: Vec<_> = (0..1000).map(|_| bytes(KEY_BYTES_MAX)).collect();
                received += 1000 * KEY_BYTES_MAX;
                let page = Page { keys, next: Some(received as u64) };
                step = walk.absorb(1, Ok(KvReply::new(KvAnswer::Page(page))), &Some);
            }
        }
    };
    let Reply::Error(error) = reply else { panic!("an error is due") };
    assert!(error.to_string().contains(REFUSED), "{error}");
}

/// Queues commands until one is refused, and says how many were queued and what `EXEC` answers then.
fn queue_until_refused(words: &[Bytes], most: usize) -> (usize, String) {
    let mut session = Session::new(1, None);
    let place = |key: &Bytes| Ok(Place { target: Target { table: 0, partition: 0 }, key: key.clone() });
    parse(&[word("MULTI")], &mut session).unwrap();
    for queued in 0..=most {
        match parse(words, &mut session) {
            Ok(Plan::Queued(keys)) => assert_eq!(session.queued(&keys, place), Reply::simple("QUEUED")),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(error.to_string().contains(REFUSED), "{error}");
                let exec = parse(&[word("EXEC")], &mut session).unwrap_err();
                return (queued, exec.to_string());
            }
        }
    }
    panic!("more than {most} commands were queued");
}

#[test]
fn transactions() {
    let aborted = "EXECABORT Transaction discarded because of previous errors.".to_owned();
    let many = queue_until_refused(&[word("GET"), word("a")], TRANSACTION_COMMANDS_MAX);
    assert_eq!(many, (TRANSACTION_COMMANDS_MAX, aborted.clone()));
    let large = [word("SET"), word("a"), bytes(VALUE_BYTES_MAX / 2)];
    let fit = TRANSACTION_BYTES_MAX / (VALUE_BYTES_MAX / 2);
    let (queued, exec) = queue_until_refused(&large, fit);
    assert!(queued + 1 == fit && exec == aborted, "{queued} of {fit}: {exec}");
}

#[test]
fn watched_keys() {
    let mut session = Session::new(1, None);
    let keys = |count: usize| (0..count).map(|number| Bytes::from(number.to_string()));
    let words = |count| std::iter::once(word("WATCH")).chain(keys(count)).collect::<Vec<_>>();
    let error = parse(&words(WATCHED_KEYS_MAX + 1), &mut session).unwrap_err();
    assert!(error.to_string().contains(REFUSED), "{error}");
    let Plan::Watch(watch) = parse(&words(WATCHED_KEYS_MAX), &mut session).unwrap() else {
        panic!("versions are to be read")
    };
    let versions = (0..WATCHED_KEYS_MAX).map(|_| Ok(KvReply::integer(1))).collect();
    assert_eq!(session.watching(watch, versions), Reply::OK);
    assert!(parse(&[word("WATCH"), word("other")], &mut session).is_err(), "the sum counts");
}
