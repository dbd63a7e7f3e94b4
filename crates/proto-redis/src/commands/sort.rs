//! `SORT` and `SORT_RO`.

use super::{integer, is_word, keyed};
use crate::form::Shape;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX};
use api::kv::{GenericOp, GenericRequest, KvOp, Sort, SortAndStore, SortPattern};
use bytes::Bytes;

type Parsed = Result<Plan, ErrorText>;

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA]
/// [STORE destination]`
pub(crate) fn sort(call: &mut Call<'_>) -> Parsed {
    let (sort, to) = parse(call, true)?;
    match to {
        None => generic(call, GenericOp::Sort(sort), Shape::Bulks),
        Some(to) => {
            generic(call, GenericOp::SortAndStore(SortAndStore { sort: Some(sort), to }), Shape::Plain)
        }
    }
}

/// The same without `STORE`.
pub(crate) fn sort_ro(call: &mut Call<'_>) -> Parsed {
    let (sort, _) = parse(call, false)?;
    generic(call, GenericOp::Sort(sort), Shape::Bulks)
}

fn parse(call: &Call<'_>, may_store: bool) -> Result<(Sort, Option<Bytes>), ErrorText> {
    let mut sort = Sort { key: call.arg(1), ..Default::default() };
    let mut to = None;
    let mut rest = &call.args[2..];
    while let [word, tail @ ..] = rest {
        rest = tail;
        if is_word(word, "ASC") {
            sort.descending = false;
        } else if is_word(word, "DESC") {
            sort.descending = true;
        } else if is_word(word, "ALPHA") {
            sort.alphabetical = true;
        } else if let (true, [start, count, tail @ ..]) = (is_word(word, "LIMIT"), tail) {
            rest = tail;
            let (start, count) = (integer(start)?, integer(count)?);
            sort.start = u64::try_from(start).unwrap_or(0);
            sort.count = u64::try_from(count).ok();
        } else {
            let [argument, tail @ ..] = tail else { return Err(SYNTAX) };
            rest = tail;
            if may_store && is_word(word, "STORE") {
                to = Some(argument.clone());
            } else if is_word(word, "BY") {
                // Without a place for the element every element has the same weight. A later option with a
                // place does not undo it, as in Redis.
                sort.unsorted |= !argument.contains(&b'*');
                sort.by = Some(pattern(argument));
            } else if is_word(word, "GET") {
                sort.get.push(pattern(argument));
            } else {
                return Err(SYNTAX);
            }
        }
    }
    Ok((sort, to))
}

/// `#` is the element itself. What follows `->` behind the place for the element is a field of a hash.
fn pattern(text: &Bytes) -> SortPattern {
    if text == "#" {
        return SortPattern { element: true, ..Default::default() };
    }
    let star = text.iter().position(|&byte| byte == b'*');
    let arrow = star.and_then(|star| {
        let behind = text[star..].windows(2).position(|pair| pair == b"->")?;
        Some(star + behind).filter(|&arrow| arrow + 2 < text.len())
    });
    match arrow {
        Some(arrow) => {
            SortPattern { element: false, key: text.slice(..arrow), field: text.slice(arrow + 2..) }
        }
        None => SortPattern { element: false, key: text.clone(), field: Bytes::new() },
    }
}

fn generic(call: &Call<'_>, op: GenericOp, shape: Shape) -> Parsed {
    keyed(call, KvOp::Generic(GenericRequest::new(op)), shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_the_element_or_a_key_or_a_field() {
        let parts = |text: &'static str| {
            let pattern = pattern(&Bytes::from_static(text.as_bytes()));
            (pattern.element, pattern.key, pattern.field)
        };
        let key = |key: &'static str, field: &'static str| (false, Bytes::from(key), Bytes::from(field));
        assert_eq!(parts("#"), (true, Bytes::new(), Bytes::new()));
        assert_eq!(parts("w_*"), key("w_*", ""));
        assert_eq!(parts("h*x->f->g"), key("h*x", "f->g"));
        assert_eq!(parts("h->*->f"), key("h->*", "f"));
        assert_eq!(parts("h*->"), key("h*->", ""));
        assert_eq!(parts("h->f"), key("h->f", ""));
    }
}
