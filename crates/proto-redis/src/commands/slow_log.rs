//! `SLOWLOG`.

use crate::parse::done;
use crate::plan::{Plan, Question};
use crate::reply::Reply;
use crate::slow_log::{SHOWN_DEFAULT, SlowLogQuestion};
use crate::table::Call;
use crate::text::{ErrorText, parse_integer, wrong_arity};

type Parsed = Result<Plan, ErrorText>;

/// `SLOWLOG` alone; its arity asks for a subcommand, so this is not reached.
pub(crate) fn container(call: &mut Call<'_>) -> Parsed {
    Err(wrong_arity(call.command.full_name))
}

pub(crate) fn get(call: &mut Call<'_>) -> Parsed {
    let count = match &call.args[2..] {
        [] => SHOWN_DEFAULT,
        [count] => parse_integer(count).filter(|count| *count >= -1).ok_or(BAD_COUNT)?,
        _ => {
            let text = "ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.";
            return Err(ErrorText::fixed(text));
        }
    };
    // Of a negative number only -1 is left: all of them.
    Ok(ask(SlowLogQuestion::Get(usize::try_from(count).ok())))
}

const BAD_COUNT: ErrorText = ErrorText::fixed("ERR count should be greater than or equal to -1");

pub(crate) fn len(_: &mut Call<'_>) -> Parsed {
    Ok(ask(SlowLogQuestion::Len))
}

pub(crate) fn reset(_: &mut Call<'_>) -> Parsed {
    Ok(ask(SlowLogQuestion::Reset))
}

fn ask(question: SlowLogQuestion) -> Plan {
    Plan::Ask(Question::SlowLog(question))
}

/// The lines of Redis: programs that draw help read them.
pub(crate) fn help(_: &mut Call<'_>) -> Parsed {
    let lines = [
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        "HELP",
        "    Prints this help.",
    ];
    done(Reply::Array(lines.into_iter().map(|line| Reply::Simple(line.into())).collect()))
}
