//! Commands about the node: `INFO`, `CONFIG`, `TIME`.

use super::{introspection, is_word};
use crate::config;
use crate::info::Sections;
use crate::parse::{done, printable};
use crate::plan::{Plan, Question};
use crate::reply::Reply;
use crate::table::Call;
use crate::text::{ErrorText, wrong_arity};

type Parsed = Result<Plan, ErrorText>;

/// `CONFIG` alone; its arity asks for a subcommand, so this is not reached.
pub(crate) fn container(call: &mut Call<'_>) -> Parsed {
    Err(wrong_arity(call.command.full_name))
}

pub(crate) fn info(call: &mut Call<'_>) -> Parsed {
    Ok(Plan::Ask(Question::Info(Sections::named(&call.args[1..]))))
}

pub(crate) fn time(_: &mut Call<'_>) -> Parsed {
    Ok(Plan::Ask(Question::Time))
}

pub(crate) fn config_get(call: &mut Call<'_>) -> Parsed {
    Ok(Plan::Ask(Question::ConfigGet(call.args[2..].to_vec())))
}

pub(crate) fn config_set(call: &mut Call<'_>) -> Parsed {
    Ok(Plan::Ask(Question::ConfigSet(config::check_changes(&call.args[2..])?)))
}

pub(crate) fn config_resetstat(_: &mut Call<'_>) -> Parsed {
    Ok(Plan::Ask(Question::ResetStatistics))
}

/// What Redis says when it was started without a file, which is always true here.
pub(crate) fn config_rewrite(_: &mut Call<'_>) -> Parsed {
    Err(ErrorText::fixed("ERR The server is running without a config file"))
}

/// Functions cannot be loaded, so there is nothing to delete. Tools that empty a server ask for it.
pub(crate) fn function_flush(call: &mut Call<'_>) -> Parsed {
    match &call.args[2..] {
        [] => done(Reply::OK),
        [mode] if is_word(mode, "ASYNC") || is_word(mode, "SYNC") => done(Reply::OK),
        _ => Err(ErrorText::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
    }
}

/// `FUNCTION LIST [LIBRARYNAME library-name-pattern] [WITHCODE]`: each of the options once.
pub(crate) fn function_list(call: &mut Call<'_>) -> Parsed {
    let (mut has_name, mut has_code) = (false, false);
    let mut rest = &call.args[2..];
    while let [word, tail @ ..] = rest {
        rest = tail;
        if !has_code && is_word(word, "WITHCODE") {
            has_code = true;
        } else if !has_name && is_word(word, "LIBRARYNAME") {
            let [_, tail @ ..] = rest else {
                return Err(ErrorText::fixed("ERR library name argument was not given"));
            };
            (has_name, rest) = (true, tail);
        } else {
            return Err(ErrorText::new([b"ERR Unknown argument ", printable(word, word.len())].concat()));
        }
    }
    done(Reply::Array(Vec::new()))
}

pub(crate) fn help(call: &mut Call<'_>) -> Parsed {
    introspection::help(call)
}
