//! Commands about the connection itself.

use super::{integer, is_word, keys};
use crate::REDIS_VERSION;
use crate::parse::done;
use crate::plan::{Plan, Question};
use crate::reply::{Protocol, Reply};
use crate::session::Session;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, parse_integer, wrong_arity};
use bytes::Bytes;

type Parsed = Result<Plan, ErrorText>;

const BAD_PROTOCOL: ErrorText = ErrorText::fixed("ERR Protocol version is not an integer or out of range");
const NO_PROTOCOL: ErrorText = ErrorText::fixed("NOPROTO unsupported protocol version");
const HELLO_WITHOUT_AUTH: ErrorText = ErrorText::fixed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
);
const NO_CLUSTER: ErrorText = ErrorText::fixed("ERR This instance has cluster support disabled");

pub(crate) fn ping(call: &mut Call<'_>) -> Parsed {
    match call.args {
        [_] => done(Reply::simple("PONG")),
        [_, message] => done(Reply::Bulk(message.clone())),
        _ => Err(wrong_arity(call.command.full_name)),
    }
}

pub(crate) fn echo(call: &mut Call<'_>) -> Parsed {
    done(Reply::Bulk(call.arg(1)))
}

pub(crate) fn quit(call: &mut Call<'_>) -> Parsed {
    call.session.close();
    done(Reply::OK)
}

pub(crate) fn reset(call: &mut Call<'_>) -> Parsed {
    call.session.reset();
    done(Reply::simple("RESET"))
}

pub(crate) fn select(call: &mut Call<'_>) -> Parsed {
    keys::check_database(&call.args[1])?;
    done(Reply::OK)
}

/// `AUTH [username] password`
pub(crate) fn auth(call: &mut Call<'_>) -> Parsed {
    match call.args {
        [_, password] => call.session.authenticate_with_password(password)?,
        [_, user, password] => call.session.authenticate(user, password)?,
        _ => return Err(SYNTAX),
    }
    done(Reply::OK)
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`: all or nothing.
pub(crate) fn hello(call: &mut Call<'_>) -> Parsed {
    let hello = Hello::parse(&call.args[1..])?;
    let session = &mut *call.session;
    if let Some((user, password)) = hello.credentials {
        session.authenticate(user, password)?;
    }
    if !session.is_authenticated() {
        return Err(HELLO_WITHOUT_AUTH);
    }
    if let Some(name) = hello.name {
        session.set_name(name)?;
    }
    if let Some(protocol) = hello.protocol {
        session.set_protocol(protocol);
    }
    done(Reply::Map(vec![
        (Reply::text("server"), Reply::text("redis")),
        (Reply::text("version"), Reply::text(REDIS_VERSION)),
        (Reply::text("proto"), Reply::Integer(session.protocol().number())),
        (Reply::text("id"), Reply::Integer(session.id() as i64)),
        (Reply::text("mode"), Reply::text("standalone")),
        (Reply::text("role"), Reply::text("master")),
        (Reply::text("modules"), Reply::Array(Vec::new())),
    ]))
}

/// `WAIT numreplicas timeout`
pub(crate) fn wait(call: &mut Call<'_>) -> Parsed {
    let replicas = integer(&call.args[1])?;
    let timeout_millis = timeout_millis(&call.args[2])?;
    Ok(Plan::Ask(Question::Wait { replicas, timeout_millis, disks: false }))
}

/// `WAITAOF numlocal numreplicas timeout`
pub(crate) fn waitaof(call: &mut Call<'_>) -> Parsed {
    if !(0..=1).contains(&integer(&call.args[1])?) {
        return Err(ErrorText::fixed("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = integer(&call.args[2])?;
    if replicas < 0 {
        return Err(ErrorText::fixed("ERR value is out of range, must be positive"));
    }
    let timeout_millis = timeout_millis(&call.args[3])?;
    Ok(Plan::Ask(Question::Wait { replicas, timeout_millis, disks: true }))
}

fn timeout_millis(text: &[u8]) -> Result<i64, ErrorText> {
    match parse_integer(text) {
        None => Err(ErrorText::fixed("ERR timeout is not an integer or out of range")),
        Some(..0) => Err(ErrorText::fixed("ERR timeout is negative")),
        Some(millis) => Ok(millis),
    }
}

/// Every node answers every key, so clients need none of Redis' cluster mode.
pub(crate) fn no_cluster(_: &mut Call<'_>) -> Parsed {
    Err(NO_CLUSTER)
}

#[derive(Default)]
struct Hello<'a> {
    protocol: Option<Protocol>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a Bytes>,
}

impl<'a> Hello<'a> {
    fn parse(args: &'a [Bytes]) -> Result<Self, ErrorText> {
        let mut hello = Hello::default();
        let [version, options @ ..] = args else { return Ok(hello) };
        hello.protocol = Some(match parse_integer(version).ok_or(BAD_PROTOCOL)? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(NO_PROTOCOL),
        });
        let mut rest = options;
        loop {
            rest = match rest {
                [] => return Ok(hello),
                [word, user, password, tail @ ..] if is_word(word, "AUTH") => {
                    hello.credentials = Some((user, password));
                    tail
                }
                [word, name, tail @ ..] if is_word(word, "SETNAME") => {
                    Session::check_name(name)?;
                    hello.name = Some(name);
                    tail
                }
                [word, ..] => {
                    let mut text = b"ERR Syntax error in HELLO option '".to_vec();
                    text.extend_from_slice(word);
                    text.push(b'\'');
                    return Err(ErrorText::new(text));
                }
            };
        }
    }
}
