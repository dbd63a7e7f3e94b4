//! `BITFIELD`: numbers of any width at any bit.
//!
//! A number of up to 64 bits lies in up to 9 bytes. They are read as one number of 128 bits:
//!
//! ```text
//!   byte at         offset div 8                        (offset + bits − 1) div 8
//!                   │ ..xxxxxx │ xxxxxxxx │ … │ xxx..... │
//!                       └ offset mod 8            └──┬──┘ shift
//! ```

use api::kv::{BitField, BitFieldOverflow, BitFieldVerb, BitFields, KvAnswer, KvError, KvReply, Many};
use bytes::Bytes;
use engine::ApplyContext;

use super::text::{Editing, Text};
use crate::look::Look;
use crate::reader::encode;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};

/// Bytes in which a number lies at most.
const WINDOW_BYTES_MAX: usize = 9;

/// Numbers that are only read.
pub(super) fn read(look: &dyn Look, fields: &BitFields) -> Outcome {
    let text = match look.live(&fields.key)? {
        Some(stored) => Text::of(look, &stored)?,
        None => Text::Whole(Bytes::new()),
    };
    let mut replies = Vec::with_capacity(fields.steps.len());
    for step in &fields.steps {
        let field = Field::of(step)?;
        if field.verb != BitFieldVerb::Get {
            return Err(Stop::Refused(KvError::Unsupported));
        }
        let mut window = field.window();
        text.read(look, field.byte(), window.bytes_mut())?;
        replies.push(KvReply::integer(field.number(window.get(field))));
    }
    Ok(encode(KvAnswer::Many(Many { replies })))
}

/// Numbers of which some are changed. The string is made as long as the last of these needs it, even if the
/// change does not happen.
pub(super) fn change(staging: &mut Staging, context: &ApplyContext, fields: &BitFields) -> Outcome {
    let mut steps = Vec::with_capacity(fields.steps.len());
    for step in &fields.steps {
        steps.push(Field::of(step)?);
    }
    let changes = steps.iter().filter(|field| field.verb != BitFieldVerb::Get);
    let bytes = changes.map(|field| field.end_byte()).max().unwrap_or(0);
    let mut string = Editing::open(staging, context, &fields.key, bytes)?;
    let mut replies = Vec::with_capacity(steps.len());
    for field in steps {
        let mut window = field.window();
        string.read(&staging.look(context), field.byte(), window.bytes_mut())?;
        let before = window.get(field);
        let Some((after, answer)) = field.result(before) else {
            replies.push(KvReply::nil());
            continue;
        };
        if after != before {
            window.set(field, after);
            string.write(staging, context, field.byte(), window.bytes_mut())?;
        }
        replies.push(KvReply::integer(field.number(answer)));
    }
    string.finish(staging, context);
    Ok(encode(KvAnswer::Many(Many { replies })))
}

/// A checked step.
#[derive(Clone, Copy, Debug)]
struct Field {
    verb: BitFieldVerb,
    overflow: BitFieldOverflow,
    signed: bool,
    bits: u32,
    offset: u64,
    operand: i64,
}

impl Field {
    fn of(step: &BitField) -> Result<Self, Stop> {
        let unsupported = Stop::Refused(KvError::Unsupported);
        let widest = if step.signed { 64 } else { 63 };
        let (Ok(verb), Ok(overflow)) =
            (BitFieldVerb::try_from(step.verb), BitFieldOverflow::try_from(step.overflow))
        else {
            return Err(unsupported);
        };
        if !(1..=widest).contains(&step.bits) || step.offset > u64::MAX / 2 {
            return Err(unsupported);
        }
        let BitField { signed, bits, offset, operand, .. } = *step;
        Ok(Self { verb, overflow, signed, bits, offset, operand })
    }

    /// The first byte.
    fn byte(self) -> u64 {
        self.offset / 8
    }

    /// The byte behind the last one.
    fn end_byte(self) -> u64 {
        (self.offset + u64::from(self.bits) - 1) / 8 + 1
    }

    fn window(self) -> Window {
        Window { bytes: [0; WINDOW_BYTES_MAX], length: (self.end_byte() - self.byte()) as usize }
    }

