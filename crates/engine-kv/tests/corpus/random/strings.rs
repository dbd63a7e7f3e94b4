//! Random commands on strings.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    let (key, other) = (chance.key('t'), chance.key('t'));
    let value = chance.value();
    let number = chance.small_number();
    match chance.below(18) {
        0 | 1 => format!("SET {key} {value} {}", options(chance)),
        2 => format!("GET {key}"),
        3 => format!("MGET {key} {other}"),
        4 => format!("GETSET {key} {value}"),
        5 => format!("SETNX {key} {value}"),
        6 => format!("GETDEL {key}"),
        7 => format!("GETEX {key} {}", chance.pick(&["", "PERSIST", "EXAT 4200000000"])),
        8 => format!("MSET {key} {value} {other} 5"),
        9 => format!("MSETNX {key} {value} {other} 5"),
        10 => format!("APPEND {key} {value}"),
        11 => format!("STRLEN {key}"),
        12 => format!("GETRANGE {key} {number} {}", chance.small_number()),
        13 => format!("SETRANGE {key} {} {value}", number.abs()),
        14 => format!("INCR {key}"),
        15 => format!("DECRBY {key} {number}"),
        16 => format!("INCRBYFLOAT {key} {}", chance.decimal()),
        _ => format!("INCRBY {key} {value}"),
    }
}

fn options(chance: &mut Chance) -> String {
    let condition = chance.pick(&["", "", "NX", "XX"]);
    let get = chance.pick(&["", "GET"]);
    let time = chance.pick(&["", "", "KEEPTTL", "EXAT 4200000000"]);
    format!("{condition} {get} {time}")
}
