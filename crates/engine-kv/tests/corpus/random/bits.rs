//! Random commands on the bits of strings, on HyperLogLogs, and `LCS`.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    let (key, other) = (chance.key('b'), chance.key('b'));
    let offset = offset(chance);
    match chance.below(22) {
        0..=3 => format!("SETBIT {key} {offset} {}", chance.pick(&["0", "1", "1", "2"])),
        4 => format!("GETBIT {key} {offset}"),
        5 | 6 => format!("BITCOUNT {key} {}", range(chance)),
        7 | 8 => format!("BITPOS {key} {} {}", chance.below(2), range(chance)),
        9 => format!("BITPOS {key} {} {}", chance.below(2), place(chance)),
        10 | 11 => {
            let operation = *chance.pick(&["AND", "OR", "XOR", "XOR"]);
            format!("BITOP {operation} {key} {}", chance.several(1, 3, |chance| chance.key('b')))
        }
        12 => format!("BITOP NOT {key} {other}"),
        13..=15 => format!("BITFIELD {key} {}", chance.several(1, 4, field)),
        16 => format!("BITFIELD_RO {key} GET u{} {offset}", 1 + chance.below(63)),
        17 => format!("GETRANGE {key} {} {}", place(chance), place(chance)),
        18 => format!("SETRANGE {key} {} abc", offset),
        _ => hyperloglog(chance),
    }
}

fn hyperloglog(chance: &mut Chance) -> String {
    let (key, other) = (chance.key('p'), chance.key('p'));
    match chance.below(4) {
        0 | 1 => {
            let member = |chance: &mut Chance| format!("{}{}", chance.member(), chance.below(100));
            format!("PFADD {key} {}", chance.several(0, 20, member).replace(['"', '\\'], "q"))
        }
        // With one key it would write into the string in Redis, and only there.
        2 => format!("PFCOUNT {key} {other}"),
        _ => format!("PFMERGE {key} {other}"),
    }
}

/// A bit, now and then one that makes a string long.
fn offset(chance: &mut Chance) -> u64 {
    match chance.below(4) {
        0 => chance.below(20),
        1 => chance.below(5000),
        2 => 8192 * chance.below(6) + chance.below(3),
        _ => 30_000 + chance.below(40_000),
    }
}

/// A place in a string, or before its beginning or behind its end.
fn place(chance: &mut Chance) -> i64 {
    let place = offset(chance) as i64 / chance.pick(&[1, 8]);
    if chance.below(3) == 0 { -place } else { place }
}

fn range(chance: &mut Chance) -> String {
    match chance.below(3) {
        0 => String::new(),
        _ => format!("{} {} {}", place(chance), place(chance), chance.pick(&["", "BIT", "BYTE", "NO"])),
    }
}

fn field(chance: &mut Chance) -> String {
    let width = match chance.below(2) {
        0 => format!("u{}", 1 + chance.below(63)),
        _ => format!("i{}", 1 + chance.below(64)),
    };
    let at = match chance.below(4) {
        0 => format!("#{}", chance.below(200)),
        _ => offset(chance).to_string(),
    };
    let number = *chance.pick(&["0", "1", "-1", "77", "-300", "9223372036854775807", "-9223372036854775808"]);
    let overflow = *chance.pick(&["", "OVERFLOW SAT ", "OVERFLOW FAIL ", "OVERFLOW WRAP "]);
    match chance.below(3) {
        0 => format!("GET {width} {at}"),
        1 => format!("{overflow}SET {width} {at} {number}"),
        _ => format!("{overflow}INCRBY {width} {at} {number}"),
    }
}
