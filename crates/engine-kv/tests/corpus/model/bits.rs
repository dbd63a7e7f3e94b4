//! Bits of strings: bit 0 is the highest of the first byte.

use proto_redis::Reply;

use super::arguments::{option, whole, whole_argument};
use super::{Answer, Model, SYNTAX, Text, Value, integer};

const NOT_AN_OFFSET: &str = "ERR bit offset is not an integer or out of range";
const NOT_A_BIT: &str = "ERR bit is not an integer or out of range";

impl Model {
    pub(super) fn bit_command(&mut self, name: &str, words: &[Text]) -> Option<Answer> {
        Some(match name {
            "SETBIT" => self.setbit(words),
            "GETBIT" => whole(&words[1]).ok_or(NOT_AN_OFFSET.to_owned()).and_then(|offset| {
                Ok(Reply::flag(bit(&self.string(&words[0])?.unwrap_or_default(), offset as usize)))
            }),
            "BITCOUNT" => self.bitcount(words),
            "BITPOS" => self.bitpos(words),
            "BITOP" => self.bitop(words),
            "BITFIELD" | "BITFIELD_RO" => self.bitfield(words),
            _ => return None,
        })
    }

    fn setbit(&mut self, words: &[Text]) -> Answer {
        let offset = whole(&words[1]).ok_or(NOT_AN_OFFSET)? as usize;
        let on = whole(&words[2]).filter(|bit| (0..=1).contains(bit)).ok_or(NOT_A_BIT)? == 1;
        let mut text = self.string(&words[0])?.unwrap_or_default();
        let old = bit(&text, offset);
        set_bit(&mut text, offset, on);
        self.put(&words[0], Value::String(text));
        Ok(Reply::flag(old))
    }

    fn bitcount(&self, words: &[Text]) -> Answer {
        // Without the key the words may be anything.
        if self.entry(&words[0]).is_none() {
            return integer(0);
        }
        let text = self.string(&words[0])?.unwrap_or_default();
        if let [_, start, end, _] = words {
            // Nothing is between them, and Redis does not look at the unit any more.
            let (start, end) = (whole_argument(start)?, whole_argument(end)?);
            if start < 0 && end < 0 && start > end {
                return integer(0);
            }
        }
        let range = if words.len() > 1 { range(&words[1..], &text)? } else { Some((0, text.len() * 8)) };
        let (start, end) = range.unwrap_or((0, 0));
        integer((start..end).filter(|place| bit(&text, *place)).count())
    }

    fn bitpos(&self, words: &[Text]) -> Answer {
        let wanted = whole_argument(&words[1])? == 1;
        if self.entry(&words[0]).is_none() {
            return Ok(Reply::Integer(if wanted { -1 } else { 0 }));
        }
        let text = self.string(&words[0])?.unwrap_or_default();
        let range = match words.len() {
            2 => Some((0, text.len() * 8)),
            3 => range(&[words[2].clone(), b"-1".to_vec()], &text)?,
            _ => range(&words[2..], &text)?,
        };
        let Some((start, end)) = range else { return Ok(Reply::Integer(-1)) };
        match (start..end).find(|place| bit(&text, *place) == wanted) {
            Some(place) => integer(place),
            // Behind a string without an end there are zeros.
            None if !wanted && words.len() < 4 && start < end => integer(text.len() * 8),
            None => Ok(Reply::Integer(-1)),
        }
    }

    fn bitop(&mut self, words: &[Text]) -> Answer {
        let texts = words[2..].iter().map(|key| Ok(self.string(key)?.unwrap_or_default()));
        let texts = texts.collect::<Result<Vec<_>, String>>()?;
        let length = texts.iter().map(Vec::len).max().unwrap_or(0);
        let byte = |place: usize| {
            let bytes = texts.iter().map(|text| text.get(place).copied().unwrap_or(0));
            match &option(&words[0])[..] {
                "AND" => bytes.fold(0xff, |a, b| a & b),
                "OR" => bytes.fold(0, |a, b| a | b),
                "XOR" => bytes.fold(0, |a, b| a ^ b),
                _ => !bytes.fold(0, |a, b| a | b),
            }
        };
        let result: Text = (0..length).map(byte).collect();
        if result.is_empty() {
            self.remove(&words[1]);
        } else {
            self.replace(&words[1], Value::String(result));
        }
        integer(length)
    }

