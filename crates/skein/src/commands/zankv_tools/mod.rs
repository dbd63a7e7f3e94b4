//! ZanKV's tools: `backup` and `restore` with their flags, defaults and words, over Skein's own means.
//!
//! What they write and read is `backup::zankv`. Two things differ on purpose: a backup is one point in time, and
//! whatever goes wrong ends with an exit code that says so, where the originals end with 0.

mod save;
mod survey;
mod write_back;

use std::path::PathBuf;

use api::admin::Table;
use client::{Client, Lookup};
use types::{ErrorCode, Fault};

pub use save::run as backup;
pub use write_back::run as restore;

/// What becomes of a key of a file whose name exists as another type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OtherType {
    /// It is left out, and told.
    #[default]
    Skip,
    /// It is stored as `NAME.TYPE`.
    Rename,
    /// It ends the restore.
    Fail,
}

impl OtherType {
    fn named(name: &str) -> Option<Self> {
        match name {
            "skip" => Some(Self::Skip),
            "rename" => Some(Self::Rename),
            "fail" => Some(Self::Fail),
            _ => None,
        }
    }
}

/// What the flags of both tools may say.
#[derive(Debug, Default)]
struct Flags {
    lookup: Vec<String>,
    namespace: String,
    table: String,
    data_dir: Option<PathBuf>,
    data: Option<PathBuf>,
    kinds: Vec<String>,
    qps: Option<u64>,
    overwrite: bool,
    other_type: OtherType,
    readable: bool,
    secret_file: Option<PathBuf>,
    dir: Option<PathBuf>,
}

impl Flags {
    /// Flags that take a value.
    const WITH_VALUES: [&str; 12] = [
        "lookup",
        "ns",
        "table",
        "data_dir",
        "data",
        "type",
        "qps",
        "on-conflict",
        "on_conflict",
        "secret_file",
        "dir",
        "pass",
    ];

    /// Reads flags as Go's `flag` package does: `-name value`, `-name=value`, with one dash or two.
    fn parse(words: &[String], usage: &str) -> Result<Self, Fault> {
        let wrong = |detail: String| Fault::new(ErrorCode::BadArgument, format!("{detail}\n{usage}"));
        let mut flags = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let named = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            let named = named.filter(|name| !name.is_empty());
            let named = named.ok_or_else(|| wrong(format!("'{word}' is no flag")))?;
            let (name, given) = match named.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (named, None),
            };
            match (name, given.as_deref()) {
                ("overwrite", None | Some("true")) => flags.overwrite = true,
                ("readable", None | Some("true")) => flags.readable = true,
                ("overwrite" | "readable", Some("false")) => {}
                _ if !Self::WITH_VALUES.contains(&name) => {
                    return Err(wrong(format!("flag provided but not defined: -{name}")));
                }
                _ => {
                    let value = given.or_else(|| words.next().cloned());
                    let value = value.ok_or_else(|| wrong(format!("flag needs an argument: -{name}")))?;
                    flags.set(name, value).map_err(wrong)?;
                }
            }
        }
        Ok(flags)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let list = |value: &str| value.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        match name {
            "lookup" => {
                self.lookup = list(&value).into_iter().filter(|address| !address.is_empty()).collect()
            }
            "ns" => self.namespace = value,
            "table" => self.table = value,
            "data_dir" => self.data_dir = Some(value.into()),
            "data" => self.data = Some(value.into()),
            "type" => self.kinds = list(&value),
            "qps" => match value.parse::<u64>() {
                Ok(qps) if qps > 0 => self.qps = Some(qps),
                _ => return Err(format!("-qps is a number from 1, not '{value}'")),
            },
            "on-conflict" | "on_conflict" => {
                let known = OtherType::named(&value);
                self.other_type =
                    known.ok_or_else(|| format!("-on-conflict is skip, rename or fail, not '{value}'"))?;
            }
            "secret_file" => self.secret_file = Some(value.into()),
            "dir" => self.dir = Some(value.into()),
            // `pass`: the nodes ask for the cluster's secret instead.
            _ => {}
        }
        Ok(())
    }

    /// Keys per second; the originals' default.
    fn keys_per_second(&self) -> u64 {
        self.qps.unwrap_or(1000)
    }

    fn client(&self) -> Result<Client, Fault> {
        let addresses = self.lookup.iter().map(|address| address.trim_start_matches("http://").to_owned());
        let named = || std::env::var_os("SKEIN_SECRET_FILE").filter(|path| !path.is_empty());
        let secret_file = self.secret_file.clone().or_else(|| named().map(PathBuf::from));
        let lookup = Lookup { directory: self.dir.clone(), addresses: addresses.collect(), secret_file };
        lookup.client()
    }
}

