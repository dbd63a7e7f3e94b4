//! Random commands on lists.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    let (key, other) = (chance.key('l'), chance.key('l'));
    let (element, pivot) = (chance.member(), chance.member());
    let (number, second) = (chance.small_number(), chance.small_number());
    let end = *chance.pick(&["LEFT", "RIGHT"]);
    match chance.below(24) {
        0..=2 => format!("LPUSH {key} {}", chance.several(1, 5, Chance::member)),
        3..=5 => format!("RPUSH {key} {}", chance.several(1, 5, Chance::member)),
        // Enough that a part of it is the lesser part, and trims copy what stays.
        6 => format!("RPUSH {key} {}", chance.several(30, 300, Chance::member)),
        7 => format!("{} {key} {element}", chance.pick(&["LPUSHX", "RPUSHX"])),
        8 => format!("{} {key} {}", chance.pick(&["LPOP", "RPOP"]), chance.pick(&["", "", "0", "3", "-1"])),
        9 => format!("LLEN {key}"),
        10 => format!("LINDEX {key} {number}"),
        11 => format!("LSET {key} {number} {element}"),
        12 | 13 => format!("LRANGE {key} {number} {second}"),
        14 => format!("LRANGE {key} 0 -1"),
        15 => format!("LTRIM {key} {} {}", number.abs(), if chance.once_in(4) { second } else { -2 }),
        16 => format!("LINSERT {key} {} {pivot} {element}", chance.pick(&["BEFORE", "AFTER"])),
        17 | 18 => format!("LREM {key} {number} {element}"),
        19 => format!("LPOS {key} {element} {}", search(chance)),
        20 => format!("LMOVE {key} {other} {end} {}", chance.pick(&["LEFT", "RIGHT"])),
        21 => format!("RPOPLPUSH {key} {other}"),
        22 => format!("SORT {key} {}", sorting(chance)),
        _ => format!("LMPOP 2 {key} {other} {end} COUNT {}", number.abs()),
    }
}

fn search(chance: &mut Chance) -> String {
    let rank = if chance.once_in(2) { format!("RANK {}", chance.small_number()) } else { String::new() };
    let count = if chance.once_in(2) { format!("COUNT {}", chance.below(4)) } else { String::new() };
    let most = if chance.once_in(3) { format!("MAXLEN {}", chance.below(40)) } else { String::new() };
    format!("{rank} {count} {most}")
}

/// Without what leaves the order open, such as equal weights. By numbers Redis does not sort at all once it has met
/// one that is too large, and what is not stored it compares as text that ends at a zero byte.
fn sorting(chance: &mut Chance) -> String {
    let limit = match chance.below(2) {
        0 => String::new(),
        _ => format!("LIMIT {} {}", chance.small_number(), chance.small_number()),
    };
    let order = chance.pick(&["", "ASC", "DESC"]);
    if chance.once_in(2) {
        return format!("BY nosort {limit} {order}");
    }
    let by = chance.pick(&["ALPHA", "BY nosort"]);
    let get = chance.pick(&["", "GET #", "GET # GET {t}t*", "GET {t}h*->m3 GET fixed"]);
    format!("{by} {limit} {get} {order} STORE {}", chance.key('l'))
}
