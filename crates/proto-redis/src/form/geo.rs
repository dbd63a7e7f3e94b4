//! Replies of commands on places.

use super::{answer, unexpected};
use crate::reply::Reply;
use api::kv::{GeoPlace, GeoPlaces, KvAnswer, Many};
use types::Fault;
use types::geo::Point;

/// What is shown of each place besides its name.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceShape {
    /// How far it is from the middle.
    pub distance: bool,
    /// Its geohash as a number.
    pub geohash: bool,
    /// Its longitude and latitude.
    pub point: bool,
    /// Distances are in units of so many meters.
    pub unit: f64,
}

impl Default for PlaceShape {
    fn default() -> Self {
        Self { distance: false, geohash: false, point: false, unit: 1.0 }
    }
}

/// Places, each by its name or as a list.
pub(super) fn places(shape: &PlaceShape, found: GeoPlaces) -> Reply {
    Reply::Array(found.places.into_iter().map(|found| place(shape, found)).collect())
}

fn place(shape: &PlaceShape, place: GeoPlace) -> Reply {
    let mut parts = vec![Reply::Bulk(place.member)];
    if shape.distance {
        parts.push(distance_text(place.distance / shape.unit));
    }
    if shape.geohash {
        parts.push(Reply::Integer(place.score as i64));
    }
    if shape.point {
        parts.push(point_reply(place.score));
    }
    match parts.len() {
        1 => parts.remove(0),
        _ => Reply::Array(parts),
    }
}

/// The points of members, no array for those that are not there.
pub(super) fn points(many: Many) -> Result<Reply, Fault> {
    let point = |score: Option<f64>| score.map_or(Reply::NullArray, point_reply);
    Ok(Reply::Array(scores(many)?.into_iter().map(point).collect()))
}

/// Their geohashes as letters.
pub(super) fn geohashes(many: Many) -> Result<Reply, Fault> {
    let letters = |score: f64| Reply::bulk(Point::of_geohash(score as u64).letters().to_vec());
    Ok(Reply::Array(scores(many)?.into_iter().map(|score| score.map_or(Reply::Null, letters)).collect()))
}

/// How far two members are from each other.
pub(super) fn distance(unit: f64, many: Many) -> Result<Reply, Fault> {
    match scores(many)?[..] {
        [Some(from), Some(to)] => {
            let [from, to] = [from, to].map(|score| Point::of_geohash(score as u64));
            Ok(distance_text(from.distance(to) / unit))
        }
        _ => Ok(Reply::Null),
    }
}

fn scores(many: Many) -> Result<Vec<Option<f64>>, Fault> {
    let score = |reply| match answer(reply)? {
        KvAnswer::Double(score) => Ok(Some(score)),
        KvAnswer::Nil(_) => Ok(None),
        other => Err(unexpected("a score", &other)),
    };
    many.replies.into_iter().map(score).collect()
}

fn distance_text(distance: f64) -> Reply {
    Reply::bulk(format!("{distance:.4}"))
}

fn point_reply(score: f64) -> Reply {
    let Point { longitude, latitude } = Point::of_geohash(score as u64);
    Reply::Array(vec![Reply::Coordinate(longitude), Reply::Coordinate(latitude)])
}
