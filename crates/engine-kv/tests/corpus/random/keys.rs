//! Random commands on keys of any type.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    let (key, other) = (chance.any_key(), chance.any_key());
    // Some time after the year 2100.
    let deadline = 4_200_000_000 + chance.below(5);
    match chance.below(16) {
        0..=4 => format!("DEL {key}"),
        5 => format!("UNLINK {key} {other}"),
        6 => format!("EXISTS {key} {other} {key}"),
        7 => format!("TYPE {key}"),
        8 => format!("EXPIREAT {key} {deadline} {}", chance.pick(&["", "NX", "XX", "GT", "LT"])),
        9 => format!("EXPIRETIME {key}"),
        10 => format!("TTL {key}"),
        11 => format!("PERSIST {key}"),
        12 => format!("RENAME {key} {other}"),
        13 => format!("RENAMENX {key} {other}"),
        14 => format!("COPY {key} {other} {}", chance.pick(&["", "REPLACE"])),
        _ if chance.once_in(4) => format!("EXPIRE {key} {}", chance.pick(&["0", "-1", "x"])),
        _ => "DBSIZE".into(),
    }
}
