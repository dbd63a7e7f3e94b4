//! Random commands on places.

use super::Chance;

pub fn command(chance: &mut Chance) -> String {
    let (key, other) = (chance.key('o'), chance.key('o'));
    let (a, b) = (member(chance), member(chance));
    match chance.below(12) {
        0..=3 => {
            let options = *chance.pick(&["", "", "NX", "XX", "CH"]);
            let places = chance.several(1, 20, |chance| format!("{} {}", point(chance), member(chance)));
            format!("GEOADD {key} {options} {places}")
        }
        4 => format!("GEODIST {key} {a} {b} {}", unit(chance)),
        5 => format!("GEOPOS {key} {a} {b}"),
        6 => format!("GEOHASH {key} {a} {b}"),
        7 => format!("GEORADIUS_RO {key} {} {} {}", point(chance), radius(chance), options(chance)),
        8 => format!("GEORADIUSBYMEMBER {key} {a} {} {}", radius(chance), options(chance)),
        9 => format!("GEOSEARCHSTORE {other} {key} {} COUNT 5 ANY", search(chance)),
        _ => format!("GEOSEARCH {key} {} {}", search(chance), options(chance)),
    }
}

fn member(chance: &mut Chance) -> String {
    format!("p{}", chance.below(200))
}

/// Anywhere on the map, more often where others are, and never twice at the same place.
fn point(chance: &mut Chance) -> String {
    let (width, height) = *chance.pick(&[(3.0, 2.0), (40.0, 30.0), (179.9, 85.0)]);
    let mut between = |half: f64| (chance.below(2_000_001) as f64 / 1_000_000.0 - 1.0) * half;
    format!("{} {}", between(width), between(height))
}

fn unit(chance: &mut Chance) -> &'static str {
    chance.pick::<&'static str>(&["m", "km", "mi", "ft"])
}

fn radius(chance: &mut Chance) -> String {
    let size = *chance.pick(&[100, 1000, 100_000, 3_000_000, 30_000_000]);
    format!("{} m", chance.below(size))
}

fn search(chance: &mut Chance) -> String {
    let middle = if chance.once_in(3) {
        format!("FROMMEMBER {}", member(chance))
    } else {
        format!("FROMLONLAT {}", point(chance))
    };
    let area = if chance.once_in(2) {
        format!("BYRADIUS {}", radius(chance))
    } else {
        format!("BYBOX {} {}", chance.below(3_000_000), radius(chance))
    };
    format!("{middle} {area}")
}

fn options(chance: &mut Chance) -> String {
    let order = chance.pick(&["", "ASC", "DESC"]);
    // Among places at equal distances Redis chooses in an order of its own, so it may only choose any or all.
    let count = chance.pick(&["", "", "COUNT 1000", "COUNT 2 ANY"]);
    let with = chance.pick(&["", "WITHDIST", "WITHCOORD WITHHASH"]);
    format!("{order} {count} {with}")
}
