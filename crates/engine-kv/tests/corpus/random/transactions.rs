//! Random beginnings and ends of transactions; the commands between them are everybody's.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    match chance.below(12) {
        0..=2 => "MULTI".into(),
        3..=8 => "EXEC".into(),
        9 => "DISCARD".into(),
        10 => format!("WATCH {}", chance.any_key()),
        _ => "UNWATCH".into(),
    }
}
