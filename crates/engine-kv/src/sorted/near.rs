//! Searches for places: members whose scores are geohashes (see `types::geo`).

use api::kv::{GeoArea, GeoCenter, GeoOrder, GeoPlace, GeoPlaces, GeoSearch, GeoStore, KvAnswer, KvError};
use bytes::Bytes;
use engine::ApplyContext;
use types::geo::{Area, Point};
use types::limits::{REPLY_PART_BYTES_MAX, RESULT_BYTES_MAX, RESULT_MEMBER_BYTES};

use super::combine::{Held, store};
use super::place::{place_of_bits, sortable};
use super::read::Sorted;
use crate::look::Look;
use crate::reader::encode;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};

/// Bytes of a place in a reply besides its member, at most.
const PLACE_EXTRA_BYTES: usize = 40;

const NO_SUCH_MEMBER: &str = "ERR could not decode requested zset member";

/// What a search comes to.
enum Found {
    /// There is no such key.
    NoKey,
    /// The member in the middle is not there.
    NoMiddle,
    Places(Vec<GeoPlace>),
}

/// Members in an area.
pub(super) fn near(look: &dyn Look, ask: &GeoSearch) -> Outcome {
    match search(look, ask)? {
        Found::NoKey => Ok(reply::nil()),
        Found::NoMiddle => Ok(reply::refusal(NO_SUCH_MEMBER)),
        Found::Places(places) => {
            let bytes: usize = places.iter().map(|place| place.member.len() + PLACE_EXTRA_BYTES).sum();
            if bytes > REPLY_PART_BYTES_MAX {
                return Err(Stop::Refused(KvError::ReplyTooLarge));
            }
            Ok(encode(KvAnswer::Places(GeoPlaces { places })))
        }
    }
}

/// Stores the members in an area.
pub(super) fn store_near(staging: &mut Staging, context: &ApplyContext, ask: &GeoStore) -> Outcome {
    let ask_search = ask.search.as_ref().ok_or(Stop::Refused(KvError::Unsupported))?;
    let places = match search(&staging.look(context), ask_search)? {
        Found::NoKey => Vec::new(),
        Found::NoMiddle => return Ok(reply::refusal(NO_SUCH_MEMBER)),
        Found::Places(places) => places,
    };
    let mut result = Held::default();
    for place in places {
        let score = ask.distance_unit.map_or(place.score, |unit| place.distance / unit);
        if score.is_nan() {
            return Err(Stop::Refused(KvError::Unsupported));
        }
        result.add(place.member, score)?;
    }
    store(staging, context, &ask.to, result)
}

fn search(look: &dyn Look, ask: &GeoSearch) -> Result<Found, Stop> {
    let Some(set) = Sorted::find(look, &ask.key)? else { return Ok(Found::NoKey) };
    let middle = match &ask.center {
        None => return Err(Stop::Refused(KvError::Unsupported)),
        Some(GeoCenter::Point(point)) => Point { longitude: point.longitude, latitude: point.latitude },
        Some(GeoCenter::Member(member)) => match set.score(member)? {
            Some(score) => Point::of_geohash(score as u64),
            None => return Ok(Found::NoMiddle),
        },
    };
    let area = match &ask.area {
        None => return Err(Stop::Refused(KvError::Unsupported)),
        Some(GeoArea::Radius(radius)) => Area::Circle { radius: *radius },
        Some(GeoArea::Rectangle(sides)) => Area::Rectangle { width: sides.width, height: sides.height },
    };
    if !middle.is_on_map() {
        return Err(Stop::Refused(KvError::Unsupported));
    }
    let limit = usize::try_from(ask.limit).unwrap_or(usize::MAX);
    let enough = if ask.any && limit > 0 { limit } else { usize::MAX };
    let mut places = inside(&set, middle, area, enough)?;
    match ask.order() {
        GeoOrder::Found => {}
        GeoOrder::Nearest => places.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
        GeoOrder::Farthest => places.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
    }
    if limit > 0 {
        places.truncate(limit);
    }
    Ok(Found::Places(places))
}

/// Members in an area, in the order in which they are found, until there are enough.
fn inside(set: &Sorted<'_>, middle: Point, area: Area, enough: usize) -> Result<Vec<GeoPlace>, Stop> {
    let (mut places, mut bytes) = (Vec::new(), 0);
    for (from, to) in area.ranges(middle) {
        // Geohashes have 52 bits, so every one of them is a decimal number.
        let [from, to] = [from, to].map(|geohash| place_of_bits(sortable(geohash as f64), &[]));
        for member in set.between(&from, &to, false) {
            let (member, score): (Bytes, f64) = member?;
            let Some(distance) = area.distance_inside(middle, Point::of_geohash(score as u64)) else {
                continue;
            };
            bytes += member.len() + RESULT_MEMBER_BYTES;
            if bytes > RESULT_BYTES_MAX {
                return Err(Stop::Refused(KvError::ResultTooLarge));
            }
            places.push(GeoPlace { member, score, distance });
            if places.len() >= enough {
                return Ok(places);
            }
        }
    }
    Ok(places)
}
