//! A value that is too large for one command, as several.

use bytes::Bytes;
use rdb::Value;

/// Bytes of elements in one command, about.
const PIECE_BYTES: usize = 1024 * 1024;
/// Elements in one command.
const PIECE_ELEMENTS: usize = 5000;

/// The commands that make the value under this key, which does not exist.
pub fn commands(key: &Bytes, value: &Value) -> Vec<Vec<Bytes>> {
    match value {
        Value::String(string) => vec![vec!["SET".into(), key.clone(), string.clone()]],
        Value::List(elements) => in_pieces("RPUSH", key, elements.iter().map(|it| vec![it.clone()])),
        Value::Set(members) => in_pieces("SADD", key, members.iter().map(|it| vec![it.clone()])),
        Value::Hash(fields) => {
            in_pieces("HSET", key, fields.iter().map(|(field, value)| vec![field.clone(), value.clone()]))
        }
        Value::SortedSet(members) => {
            let scored = |(member, score): &(Bytes, f64)| vec![score_text(*score), member.clone()];
            in_pieces("ZADD", key, members.iter().map(scored))
        }
    }
}

fn in_pieces(name: &'static str, key: &Bytes, elements: impl Iterator<Item = Vec<Bytes>>) -> Vec<Vec<Bytes>> {
    let begin = || vec![Bytes::from_static(name.as_bytes()), key.clone()];
    let (mut commands, mut command, mut bytes, mut count) = (Vec::new(), begin(), 0, 0);
    for element in elements {
        bytes += element.iter().map(Bytes::len).sum::<usize>();
        count += 1;
        command.extend(element);
        if bytes >= PIECE_BYTES || count >= PIECE_ELEMENTS {
            commands.push(std::mem::replace(&mut command, begin()));
            (bytes, count) = (0, 0);
        }
    }
    if count > 0 {
        commands.push(command);
    }
    commands
}

/// The shortest text that is read as this score again.
fn score_text(score: f64) -> Bytes {
    format!("{score:e}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_cut() {
        let elements: Vec<Bytes> = (0..12_000).map(|number: u32| number.to_string().into()).collect();
        let commands = commands(&"l".into(), &Value::List(elements.clone()));
        assert_eq!(commands.iter().map(Vec::len).collect::<Vec<_>>(), [5002, 5002, 2002]);
        let sent: Vec<_> = commands.iter().flat_map(|command| command[2..].to_vec()).collect();
        assert_eq!(sent, elements);
        for score in [0.1, -2.5e300, f64::INFINITY, 7.0] {
            let text = score_text(score);
            assert_eq!(std::str::from_utf8(&text).unwrap().parse(), Ok(score));
        }
    }
}