    fn bitfield(&mut self, words: &[Text]) -> Answer {
        let fields = fields(&words[1..]);
        let mut text = self.string(&words[0])?.unwrap_or_default();
        let written = fields.iter().filter(|field| field.action != Action::Get);
        if let Some(end) = written.map(|field| field.offset + field.width).max() {
            text.resize(text.len().max(end.div_ceil(8)), 0);
        }
        let replies = fields.iter().map(|field| field.carry_out(&mut text)).collect();
        if fields.iter().any(|field| field.action != Action::Get) {
            self.put(&words[0], Value::String(text));
        }
        Ok(Reply::Array(replies))
    }
}

fn bit(text: &[u8], place: usize) -> bool {
    text.get(place / 8).is_some_and(|byte| byte >> (7 - place % 8) & 1 == 1)
}

fn set_bit(text: &mut Text, place: usize, on: bool) {
    text.resize(text.len().max(place / 8 + 1), 0);
    let mask = 1 << (7 - place % 8);
    if on { text[place / 8] |= mask } else { text[place / 8] &= !mask }
}

/// `start end [BYTE|BIT]` as bits; `None` if nothing is between.
fn range(words: &[Text], text: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let start = whole_argument(&words[0])?;
    let end = words.get(1).ok_or(SYNTAX)?;
    let (end, unit) = match words.get(2).map(|word| option(word)).as_deref() {
        None | Some("BYTE") => (whole_argument(end)?, 8),
        Some("BIT") => (whole_argument(end)?, 1),
        Some(_) => return Err(SYNTAX.into()),
    };
    let length = (text.len() * 8 / unit) as i64;
    let place = |place: i64| if place < 0 { (place + length).max(0) } else { place };
    let (start, end) = (place(start), place(end).min(length - 1));
    Ok((start <= end).then(|| (start as usize * unit, (end as usize + 1) * unit)))
}

#[derive(PartialEq)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

struct Field {
    action: Action,
    signed: bool,
    width: usize,
    offset: usize,
    overflow: String,
}

/// All of them are well formed.
fn fields(words: &[Text]) -> Vec<Field> {
    let (mut fields, mut overflow, mut rest) = (Vec::new(), "WRAP".to_owned(), words);
    while let Some(word) = rest.first() {
        let name = option(word);
        if name == "OVERFLOW" {
            overflow = option(&rest[1]);
            rest = &rest[2..];
            continue;
        }
        let number = || whole(&rest[3]).unwrap();
        let (action, length) = match &name[..] {
            "GET" => (Action::Get, 3),
            "SET" => (Action::Set(number()), 4),
            _ => (Action::Add(number()), 4),
        };
        let width = whole(&rest[1][1..]).unwrap() as usize;
        let offset = match rest[2].split_first() {
            Some((b'#', number)) => whole(number).unwrap() as usize * width,
            _ => whole(&rest[2]).unwrap() as usize,
        };
        fields.push(Field { action, signed: rest[1][0] == b'i', width, offset, overflow: overflow.clone() });
        rest = &rest[length..];
    }
    fields
}

impl Field {
    fn carry_out(&self, text: &mut Text) -> Reply {
        let old = self.read(text);
        let wanted = match self.action {
            Action::Get => return Reply::Integer(old as i64),
            Action::Set(number) if self.signed => i128::from(number),
            Action::Set(number) => i128::from(number as u64),
            Action::Add(number) => old + i128::from(number),
        };
        let (least, most) = match self.signed {
            true => (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1),
            false => (0, (1 << self.width) - 1),
        };
        let fits = (least..=most).contains(&wanted);
        if !fits && self.overflow == "FAIL" {
            return Reply::Null;
        }
        // What is so far below that the distance is no 64-bit number counts as above, for Redis.
        let sets = matches!(self.action, Action::Set(_));
        let far_below = sets && self.signed && self.width < 64 && most - wanted > i128::from(i64::MAX);
        let stored = match &self.overflow[..] {
            "SAT" if far_below => most,
            "SAT" => wanted.clamp(least, most),
            _ => wanted,
        };
        for place in 0..self.width {
            set_bit(text, self.offset + place, stored >> (self.width - 1 - place) & 1 == 1);
        }
        let new = self.read(text);
        Reply::Integer(if sets { old } else { new } as i64)
    }

    fn read(&self, text: &[u8]) -> i128 {
        let bits = (0..self.width).map(|place| bit(text, self.offset + place));
        let number = bits.fold(0, |number, bit| number << 1 | i128::from(bit));
        let negative = self.signed && bit(text, self.offset);
        if negative { number - (1 << self.width) } else { number }
    }
}
