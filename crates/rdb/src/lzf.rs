//! LZF, the compression of long strings.
//!
//! ```text
//!   000lllll                       l + 1 bytes as they are
//!   lllddddd dddddddd              l + 2 bytes from d + 1 bytes back
//!   111ddddd llllllll dddddddd     l + 9 bytes from d + 1 bytes back
//! ```

use crate::RdbError;

/// Bytes that one byte of compressed text gives at most: three give 264.
const EXPANSION_MAX: usize = 88;

/// The text of so many bytes behind compressed bytes.
///
/// # Errors
/// The bytes do not make so many.
pub(crate) fn expand(bytes: &[u8], length: usize) -> Result<Vec<u8>, RdbError> {
    let malformed = || RdbError::Malformed("a compressed string does not expand to its length");
    if length > bytes.len().saturating_mul(EXPANSION_MAX) {
        return Err(malformed());
    }
    let mut text = Vec::with_capacity(length);
    let mut rest = bytes.iter();
    let mut next = || rest.next().map(|byte| usize::from(*byte)).ok_or_else(malformed);
    while text.len() < length {
        let control = next()?;
        if control < 32 {
            for _ in 0..=control {
                text.push(next()? as u8);
            }
        } else {
            let count = match control >> 5 {
                7 => next()? + 9,
                count => count + 2,
            };
            let back = ((control & 0x1f) << 8 | next()?) + 1;
            let from = text.len().checked_sub(back).ok_or_else(malformed)?;
            // It may reach into what it writes itself.
            for place in from..from + count {
                text.push(text[place]);
            }
        }
    }
    if text.len() == length && rest.next().is_none() { Ok(text) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_are_expanded() {
        assert_eq!(expand(b"\x02abc", 3).unwrap(), b"abc");
        assert_eq!(expand(b"\x01ab\x60\x01", 7).unwrap(), b"abababa");
        assert_eq!(expand(b"\x00a\xe0\x0a\x00", 20).unwrap(), [b'a'; 20]);
        for (bytes, length) in [(&b"\x02ab"[..], 3), (b"\x20\x00", 3), (b"\x02abc", 2), (b"\x02abc", 900)] {
            assert!(expand(bytes, length).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn damage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), length in 0_usize..3000) {
            let _ = expand(&bytes, length);
        }
    }
}
