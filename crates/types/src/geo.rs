//! Places on the globe as numbers: geohashes of 52 bits, distances, and the cells that cover an area, as in Redis.
//!
//! # Geohashes
//!
//! The map is divided in the middle of its longitudes, each half in the middle of its latitudes, and so on, 26 times
//! each; the upper or right half is a 1 and the other a 0:
//!
//! ```text
//!        west      east             the bits of a cell, the first ones in front:
//!     ┌────────┬────────┐              longitude, latitude, longitude, latitude, …
//!     │   01   │   11   │  north
//!     ├────────┼────────┤           All cells inside of a cell begin with its bits, so they lie
//!     │   00   │   10   │  south     together in the order of numbers.
//!     └────────┴────────┘
//! ```
//!
//! A search takes cells about as large as its area: the one with the middle and its eight neighbours. Each is one
//! range of numbers; what is found in them is measured.
//!
//! Latitudes end at 85.05°, where the map of the web ends. The globe is a sphere, distances are off by up to 0.5 %.
//!
//! # The same everywhere
//!
//! Replicas store what a search finds, so sines must not depend on the machine: they come from `libm`, in Rust.
//! They may differ from those of Redis, which asks the system, in the last bit.

/// Degrees east, −180 to 180, and degrees north.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Degrees east.
    pub longitude: f64,
    /// Degrees north.
    pub latitude: f64,
}

