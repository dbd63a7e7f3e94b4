//! Commands on places: members of sorted sets whose scores are geohashes.

use super::members::{all, check_bytes, member};
use super::sorted::sorted;
use super::{integer, is_word};
use crate::float;
use crate::form::{PlaceShape, Shape};
use crate::plan::Plan;
use crate::reply::Reply;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX};
use api::kv::{
    GeoArea, GeoCenter, GeoOrder, GeoPoint, GeoRectangle, GeoSearch, GeoStore, Key, KeyAndMembers,
    ScoredMember, SortedAdd, SortedOp,
};
use bytes::Bytes;
use types::geo::Point;

type Parsed = Result<Plan, ErrorText>;

const NO_UNIT: ErrorText = ErrorText::fixed("ERR unsupported unit provided. please use M, KM, FT, MI");
const NOT_A_RADIUS: ErrorText = ErrorText::fixed("ERR need numeric radius");
const NEGATIVE_RADIUS: ErrorText = ErrorText::fixed("ERR radius cannot be negative");
const NOT_A_WIDTH: ErrorText = ErrorText::fixed("ERR need numeric width");
const NOT_A_HEIGHT: ErrorText = ErrorText::fixed("ERR need numeric height");
const NEGATIVE_SIDE: ErrorText = ErrorText::fixed("ERR height or width cannot be negative");
const NO_COUNT: ErrorText = ErrorText::fixed("ERR COUNT must be > 0");
const ANY_WITHOUT_COUNT: ErrorText = ErrorText::fixed("ERR the ANY argument requires COUNT argument");

/// `GEOADD key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]`
pub(crate) fn geoadd(call: &mut Call<'_>) -> Parsed {
    let mut op = SortedAdd::default();
    let mut first = 2;
    while let Some(word) = call.args.get(first) {
        let option = match word.to_ascii_lowercase().as_slice() {
            b"nx" => &mut op.only_new,
            b"xx" => &mut op.only_known,
            b"ch" => &mut op.count_changed,
            _ => break,
        };
        *option = true;
        first += 1;
    }
    let places = call.args.len() - first;
    if !places.is_multiple_of(3) || places == 0 || (op.only_new && op.only_known) {
        return Err(SYNTAX);
    }
    check_bytes(call)?;
    for at in (first..call.args.len()).step_by(3) {
        let score = point(&call.args[at], &call.args[at + 1])?.geohash() as f64;
        op.members.push(ScoredMember { member: member(call, at + 2)?, score });
    }
    op.key = call.arg(1);
    sorted(call, SortedOp::Add(op), Shape::Plain)
}

/// `GEODIST key member1 member2 [unit]`
pub(crate) fn geodist(call: &mut Call<'_>) -> Parsed {
    let unit = match &call.args[4..] {
        [] => 1.0,
        [word] => unit(word)?,
        _ => return Err(SYNTAX),
    };
    let members = vec![call.arg(2), call.arg(3)];
    sorted(call, SortedOp::Scores(KeyAndMembers { key: call.arg(1), members }), Shape::Distance { unit })
}

pub(crate) fn geohash(call: &mut Call<'_>) -> Parsed {
    scores(call, Shape::Geohashes)
}

pub(crate) fn geopos(call: &mut Call<'_>) -> Parsed {
    scores(call, Shape::Points)
}

fn scores(call: &Call<'_>, shape: Shape) -> Parsed {
    check_bytes(call)?;
    let members = all(call, 2).members;
    sorted(call, SortedOp::Scores(KeyAndMembers { key: call.arg(1), members }), shape)
}

/// `GEOSEARCH key FROMMEMBER member|FROMLONLAT … BYRADIUS …|BYBOX … [options]`
pub(crate) fn geosearch(call: &mut Call<'_>) -> Parsed {
    search(call, Search::new(call.arg(1), Options::SEARCH), &call.args[2..])
}

