//! Settings: one table of name, kind, default, bounds, unit and meaning.
//!
//! `skein server` reads them from its configuration; documentation and checks are made from this table.

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number with bounds, both allowed.
    Integer {
        /// The value when nothing is said.
        default: u64,
        /// The least allowed value.
        min: u64,
        /// The greatest allowed value.
        max: u64,
        /// What the number counts, as shown to people.
        unit: &'static str,
    },
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name that people type.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// One sentence: what it does.
    pub about: &'static str,
}

const MIB: u64 = 1024 * 1024;

/// When a silent node is called suspect.
pub const SUSPECT_AFTER_MS: Setting = Setting {
    name: "suspect_after_ms",
    kind: Kind::Integer { default: 2_000, min: 500, max: 600_000, unit: "ms" },
    about: "a node not heard from for this long is suspect",
};
/// When a silent node is called down.
pub const DOWN_AFTER_MS: Setting = Setting {
    name: "down_after_ms",
    kind: Kind::Integer { default: 5_000, min: 1_000, max: 3_600_000, unit: "ms" },
    about: "a node not heard from for this long is down",
};
/// How often applied state is made durable.
pub const FLUSH_INTERVAL_MS: Setting = Setting {
    name: "flush_interval_ms",
    kind: Kind::Integer { default: 1_000, min: 100, max: 60_000, unit: "ms" },
    about: "applied state is made durable this often; a restart replays at most this much log",
};
/// Memory for recent writes of all tables.
pub const WRITE_BUFFER_BYTES: Setting = Setting {
    name: "write_buffer_bytes",
    kind: Kind::Integer { default: 64 * MIB, min: 8 * MIB, max: 16 * 1024 * MIB, unit: "bytes" },
    about: "the node flushes its largest memtable when all of them together pass this size",
};
/// Memory for blocks read from disk.
pub const BLOCK_CACHE_BYTES: Setting = Setting {
    name: "block_cache_bytes",
    kind: Kind::Integer { default: 32 * MIB, min: MIB, max: 1024 * 1024 * MIB, unit: "bytes" },
    about: "memory for blocks read from disk",
};

/// All settings, in the order they are listed to people.
pub const ALL: &[Setting] =
    &[SUSPECT_AFTER_MS, DOWN_AFTER_MS, FLUSH_INTERVAL_MS, WRITE_BUFFER_BYTES, BLOCK_CACHE_BYTES];

impl Setting {
    /// The setting of this name.
    pub fn named(name: &str) -> Option<&'static Setting> {
        ALL.iter().find(|setting| setting.name == name)
    }

    /// The default.
    pub const fn default_number(&self) -> u64 {
        match self.kind {
            Kind::Integer { default, .. } => default,
        }
    }

    /// Checks a value as typed; the error is a sentence for the person who typed it.
    pub fn check(&self, text: &str) -> Result<u64, String> {
        match self.kind {
            Kind::Integer { min, max, unit, .. } => match text.parse::<u64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(number),
                _ => Err(format!(
                    "{} is a whole number of {unit} from {min} to {max}, not '{text}'",
                    self.name
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_within_bounds_and_names_are_unique() {
        for (i, setting) in ALL.iter().enumerate() {
            let Kind::Integer { default, min, max, .. } = setting.kind;
            assert!((min..=max).contains(&default), "{}", setting.name);
            assert!(ALL[i + 1..].iter().all(|other| other.name != setting.name));
        }
    }

    #[test]
    fn a_bad_value_is_explained() {
        assert!(SUSPECT_AFTER_MS.check("1").unwrap_err().contains("from 500 to 600000"));
    }
}
