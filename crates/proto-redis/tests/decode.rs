//! The request decoder and the reply decoder on every cut, on arbitrary bytes, and Redis' error texts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proto_redis::{Decoder, Protocol, ProtocolError, Reply, ReplyDecoder};
use types::limits::{COMMAND_BYTES_MAX, INLINE_BYTES_MAX};

/// Feeds the pieces one after another; the commands found and the error that ended it.
fn decode(pieces: &[&[u8]]) -> (Vec<Vec<Bytes>>, Option<ProtocolError>) {
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::new());
    let (mut commands, mut args) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer, &mut args) {
                Ok(true) => commands.push(args.clone()),
                Ok(false) => break,
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Cuts at these places, taken modulo the length.
fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn error_of(bytes: &[u8]) -> String {
    let (_, error) = decode(&[bytes]);
    error.map_or("none".to_owned(), |error| error.text().to_string())
}

#[test]
fn commands_of_both_kinds_follow_each_other() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nSET a \"b c\"\r\n\r\n*0\r\n*-1\r\nPING\n*1\r\n$0\r\n\r\n";
    let wanted: Vec<Vec<&[u8]>> =
        vec![vec![b"GET", b"a"], vec![b"SET", b"a", b"b c"], vec![b"PING"], vec![b""]];
    for place in 0..bytes.len() {
        let (commands, error) = decode(&cut(bytes, &[place]));
        assert_eq!(error, None);
        assert_eq!(commands, wanted, "cut at {place}");
    }
}

#[test]
fn errors_read_as_in_redis() {
    let long = vec![b'1'; INLINE_BYTES_MAX + 2];
    let cases: [(Vec<u8>, &str); 11] = [
        (b"*x\r\n".to_vec(), "invalid multibulk length"),
        (b"*9999999999\r\n".to_vec(), "invalid multibulk length"),
        (b"*1\r\nx3\r\n".to_vec(), "expected '$', got 'x'"),
        (b"*1\r\n$-1\r\n".to_vec(), "invalid bulk length"),
        (b"*1\r\n$+1\r\n".to_vec(), "invalid bulk length"),
        (format!("*1\r\n${}\r\n", COMMAND_BYTES_MAX + 1).into_bytes(), "invalid bulk length"),
        (format!("*1\r\n${COMMAND_BYTES_MAX}\r\n").into_bytes(), "command longer than 67108864 bytes"),
        (b"SET a 'b\r\n".to_vec(), "unbalanced quotes in request"),
        (long.clone(), "too big inline request"),
        ([&b"*"[..], &long].concat(), "too big mbulk count string"),
        ([&b"*1\r\n$"[..], &long].concat(), "too big bulk count string"),
    ];
    for (bytes, text) in cases {
        assert_eq!(error_of(&bytes), format!("ERR Protocol error: {text}"));
    }
}

#[test]
fn nothing_that_comes_after_a_line_of_http_is_a_command() {
    for request in ["POST / HTTP/1.1\r\nFLUSHALL\r\n", "host: a\r\nFLUSHALL\r\n"] {
        assert_eq!(decode(&[request.as_bytes()]), (Vec::new(), Some(ProtocolError::Http)), "{request}");
    }
    let (commands, error) = decode(&[b"PUT / HTTP/1.1\r\nHost: a\r\n\r\nFLUSHALL\r\n"]);
    assert_eq!((commands.len(), error), (1, Some(ProtocolError::Http)));
}

#[test]
fn strangers_are_held_to_small_limits() {
    let check = |bytes: &[u8]| {
        let mut decoder = Decoder::new();
        decoder.restrict(true);
        decoder.decode(&mut BytesMut::from(bytes), &mut Vec::new()).map_err(|error| error.text().to_string())
    };
    assert_eq!(check(b"*11\r\n"), Err("ERR Protocol error: unauthenticated multibulk length".into()));
    assert_eq!(check(b"*1\r\n$16385\r\n"), Err("ERR Protocol error: unauthenticated bulk length".into()));
    assert_eq!(check(b"*2\r\n$4\r\nAUTH\r\n$16384\r\n"), Ok(false));
}