/// `GEOSEARCHSTORE destination source FROMMEMBER member|FROMLONLAT … BYRADIUS …|BYBOX … [options]`
pub(crate) fn geosearchstore(call: &mut Call<'_>) -> Parsed {
    let mut parsed = Search::new(call.arg(2), Options::SEARCH_STORE);
    parsed.store = Some(call.arg(1));
    search(call, parsed, &call.args[3..])
}

pub(crate) fn georadius(call: &mut Call<'_>) -> Parsed {
    radius(call, Options::RADIUS)
}

pub(crate) fn georadius_ro(call: &mut Call<'_>) -> Parsed {
    radius(call, Options::RADIUS_READ)
}

pub(crate) fn georadiusbymember(call: &mut Call<'_>) -> Parsed {
    radius_by_member(call, Options::RADIUS)
}

pub(crate) fn georadiusbymember_ro(call: &mut Call<'_>) -> Parsed {
    radius_by_member(call, Options::RADIUS_READ)
}

/// `GEORADIUS key longitude latitude radius unit [options]`
fn radius(call: &Call<'_>, options: Options) -> Parsed {
    let mut parsed = Search::new(call.arg(1), options);
    let fixed = point(&call.args[2], &call.args[3])
        .and_then(|middle| Ok((middle, distance(&call.args[4], &call.args[5])?)));
    match fixed {
        Ok((middle, (radius, unit))) => {
            parsed.center = Some(GeoCenter::Point(wire(middle)));
            (parsed.area, parsed.unit) = (Some(GeoArea::Radius(radius)), unit);
            search(call, parsed, &call.args[6..])
        }
        Err(error) => type_first(call, &parsed, error),
    }
}

/// `GEORADIUSBYMEMBER key member radius unit [options]`
///
/// Redis does not look at the radius if there is no such key.
fn radius_by_member(call: &Call<'_>, options: Options) -> Parsed {
    let mut parsed = Search::new(call.arg(1), options);
    parsed.center = Some(GeoCenter::Member(call.arg(2)));
    let radius = distance(&call.args[3], &call.args[4]);
    (parsed.area, parsed.unit) = match &radius {
        Ok((radius, unit)) => (Some(GeoArea::Radius(*radius)), *unit),
        Err(_) => (Some(GeoArea::Radius(0.0)), 1.0),
    };
    let rest = parsed.read(&call.args[5..]).and_then(|()| parsed.check(call));
    match (radius, rest) {
        (Ok(_), Ok(())) => carry_out(call, parsed),
        (Ok(_), Err(error)) => type_first(call, &parsed, error),
        (Err(error), Ok(())) => {
            let absent = if parsed.store.is_some() { Reply::Integer(0) } else { Reply::Array(Vec::new()) };
            probe(call, &parsed, Shape::RefuseOr { absent: Box::new(absent), error })
        }
        (Err(error), Err(absent)) => {
            probe(call, &parsed, Shape::RefuseOr { absent: Box::new(Reply::Error(absent)), error })
        }
    }
}

fn search(call: &Call<'_>, mut parsed: Search, rest: &[Bytes]) -> Parsed {
    match parsed.read(rest).and_then(|()| parsed.check(call)) {
        Ok(()) => carry_out(call, parsed),
        Err(error) => type_first(call, &parsed, error),
    }
}

fn carry_out(call: &Call<'_>, parsed: Search) -> Parsed {
    let shape = parsed.shape();
    let (store, unit) = (parsed.store.clone(), parsed.stores_distances.then_some(parsed.unit));
    let search = parsed.into_request();
    match store {
        Some(to) => {
            let op = GeoStore { to, search: Some(search), distance_unit: unit };
            sorted(call, SortedOp::StoreNear(op), Shape::Plain)
        }
        None => sorted(call, SortedOp::Near(search), Shape::Places(shape)),
    }
}

