//! `COMMAND` and `HELP`: the command table about itself.

use super::is_word;
use crate::parse::done;
use crate::plan::Plan;
use crate::reply::Reply;
use crate::table::keys::{Begin, Find, KeySpecification};
use crate::table::{self, COMMANDS, Call, Command};
use crate::text::{ErrorText, SYNTAX};
use bytes::Bytes;
use types::glob;

type Parsed = Result<Plan, ErrorText>;

pub(crate) fn command(_: &mut Call<'_>) -> Parsed {
    done(Reply::Array(COMMANDS.iter().copied().map(describe).collect()))
}

pub(crate) fn count(_: &mut Call<'_>) -> Parsed {
    done(Reply::Integer(COMMANDS.len() as i64))
}

/// `COMMAND INFO [name …]`: unknown names are null.
pub(crate) fn info(call: &mut Call<'_>) -> Parsed {
    match &call.args[2..] {
        [] => command(call),
        names => {
            let entry = |name: &Bytes| named(name).map_or(Reply::Null, describe);
            done(Reply::Array(names.iter().map(entry).collect()))
        }
    }
}

/// `COMMAND DOCS [name …]`: unknown names are left out.
pub(crate) fn docs(call: &mut Call<'_>) -> Parsed {
    let entry = |command: &Command| (Reply::text(command.full_name), document(command));
    done(Reply::Map(match &call.args[2..] {
        [] => COMMANDS.iter().copied().map(entry).collect(),
        names => names.iter().filter_map(|name| named(name)).map(entry).collect(),
    }))
}

/// `COMMAND LIST [FILTERBY MODULE name|ACLCAT category|PATTERN pattern]`
pub(crate) fn list(call: &mut Call<'_>) -> Parsed {
    let with_subcommands =
        || COMMANDS.iter().flat_map(|&command| std::iter::once(command).chain(command.subcommands));
    let names: Vec<&Command> = match &call.args[2..] {
        [] => COMMANDS.clone(),
        [by, kind, wanted] if is_word(by, "FILTERBY") => {
            if is_word(kind, "MODULE") {
                Vec::new()
            } else if is_word(kind, "ACLCAT") {
                with_subcommands().filter(|command| has_category(command, wanted)).collect()
            } else if is_word(kind, "PATTERN") {
                let fits = |command: &&Command| glob::matches(wanted, command.full_name.as_bytes(), true);
                with_subcommands().filter(fits).collect()
            } else {
                return Err(SYNTAX);
            }
        }
        _ => return Err(SYNTAX),
    };
    done(Reply::Array(names.into_iter().map(|command| Reply::text(command.full_name)).collect()))
}

/// `COMMAND GETKEYS command [argument …]`
pub(crate) fn getkeys(call: &mut Call<'_>) -> Parsed {
    let args = &call.args[2..];
    let keys = with_keys(args)?.keys.keys(args);
    done(Reply::Array(keys.map(|(key, _)| Reply::Bulk(key.clone())).collect()))
}

/// `COMMAND GETKEYSANDFLAGS command [argument …]`
pub(crate) fn getkeysandflags(call: &mut Call<'_>) -> Parsed {
    let args = &call.args[2..];
    let command = with_keys(args)?;
    let described = |(key, uses): (&Bytes, &'static str)| {
        let flags = flags(settled(command, args, uses), "");
        Reply::Array(vec![Reply::Bulk(key.clone()), flags])
    };
    done(Reply::Array(command.keys.keys(args).map(described).collect()))
}

/// The command that these arguments are, if their keys can be told.
fn with_keys(args: &[Bytes]) -> Result<&'static Command, ErrorText> {
    let unknown = ErrorText::fixed("ERR Invalid command specified");
    let container = table::lookup(&args[0]).ok_or(unknown.clone())?;
    let command = match args.get(1) {
        Some(name) if !container.subcommands.is_empty() => container.subcommand(name).ok_or(unknown)?,
        _ => container,
    };
    if !command.keys.is_any() {
        return Err(ErrorText::fixed("ERR The command has no key arguments"));
    }
    if !command.accepts(args.len()) {
        return Err(ErrorText::fixed("ERR Invalid number of arguments specified for command"));
    }
    if !command.keys.is_counted_right(args) {
        return Err(ErrorText::fixed("ERR Invalid arguments specified for command"));
    }
    Ok(command)
}

