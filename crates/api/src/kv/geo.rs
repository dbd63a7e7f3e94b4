//! Searches for places: members of sorted sets whose scores are geohashes of 52 bits.

use bytes::Bytes;
use prost::{Message, Oneof};

/// A search for places in an area.
#[derive(Clone, PartialEq, Message)]
pub struct GeoSearch {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The middle of the area; `None` is a request of a newer release.
    #[prost(oneof = "GeoCenter", tags = "2, 3")]
    pub center: Option<GeoCenter>,
    /// The area; `None` is a request of a newer release.
    #[prost(oneof = "GeoArea", tags = "4, 5")]
    pub area: Option<GeoArea>,
    /// How many places at most; 0: all.
    #[prost(uint64, tag = "6")]
    pub limit: u64,
    /// Stop at the limit instead of choosing the best.
    #[prost(bool, tag = "7")]
    pub any: bool,
    /// In which order.
    #[prost(enumeration = "GeoOrder", tag = "8")]
    pub order: i32,
}

/// The middle of an area.
#[derive(Clone, PartialEq, Oneof)]
pub enum GeoCenter {
    /// Where this member is.
    #[prost(bytes = "bytes", tag = "2")]
    Member(Bytes),
    /// This point.
    #[prost(message, tag = "3")]
    Point(GeoPoint),
}

/// A point on the globe.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct GeoPoint {
    /// Degrees east, −180 to 180.
    #[prost(double, tag = "1")]
    pub longitude: f64,
    /// Degrees north, −85.05112878 to 85.05112878.
    #[prost(double, tag = "2")]
    pub latitude: f64,
}

/// An area around its middle.
#[derive(Clone, PartialEq, Oneof)]
pub enum GeoArea {
    /// All points at most so many meters away.
    #[prost(double, tag = "4")]
    Radius(f64),
    /// A rectangle.
    #[prost(message, tag = "5")]
    Rectangle(GeoRectangle),
}

/// A rectangle along the meridians.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct GeoRectangle {
    /// From west to east, in meters.
    #[prost(double, tag = "1")]
    pub width: f64,
    /// From south to north, in meters.
    #[prost(double, tag = "2")]
    pub height: f64,
}

/// In which order places are returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum GeoOrder {
    /// As they are found.
    Found = 0,
    /// The nearest first.
    Nearest = 1,
    /// The farthest first.
    Farthest = 2,
}

/// Store the places in an area.
#[derive(Clone, PartialEq, Message)]
pub struct GeoStore {
    /// Where to, whatever that key holds.
    #[prost(bytes = "bytes", tag = "1")]
    pub to: Bytes,
    /// Which.
    #[prost(message, optional, tag = "2")]
    pub search: Option<GeoSearch>,
    /// Store distances as scores, in units of so many meters; absent: store the geohashes.
    #[prost(double, optional, tag = "3")]
    pub distance_unit: Option<f64>,
}

/// Places that were found.
#[derive(Clone, PartialEq, Message)]
pub struct GeoPlaces {
    /// In the order asked for.
    #[prost(message, repeated, tag = "1")]
    pub places: Vec<GeoPlace>,
}

/// A place that was found.
#[derive(Clone, PartialEq, Message)]
pub struct GeoPlace {
    /// The member.
    #[prost(bytes = "bytes", tag = "1")]
    pub member: Bytes,
    /// Its geohash of 52 bits, as its score.
    #[prost(double, tag = "2")]
    pub score: f64,
    /// How far it is from the middle, in meters.
    #[prost(double, tag = "3")]
    pub distance: f64,
}
