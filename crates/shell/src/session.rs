//! One command line after another: words in, the original's text and its exit status out.

use std::path::PathBuf;

use types::ErrorCode;

use crate::cluster::Cluster;
use crate::commands::{self, Does};
use crate::failure::Failure;
use crate::layout::View;

/// Somebody who uses the shell: what he has chosen, and what surrounds him.
pub struct Session<'a> {
    /// The cluster.
    pub cluster: &'a dyn Cluster,
    /// Whose columns and words are shown.
    pub view: View,
    /// The current database; empty is the default one.
    pub database: String,
    /// Where files are written that a command makes.
    pub directory: PathBuf,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Asks somebody at a terminal; `None` if nobody can be asked, and then nothing is.
    pub ask: Option<&'a dyn Fn(&str) -> String>,
}

/// What time it is, and how people of this machine write it.
pub trait Clock {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// A time as `YYYYMMDDHHMMSS`, local.
    fn local(&self, ms: u64) -> String;
}

/// What a command has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// For stdout, complete with line breaks.
    pub text: String,
    /// For stderr, a line each.
    pub notes: Vec<String>,
    /// Nothing more is to be read.
    pub is_last: bool,
}

/// What a command line came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What is to be said.
    pub reply: Reply,
    /// What kind of error, if it failed.
    pub error: Option<ErrorCode>,
}

impl Reply {
    /// One line.
    pub fn line(text: impl Into<String>) -> Self {
        Self { text: format!("{}\n", text.into()), ..Self::default() }
    }

    /// The same, and a word for people.
    pub fn note(mut self, words: impl Into<String>) -> Self {
        self.notes.push(words.into());
        self
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Session<'_> {
    /// Carries out a line. An empty one does nothing.
    pub fn run(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((name, arguments)) = words.split_first() else {
            return Outcome { reply: Reply::default(), error: None };
        };
        match self.carry_out(name, arguments) {
            Ok(reply) => Outcome { reply, error: None },
            Err(Failure { text, notes, code }) => {
                let reply = Reply { text: format!("{text}\n"), notes, is_last: false };
                Outcome { reply, error: Some(code) }
            }
        }
    }

    fn carry_out(&mut self, name: &str, arguments: &[&str]) -> Result<Reply, Failure> {
        let Some(command) = commands::named(name) else {
            return Err(Failure::usage("unsupported cmd").note("'help' lists the commands"));
        };
        match command.does {
            Does::Instead(what) => Err(Failure::usage(format!("not supported, use {what}"))),
            Does::Run(_) if !(command.arguments_min..=command.arguments_max).contains(&arguments.len()) => {
                Err(Failure::usage("Bad format").note(format!("usage: {}", command.usage)))
            }
            Does::Run(run) => run(self, arguments),
        }
    }
}
