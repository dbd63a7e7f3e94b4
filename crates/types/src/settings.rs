//! Settings: one table of name, kind, default, bounds, unit and meaning.
//!
//! Most belong to the cluster: the catalog holds them, and a change is in force at once. Some belong to each
//! node, which reads them from its configuration when it starts. Documentation and checks are made from these
//! tables.

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
    /// `true` or `false`; as a number 1 or 0.
    Switch {
        /// The value when nothing is said.
        default: bool,
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

/// Whether partitions get another leader, and lost replicas are replaced, without a command.
pub const AUTO_FAILOVER: Setting = Setting {
    name: "auto_failover",
    kind: Kind::Switch { default: true },
    about: "another replica takes over from a dead leader by itself, and replicas that are lost, damaged or on \
            dead nodes are replaced; false: only by command",
};
/// Whether replicas and leaders are evened out without a command.
pub const AUTO_BALANCE: Setting = Setting {
    name: "auto_balance",
    kind: Kind::Switch { default: false },
    about: "replicas and leaders are evened out by themselves, onto new nodes too",
};
/// When a dead node's replicas are made anew elsewhere.
pub const REPLACE_AFTER_S: Setting = Setting {
    name: "replace_after_s",
    kind: Kind::Integer { default: 1_800, min: 0, max: 30 * 24 * 3_600, unit: "s" },
    about: "a node down for this long has its replicas replaced on other nodes where there is room, and a partition \
            short of replicas for this long gets more; 0: never",
};
/// How many replicas are copied to or from a node at once.
pub const MOVES_PER_NODE: Setting = Setting {
    name: "moves_per_node",
    kind: Kind::Integer { default: 2, min: 1, max: 64, unit: "moves" },
    about: "operations that copy a replica to or from one node at once; more of them wait",
};
/// How fast a node works on whole states.
pub const MOVE_BYTES_PER_SECOND: Setting = Setting {
    name: "move_bytes_per_second",
    kind: Kind::Integer { default: 0, min: 0, max: 1024 * 1024 * MIB, unit: "bytes" },
    about: "a node sends snapshots, hashes states for evidence, and compacts large states, no faster than this; 0: as \
            fast as it can",
};
/// When automation trusts its eyes no more.
pub const AUTOMATION_STOPS_AT: Setting = Setting {
    name: "automation_stops_at",
    kind: Kind::Integer { default: 34, min: 1, max: 100, unit: "percent" },
    about: "while this part of the nodes looks dead at once, nothing is replaced or balanced by itself",
};

/// How often everything is compacted without a command.
pub const OPTIMIZE_EVERY_H: Setting = Setting {
    name: "optimize_every_h",
    kind: Kind::Integer { default: 0, min: 0, max: 10 * 365 * 24, unit: "hours" },
    about: "everything is compacted by itself when the last time is as long ago; 0: only by command",
};
/// When that may begin.
pub const OPTIMIZE_FROM_MINUTE: Setting = Setting {
    name: "optimize_from_minute",
    kind: Kind::Integer { default: 120, min: 0, max: 1_439, unit: "minutes" },
    about: "the first minute of the day, in UTC, at which that may begin",
};
/// When it may not begin any more.
pub const OPTIMIZE_UNTIL_MINUTE: Setting = Setting {
    name: "optimize_until_minute",
    kind: Kind::Integer { default: 300, min: 0, max: 1_439, unit: "minutes" },
    about: "the first minute of the day, in UTC, at which it may not begin any more; what has begun goes on",
};

/// What each node reads when it starts.
pub const AT_START: &[Setting] = &[FLUSH_INTERVAL_MS, WRITE_BUFFER_BYTES, BLOCK_CACHE_BYTES];

/// All settings of the cluster, in the order they are listed to people.
pub const ALL: &[Setting] = &[
    AUTO_FAILOVER,
    AUTO_BALANCE,
    REPLACE_AFTER_S,
    AUTOMATION_STOPS_AT,
    MOVES_PER_NODE,
    MOVE_BYTES_PER_SECOND,
    OPTIMIZE_EVERY_H,
    OPTIMIZE_FROM_MINUTE,
    OPTIMIZE_UNTIL_MINUTE,
    SUSPECT_AFTER_MS,
    DOWN_AFTER_MS,
];

impl Setting {
    /// The setting of the cluster that has this name.
    pub fn named(name: &str) -> Option<&'static Setting> {
        ALL.iter().find(|setting| setting.name == name)
    }

    /// The setting of this name that nodes read when they start; else a sentence for the person who typed it.
    pub fn at_start(name: &str) -> Result<&'static Setting, String> {
        let found = AT_START.iter().find(|setting| setting.name == name);
        found.ok_or_else(|| match Self::named(name) {
            Some(_) => format!("{name} is a setting of the running cluster: 'skein config set {name} VALUE'"),
            None => format!("there is no setting '{name}'"),
        })
    }

    /// Why a name is none of the cluster's settings, for the person who typed it.
    pub fn unknown(name: &str) -> String {
        if AT_START.iter().any(|setting| setting.name == name) {
            return format!("{name} is read when a node starts: [settings] in its cluster.toml or node.toml");
        }
        let names: Vec<&str> = ALL.iter().map(|setting| setting.name).collect();
        format!("there is no setting '{name}'; there are {}", names.join(", "))
    }

    /// The default; 0 or 1 for a switch.
    pub const fn default_number(&self) -> u64 {
        match self.kind {
            Kind::Integer { default, .. } => default,
            Kind::Switch { default } => default as u64,
        }
    }

    /// The default as people type it.
    pub fn default_text(&self) -> String {
        self.text(self.default_number())
    }

    /// A value as people type it.
    pub fn text(&self, value: u64) -> String {
        match self.kind {
            Kind::Integer { .. } => value.to_string(),
            Kind::Switch { .. } => (value != 0).to_string(),
        }
    }

    /// What values it takes, in a few words.
    pub fn takes(&self) -> String {
        match self.kind {
            Kind::Integer { min, max, unit, .. } => format!("{min} to {max} {unit}"),
            Kind::Switch { .. } => "true or false".into(),
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
            Kind::Switch { .. } => match text {
                "true" => Ok(1),
                "false" => Ok(0),
                _ => Err(format!("{} is true or false, not '{text}'", self.name)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_within_bounds_and_names_are_unique() {
        let all = [ALL, AT_START].concat();
        for (i, setting) in all.iter().enumerate() {
            assert_eq!(
                setting.check(&setting.default_text()),
                Ok(setting.default_number()),
                "{}",
                setting.name
            );
            assert!(all[i + 1..].iter().all(|other| other.name != setting.name));
        }
    }

    #[test]
    fn who_looks_in_the_wrong_place_is_told_the_right_one() {
        assert!(Setting::at_start("down_after_ms").unwrap_err().contains("skein config set down_after_ms"));
        assert!(Setting::at_start("write_buffer_bytes").is_ok());
        assert!(Setting::named("write_buffer_bytes").is_none());
        assert!(Setting::unknown("write_buffer_bytes").contains("when a node starts"));
        assert!(Setting::unknown("speed").contains("there are auto_failover, "));
    }

    #[test]
    fn a_bad_value_is_explained() {
        assert!(SUSPECT_AFTER_MS.check("1").unwrap_err().contains("from 500 to 600000"));
        assert_eq!(AUTO_FAILOVER.check("no").unwrap_err(), "auto_failover is true or false, not 'no'");
        assert_eq!((AUTO_FAILOVER.check("true"), AUTO_FAILOVER.check("false")), (Ok(1), Ok(0)));
    }
}
