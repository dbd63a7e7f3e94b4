//! The words of a script's command line.

use std::str::FromStr;

/// `verb argument argument name=value name=value`.
pub struct Words<'a> {
    pub verb: &'a str,
    arguments: Vec<&'a str>,
    named: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    pub fn of(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let verb = words.next().expect("a command has a verb");
        let (named, arguments): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        let named = named.into_iter().filter_map(|word| word.split_once('=')).collect();
        Self { verb, arguments, named }
    }

    pub fn argument(&self, at: usize) -> &'a str {
        self.arguments.get(at).unwrap_or_else(|| panic!("{} needs argument {at}", self.verb))
    }

    pub fn number(&self, at: usize) -> u64 {
        parse(self.argument(at))
    }

    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.named.iter().find(|(named, _)| *named == name).map(|(_, value)| *value)
    }

    pub fn value<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).map(parse)
    }

    /// The parts of `name=a,b,c`.
    pub fn list(&self, name: &str) -> Vec<&'a str> {
        let parts = |text: &'a str| text.split(',').filter(|part| !part.is_empty()).collect();
        self.text(name).map(parts).unwrap_or_default()
    }
}

pub fn parse<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("cannot read '{text}'"))
}
