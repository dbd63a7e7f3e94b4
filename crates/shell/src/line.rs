//! A line typed at a terminal: editing, history, completion.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use client::Client;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::cluster::Seen;
use crate::completion::complete;
use crate::connect;

/// Names of tables and nodes are looked up again after so long.
const NAMES_KEPT: Duration = Duration::from_secs(5);
/// Lines that are remembered.
const HISTORY_LINES_MAX: usize = 1000;

/// Reads lines from a terminal.
pub struct Line<'a> {
    editor: RefCell<Editor<Helping<'a>, DefaultHistory>>,
    history: Option<PathBuf>,
}

/// What completion needs.
struct Helping<'a> {
    client: &'a Client,
    database: RefCell<String>,
    seen: RefCell<Option<Seen>>,
    seen_at: Cell<Option<Instant>>,
}

impl<'a> Line<'a> {
    /// The terminal of this process, with what was typed in earlier conversations.
    ///
    /// # Errors
    /// There is none that can be used.
    pub fn new(client: &'a Client) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(HISTORY_LINES_MAX)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Helping {
            client,
            database: RefCell::default(),
            seen: RefCell::default(),
            seen_at: Cell::default(),
        }));
        let history = connect::history_file();
        if let Some(file) = &history {
            // The first conversation has none yet.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor: RefCell::new(editor), history })
    }

    /// Completes names of this database from now on.
    pub fn suggest_for(&self, database: &str) {
        if let Some(helping) = self.editor.borrow().helper() {
            database.clone_into(&mut helping.database.borrow_mut());
        }
    }

    /// The next line; `None` at the end of the input. Ctrl-C begins the line anew.
    pub fn read(&self, prompt: &str) -> Option<String> {
        loop {
            match self.editor.borrow_mut().readline(prompt) {
                Ok(line) => return Some(line),
                Err(ReadlineError::Interrupted) => {}
                Err(_) => return None,
            }
        }
    }

    /// What somebody answers to a question; nothing if he wants to leave it at that.
    pub fn ask(&self, question: &str) -> String {
        self.editor.borrow_mut().readline(&format!("{question} ")).unwrap_or_default()
    }

    /// Remembers a line, for this conversation and, where that is possible, for later ones.
    pub fn remember(&self, line: &str) {
        let mut editor = self.editor.borrow_mut();
        let is_new = !line.trim().is_empty() && editor.add_history_entry(line).unwrap_or(false);
        if let (true, Some(file)) = (is_new, &self.history) {
            let directory = file.parent().map(std::fs::create_dir_all);
            if directory.is_none_or(|made| made.is_ok()) {
                let _ = editor.append_history(file);
            }
        }
    }
}

impl Helping<'_> {
    /// Looks at the cluster if the last look is old; a cluster that does not answer has no names.
    fn look(&self) {
        if self.seen_at.get().is_none_or(|at| at.elapsed() > NAMES_KEPT) {
            *self.seen.borrow_mut() = Seen::at(self.client).ok();
            self.seen_at.set(Some(Instant::now()));
        }
    }
}

impl Completer for Helping<'_> {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        self.look();
        Ok(complete(&line[..at], self.seen.borrow().as_ref(), &self.database.borrow()))
    }
}

impl Hinter for Helping<'_> {
    type Hint = String;
}

impl Highlighter for Helping<'_> {}
impl Validator for Helping<'_> {}
impl Helper for Helping<'_> {}