/// Redis looks at the key before it looks at the arguments, and at the member in the middle when it comes to it.
fn type_first(call: &Call<'_>, parsed: &Search, error: ErrorText) -> Parsed {
    match &parsed.center {
        Some(GeoCenter::Member(_)) => {
            let absent = Box::new(Reply::Error(error.clone()));
            probe(call, parsed, Shape::RefuseOr { absent, error })
        }
        _ => sorted(call, SortedOp::Card(Key { key: parsed.key.clone() }), Shape::Refuse(error)),
    }
}

/// Asks for the key and the member in the middle, and for nothing else.
fn probe(call: &Call<'_>, parsed: &Search, shape: Shape) -> Parsed {
    let search = GeoSearch {
        key: parsed.key.clone(),
        center: parsed.center.clone(),
        area: Some(GeoArea::Radius(0.0)),
        limit: 1,
        any: true,
        order: GeoOrder::Found as i32,
    };
    sorted(call, SortedOp::Near(search), shape)
}

/// Which options a command has.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Options {
    /// `FROMMEMBER`, `FROMLONLAT`, `BYRADIUS` and `BYBOX`.
    places: bool,
    /// `STORE` and `STOREDIST`, each with a key.
    store: bool,
    /// `STOREDIST` without a key.
    distances: bool,
}

impl Options {
    const SEARCH: Self = Self { places: true, store: false, distances: false };
    const SEARCH_STORE: Self = Self { places: true, store: false, distances: true };
    const RADIUS: Self = Self { places: false, store: true, distances: false };
    const RADIUS_READ: Self = Self { places: false, store: false, distances: false };
}

/// A search as far as it was read.
struct Search {
    options: Options,
    key: Bytes,
    center: Option<GeoCenter>,
    area: Option<GeoArea>,
    /// Meters of the unit in which distances are returned.
    unit: f64,
    count: u64,
    any: bool,
    order: GeoOrder,
    shows: PlaceShape,
    store: Option<Bytes>,
    stores_distances: bool,
}

impl Search {
    fn new(key: Bytes, options: Options) -> Self {
        Self {
            options,
            key,
            center: None,
            area: None,
            unit: 1.0,
            count: 0,
            any: false,
            order: GeoOrder::Found,
            shows: PlaceShape::default(),
            store: None,
            stores_distances: false,
        }
    }

    /// Reads the options. Like Redis, one that says where to search may be repeated, not contradicted.
    fn read(&mut self, mut rest: &[Bytes]) -> Result<(), ErrorText> {
        while let [word, tail @ ..] = rest {
            match word.to_ascii_lowercase().as_slice() {
                b"withdist" => self.shows.distance = true,
                b"withhash" => self.shows.geohash = true,
                b"withcoord" => self.shows.point = true,
                b"any" => self.any = true,
                b"asc" => self.order = GeoOrder::Nearest,
                b"desc" => self.order = GeoOrder::Farthest,
                b"storedist" if self.options.distances => self.stores_distances = true,
                name => {
                    rest = self.read_arguments(name, tail)?;
                    continue;
                }
            }
            rest = tail;
        }
        Ok(())
    }

