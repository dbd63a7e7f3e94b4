//! Commands as text, in the words of Redis, and the requests that they stand for.

use api::kv::{
    Condition, Copy, Expire, Expiry, ExpiryKind, GetEx, GetRange, IncrBy, Key, Keys, KvOp, MSet, Nothing,
    Pair, RandomKey, Rename, Scan, Set, SetRange, Ttl,
};
use bytes::Bytes;

/// What a line of a script asks for.
pub enum Command {
    /// A request.
    Op(KvOp),
    /// Bytes that may be no request.
    Bytes(Vec<u8>),
}

/// Reads a line.
pub fn parse(line: &str) -> Command {
    let words = split(line);
    let (name, arguments) = words.split_first().expect("a command");
    let name = text(name);
    match name.as_str() {
        "RAW" => Command::Bytes(arguments.concat()),
        _ => Command::Op(op(&name, &Arguments(arguments))),
    }
}

fn op(name: &str, a: &Arguments<'_>) -> KvOp {
    let key = || Key { key: a.bytes(0) };
    let pair = || Pair { key: a.bytes(0), value: a.bytes(1) };
    match name {
        "GET" => KvOp::Get(key()),
        "MGET" => KvOp::MGet(a.keys()),
        "EXISTS" => KvOp::Exists(a.keys()),
        "STRLEN" => KvOp::StrLen(key()),
        "GETRANGE" => KvOp::GetRange(GetRange { key: a.bytes(0), start: a.number(1), end: a.number(2) }),
        "PTTL" => KvOp::Ttl(Ttl { key: a.bytes(0), absolute: false }),
        "PEXPIRETIME" => KvOp::Ttl(Ttl { key: a.bytes(0), absolute: true }),
        "TYPE" => KvOp::Type(key()),
        "DBSIZE" => KvOp::DbSize(Nothing {}),
        "RANDOMKEY" => KvOp::RandomKey(RandomKey { position: a.number(0) as u64 }),
        "SCAN" => KvOp::Scan(scan(a)),
        "EXPIRED" => KvOp::Scan(Scan { expired: true, count: a.number(0) as u64, ..Scan::default() }),
        "SET" => KvOp::Set(set(a)),
        "MSET" | "MSETNX" => {
            let pairs =
                a.0.chunks(2).map(|pair| Pair { key: pair[0].clone().into(), value: pair[1].clone().into() });
            KvOp::MSet(MSet { pairs: pairs.collect(), only_if_none: name == "MSETNX" })
        }
        "GETDEL" => KvOp::GetDel(key()),
        "GETEX" => KvOp::GetEx(GetEx { key: a.bytes(0), expiry: expiry(&a.0[1..]) }),
        "APPEND" => KvOp::Append(pair()),
        "SETRANGE" => KvOp::SetRange(SetRange {
            key: a.bytes(0),
            offset: text(&a.0[1]).parse().unwrap(),
            value: a.bytes(2),
        }),
        "INCRBY" => KvOp::IncrBy(IncrBy { key: a.bytes(0), delta: a.number(1) }),
        "INCRBYFLOAT" => KvOp::IncrByFloat(pair()),
        "DEL" => KvOp::Del(a.keys()),
        "PEXPIRE" => KvOp::Expire(expire(a, ExpiryKind::In)),
        "PEXPIREAT" => KvOp::Expire(expire(a, ExpiryKind::At)),
        "PERSIST" => KvOp::Expire(Expire {
            key: a.bytes(0),
            expiry: Some(Expiry { kind: ExpiryKind::Clear as i32, millis: 0 }),
            condition: 0,
        }),
        "RENAME" | "RENAMENX" => {
            KvOp::Rename(Rename { from: a.bytes(0), to: a.bytes(1), only_if_absent: name == "RENAMENX" })
        }
        "COPY" => KvOp::Copy(Copy { from: a.bytes(0), to: a.bytes(1), replace: a.has("REPLACE") }),
        "FLUSHDB" => KvOp::Flush(Nothing {}),
        "REMOVEEXPIRED" => KvOp::RemoveExpired(a.keys()),
        _ => panic!("unknown command {name}"),
    }
}