/// Where the keys of a table of ZanKV's are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The table's title.
    title: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What stored keys begin with.
    pub(super) prefix: String,
}

impl Place {
    /// A table of its own, or a part of the keys of its namespace.
    pub(super) fn find(client: &Client, namespace: &str, table: &str) -> Result<Self, Fault> {
        match client.table(namespace, table) {
            Ok(found) => Ok(Self::of(&found, table)),
            Err(fault) if fault.code == ErrorCode::UnknownTable => {
                let whole = client.table(namespace, catalog::NAMESPACE_TABLE);
                whole.map(|found| Self::of(&found, table)).map_err(|_| fault)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Where keys of a table of ZanKV's are in one of ours.
    ///
    /// The hash tells how keys are stored, as it does on the ZanKV port: `table:rest` where the whole key is hashed, which
    /// a namespace that is called `default` may have as well, and just the rest in tables of Redis' own.
    fn of(found: &Table, table: &str) -> Self {
        let is_whole = found.hash == "whole";
        Self {
            title: format!("{}:{}", found.namespace, found.name),
            namespace: found.namespace.clone(),
            name: found.name.clone(),
            prefix: if is_whole { format!("{table}:") } else { String::new() },
        }
    }
}

/// Whether the words ask how the tool is used.
fn asks_for_help(words: &[String]) -> bool {
    words.iter().any(|word| matches!(word.as_str(), "-h" | "--h" | "-help" | "--help"))
}

/// How the originals say that a flag is missing.
fn missing(what: &str, usage: &str) -> Fault {
    Fault::new(ErrorCode::BadArgument, format!("Error:must specify the {what}\n{usage}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, Fault> {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        Flags::parse(&words, "usage")
    }

    #[test]
    fn keys_are_looked_for_where_the_port_stores_them() {
        let place = |namespace: &str, name: &str, hash: &str, table: &str| {
            let found = Table {
                tid: 1,
                namespace: namespace.into(),
                name: name.into(),
                engine: "kv".into(),
                partitions: 1,
                replicas: 1,
                generation: 1,
                hash: hash.into(),
                restoring: String::new(),
            };
            let place = Place::of(&found, table);
            (place.title, place.prefix)
        };
        let both = |title: &str, prefix: &str| (title.to_owned(), prefix.to_owned());
        assert_eq!(place("default", "default", "tag", "default"), both("default:default", ""));
        assert_eq!(place("default", "_", "whole", "orders"), both("default:_", "orders:"));
        assert_eq!(place("shop", "_", "whole", "orders"), both("shop:_", "orders:"));
        assert_eq!(place("shop", "orders", "whole", "orders"), both("shop:orders", "orders:"));
    }

    #[test]
    fn flags_are_read_as_the_originals_read_them() {
        let flags = parse("-lookup a:1,b:2 -ns n --table=t -type kv,hash -qps 50 -overwrite").unwrap();
        assert_eq!(flags.lookup, ["a:1", "b:2"]);
        assert_eq!((flags.namespace.as_str(), flags.table.as_str()), ("n", "t"));
        assert_eq!(flags.kinds, ["kv", "hash"]);
        assert_eq!((flags.keys_per_second(), flags.overwrite), (50, true));
        assert_eq!(parse("").unwrap().keys_per_second(), 1000);
        assert_eq!(parse("-on-conflict=rename").unwrap().other_type, OtherType::Rename);
        assert_eq!(parse("").unwrap().other_type, OtherType::Skip);
        for bad in ["-nothing x", "word", "-ns", "-qps 0", "-qps x", "-on-conflict overwrite"] {
            let fault = parse(bad).unwrap_err();
            assert!(fault.detail.ends_with("usage"), "{fault}");
        }
        assert!(parse("-bogus").unwrap_err().detail.contains("not defined: -bogus"));
        assert!(
            asks_for_help(&["-ns".into(), "--help".into()]) && !asks_for_help(&["-ns".into(), "h".into()])
        );
    }
}