    /// Reads an option with arguments; what is left behind it.
    fn read_arguments<'a>(&mut self, name: &[u8], rest: &'a [Bytes]) -> Result<&'a [Bytes], ErrorText> {
        let is_from_member = matches!(self.center, Some(GeoCenter::Member(_)));
        let is_from_point = matches!(self.center, Some(GeoCenter::Point(_)));
        let is_by_radius = matches!(self.area, Some(GeoArea::Radius(_)));
        let is_by_box = matches!(self.area, Some(GeoArea::Rectangle(_)));
        match (name, rest) {
            (b"count", [number, rest @ ..]) => {
                self.count =
                    u64::try_from(integer(number)?).ok().filter(|count| *count > 0).ok_or(NO_COUNT)?;
                Ok(rest)
            }
            (b"store" | b"storedist", [key, rest @ ..]) if self.options.store => {
                (self.store, self.stores_distances) = (Some(key.clone()), name == b"storedist");
                Ok(rest)
            }
            (b"frommember", [member, rest @ ..]) if self.options.places && !is_from_point => {
                self.center = Some(GeoCenter::Member(member.clone()));
                Ok(rest)
            }
            (b"fromlonlat", [longitude, latitude, rest @ ..]) if self.options.places && !is_from_member => {
                self.center = Some(GeoCenter::Point(wire(point(longitude, latitude)?)));
                Ok(rest)
            }
            (b"byradius", [radius, unit, rest @ ..]) if self.options.places && !is_by_box => {
                let (radius, unit) = distance(radius, unit)?;
                (self.area, self.unit) = (Some(GeoArea::Radius(radius)), unit);
                Ok(rest)
            }
            (b"bybox", [width, height, unit, rest @ ..]) if self.options.places && !is_by_radius => {
                let (rectangle, unit) = rectangle(width, height, unit)?;
                (self.area, self.unit) = (Some(GeoArea::Rectangle(rectangle)), unit);
                Ok(rest)
            }
            _ => Err(SYNTAX),
        }
    }

    /// What must hold of all options together.
    fn check(&self, call: &Call<'_>) -> Result<(), ErrorText> {
        if self.store.is_some() && self.shows != PlaceShape::default() {
            let what = if self.options.places { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let text = format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
            return Err(text.into());
        }
        for (is_missing, what) in
            [(self.center.is_none(), "FROMMEMBER or FROMLONLAT"), (self.area.is_none(), "BYRADIUS and BYBOX")]
        {
            if is_missing {
                let mut text = format!("ERR exactly one of {what} can be specified for ").into_bytes();
                text.extend_from_slice(&call.args[0]);
                return Err(ErrorText::new(text));
            }
        }
        if self.any && self.count == 0 {
            return Err(ANY_WITHOUT_COUNT);
        }
        Ok(())
    }

    fn shape(&self) -> PlaceShape {
        PlaceShape { unit: self.unit, ..self.shows.clone() }
    }

    fn into_request(self) -> GeoSearch {
        // The nearest ones, if only some are wanted and nothing is said of which.
        let chooses = self.count > 0 && !self.any && self.order == GeoOrder::Found;
        let order = if chooses { GeoOrder::Nearest } else { self.order };
        GeoSearch {
            key: self.key,
            center: self.center,
            area: self.area,
            limit: self.count,
            any: self.any,
            order: order as i32,
        }
    }
}

fn wire(point: Point) -> GeoPoint {
    GeoPoint { longitude: point.longitude, latitude: point.latitude }
}

fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, ErrorText> {
    let point = Point { longitude: float::number(longitude)?, latitude: float::number(latitude)? };
    if point.is_on_map() {
        return Ok(point);
    }
    let Point { longitude, latitude } = point;
    Err(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}").into())
}

/// A distance in meters, and the meters of its unit.
fn distance(number: &[u8], word: &[u8]) -> Result<(f64, f64), ErrorText> {
    let number = float::double(number).ok_or(NOT_A_RADIUS)?;
    if number < 0.0 {
        return Err(NEGATIVE_RADIUS);
    }
    let unit = unit(word)?;
    Ok((number * unit, unit))
}

/// A rectangle in meters, and the meters of its unit.
fn rectangle(width: &[u8], height: &[u8], word: &[u8]) -> Result<(GeoRectangle, f64), ErrorText> {
    let width = float::double(width).ok_or(NOT_A_WIDTH)?;
    let height = float::double(height).ok_or(NOT_A_HEIGHT)?;
    if width < 0.0 || height < 0.0 {
        return Err(NEGATIVE_SIDE);
    }
    let unit = unit(word)?;
    Ok((GeoRectangle { width: width * unit, height: height * unit }, unit))
}

/// Meters of a unit.
fn unit(word: &[u8]) -> Result<f64, ErrorText> {
    let units = [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)];
    units.into_iter().find(|(name, _)| is_word(word, name)).map(|(_, meters)| meters).ok_or(NO_UNIT)
}
