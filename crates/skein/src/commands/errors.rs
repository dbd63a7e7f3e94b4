//! `skein errors`: what an error code means and what to do.

use serde::Serialize;
use types::{ErrorCode, Fault};

use crate::cli::Errors;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// A code, as `--json` prints it.
#[derive(Serialize)]
struct Explained {
    code: &'static str,
    cause: &'static str,
    hint: &'static str,
    /// Whether the same request may simply be sent again.
    retryable: bool,
    /// How a command ends that meets it.
    exit: u8,
}

/// Explains one code, or lists all.
pub fn run(arguments: &Errors) -> Result<Exit, Fault> {
    let codes = match &arguments.code {
        Some(text) => vec![text.parse().map_err(|()| {
            Fault::new(
                ErrorCode::BadArgument,
                format!("'{text}' is no error code; 'skein errors' lists them"),
            )
        })?],
        None => ErrorCode::ALL.to_vec(),
    };
    match (arguments.output.form(), codes.as_slice()) {
        (Form::Text, [code]) if arguments.code.is_some() => say::data(explain(*code)),
        (Form::Text, codes) => {
            let rows = codes.iter().map(|code| vec![code.as_str().to_owned(), code.cause().to_owned()]);
            say::data(say::table(&["CODE", "CAUSE"], rows));
        }
        (Form::Json, codes) => {
            let explained = codes.iter().map(|&code| Explained {
                code: code.as_str(),
                cause: code.cause(),
                hint: code.hint(),
                retryable: code.is_retryable(),
                exit: exit::of(code).code,
            });
            say::json(&explained.collect::<Vec<_>>());
        }
    }
    Ok(exit::OK)
}

fn explain(code: ErrorCode) -> String {
    let again = if code.is_retryable() { "had no effect, may be sent again" } else { "do not simply repeat" };
    format!(
        "{}\ncause: {}\nnext: {}\nthe request: {again}\nexit code: {}",
        code.as_str(),
        code.cause(),
        code.hint(),
        exit::of(code).code
    )
}
