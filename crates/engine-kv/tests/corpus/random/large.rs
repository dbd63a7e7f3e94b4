//! Random commands whose values grow over the borders between layouts: strings that are kept in pages once their bits
//! are changed, lists and hashes of long elements, sorted sets with an index of several levels.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    let (string, list) = (chance.key('t'), chance.key('l'));
    // Around the size from which a string with bits is kept in pages, and around the borders of pages.
    let border = 1024 * (1 + chance.below(9)) - 3 + chance.below(6);
    match chance.below(14) {
        0 => format!("APPEND {string} {}", text(chance, 5000)),
        1 => format!("SETRANGE {string} {border} {}", text(chance, 40)),
        2 => format!("SETBIT {string} {} {}", border * 8 + chance.below(8), chance.below(2)),
        3 => format!("SET {string} {}", text(chance, 9000)),
        4 => format!("GETRANGE {string} {} {}", border, border + chance.below(3000)),
        5 => format!("BITOP XOR {string} {} {}", chance.key('t'), chance.key('b')),
        6 => format!("RPUSH {list} {}", chance.several(1, 4, |chance| text(chance, 3000))),
        7 => format!("LSET {list} {} {}", chance.small_number(), text(chance, 3000)),
        8 => format!("HSET {} {}", chance.key('h'), chance.several(40, 200, |chance| pair(chance, "f"))),
        9 => format!("HDEL {} {}", chance.key('h'), chance.several(40, 200, |chance| name(chance, "f"))),
        10 => format!("SADD {} {}", chance.key('s'), chance.several(100, 300, |chance| name(chance, "f"))),
        11 => format!("ZREMRANGEBYRANK {} {} {}", chance.key('z'), chance.below(500), chance.below(3000)),
        _ => format!("ZADD {} {}", chance.key('z'), chance.several(300, 900, score)),
    }
}

fn text(chance: &mut Chance, most: u64) -> String {
    let letter = b'a' + chance.below(26) as u8;
    String::from(letter as char).repeat(1 + chance.below(most) as usize)
}

fn name(chance: &mut Chance, letter: &str) -> String {
    format!("{letter}{}", chance.below(1000))
}

fn pair(chance: &mut Chance, letter: &str) -> String {
    format!("{} {}", name(chance, letter), text(chance, 30))
}

fn score(chance: &mut Chance) -> String {
    format!("{} n{}", chance.below(100), chance.below(5000))
}