fn set(a: &Arguments<'_>) -> Set {
    let condition = match () {
        () if a.has("NX") => Condition::IfAbsent,
        () if a.has("XX") => Condition::IfPresent,
        () => Condition::Always,
    };
    Set {
        key: a.bytes(0),
        value: a.bytes(1),
        condition: condition as i32,
        expiry: expiry(&a.0[2..]),
        return_old: a.has("GET"),
    }
}

fn expire(a: &Arguments<'_>, kind: ExpiryKind) -> Expire {
    let condition = match () {
        () if a.has("NX") => Condition::IfAbsent,
        () if a.has("XX") && a.has("LT") => Condition::IfPresentAndSooner,
        () if a.has("GT") => Condition::IfLater,
        () if a.has("LT") => Condition::IfSooner,
        () if a.has("XX") => Condition::IfPresent,
        () => Condition::Always,
    };
    let expiry = Expiry { kind: kind as i32, millis: a.number(1) };
    Expire { key: a.bytes(0), expiry: Some(expiry), condition: condition as i32 }
}

fn expiry(words: &[Vec<u8>]) -> Option<Expiry> {
    let mut words = words.iter().map(|word| text(word));
    let of = |kind, millis| Some(Expiry { kind: kind as i32, millis });
    while let Some(word) = words.next() {
        let mut number = || words.next().unwrap().parse().unwrap();
        match word.as_str() {
            "PX" => return of(ExpiryKind::In, number()),
            "PXAT" => return of(ExpiryKind::At, number()),
            "KEEPTTL" => return of(ExpiryKind::Keep, 0),
            "PERSIST" => return of(ExpiryKind::Clear, 0),
            _ => {}
        }
    }
    None
}

fn scan(a: &Arguments<'_>) -> Scan {
    let mut scan = Scan { position: a.number(0) as u64, count: 10, ..Scan::default() };
    for pair in a.0[1..].chunks(2) {
        match text(&pair[0]).as_str() {
            "COUNT" => scan.count = text(&pair[1]).parse().unwrap(),
            "MATCH" => scan.pattern = pair[1].clone().into(),
            "TYPE" => scan.only_type = text(&pair[1]),
            other => panic!("unknown option {other}"),
        }
    }
    scan
}

struct Arguments<'a>(&'a [Vec<u8>]);

impl Arguments<'_> {
    fn bytes(&self, place: usize) -> Bytes {
        self.0[place].clone().into()
    }

    fn number(&self, place: usize) -> i64 {
        text(&self.0[place]).parse().unwrap()
    }

    fn keys(&self) -> Keys {
        Keys { keys: self.0.iter().map(|key| key.clone().into()).collect() }
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().skip(1).any(|argument| argument == word.as_bytes())
    }
}

fn text(word: &[u8]) -> String {
    String::from_utf8(word.to_vec()).unwrap()
}

/// Words of a line; quotes hold spaces and `\xNN`, `\n`, `\"`, `\\`.
fn split(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('"') {
            let (word, after) = quoted(inner);
            words.push(word);
            rest = after.trim_start();
        } else {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            words.push(word.as_bytes().to_vec());
            rest = after.trim_start();
        }
    }
    words
}

fn quoted(text: &str) -> (Vec<u8>, &str) {
    let mut word = Vec::new();
    let mut bytes = text.bytes().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'"' => return (word, &text[place + 1..]),
            b'\\' => match bytes.next().unwrap().1 {
                b'x' => {
                    let digits = [bytes.next().unwrap().1, bytes.next().unwrap().1];
                    word.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                b'n' => word.push(b'\n'),
                other => word.push(other),
            },
            byte => word.push(byte),
        }
    }
    panic!("a quote is not closed: {text}");
}