/// An area around its middle, in meters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Area {
    /// All points at most so far away.
    Circle {
        /// How far.
        radius: f64,
    },
    /// A rectangle along the meridians.
    Rectangle {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

/// Bits of a geohash, half of them for each direction.
pub const BITS: u32 = 2 * STEPS_MAX;

/// How often each direction is halved.
const STEPS_MAX: u32 = 26;
/// Longitudes end here, to the west with the sign turned.
const LONGITUDE_MAX: f64 = 180.0;
/// Latitudes end here, to the south with the sign turned.
const LATITUDE_MAX: f64 = 85.05112878;
/// Half of the equator on the map, in meters (EPSG:3857).
const MERCATOR_MAX: f64 = 20_037_726.37;
/// The quadratic mean of the globe's radius (WGS 84), in meters.
const EARTH_RADIUS: f64 = 6_372_797.560856;
/// The letters of geohashes as people write them.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

impl Point {
    /// Whether it is on the map.
    pub fn is_on_map(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The geohash of a point on the map.
    pub fn geohash(self) -> u64 {
        Cell::with(self, STEPS_MAX, LATITUDE_MAX).bits
    }

    /// The middle of a geohash's cell.
    pub fn of_geohash(bits: u64) -> Self {
        let (west, south, east, north) = Cell { bits, steps: STEPS_MAX }.edges();
        Point {
            longitude: ((west + east) / 2.0).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: ((south + north) / 2.0).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The geohash as people write it: 11 letters. It counts latitudes up to 90°, and as in Redis its last letter,
    /// for which there are two bits only, is always 0.
    pub fn letters(self) -> [u8; 11] {
        let bits = Cell::with(self, STEPS_MAX, 90.0).bits;
        std::array::from_fn(|index| {
            let shift = BITS.checked_sub((index as u32 + 1) * 5);
            ALPHABET[shift.map_or(0, |shift| (bits >> shift) & 31) as usize]
        })
    }

    /// How far another point is, in meters, along the globe.
    pub fn distance(self, other: Point) -> f64 {
        let (north, other_north) = (self.latitude.to_radians(), other.latitude.to_radians());
        let u = libm::sin((other_north - north) / 2.0);
        let v = libm::sin((other.longitude.to_radians() - self.longitude.to_radians()) / 2.0);
        let a = u * u + libm::cos(north) * libm::cos(other_north) * v * v;
        2.0 * EARTH_RADIUS * libm::asin(a.sqrt())
    }
}

impl Area {
    /// How far a point is from the middle, if it is in the area.
    pub fn distance_inside(self, middle: Point, point: Point) -> Option<f64> {
        let is_inside = match self {
            Area::Circle { radius } => middle.distance(point) <= radius,
            Area::Rectangle { width, height } => {
                let east = Point { longitude: middle.longitude, ..point };
                let north = Point { latitude: middle.latitude, ..point };
                point.distance(east) <= width / 2.0 && point.distance(north) <= height / 2.0
            }
        };
        is_inside.then(|| middle.distance(point))
    }

    /// Ranges of geohashes, the end not included, that have all points of the area, and some more. They do not
    /// overlap, and they are in the order in which Redis searches them: the middle, then its neighbours.
    pub fn ranges(self, middle: Point) -> Vec<(u64, u64)> {
        let bounds = self.bounds(middle);
        let mut steps = self.steps(middle);
        let mut cell = Cell::with(middle, steps, LATITUDE_MAX);
        if steps > 1 && !cell.neighbours_reach(&bounds) {
            steps -= 1;
            cell = Cell::with(middle, steps, LATITUDE_MAX);
        }
        let (west, south, east, north) = cell.edges();
        let skips = |to_east: i32, to_north: i32| {
            steps >= 2
                && ((to_north < 0 && south < bounds.south)
                    || (to_north > 0 && north > bounds.north)
                    || (to_east < 0 && west < bounds.west)
                    || (to_east > 0 && east > bounds.east))
        };
        let mut ranges = Vec::with_capacity(NEIGHBOURS.len() + 1);
        ranges.push(cell.range());
        for (to_east, to_north) in NEIGHBOURS {
            let range = cell.neighbour(to_east, to_north).range();
            // Around the whole globe, neighbours on two sides are the same.
            if !skips(to_east, to_north) && !ranges.contains(&range) {
                ranges.push(range);
            }
        }
        ranges
    }

    /// Half of the width and height, in meters.
    fn halves(self) -> (f64, f64) {
        match self {
            Area::Circle { radius } => (radius, radius),
            Area::Rectangle { width, height } => (width / 2.0, height / 2.0),
        }
    }

    /// The degrees between which the area lies. Towards the poles meridians come together, so its wider end counts.
    fn bounds(self, middle: Point) -> Bounds {
        let (width, height) = self.halves();
        let to_north = (height / EARTH_RADIUS).to_degrees();
        let wide =
            if middle.latitude < 0.0 { middle.latitude - to_north } else { middle.latitude + to_north };
        let to_east = (width / EARTH_RADIUS / libm::cos(wide.to_radians())).to_degrees();
        Bounds {
            west: middle.longitude - to_east,
            east: middle.longitude + to_east,
            south: middle.latitude - to_north,
            north: middle.latitude + to_north,
        }
    }

    /// How often to halve the map for cells that are about as large as the area.
    fn steps(self, middle: Point) -> u32 {
        let mut meters = match self {
            Area::Circle { radius } => radius,
            Area::Rectangle { .. } => {
                let (width, height) = self.halves();
                (width * width + height * height).sqrt()
            }
        };
        // What is negative would never be doubled up to the size of the map.
        if meters <= 0.0 {
            return STEPS_MAX;
        }
        let mut steps = 1_i32;
        while meters < MERCATOR_MAX {
            meters *= 2.0;
            steps += 1;
        }
        // Twice as large, so that the neighbours reach far enough.
        steps -= 2;
        if middle.latitude.abs() > 66.0 {
            steps -= 1;
        }
        if middle.latitude.abs() > 80.0 {
            steps -= 1;
        }
        steps.clamp(1, STEPS_MAX as i32) as u32
    }
}

/// The sides to which neighbours lie: steps to the east and to the north.
const NEIGHBOURS: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// Degrees between which an area lies.
struct Bounds {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

/// A cell of the map after so many halvings in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    steps: u32,
}

impl Cell {
    /// The cell with a point, on a map whose latitudes end at `latitude_max`.
    fn with(point: Point, steps: u32, latitude_max: f64) -> Self {
        let cells = (1_u64 << steps) as f64;
        let x = (point.longitude + LONGITUDE_MAX) / (2.0 * LONGITUDE_MAX) * cells;
        let y = (point.latitude + latitude_max) / (2.0 * latitude_max) * cells;
        Self { bits: spread(x as u32) << 1 | spread(y as u32), steps }
    }

    /// West, south, east and north, in degrees.
    fn edges(self) -> (f64, f64, f64, f64) {
        let cells = (1_u64 << self.steps) as f64;
        let edge = |number: f64, max: f64| -max + number / cells * (2.0 * max);
        let (x, y) = (f64::from(gather(self.bits >> 1)), f64::from(gather(self.bits)));
        (
            edge(x, LONGITUDE_MAX),
            edge(y, LATITUDE_MAX),
            edge(x + 1.0, LONGITUDE_MAX),
            edge(y + 1.0, LATITUDE_MAX),
        )
    }

    /// The cell beside it; the map goes round in both directions.
    fn neighbour(self, to_east: i32, to_north: i32) -> Self {
        let mask = ((1_u64 << self.steps) - 1) as u32;
        let x = gather(self.bits >> 1).wrapping_add_signed(to_east) & mask;
        let y = gather(self.bits).wrapping_add_signed(to_north) & mask;
        Self { bits: spread(x) << 1 | spread(y), ..self }
    }

    /// Whether the neighbours end behind the area on all sides.
    fn neighbours_reach(self, bounds: &Bounds) -> bool {
        let (_, _, _, north) = self.neighbour(0, 1).edges();
        let (_, south, _, _) = self.neighbour(0, -1).edges();
        let (_, _, east, _) = self.neighbour(1, 0).edges();
        let (west, _, _, _) = self.neighbour(-1, 0).edges();
        north >= bounds.north && south <= bounds.south && east >= bounds.east && west <= bounds.west
    }

    /// The geohashes in it.
    fn range(self) -> (u64, u64) {
        let shift = BITS - 2 * self.steps;
        (self.bits << shift, (self.bits + 1) << shift)
    }
}

/// Puts the bits of a number at the even places.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in SPREADING {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Takes the bits from the even places.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [(1, SPREADING[3].1), (2, SPREADING[2].1), (4, SPREADING[1].1), (8, SPREADING[0].1)]
    {
        bits = (bits | bits >> shift) & mask;
    }
    (bits | bits >> 16) as u32
}

/// Each step moves the upper half of each group of bits away from the lower.
const SPREADING: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Point = Point { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn the_examples_of_the_redis_manual() {
        assert_eq!(PALERMO.geohash(), 3_479_099_956_230_698);
        assert_eq!(&Point::of_geohash(PALERMO.geohash()).letters(), b"sqc8b49rny0");
        let [palermo, catania] = [PALERMO, CATANIA].map(|point| Point::of_geohash(point.geohash()));
        assert_eq!(format!("{:.4}", palermo.distance(catania)), "166274.1516");
        assert!((palermo.longitude - 13.361389338970184).abs() < 1e-12);
    }

    fn points() -> impl Strategy<Value = Point> {
        (-180.0..180.0, -LATITUDE_MAX..LATITUDE_MAX)
            .prop_map(|(longitude, latitude)| Point { longitude, latitude })
    }

    proptest! {
        #[test]
        fn a_geohash_is_near_its_point(point in points()) {
            let back = Point::of_geohash(point.geohash());
            prop_assert!(point.distance(back) < 1.0 && point.geohash() < 1 << BITS);
            prop_assert_eq!(gather(spread(point.geohash() as u32)), point.geohash() as u32);
        }

        #[test]
        fn ranges_have_all_points_of_an_area_away_from_the_edges_of_the_map(
            longitude in -100.0_f64..100.0, latitude in -60.0_f64..60.0, meters in 0.1_f64..3_000_000.0,
            east in -1.0_f64..1.0, north in -1.0_f64..1.0,
        ) {
            let middle = Point { longitude, latitude };
            let degrees = (meters / EARTH_RADIUS).to_degrees();
            let point = Point { longitude: longitude + east * degrees, latitude: latitude + north * degrees };
            for area in [
                Area::Circle { radius: meters },
                Area::Rectangle { width: meters, height: 2.0 * meters },
            ] {
                let ranges = area.ranges(middle);
                let is_covered = ranges.iter().any(|(from, to)| (*from..*to).contains(&point.geohash()));
                prop_assert!(!point.is_on_map() || is_covered || area.distance_inside(middle, point).is_none());
                prop_assert!(ranges.iter().all(|(from, to)| from < to && *to <= 1 << BITS));
            }
        }

        #[test]
        fn no_number_panics(longitude: f64, latitude: f64, width: f64, height: f64, bits: u64) {
            let point = Point { longitude, latitude };
            let _ = (Point::of_geohash(bits), point.letters());
            for area in [Area::Rectangle { width, height }, Area::Circle { radius: width }] {
                let _ = (area.distance_inside(point, point), area.ranges(Point { longitude: 1.0, latitude: 1.0 }));
                if point.is_on_map() {
                    let _ = area.ranges(point);
                }
            }
        }
    }
}
