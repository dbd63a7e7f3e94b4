//! Places: sorted sets whose scores are geohashes. A search looks at every member.

use proto_redis::Reply;
use types::geo::{Area, Point};

use super::arguments::{decimal, option, whole};
use super::{Answer, Model, Sorted, Text, bulk, told};

const NO_MEMBER: &str = "ERR could not decode requested zset member";

impl Model {
    pub(super) fn geo_command(&mut self, name: &str, words: &[Text], found: &Reply) -> Option<Answer> {
        Some(match name {
            "GEOADD" => self.geoadd(words),
            "GEODIST" => self.geodist(words),
            "GEOPOS" => self.sorted(&words[0]).map(|set| {
                let point = |member| set.get(member).map_or(Reply::NullArray, |score| coordinates(*score));
                Reply::Array(words[1..].iter().map(point).collect())
            }),
            "GEOHASH" => self.sorted(&words[0]).map(|set| {
                let letters = |member| match set.get(member) {
                    None => Reply::Null,
                    Some(score) => bulk(&Point::of_geohash(*score as u64).letters()),
                };
                Reply::Array(words[1..].iter().map(letters).collect())
            }),
            "GEOSEARCH" => self.geosearch(&words[0], &words[1..], found),
            "GEORADIUS_RO" => {
                let search =
                    [&[b"FROMLONLAT".to_vec()][..], &words[1..3], &[b"BYRADIUS".to_vec()], &words[3..]];
                self.geosearch(&words[0], &search.concat(), found)
            }
            "GEORADIUSBYMEMBER" => {
                let search =
                    [&[b"FROMMEMBER".to_vec()][..], &words[1..2], &[b"BYRADIUS".to_vec()], &words[2..]];
                self.geosearch(&words[0], &search.concat(), found)
            }
            "GEOSEARCHSTORE" => self.near(&words[1], &words[2..]).and_then(|places| {
                let places = places.unwrap_or_default().into_iter();
                self.store_scored(&words[0], places.map(|place| (place.member, place.score)).collect())
            }),
            _ => return None,
        })
    }

    fn geoadd(&mut self, words: &[Text]) -> Answer {
        let options = words[1..].iter().take_while(|word| decimal(word).is_none()).count();
        let mut command = words[..1 + options].to_vec();
        for place in words[1 + options..].chunks(3) {
            let point =
                Point { longitude: decimal(&place[0]).unwrap(), latitude: decimal(&place[1]).unwrap() };
            command.extend([point.geohash().to_string().into(), place[2].clone()]);
        }
        command.insert(0, b"ZADD".to_vec());
        self.one(&command, &Reply::Null)
    }

    fn geodist(&self, words: &[Text]) -> Answer {
        let set = self.sorted(&words[0])?;
        let unit = unit(&words[3]);
        let point = |member| set.get(member).map(|score| Point::of_geohash(*score as u64));
        Ok(match (point(&words[1]), point(&words[2])) {
            (Some(a), Some(b)) => bulk(format!("{:.4}", a.distance(b) / unit).as_bytes()),
            _ => Reply::Null,
        })
    }

    /// Places within an area; `None` without the key.
    fn near(&self, key: &[u8], search: &[Text]) -> Result<Option<Vec<Place>>, String> {
        if self.entry(key).is_none() {
            return Ok(None);
        }
        let set = self.sorted(key)?;
        let (middle, rest) = match &option(&search[0])[..] {
            "FROMMEMBER" => {
                let score = set.get(&search[1]).ok_or(NO_MEMBER)?;
                (Point::of_geohash(*score as u64), &search[2..])
            }
            _ => {
                let [longitude, latitude] = [1, 2].map(|word: usize| decimal(&search[word]).unwrap());
                (Point { longitude, latitude }, &search[3..])
            }
        };
        let meters = |word: usize, unit_word: usize| decimal(&rest[word]).unwrap() * unit(&rest[unit_word]);
        let area = match &option(&rest[0])[..] {
            "BYRADIUS" => Area::Circle { radius: meters(1, 2) },
            _ => Area::Rectangle { width: meters(1, 3), height: meters(2, 3) },
        };
        Ok(Some(inside(&set, middle, area)))
    }

    fn geosearch(&self, key: &[u8], search: &[Text], found: &Reply) -> Answer {
        let Some(mut places) = self.near(key, search)? else { return Ok(Reply::Array(Vec::new())) };
        let has = |name: &str| search.iter().any(|word| option(word) == name);
        if has("ANY") {
            let count = search.iter().filter_map(|word| whole(word)).next_back().unwrap() as usize;
            let told = told(found);
            let most = places.len().min(count);
            places.retain(|place| told.contains(&place.member));
            places.truncate(most);
        }
        if has("ASC") || has("DESC") {
            // Equal distances have no order of their own.
            let told = told(found);
            let place_of = |place: &Place| told.iter().position(|member| *member == place.member);
            let sign = if has("DESC") { -1.0 } else { 1.0 };
            places.sort_by_cached_key(place_of);
            places.sort_by(|a, b| (sign * a.distance).total_cmp(&(sign * b.distance)));
        }
        let one = |place: Place| {
            let mut parts = vec![bulk(&place.member)];
            if has("WITHDIST") {
                parts.push(bulk(format!("{:.4}", place.distance).as_bytes()));
            }
            if has("WITHHASH") {
                parts.push(Reply::Integer(place.score as i64));
            }
            if has("WITHCOORD") {
                parts.push(coordinates(place.score));
            }
            if parts.len() == 1 { parts.remove(0) } else { Reply::Array(parts) }
        };
        Ok(Reply::Array(places.into_iter().map(one).collect()))
    }
}

struct Place {
    member: Text,
    score: f64,
    /// Meters from the middle.
    distance: f64,
}

fn inside(set: &Sorted, middle: Point, area: Area) -> Vec<Place> {
    let place = |(member, score): (&Text, &f64)| {
        let distance = area.distance_inside(middle, Point::of_geohash(*score as u64))?;
        Some(Place { member: member.clone(), score: *score, distance })
    };
    // A score below zero is no place at all.
    set.iter().filter(|(_, score)| **score >= 0.0).filter_map(place).collect()
}

fn unit(word: &[u8]) -> f64 {
    match word {
        b"km" => 1000.0,
        b"mi" => 1609.34,
        b"ft" => 0.3048,
        _ => 1.0,
    }
}

fn coordinates(score: f64) -> Reply {
    let point = Point::of_geohash(score as u64);
    Reply::Array(vec![Reply::Coordinate(point.longitude), Reply::Coordinate(point.latitude)])
}
