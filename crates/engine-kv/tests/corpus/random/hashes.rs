//! Random commands on hashes.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    let key = chance.key('h');
    let field = chance.member();
    match chance.below(20) {
        0..=3 => {
            let name = *chance.pick(&["HSET", "HSET", "HMSET"]);
            let pairs = chance.several(1, 6, |chance| format!("{} {}", chance.member(), chance.value()));
            format!("{name} {key} {pairs}")
        }
        4 => format!("HSETNX {key} {field} {}", chance.value()),
        5 => format!("HGET {key} {field}"),
        6 => format!("HMGET {key} {}", chance.several(1, 5, Chance::member)),
        7 => format!("HGETALL {key}"),
        8 | 9 => format!("HDEL {key} {}", chance.several(1, 4, Chance::member)),
        10 => format!("HEXISTS {key} {field}"),
        11 => format!("HKEYS {key}"),
        12 => format!("HVALS {key}"),
        13 => format!("HLEN {key}"),
        14 => format!("HSTRLEN {key} {field}"),
        15 => format!("HINCRBY {key} {field} {}", chance.value()),
        16 => format!("HINCRBYFLOAT {key} {field} {}", chance.value()),
        17 => format!("HRANDFIELD {key} {}", counts(chance)),
        18 => format!("HSCAN {key} 0 COUNT 1000 {}", chance.pick(&["", "MATCH m1*", "MATCH \"\""])),
        _ => format!("HSET {key} {field}"),
    }
}

fn counts(chance: &mut Chance) -> &'static str {
    chance.pick::<&str>(&[
        "",
        "0",
        "1",
        "3",
        "-3",
        "100",
        "3 WITHVALUES",
        "-3 WITHVALUES",
        "100 withvalues",
        "x",
        "1 y",
    ])
}
