//! Random commands on sorted sets.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    if chance.once_in(5) {
        return lex_command(chance);
    }
    let key = chance.key('z');
    match chance.below(20) {
        0..=4 => add(chance, &key),
        5 => format!("ZINCRBY {key} {} {}", score(chance), member(chance)),
        6 | 7 => format!("ZREM {key} {}", chance.several(1, 6, member)),
        8 => format!("ZMSCORE {key} {}", chance.several(1, 4, member)),
        9 => {
            let name = *chance.pick(&["ZSCORE", "ZRANK", "ZREVRANK"]);
            format!("{name} {key} {}", member(chance))
        }
        10 => format!("ZCARD {key}"),
        11 => pop(chance, &key),
        12 => remove_range(chance, &key),
        13 => format!("ZRANDMEMBER {key} {}", chance.pick(&["", "0", "2", "-4", "500", "3 WITHSCORES", "x"])),
        14 => format!("ZSCAN {key} 0 COUNT 1000 {}", chance.pick(&["", "MATCH m1*", "MATCH \"\""])),
        15 => combine(chance, &key),
        16 => {
            let bounds = scores(chance);
            format!("ZCOUNT {key} {bounds}")
        }
        _ => range(chance, &key),
    }
}

/// Ranges in the order of members, of sets whose scores are all equal; of others they are unspecified. So no other
/// commands know these keys.
fn lex_command(chance: &mut Chance) -> String {
    let key = format!("{{t}}lex{}", chance.below(2));
    let bounds = format!("{} {}", lex(chance), lex(chance));
    let limit = *chance.pick(&["", "", "LIMIT 1 3", "LIMIT 0 -1", "LIMIT 3 0"]);
    match chance.below(9) {
        0..=2 => format!("ZADD {key} {}", chance.several(1, 9, |chance| format!("7 {}", member(chance)))),
        3 => format!("ZREM {key} {}", chance.several(1, 4, member)),
        4 => format!("ZRANGEBYLEX {key} {bounds} {limit}"),
        5 => format!("ZREVRANGEBYLEX {key} {bounds} {limit}"),
        6 => format!("ZLEXCOUNT {key} {bounds}"),
        7 if chance.once_in(3) => format!("ZREMRANGEBYLEX {key} {bounds}"),
        _ => format!("ZRANGE {key} {bounds} BYLEX {} {limit}", chance.pick(&["", "REV"])),
    }
}

/// Mostly one of a few; of the others there are enough for an index of several nodes.
fn member(chance: &mut Chance) -> String {
    if chance.once_in(3) { format!("n{}", chance.below(400)) } else { chance.member() }
}

fn score(chance: &mut Chance) -> String {
    match chance.below(12) {
        0 => (*chance.pick(&["inf", "-inf", "x", "nan", "0x10"])).into(),
        1 | 2 => (*chance.pick(&["0.5", "-1.25", "1e3", "0.1", "2.5e-3", "1000000.1"])).into(),
        _ => chance.small_number().to_string(),
    }
}

fn add(chance: &mut Chance, key: &str) -> String {
    if chance.once_in(6) {
        let pairs =
            chance.several(100, 150, |chance| format!("{} n{}", chance.small_number(), chance.below(400)));
        return format!("ZADD {key} {pairs}");
    }
    let options =
        chance.pick(&["", "", "", "NX", "XX", "GT", "LT", "CH", "XX GT CH", "NX GT", "INCR", "XX INCR"]);
    let pairs = chance.several(1, 4, |chance| format!("{} {}", score(chance), member(chance)));
    format!("ZADD {key} {options} {pairs}")
}

fn pop(chance: &mut Chance, key: &str) -> String {
    let count = *chance.pick(&["", "2", "0", "70"]);
    match chance.below(3) {
        0 => format!("ZPOPMIN {key} {count}"),
        1 => format!("ZPOPMAX {key} {count}"),
        _ => {
            let (end, other) = (*chance.pick(&["MIN", "MAX"]), chance.key('z'));
            format!("ZMPOP 2 {key} {other} {end} COUNT 3")
        }
    }
}

fn remove_range(chance: &mut Chance, key: &str) -> String {
    if chance.once_in(2) {
        format!("ZREMRANGEBYRANK {key} {} {}", chance.small_number(), chance.small_number() * 10)
    } else {
        format!("ZREMRANGEBYSCORE {key} {}", scores(chance))
    }
}

fn scores(chance: &mut Chance) -> String {
    let bound = |chance: &mut Chance| format!("{}{}", chance.pick(&["", "", "("]), score(chance));
    format!("{} {}", bound(chance), bound(chance))
}

fn range(chance: &mut Chance, key: &str) -> String {
    let with_scores = *chance.pick(&["", "WITHSCORES"]);
    let reverse = *chance.pick(&["", "REV"]);
    let limit = *chance.pick(&["", "", "LIMIT 1 3", "LIMIT 70 20", "LIMIT 0 -1", "LIMIT 3 0", "LIMIT -1 2"]);
    let ranks = format!("{} {}", chance.small_number() * 20, chance.small_number() * 20);
    let scores = scores(chance);
    let to = chance.key('z');
    match chance.below(8) {
        0 => format!("ZRANGE {key} {ranks} {reverse} {with_scores}"),
        1 => format!("ZREVRANGE {key} {ranks} {with_scores}"),
        2 => format!("ZRANGEBYSCORE {key} {scores} {limit} {with_scores}"),
        3 => format!("ZREVRANGEBYSCORE {key} {scores} {with_scores} {limit}"),
        4 | 5 => format!("ZRANGE {key} {scores} BYSCORE {reverse} {limit} {with_scores}"),
        6 => format!("ZRANGESTORE {to} {key} {ranks} {reverse}"),
        _ => format!("ZRANGESTORE {to} {key} {scores} BYSCORE {limit} {reverse}"),
    }
}

/// Sets and sorted sets together.
fn combine(chance: &mut Chance, to: &str) -> String {
    let count = 1 + chance.below(3);
    let keys = chance
        .several(count, count, |chance| if chance.once_in(4) { chance.key('s') } else { chance.key('z') });
    let weights = chance.several(count, count, score);
    let weights = if chance.once_in(2) { format!("WEIGHTS {weights}") } else { String::new() };
    let aggregate = *chance.pick(&["", "AGGREGATE MIN", "AGGREGATE MAX", "AGGREGATE SUM"]);
    let with_scores = *chance.pick(&["", "WITHSCORES"]);
    match chance.below(7) {
        0 => format!("ZUNION {count} {keys} {weights} {aggregate} {with_scores}"),
        1 => format!("ZINTER {count} {keys} {aggregate} {weights} {with_scores}"),
        2 => format!("ZDIFF {count} {keys} {with_scores}"),
        3 => format!("ZINTERCARD {count} {keys} {}", chance.pick(&["", "LIMIT 2", "LIMIT 0", "LIMIT x"])),
        4 => format!("ZUNIONSTORE {to} {count} {keys} {weights} {aggregate}"),
        5 => format!("ZINTERSTORE {to} {count} {keys} {weights} {aggregate}"),
        _ => format!("ZDIFFSTORE {to} {count} {keys}"),
    }
}

fn lex(chance: &mut Chance) -> String {
    match chance.below(5) {
        0 => "-".into(),
        1 => "+".into(),
        2 => format!("(n{}", chance.below(400)),
        3 => format!("[m{}", chance.below(30)),
        _ => format!("[n{}", chance.below(400)),
    }
}