#[test]
fn arguments_are_slices_of_the_buffer() {
    let mut buffer = BytesMut::from(&b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"[..]);
    let range = buffer.as_ptr() as usize..buffer.as_ptr() as usize + buffer.len();
    let mut args = Vec::new();
    assert_eq!(Decoder::new().decode(&mut buffer, &mut args), Ok(true));
    assert!(args.iter().all(|arg| range.contains(&(arg.as_ptr() as usize))));
}

#[test]
fn missing_bytes_of_a_large_value_are_known() {
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::from(&b"*1\r\n$1000\r\nabc"[..]));
    assert_eq!(decoder.decode(&mut buffer, &mut Vec::new()), Ok(false));
    assert_eq!(decoder.missing(&buffer), 999);
}

/// With a rescan per piece this would look at some 2 × 10^13 bytes.
#[test]
fn a_large_command_in_many_pieces_is_looked_at_once() {
    let (mut decoder, mut buffer, mut args) = (Decoder::new(), BytesMut::new(), Vec::new());
    let command = encode(&vec![vec![b'x'; 2]; 500_000]);
    for piece in command.chunks(64) {
        buffer.extend_from_slice(piece);
        let complete = decoder.decode(&mut buffer, &mut args).unwrap();
        assert_eq!(complete, !args.is_empty());
    }
    assert_eq!(args.len(), 500_000);
}

fn reply() -> impl Strategy<Value = Reply> {
    let text = proptest::collection::vec(any::<u8>(), 0..12);
    let leaf = prop_oneof![
        "[a-zA-Z ]{0,8}".prop_map(|word| Reply::Simple(word.into())),
        "[A-Z]{3} [a-z]{0,8}".prop_map(|text| Reply::Error(text.into())),
        any::<i64>().prop_map(Reply::Integer),
        text.clone().prop_map(|bytes| Reply::Bulk(bytes.into())),
        Just(Reply::Null),
        any::<bool>().prop_map(Reply::Bool),
        (-1e9..1e9f64).prop_map(Reply::Double),
        "[1-9][0-9]{0,30}".prop_map(|digits| Reply::BigNumber(digits.into())),
        text.prop_map(|bytes| Reply::Verbatim { format: *b"txt", text: bytes.into() }),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items.clone().prop_map(Reply::Array),
            items.clone().prop_map(Reply::Set),
            items.prop_map(Reply::Push),
            proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(Reply::Map),
        ]
    })
}

proptest! {
    #[test]
    fn commands_survive_any_cut(
        commands in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..6), 1..5),
        places in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        let bytes: Vec<u8> = commands.iter().flat_map(|args| encode(args)).collect();
        let (found, error) = decode(&cut(&bytes, &places));
        prop_assert_eq!(error, None);
        prop_assert_eq!(found, commands);
    }

    /// Whatever arrives, cuts make no difference and nothing panics.
    #[test]
    fn arbitrary_bytes_decode_the_same_for_any_cut(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'"')],
            0..80),
        places in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assert_eq!(decode(&[&bytes]), decode(&cut(&bytes, &places)));
    }

    #[test]
    fn replies_survive_any_cut(
        replies in proptest::collection::vec(reply(), 1..4),
        places in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        let mut bytes = BytesMut::new();
        for reply in &replies {
            reply.encode(Protocol::Resp3, &mut bytes);
        }
        let (mut decoder, mut buffer, mut found) = (ReplyDecoder::new(), BytesMut::new(), Vec::new());
        for piece in cut(&bytes, &places) {
            buffer.extend_from_slice(piece);
            while let Some(reply) = decoder.decode(&mut buffer).unwrap() {
                found.push(reply);
            }
        }
        prop_assert_eq!(found, replies);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic_the_reply_decoder(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'*'), Just(b'%'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1')],
            0..80),
    ) {
        let (mut decoder, mut buffer) = (ReplyDecoder::new(), BytesMut::from(&bytes[..]));
        while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
    }
}
