//! `--label NAME=VALUE`: where a node stands.

use std::collections::BTreeMap;
use std::str::FromStr;

use types::limits::LABEL_BYTES_MAX;

/// A label of a node, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// `dc`, `rack`, `host`, or any other word.
    pub name: String,
    /// The word for it.
    pub value: String,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |word: &str| (1..=LABEL_BYTES_MAX).contains(&word.len()) && !word.contains(['=', ',']);
        match text.split_once('=') {
            Some((name, value)) if fits(name) && fits(value) => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("a label is NAME=VALUE, each of 1 to {LABEL_BYTES_MAX} bytes, not '{text}'")),
        }
    }
}

impl Label {
    /// Labels by name; of two with one name the last one counts.
    pub fn map(labels: &[Self]) -> BTreeMap<String, String> {
        labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_name_and_a_value() {
        let label: Label = "dc=east".parse().expect("a label");
        assert_eq!(Label::map(&[label]), BTreeMap::from([("dc".into(), "east".into())]));
        for bad in ["dc", "=east", "dc=", "dc=a=b", &format!("dc={}", "x".repeat(LABEL_BYTES_MAX + 1))] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
    }
}
