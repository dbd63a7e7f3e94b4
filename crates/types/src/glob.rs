//! Glob patterns as Redis matches them: `*`, `?`, `[a-c]`, `[^a]`, `\c`.

/// Whether the whole of `text` matches. Time is at most proportional to the product of the lengths: on a
/// mismatch only the last `*` is widened, so a pattern full of stars cannot stall the caller.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        let step = match (pattern.get(p..).unwrap_or_default(), text.get(t)) {
            ([], None) => return true,
            ([], Some(_)) | (_, None) => None,
            (rest, Some(&byte)) => match_one(rest, byte, ignore_case),
        };
        match (step, retry) {
            (Some(used), _) => {
                p += used;
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

/// How many pattern bytes match this one byte, if they do. The pattern is not empty.
fn match_one(pattern: &[u8], byte: u8, ignore_case: bool) -> Option<usize> {
    let fold = |b: u8| if ignore_case { b.to_ascii_lowercase() } else { b };
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => match_class(class, byte, &fold).map(|used| used + 1),
        [b'\\', escaped, ..] => (fold(*escaped) == fold(byte)).then_some(2),
        [literal, ..] => (fold(*literal) == fold(byte)).then_some(1),
        [] => None,
    }
}

/// The same behind a `[`; an unclosed class ends with the pattern, as in Redis.
fn match_class(class: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match class.get(at..).unwrap_or_default() {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [first, b'-', last, ..] => {
                let (low, high) = (fold(*first.min(last)), fold(*first.max(last)));
                found |= (low..=high).contains(&fold(byte));
                at += 3;
            }
            [literal, ..] => {
                found |= fold(*literal) == fold(byte);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_the_redis_manual() {
        let yes = [
            ("h?llo", "hello"),
            ("h*llo", "heeeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("*", ""),
            ("a*b*c", "axxbyybzc"),
            (r"\*", "*"),
            ("[b-a]", "a"),
            ("", ""),
            ("a\\", "a\\"),
            ("a[bc", "ab"),
            (r"a[\]]b", "a]b"),
            ("**a", "bbba"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} {text}");
        }
        let no = [("h[^e]llo", "hello"), ("a*b", "ac"), ("", "a"), ("a", ""), ("?", ""), (r"\*", "x")];
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} {text}");
        }
        assert!(matches(b"MaxMem*", b"maxmemory", true));
    }

    #[test]
    fn many_stars_do_not_stall() {
        let text = b"a".repeat(5000);
        let mut pattern = b"a*".repeat(100);
        pattern.push(b'b');
        assert!(!matches(&pattern, &text, false));
    }
}
