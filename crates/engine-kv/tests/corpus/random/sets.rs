//! Random commands on sets.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    let (key, other) = (chance.key('s'), chance.key('s'));
    let member = chance.member();
    match chance.below(24) {
        0..=5 => format!("SADD {key} {}", chance.several(1, 6, Chance::member)),
        6 => format!("SREM {key} {}", chance.several(1, 6, Chance::member)),
        7 => format!("SISMEMBER {key} {member}"),
        8 => format!("SMISMEMBER {key} {}", chance.several(1, 5, Chance::member)),
        9 => format!("SMEMBERS {key}"),
        10 => format!("SCARD {key}"),
        // As many as there are, or none: which ones is not left to chance.
        11 => format!("SPOP {key} {}", chance.pick(&["0", "100", "x", "-1"])),
        12 => format!("SRANDMEMBER {key} {}", chance.pick(&["", "0", "2", "-4", "100", "x"])),
        13 | 14 => format!("SMOVE {key} {other} {member}"),
        15 => format!("SSCAN {key} 0 COUNT 1000 {}", chance.pick(&["", "MATCH m1*", "MATCH \"\""])),
        16 => format!("SINTERCARD {}", intersection_count(chance)),
        17..=19 => {
            format!("{} {}", chance.pick(&["SINTER", "SUNION", "SDIFF"]), chance.several(1, 4, set_key))
        }
        _ => {
            let name = *chance.pick(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]);
            format!("{name} {key} {}", chance.several(1, 4, set_key))
        }
    }
}

fn set_key(chance: &mut Chance) -> String {
    chance.key('s')
}

fn intersection_count(chance: &mut Chance) -> String {
    let count = 1 + chance.below(3);
    let keys = chance.several(count, count, set_key);
    format!("{count} {keys} {}", chance.pick(&["", "LIMIT 2", "LIMIT 0", "LIMIT -1", "LIMIT x", "LIMIT"]))
}
