//! `SORT`: the elements of a list, set or sorted set in another order, or what they name.
//!
//! To sort means to have all elements and their weights in memory, so it has a limit, [`EDIT_BYTES_MAX`]. What
//! keeps its order (`BY nosort`) is read as far as it is wanted.

use std::cmp::Ordering;

use api::kv::{KvAnswer, KvError, Sort, SortAndStore, SortPattern};
use bytes::Bytes;
use engine::ApplyContext;
use types::limits::{EDIT_BYTES_MAX, EDIT_ELEMENT_BYTES};

use crate::collection::Found;
use crate::elements::{Elements, Sortable};
use crate::look::Look;
use crate::number::parse_double;
use crate::reader::encode;
use crate::reply::{self, Gathered};
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::strings::string_of;
use crate::value::Kind;
use crate::{hashes, lists};

const NOT_NUMBERS: &str = "ERR One or more scores can't be converted into double";

/// `SORT` without `STORE`.
pub(crate) fn read(look: &dyn Look, sort: &Sort) -> Outcome {
    let Some(elements) = sorted(look, sort, false)? else { return Ok(not_numbers()) };
    let mut values = Gathered::values();
    for element in &elements {
        if sort.get.is_empty() {
            values.add(element)?;
        }
        for pattern in &sort.get {
            values.add_maybe(named(look, pattern, element)?.as_deref())?;
        }
    }
    Ok(values.finish())
}

/// `SORT` with `STORE`. What names nothing is stored as an empty string.
pub(crate) fn store(staging: &mut Staging, context: &ApplyContext, request: &SortAndStore) -> Outcome {
    let Some(sort) = &request.sort else { return Err(Stop::Refused(KvError::Unsupported)) };
    let mut budget = Budget::default();
    let mut values = Vec::new();
    {
        let look = staging.look(context);
        let Some(elements) = sorted(&look, sort, true)? else { return Ok(not_numbers()) };
        for element in elements {
            for pattern in &sort.get {
                let value = named(&look, pattern, &element)?.unwrap_or_default();
                budget.spend(&value)?;
                values.push(value);
            }
            if sort.get.is_empty() {
                values.push(element);
            }
        }
    }
    let length = values.len() as i64;
    lists::store(staging, context, &request.to, values)?;
    Ok(reply::integer(length))
}

/// The wanted elements in their order; `None` if they, or what they are sorted by, are no numbers.
fn sorted(look: &dyn Look, sort: &Sort, stores: bool) -> Result<Option<Vec<Bytes>>, Stop> {
    let Some(collection) = Sortable::find(look, &sort.key)? else { return Ok(Some(Vec::new())) };
    let start = sort.start.min(collection.count());
    let wanted = sort.count.unwrap_or(u64::MAX).min(collection.count() - start);
    // What is stored must not depend on the order that a set happens to have.
    let forced = sort.unsorted && stores && matches!(collection, Sortable::Set(..));
    if sort.unsorted && !forced {
        let elements = collection.from(start, sort.descending)?;
        return gather(elements.take(wanted as usize)).map(Some);
    }
    let by = sort.by.as_ref().filter(|_| !forced);
    let elements = gather(collection.from(0, false)?)?;
    let elements = match sort.alphabetical || forced {
        true => by_bytes(look, by, elements, sort.descending)?,
        false => match by_numbers(look, by, elements, sort.descending)? {
            Some(elements) => elements,
            None => return Ok(None),
        },
    };
    Ok(Some(elements.into_iter().skip(start as usize).take(wanted as usize).collect()))
}

/// Elements by the number that each is or names, then by their bytes. What names nothing weighs 0.
fn by_numbers(
    look: &dyn Look,
    by: Option<&SortPattern>,
    elements: Vec<Bytes>,
    descending: bool,
) -> Result<Option<Vec<Bytes>>, Stop> {
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let weight = match by {
            None => parse_double(&element),
            Some(pattern) => named(look, pattern, &element)?.map_or(Some(0.0), |text| parse_double(&text)),
        };
        let Some(weight) = weight else { return Ok(None) };
        // Zeros are equal whatever their signs, as in Redis; nothing here is NaN.
        weighed.push((weight + 0.0, element));
    }
    weighed
        .sort_by(|(a, left), (b, right)| directed(a.total_cmp(b).then_with(|| left.cmp(right)), descending));
    Ok(Some(weighed.into_iter().map(|(_, element)| element).collect()))
}

/// Elements by their bytes, or those that each names. What names nothing comes first.
fn by_bytes(
    look: &dyn Look,
    by: Option<&SortPattern>,
    mut elements: Vec<Bytes>,
    descending: bool,
) -> Result<Vec<Bytes>, Stop> {
    let Some(pattern) = by else {
        elements.sort_by(|left, right| directed(left.cmp(right), descending));
        return Ok(elements);
    };
    let mut budget = Budget::default();
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let weight = named(look, pattern, &element)?;
        budget.spend(weight.as_deref().unwrap_or_default())?;
        weighed.push((weight, element));
    }
    weighed.sort_by(|(left, _), (right, _)| directed(left.cmp(right), descending));
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

fn directed(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}

/// What a pattern names for an element, if there is such a string.
fn named(look: &dyn Look, pattern: &SortPattern, element: &Bytes) -> Result<Option<Bytes>, Stop> {
    if pattern.element {
        return Ok(Some(element.clone()));
    }
    let Some(key) = pattern.key_for(element) else { return Ok(None) };
    match look.live(&key)? {
        Some(stored) if pattern.field.is_empty() && stored.header.kind.is_string() => {
            string_of(look, &stored).map(Some)
        }
        Some(stored) if !pattern.field.is_empty() && stored.header.kind == Kind::Hash => {
            let found = Found::of(look.epoch(), &stored)?;
            Ok(hashes::value(look, Some(&found), &pattern.field)?)
        }
        _ => Ok(None),
    }
}

fn gather<'a>(elements: impl Iterator<Item = <Elements<'a> as Iterator>::Item>) -> Result<Vec<Bytes>, Stop> {
    let mut budget = Budget::default();
    let mut gathered = Vec::new();
    for element in elements {
        let element = element?;
        budget.spend(&element)?;
        gathered.push(element);
    }
    Ok(gathered)
}

fn not_numbers() -> Bytes {
    encode(KvAnswer::Refusal(NOT_NUMBERS.into()))
}

/// Bytes held in memory.
#[derive(Default)]
struct Budget(usize);

impl Budget {
    fn spend(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.0 += bytes.len() + EDIT_ELEMENT_BYTES;
        if self.0 > EDIT_BYTES_MAX { Err(Stop::Refused(KvError::EditTooLarge)) } else { Ok(()) }
    }
}
