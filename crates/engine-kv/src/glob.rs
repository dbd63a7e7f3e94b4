//! Glob patterns as Redis matches them: `*`, `?`, `[a-c]`, `[^x]` and `\` before a literal.
//!
//! Going back to the last `*` only is enough, because an earlier one can gain nothing that the last one
//! cannot; so the work is at most pattern times text, whatever a client sends.

/// Whether a text matches a pattern.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the present attempt fails: after the last star, one byte further.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            None if t == text.len() => return true,
            None => None,
            Some(_) => text.get(t).and_then(|byte| match_one(&pattern[p..], *byte)),
        };
        match (step, retry) {
            (Some(consumed), _) => {
                p += consumed;
                t += 1;
            }
            (None, Some((after_star, from))) if from < text.len() => {
                retry = Some((after_star, from + 1));
                (p, t) = (after_star, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte against the front of a pattern (not a star); the pattern bytes used, if it fits.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => match_class(class, byte).map(|consumed| consumed + 1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Matches one byte against what follows a `[`. A class that is not closed ends with the pattern.
fn match_class(class: &[u8], byte: u8) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut place = usize::from(negated);
    let mut found = false;
    loop {
        match &class[place..] {
            [b'\\', literal, ..] => {
                found |= *literal == byte;
                place += 2;
            }
            [b']', ..] => {
                place += 1;
                break;
            }
            [] => break,
            [low, b'-', high, ..] => {
                found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                place += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                place += 1;
            }
        }
    }
    (found != negated).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        let cases: &[(&str, &str, bool)] = &[
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a[\\]]b", "a]b", true),
            ("a[bc", "ab", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("**a", "bbba", true),
            ("a\\", "a\\", true),
            ("*?", "", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), *expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_little() {
        assert!(!matches(&b"a*".repeat(500), &[b'b'; 10_000]));
        assert!(!matches(&[&b"*a".repeat(200)[..], b"b"].concat(), &[b'a'; 5_000]));
    }
}
