//! `CLIENT` and its subcommands.

use super::{introspection, is_word};
use crate::client::ClientFilter;
use crate::parse::done;
use crate::plan::{Plan, Question};
use crate::reply::Reply;
use crate::session::USER;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, parse_integer, wrong_arity};
use crate::unsupported::refuse;
use bytes::Bytes;

type Parsed = Result<Plan, ErrorText>;

/// `CLIENT` alone; its arity asks for a subcommand, so this is not reached.
pub(crate) fn container(call: &mut Call<'_>) -> Parsed {
    Err(wrong_arity(call.command.full_name))
}

pub(crate) fn help(call: &mut Call<'_>) -> Parsed {
    introspection::help(call)
}

pub(crate) fn id(call: &mut Call<'_>) -> Parsed {
    done(Reply::Integer(call.session.id() as i64))
}

pub(crate) fn getname(call: &mut Call<'_>) -> Parsed {
    let name = call.session.name();
    done(if name.is_empty() { Reply::Null } else { Reply::Bulk(name.clone()) })
}

pub(crate) fn setname(call: &mut Call<'_>) -> Parsed {
    let name = call.arg(2);
    call.session.set_name(&name)?;
    done(Reply::OK)
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`
pub(crate) fn setinfo(call: &mut Call<'_>) -> Parsed {
    let value = call.arg(3);
    call.session.set_library(&call.args[2], &value)?;
    done(Reply::OK)
}

pub(crate) fn info(_: &mut Call<'_>) -> Parsed {
    Ok(Plan::Ask(Question::ClientInfo))
}

/// `CLIENT REPLY ON|OFF|SKIP`
pub(crate) fn reply(call: &mut Call<'_>) -> Parsed {
    let word = &call.args[2];
    if is_word(word, "ON") {
        call.session.set_replies(true);
    } else if is_word(word, "OFF") {
        call.session.set_replies(false);
    } else if is_word(word, "SKIP") {
        call.session.skip_next_reply();
    } else {
        return Err(SYNTAX);
    }
    done(Reply::OK)
}

/// `CLIENT NO-EVICT ON|OFF`
pub(crate) fn no_evict(call: &mut Call<'_>) -> Parsed {
    let on = is_on(&call.args[2])?;
    call.session.set_no_evict(on);
    done(Reply::OK)
}

/// `CLIENT NO-TOUCH ON|OFF`: no access times are kept either way.
pub(crate) fn no_touch(call: &mut Call<'_>) -> Parsed {
    is_on(&call.args[2])?;
    done(Reply::OK)
}

/// `CLIENT TRACKING ON|OFF …`: it is off, and stays off.
pub(crate) fn tracking(call: &mut Call<'_>) -> Parsed {
    if is_on(&call.args[2])? {
        return Err(refuse("client|tracking", "there are no invalidation messages"));
    }
    done(Reply::OK)
}

pub(crate) fn trackinginfo(_: &mut Call<'_>) -> Parsed {
    done(Reply::Map(vec![
        (Reply::text("flags"), Reply::Set(vec![Reply::text("off")])),
        (Reply::text("redirect"), Reply::Integer(-1)),
        (Reply::text("prefixes"), Reply::Array(Vec::new())),
    ]))
}

/// Redis' answer where tracking is off.
pub(crate) fn getredir(_: &mut Call<'_>) -> Parsed {
    done(Reply::Integer(-1))
}

/// Redis' answer where tracking is off.
pub(crate) fn caching(_: &mut Call<'_>) -> Parsed {
    Err(ErrorText::fixed(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    ))
}

pub(crate) fn pause(_: &mut Call<'_>) -> Parsed {
    Err(refuse("client|pause", "it would pause one node of the cluster only"))
}

pub(crate) fn unpause(_: &mut Call<'_>) -> Parsed {
    done(Reply::OK)
}

/// `CLIENT LIST [TYPE type] [ID id …]`
pub(crate) fn list(call: &mut Call<'_>) -> Parsed {
    let filter = match &call.args[2..] {
        [] => ClientFilter::default(),
        [word, kind] if is_word(word, "TYPE") => {
            ClientFilter { normal: Some(is_normal(kind)?), ..ClientFilter::default() }
        }
        [word, ids @ ..] if is_word(word, "ID") && !ids.is_empty() => {
            // An id that nobody can have is no mistake: it is not in the list.
            let id = |text: &Bytes| match parse_integer(text) {
                Some(id) => Ok(u64::try_from(id).unwrap_or(0)),
                None => Err(ErrorText::fixed("ERR Invalid client ID")),
            };
            let ids = ids.iter().map(id).collect::<Result<_, _>>()?;
            ClientFilter { ids: Some(ids), ..ClientFilter::default() }
        }
        _ => return Err(SYNTAX),
    };
    Ok(Plan::Ask(Question::ClientList(filter)))
}

/// `CLIENT KILL ip:port`, or options and values in turn.
pub(crate) fn kill(call: &mut Call<'_>) -> Parsed {
    let filter = match &call.args[2..] {
        [address] => ClientFilter { address: Some(address.clone()), single: true, ..ClientFilter::default() },
        options => kill_filter(options)?,
    };
    Ok(Plan::Ask(Question::ClientKill(filter)))
}

fn kill_filter(mut options: &[Bytes]) -> Result<ClientFilter, ErrorText> {
    let mut filter = ClientFilter { skip_me: true, ..ClientFilter::default() };
    while let [word, tail @ ..] = options {
        let [value, tail @ ..] = tail else { return Err(SYNTAX) };
        options = tail;
        if is_word(word, "ID") {
            let id = parse_integer(value).filter(|&id| id > 0);
            let id = id.ok_or(ErrorText::fixed("ERR client-id should be greater than 0"))?;
            filter.ids = Some(vec![id.unsigned_abs()]);
        } else if is_word(word, "TYPE") {
            filter.normal = Some(is_normal(value)?);
        } else if is_word(word, "ADDR") {
            filter.address = Some(value.clone());
        } else if is_word(word, "LADDR") {
            filter.local_address = Some(value.clone());
        } else if is_word(word, "USER") {
            if value != USER {
                return Err(named("ERR No such user '", value));
            }
        } else if is_word(word, "SKIPME") {
            filter.skip_me = is_yes(value)?;
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(filter)
}

/// Whether a type of clients is the one that exists.
fn is_normal(kind: &[u8]) -> Result<bool, ErrorText> {
    let others = ["MASTER", "SLAVE", "REPLICA", "PUBSUB"];
    if is_word(kind, "NORMAL") {
        Ok(true)
    } else if others.iter().any(|other| is_word(kind, other)) {
        Ok(false)
    } else {
        Err(named("ERR Unknown client type '", kind))
    }
}

fn is_on(word: &[u8]) -> Result<bool, ErrorText> {
    match (is_word(word, "ON"), is_word(word, "OFF")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(SYNTAX),
    }
}

fn is_yes(word: &[u8]) -> Result<bool, ErrorText> {
    match (is_word(word, "YES"), is_word(word, "NO")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(SYNTAX),
    }
}

/// A text that ends with what the client sent, in quotes.
fn named(start: &str, name: &[u8]) -> ErrorText {
    let mut text = start.as_bytes().to_vec();
    text.extend_from_slice(name);
    text.push(b'\'');
    ErrorText::new(text)
}