/// What happens to a key where that depends on the options.
fn settled(command: &Command, args: &[Bytes], uses: &'static str) -> &'static str {
    let has =
        |from, words: &[&str]| args.iter().skip(from).any(|arg| words.iter().any(|word| is_word(arg, word)));
    match command.name {
        "set" if has(3, &["GET"]) => "RW access update",
        "set" => "OW update",
        "bitfield" if has(2, &["SET", "INCRBY"]) => "RW access update",
        "bitfield" => "RO access",
        _ => uses,
    }
}

/// `HELP` of a container, which is the first argument.
pub(crate) fn help(call: &mut Call<'_>) -> Parsed {
    let container = table::lookup(&call.args[0]);
    let (name, subcommands) = container.map_or(("", &[][..]), |command| (command.name, command.subcommands));
    let title = name.to_ascii_uppercase();
    let mut lines = vec![format!("{title} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for command in subcommands {
        let upper = command.name.to_ascii_uppercase();
        lines.push(format!("{upper} {}", command.syntax).trim_end().to_owned());
        lines.push(format!("    {}.", command.summary));
    }
    done(Reply::Array(lines.into_iter().map(|line| Reply::Simple(line.into())).collect()))
}

/// A command by its name, a subcommand as `client|list`.
fn named(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|&byte| byte == b'|') {
        Some(bar) => table::lookup(&name[..bar])?.subcommand(&name[bar + 1..]),
        None => table::lookup(name),
    }
}

fn has_category(command: &Command, category: &[u8]) -> bool {
    command.categories.split(' ').any(|other| is_word(category, other))
}

/// The ten elements of `COMMAND INFO` in Redis 7.
fn describe(command: &Command) -> Reply {
    let specifications = command.keys.specifications().into_iter().map(specification);
    Reply::Array(vec![
        Reply::text(command.full_name),
        Reply::Integer(command.arity.into()),
        flags(command.flags, ""),
        Reply::Integer(command.keys.first.into()),
        Reply::Integer(command.keys.last.into()),
        Reply::Integer(command.keys.step.into()),
        flags(command.categories, "@"),
        Reply::Set(Vec::new()),
        Reply::Set(specifications.collect()),
        Reply::Set(command.subcommands.iter().map(describe).collect()),
    ])
}

/// Words as a set, each with a prefix.
fn flags(text: &'static str, prefix: &str) -> Reply {
    let words = text.split(' ').filter(|word| !word.is_empty());
    Reply::Set(words.map(|word| Reply::Simple(format!("{prefix}{word}").into())).collect())
}

/// Some key positions in the words of Redis 7.
fn specification(keys: KeySpecification) -> Reply {
    let number = |name, number: i32| (Reply::text(name), Reply::Integer(number.into()));
    let typed = |kind, details| {
        Reply::Map(vec![(Reply::text("type"), Reply::text(kind)), (Reply::text("spec"), Reply::Map(details))])
    };
    let begin = match keys.begin {
        Begin::Index(index) => typed("index", vec![number("index", index)]),
        Begin::Word(word, from) => {
            typed("keyword", vec![(Reply::text("keyword"), Reply::text(word)), number("startfrom", from)])
        }
        Begin::Unknown => typed("unknown", Vec::new()),
    };
    let find = match keys.find {
        Find::Range(last, step) => {
            typed("range", vec![number("lastkey", last), number("keystep", step), number("limit", 0)])
        }
        Find::Count => {
            typed("keynum", vec![number("keynumidx", 0), number("firstkey", 1), number("keystep", 1)])
        }
        Find::Unknown => typed("unknown", Vec::new()),
    };
    Reply::Map(vec![
        (Reply::text("flags"), flags(keys.uses, "")),
        (Reply::text("begin_search"), begin),
        (Reply::text("find_keys"), find),
    ])
}

fn document(command: &Command) -> Reply {
    let mut fields = vec![
        (Reply::text("summary"), Reply::text(command.summary)),
        (Reply::text("since"), Reply::text(command.since)),
        (Reply::text("group"), Reply::text(command.group)),
        (Reply::text("complexity"), Reply::text(command.complexity)),
    ];
    if !command.syntax.is_empty() {
        fields.push((Reply::text("arguments"), Reply::Array(arguments(command.syntax))));
    }
    if !command.subcommands.is_empty() {
        let entry = |command: &Command| (Reply::text(command.full_name), document(command));
        let subcommands = command.subcommands.iter().map(entry).collect();
        fields.push((Reply::text("subcommands"), Reply::Map(subcommands)));
    }
    Reply::Map(fields)
}

/// The arguments one by one, as `redis-cli` shows them in its hints: `[x]` is optional, and `[x ...]`
/// behind `x` says that `x` may be repeated. What an argument consists of stays one text.
fn arguments(syntax: &'static str) -> Vec<Reply> {
    let mut arguments: Vec<(&'static str, Option<&'static str>)> = Vec::new();
    for (start, piece) in pieces(syntax) {
        let inside = piece.strip_prefix('[').and_then(|piece| piece.strip_suffix(']'));
        let before = syntax[..start].trim_end();
        match (inside, inside.and_then(|inside| inside.strip_suffix(" ..."))) {
            (_, Some(repeated)) if before.ends_with(repeated) => {
                arguments.truncate(arguments.len().saturating_sub(pieces(repeated).count()));
                arguments.push((repeated, Some("multiple")));
            }
            (Some(inside), _) => arguments.push((inside, Some("optional"))),
            (None, _) => arguments.push((piece, None)),
        }
    }
    let describe = |(name, flag): (&'static str, Option<&'static str>)| {
        let mut fields =
            vec![(Reply::text("name"), Reply::text(name)), (Reply::text("type"), Reply::text("string"))];
        if let Some(flag) = flag {
            fields.push((Reply::text("flags"), Reply::Set(vec![Reply::simple(flag)])));
        }
        Reply::Map(fields)
    };
    arguments.into_iter().map(describe).collect()
}

/// The words of a syntax and where they begin; brackets hold words together.
fn pieces(syntax: &'static str) -> impl Iterator<Item = (usize, &'static str)> {
    let mut depth = 0;
    let mut next = 0;
    let is_end = move |character: char| {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        character == ' ' && depth == 0
    };
    syntax.split(is_end).map(move |piece| {
        let start = next;
        next += piece.len() + 1;
        (start, piece)
    })
}
