//! Why a command failed: the words of the original client for scripts, and the reason for people.

use types::{ErrorCode, Fault};

/// A command that did nothing, or not everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the original client would print, on stdout.
    pub text: String,
    /// What else there is to know, on stderr.
    pub notes: Vec<String>,
    /// What kind of error; decides the exit code.
    pub code: ErrorCode,
}

/// The reason alone, before the command puts its own words before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In the words of the original where it has some.
    pub text: String,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What kind of error.
    pub code: ErrorCode,
}

impl Reason {
    /// A reason that the original client knows too.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self { text: text.into(), notes: Vec::new(), code }
    }

    /// The same, and a word for people.
    pub fn note(mut self, words: impl Into<String>) -> Self {
        self.notes.push(words.into());
        self
    }

    /// With a command's words before it.
    pub fn after(self, words: &str) -> Failure {
        Failure { text: format!("{words}{}", self.text), notes: self.notes, code: self.code }
    }
}

impl From<Fault> for Reason {
    /// What the cluster says, on one line.
    fn from(fault: Fault) -> Self {
        let detail = fault.detail.replace('\n', "; ");
        let text = if detail.is_empty() {
            fault.code.cause().to_owned()
        } else {
            format!("{}: {detail}", fault.code.cause())
        };
        let next = format!("[{}] next: {}", fault.code.as_str(), fault.code.hint());
        Self { text, notes: vec![next], code: fault.code }
    }
}

impl Failure {
    /// Words that are not the command's own, such as `Bad format`.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), notes: Vec::new(), code: ErrorCode::BadArgument }
    }

    /// The same, and a word for people.
    pub fn note(mut self, words: impl Into<String>) -> Self {
        self.notes.push(words.into());
        self
    }
}
