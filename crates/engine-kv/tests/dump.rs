//! `DUMP` and `RESTORE` between this engine and a real Redis server, both ways, for every type and size.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "corpus/direct.rs"]
#[allow(dead_code, reason = "the corpus uses the rest")]
mod direct;
#[path = "corpus/redis.rs"]
#[allow(dead_code, reason = "the corpus uses the rest")]
mod redis;

use direct::Direct;
use proto_redis::Reply;

/// Somebody who answers commands.
type Side<'a> = &'a mut dyn FnMut(&[Vec<u8>]) -> Reply;

/// How many elements the collections have: Redis keeps small and large ones in different forms.
const SIZES: [usize; 5] = [1, 3, 100, 600, 5000];

#[test]
fn values_move_both_ways() {
    let Some(server) = redis::Server::start(None) else {
        return eprintln!("SKIPPED: no redis-server 7.0 is installed; nothing was compared with it");
    };
    let mut connection = server.connect();
    let mut skein = Direct::new(1, None);
    let mut redis_side = |args: &[Vec<u8>]| connection.command(args);
    let mut skein_side = |args: &[Vec<u8>]| skein.command(args);
    for (number, (key, fill)) in values().into_iter().enumerate() {
        let to_skein = number % 2 == 0;
        let (from, to): (Side<'_>, Side<'_>) =
            if to_skein { (&mut redis_side, &mut skein_side) } else { (&mut skein_side, &mut redis_side) };
        moves(&key, &fill, from, to);
        // The copy back, and the same from the other side.
        let copy = format!("{key}:again");
        moves(&copy, &renamed(&fill, &copy), to, from);
    }
}

/// Fills a key on one side, moves it to the other, and compares.
fn moves(key: &str, fill: &[Vec<Vec<u8>>], from: Side<'_>, to: Side<'_>) {
    for command in fill {
        let reply = from(command);
        assert!(!reply.is_error(), "{key}: {reply:?}");
    }
    let Reply::Bulk(payload) = from(&words(&["DUMP", key])) else { panic!("{key}: no payload") };
    let mut restore = words(&["RESTORE", key, "0"]);
    restore.push(payload.to_vec());
    assert_eq!(to(&restore), Reply::OK, "{key}");
    assert_eq!(contents(key, from), contents(key, to), "{key}");
}

/// Everything that a key holds, in an order of its own.
fn contents(key: &str, side: Side<'_>) -> Vec<Reply> {
    let kind = side(&words(&["TYPE", key]));
    let command = match &kind {
        Reply::Simple(name) if name == "string" => words(&["GET", key]),
        Reply::Simple(name) if name == "list" => words(&["LRANGE", key, "0", "-1"]),
        Reply::Simple(name) if name == "set" => words(&["SMEMBERS", key]),
        Reply::Simple(name) if name == "hash" => words(&["HGETALL", key]),
        Reply::Simple(name) if name == "zset" => words(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
        other => panic!("{key}: {other:?}"),
    };
    let mut found = match side(&command) {
        Reply::Array(items) if command[0] == b"HGETALL" => {
            items.chunks(2).map(|pair| Reply::Array(pair.to_vec())).collect()
        }
        Reply::Array(items) | Reply::Set(items) => items,
        other => vec![other],
    };
    if command[0] == b"HGETALL" || command[0] == b"SMEMBERS" {
        found.sort_by_key(|reply| format!("{reply:?}"));
    }
    found
}

/// Keys and the commands that fill them.
fn values() -> Vec<(String, Vec<Vec<Vec<u8>>>)> {
    let mut values = Vec::new();
    let strings = ["", "0", "-129", "2147483648", "hello", &"ab".repeat(3000), &"x".repeat(100_000)];
    for (number, string) in strings.iter().enumerate() {
        let key = format!("string:{number}");
        values.push((key.clone(), vec![words(&["SET", &key, string])]));
    }
    values.push(("bitmap".into(), vec![words(&["SETBIT", "bitmap", "100000", "1"])]));
    values.push(("hll".into(), vec![words(&["PFADD", "hll", "a", "b", "c"])]));
    for size in SIZES {
        let of = |kind: &str, command: &str, element: &dyn Fn(usize) -> Vec<String>| {
            let key = format!("{kind}:{size}");
            let commands = (0..size).collect::<Vec<_>>();
            let commands = commands.chunks(500).map(|chunk| {
                let mut line = words(&[command, &key]);
                line.extend(chunk.iter().flat_map(|number| element(*number)).map(String::into_bytes));
                line
            });
            (key.clone(), commands.collect())
        };
        let text = |number: usize| format!("{number}-{}", "z".repeat(number % 90));
        values.push(of("list of text", "RPUSH", &|number| vec![text(number)]));
        values.push(of("list of numbers", "RPUSH", &|number| vec![(number * 37_000_000).to_string()]));
        values.push(of("list of long text", "RPUSH", &|number| {
            vec!["y".repeat(20_000 / size + number.min(300))]
        }));
        values.push(of("set of numbers", "SADD", &|number| vec![(number * 70_000).to_string()]));
        values.push(of("set of text", "SADD", &|number| vec![text(number)]));
        values.push(of("hash", "HSET", &|number| vec![text(number), number.to_string()]));
        values.push(of("hash of numbers", "HSET", &|number| vec![number.to_string(), text(number + 1)]));
        values
            .push(of("sorted set", "ZADD", &|number| vec![(number as f64 / 8.0).to_string(), text(number)]));
        let infinite = |number| if number % 2 == 0 { "inf" } else { "-inf" };
        values.push(of("endless", "ZADD", &|number| vec![infinite(number).into(), number.to_string()]));
    }
    // The same again, so that each has moved in each direction.
    let again: Vec<_> = values
        .iter()
        .map(|(key, fill): &(String, Vec<Vec<Vec<u8>>>)| {
            let other = format!("again:{key}");
            (other.clone(), renamed(fill, &other))
        })
        .collect();
    if values.len().is_multiple_of(2) {
        values.push(("odd".into(), vec![words(&["SET", "odd", "1"])]));
    }
    values.extend(again);
    values
}

/// The same commands for another key.
fn renamed(fill: &[Vec<Vec<u8>>], key: &str) -> Vec<Vec<Vec<u8>>> {
    let mut fill = fill.to_vec();
    fill.iter_mut().for_each(|command| command[1] = key.into());
    fill
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