    /// All bits of it set.
    fn ones(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// What the bits mean.
    fn number(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed { (raw << unused) as i64 >> unused } else { raw as i64 }
    }

    /// The least and the greatest number that fit.
    fn range(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// Whether the distance of what is to be stored to the greatest number does not fit 64 bits.
    fn wraps(self, greatest: i128) -> bool {
        self.signed && self.bits < 64 && i64::try_from(greatest - i128::from(self.operand)).is_err()
    }

    /// The bits afterwards and the bits to answer with; `None` if the result does not fit and that is a
    /// failure.
    fn result(self, before: u64) -> Option<(u64, u64)> {
        let wanted = match self.verb {
            BitFieldVerb::Get => return Some((before, before)),
            // Without a sign, a negative number is a very great one.
            BitFieldVerb::Set if !self.signed => i128::from(self.operand as u64),
            BitFieldVerb::Set => i128::from(self.operand),
            BitFieldVerb::Add => i128::from(self.number(before)) + i128::from(self.operand),
        };
        let (least, greatest) = self.range();
        let fits = (least..=greatest).contains(&wanted);
        let taken = match self.overflow {
            BitFieldOverflow::Fail if !fits => return None,
            // Redis subtracts with 64 bits, so numbers far below all that fit look as if they were above.
            BitFieldOverflow::Saturate if self.verb == BitFieldVerb::Set && self.wraps(greatest) => greatest,
            BitFieldOverflow::Saturate => wanted.clamp(least, greatest),
            _ => wanted,
        };
        let after = taken as u64 & self.ones();
        Some((after, if self.verb == BitFieldVerb::Set { before } else { after }))
    }
}

/// The bytes in which a number lies.
struct Window {
    bytes: [u8; WINDOW_BYTES_MAX],
    length: usize,
}

impl Window {
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    fn all(&self) -> u128 {
        self.bytes[..self.length].iter().fold(0, |all, byte| all << 8 | u128::from(*byte))
    }

    /// Bits below the number in its last byte.
    fn shift(&self, field: Field) -> u32 {
        (8 * self.length as u64 - field.offset % 8) as u32 - field.bits
    }

    fn get(&self, field: Field) -> u64 {
        (self.all() >> self.shift(field)) as u64 & field.ones()
    }

    fn set(&mut self, field: Field, raw: u64) {
        let shift = self.shift(field);
        let all = self.all() & !(u128::from(field.ones()) << shift) | u128::from(raw) << shift;
        let bytes = all.to_be_bytes();
        let first = bytes.len() - self.length;
        self.bytes[..self.length].copy_from_slice(&bytes[first..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(verb: BitFieldVerb, signed: bool, bits: u32, operand: i64, overflow: BitFieldOverflow) -> Field {
        Field { verb, overflow, signed, bits, offset: 0, operand }
    }

    #[test]
    fn a_number_keeps_to_its_bits() {
        for bits in [1, 7, 8, 33, 63, 64] {
            for offset in 0..9 {
                let field =
                    Field { offset, ..field(BitFieldVerb::Get, true, bits, 0, BitFieldOverflow::Wrap) };
                let mut window = field.window();
                window.set(field, field.ones());
                assert_eq!(window.get(field), field.ones());
                assert_eq!(window.all().count_ones(), bits);
                assert_eq!(field.number(field.ones()), -1);
            }
        }
    }

    #[test]
    fn what_does_not_fit_wraps_saturates_or_fails() {
        use BitFieldOverflow::*;
        use BitFieldVerb::*;
        let after = |field: Field, before| field.result(before).map(|(after, _)| field.number(after));
        assert_eq!(after(field(Add, false, 8, 10, Wrap), 250), Some(4));
        assert_eq!(after(field(Add, false, 8, 10, Saturate), 250), Some(255));
        assert_eq!(after(field(Add, false, 8, 10, Fail), 250), None);
        assert_eq!(after(field(Add, false, 8, -10, Saturate), 5), Some(0));
        assert_eq!(after(field(Add, true, 8, 1, Wrap), 127), Some(-128));
        assert_eq!(after(field(Add, true, 64, i64::MIN, Saturate), u64::MAX), Some(i64::MIN));
        assert_eq!(after(field(Set, false, 8, -1, Saturate), 0), Some(255));
        assert_eq!(after(field(Set, true, 8, 200, Wrap), 0), Some(-56));
        assert_eq!(after(field(Set, true, 8, 200, Fail), 0), None);
        assert_eq!(after(field(Set, true, 8, -1000, Saturate), 0), Some(-128));
        assert_eq!(after(field(Set, true, 8, i64::MIN, Saturate), 0), Some(127), "as Redis has it");
        assert_eq!(after(field(Set, true, 64, i64::MIN, Saturate), 0), Some(i64::MIN));
    }
}
