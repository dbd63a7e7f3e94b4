//! Where keys live, by the addressing of a port.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use catalog::{DEFAULT_NAMESPACE, DEFAULT_TABLE, NAMESPACE_TABLE, TableRoute};
use proto_redis::{ErrorText, Place, Target, fault_error};
use types::hash::HashRule;
use types::{ErrorCode, Fault, GroupId};

use super::statistics::{Statistics, Writes};
use super::{Addressing, Backend, NamedRoute};

/// All tables at one version of the routes. A [`Target`] names a table by its place in `tables`.
pub(crate) struct Directory {
    version: u64,
    tables: Vec<NamedRoute>,
    /// Where writes are counted.
    writes: BTreeMap<GroupId, Arc<Writes>>,
    /// Places in `tables` by namespace and name.
    names: BTreeMap<String, BTreeMap<String, usize>>,
    /// The place of the default table.
    plain: Option<usize>,
    /// Every partition that commands about everything mean, by port.
    plain_targets: Vec<Target>,
    zankv_targets: Vec<Target>,
}

impl Directory {
    fn new(version: u64, mut tables: Vec<NamedRoute>, statistics: &Statistics) -> Self {
        // By id: a table that is made during a scan comes after all that were there.
        tables.sort_by_key(|named| named.route.table);
        let mut names: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for (place, named) in tables.iter().enumerate() {
            names.entry(named.namespace.clone()).or_default().insert(named.name.clone(), place);
        }
        let plain = names.get(DEFAULT_NAMESPACE).and_then(|tables| tables.get(DEFAULT_TABLE)).copied();
        let targets = |place: usize| {
            let partitions = tables[place].route.partitions.len() as u32;
            (0..partitions).map(move |partition| Target { table: place as u64, partition })
        };
        // The default table belongs to the other port.
        let is_named = |&place: &usize| Some(place) != plain && !tables[place].restoring;
        let named = (0..tables.len()).filter(is_named);
        let (plain_targets, zankv_targets) =
            (plain.into_iter().flat_map(targets).collect(), named.flat_map(targets).collect());
        let groups = tables.iter().flat_map(|named| &named.route.partitions).map(|partition| partition.group);
        let writes = statistics.writes_of(groups);
        Self { version, tables, writes, names, plain, plain_targets, zankv_targets }
    }

    /// Where a key lives.
    ///
    /// # Errors
    /// There is no such table, or the key does not name one.
    pub(crate) fn place(&self, addressing: Addressing, key: &Bytes) -> Result<Place, ErrorText> {
        let (table, stored) = match addressing {
            Addressing::Plain => (self.plain.ok_or_else(no_default)?, key.clone()),
            Addressing::Zankv => self.named(key)?,
        };
        let partition = self.tables[table].route.partition_of(&stored).get() as u32;
        Ok(Place { target: Target { table: table as u64, partition }, key: stored })
    }

    /// Whether the tables are known.
    ///
    /// # Errors
    /// The node has no catalog yet: every cluster has a default table.
    pub(crate) fn check(&self) -> Result<(), ErrorText> {
        self.plain.map(|_| ()).ok_or_else(no_default)
    }

    /// The group of a partition.
    pub(crate) fn group(&self, target: Target) -> GroupId {
        self.tables[target.table as usize].route.partitions[target.partition as usize].group
    }

    /// Where writes to a group are counted; nothing once it is gone.
    pub(crate) fn writes(&self, group: GroupId) -> Option<&Writes> {
        self.writes.get(&group).map(Arc::as_ref)
    }

    /// Every partition that commands about everything mean: those of the default table on the plain port,
    /// those of all other tables on the other.
    ///
    /// Empty only if there are no such tables: whoever asks must have asked [`Self::check`] first, since a
    /// node that knows no tables yet must not say that there are no keys.
    pub(crate) fn targets(&self, addressing: Addressing) -> &[Target] {
        match addressing {
            Addressing::Plain => &self.plain_targets,
            Addressing::Zankv => &self.zankv_targets,
        }
    }

    /// A stored key of a partition as clients of a port write it.
    pub(crate) fn shown(&self, addressing: Addressing, target: Target, stored: Bytes) -> Bytes {
        match addressing {
            Addressing::Plain => stored,
            Addressing::Zankv => [self.shown_before(addressing, target), stored].concat().into(),
        }
    }

    /// What clients of a port write before the stored keys of a partition.
    pub(crate) fn shown_before(&self, addressing: Addressing, target: Target) -> Bytes {
        let NamedRoute { namespace, name, route, .. } = &self.tables[target.table as usize];
        match (addressing, route.hash) {
            (Addressing::Plain, _) => Bytes::new(),
            // The name of the table is part of what is stored: see `named`.
            (Addressing::Zankv, HashRule::Whole) => format!("{namespace}:").into(),
            (Addressing::Zankv, HashRule::Tag) => format!("{namespace}:{name}:").into(),
        }
    }

    /// Replicas besides the leader on which every acknowledged write of the default table is: a quorum's.
    pub(crate) fn followers_in_quorum(&self) -> u64 {
        let replicas = self.plain.map_or(0, |place| replicas_of(&self.tables[place].route));
        replicas / 2
    }

    /// Replicas of each partition of the default table besides its leader.
    pub(crate) fn followers(&self) -> u64 {
        self.plain.map_or(0, |place| replicas_of(&self.tables[place].route)).saturating_sub(1)
    }

    /// The table that a ZanKV key names, or else the one that has all of its namespace, and the key as it is
    /// stored there: `table:rest`, which is also what ZanKV hashes. Tables of the default namespace hash by tag;
    /// their keys are stored as the plain port knows them.
    fn named(&self, key: &Bytes) -> Result<(usize, Bytes), ErrorText> {
        let mut colons = key.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(place, _)| place);
        let (Some(first), Some(second)) = (colons.next(), colons.next()) else {
            self.check()?;
            return Err(no_table("a key of this port is namespace:table:rest"));
        };
        let text = |range| std::str::from_utf8(&key[range]).ok();
        let Some(tables) = text(0..first).and_then(|namespace| self.names.get(namespace)) else {
            // A node that knows no tables yet does not know that there is no such namespace.
            self.check()?;
            let detail = String::from_utf8_lossy(&key[..first]).into_owned();
            return Err(fault_error(&Fault::new(ErrorCode::UnknownNamespace, detail)));
        };
        let own = text(first + 1..second).and_then(|name| tables.get(name));
        let found = own.or_else(|| tables.get(NAMESPACE_TABLE).filter(|_| second > first + 1));
        let Some(&table) = found else {
            self.check()?;
            return Err(no_table(&String::from_utf8_lossy(&key[..second])));
        };
        if self.tables[table].restoring {
            let detail = String::from_utf8_lossy(&key[..second]).into_owned();
            return Err(fault_error(&Fault::new(ErrorCode::TableRestoring, detail)));
        }
        let stored = match self.tables[table].route.hash {
            HashRule::Whole => key.slice(first + 1..),
            HashRule::Tag => key.slice(second + 1..),
        };
        Ok((table, stored))
    }
}

/// The newest directory, shared by the workers.
pub(crate) struct Directories(Mutex<Arc<Directory>>);

impl Directories {
    /// Knows no table yet.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Arc::new(Directory::new(u64::MAX, Vec::new(), &Statistics::new()))))
    }

    /// Brings a worker's copy up to date. Costs one comparison while nothing has changed.
    pub(crate) fn refresh(&self, known: &mut Arc<Directory>, backend: &dyn Backend, statistics: &Statistics) {
        let version = backend.routes_version();
        if known.version == version {
            return;
        }
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.version != version {
            // Read after its version: it may be newer than that, then it is read once more.
            *newest = Arc::new(Directory::new(version, backend.tables(), statistics));
        }
        *known = newest.clone();
    }

    /// The newest one that some worker has asked for.
    pub(crate) fn latest(&self) -> Arc<Directory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn replicas_of(route: &TableRoute) -> u64 {
    route.partitions.first().map_or(0, |partition| partition.replicas.len() as u64)
}

fn no_default() -> ErrorText {
    fault_error(&Fault::new(ErrorCode::NotReady, "the cluster has no default table yet"))
}

fn no_table(detail: &str) -> ErrorText {
    fault_error(&Fault::new(ErrorCode::UnknownTable, detail))
}

#[cfg(test)]
mod tests {
    use api::catalog::EngineKind;
    use catalog::PartitionRoute;
    use types::{Generation, RouteEpoch, TableId};

    use super::*;

    pub(crate) fn table(namespace: &str, name: &str, id: u64, partitions: u64, hash: HashRule) -> NamedRoute {
        let partition = |index| PartitionRoute {
            group: GroupId(100 * id + index),
            route_epoch: RouteEpoch(1),
            replicas: vec![],
        };
        let route = TableRoute {
            table: TableId(id),
            engine: EngineKind::Kv,
            generation: Generation(1),
            hash,
            partitions: (0..partitions).map(partition).collect(),
        };
        NamedRoute {
            namespace: namespace.into(),
            name: name.into(),
            restoring: false,
            route: Arc::new(route),
        }
    }

    #[test]
    fn addressing_belongs_to_the_port() {
        let directory = Directory::new(
            1,
            vec![
                table("cp", "table", 2, 16, HashRule::Whole),
                table(DEFAULT_NAMESPACE, DEFAULT_TABLE, 1, 8, HashRule::Tag),
            ],
            &Statistics::new(),
        );
        let place = |addressing, key: &'static str| {
            let key = Bytes::from_static(key.as_bytes());
            directory.place(addressing, &key).map(|place| (directory.group(place.target), place.key))
        };
        let (group, stored) = place(Addressing::Zankv, "cp:table:key1").unwrap();
        assert_eq!((group, &stored[..]), (GroupId(202), &b"table:key1"[..]), "ZanKV's own partition");
        let (group, stored) = place(Addressing::Plain, "cp:table:key1").unwrap();
        assert!(group.get() < 200 && stored == "cp:table:key1", "a colon means nothing on the plain port");
        assert_eq!(
            place(Addressing::Zankv, "default:default:{a}b").unwrap(),
            place(Addressing::Plain, "{a}b").unwrap(),
            "the default table has the same keys on both ports"
        );
        for (bad, said) in [
            ("cp", "a key of this port is namespace:table:rest [unknown-table]"),
            ("cp:table", "a key of this port is namespace:table:rest [unknown-table]"),
            ("", "a key of this port is namespace:table:rest [unknown-table]"),
            ("cp:other:key", "there is no such table: cp:other [unknown-table]"),
            ("x:table:key", "there is no such namespace: x [unknown-namespace]"),
        ] {
            let error = place(Addressing::Zankv, bad).unwrap_err();
            assert!(error.to_string().contains(said), "{bad}: {error}");
        }
        assert_eq!(directory.targets(Addressing::Plain).len(), 8);
        let zankv = directory.targets(Addressing::Zankv);
        assert_eq!(zankv.len(), 16);
        assert_eq!(
            directory.shown(Addressing::Zankv, zankv[0], Bytes::from_static(b"table:x")),
            "cp:table:x"
        );
    }

    #[test]
    fn in_a_namespace_of_zankv_every_table_is_there() {
        let directory = Directory::new(
            1,
            vec![
                table(DEFAULT_NAMESPACE, DEFAULT_TABLE, 1, 8, HashRule::Tag),
                table("cp", NAMESPACE_TABLE, 2, 16, HashRule::Whole),
                table("cp", "own", 3, 2, HashRule::Whole),
                table(DEFAULT_NAMESPACE, NAMESPACE_TABLE, 4, 4, HashRule::Whole),
            ],
            &Statistics::new(),
        );
        let place = |key: &'static [u8]| {
            directory.place(Addressing::Zankv, &Bytes::from_static(key)).map(|place| {
                (directory.group(place.target).get(), String::from_utf8_lossy(&place.key).into_owned())
            })
        };
        // The vectors of ZanKV itself: partition 2 of 16, and 15 of 16.
        assert_eq!(place(b"cp:table:key1").unwrap(), (202, "table:key1".into()));
        assert_eq!(place(b"cp:test_perf_kv3:0000000002").unwrap(), (215, "test_perf_kv3:0000000002".into()));
        assert_eq!(place(b"cp:own:x").unwrap().0 / 100, 3, "a table of its own");
        assert_eq!(place(b"cp:_:x").unwrap().1, "_:x", "one that is called like that");
        assert!(place(b"cp:any thing \xff:x").is_ok(), "a table is any bytes");
        assert_eq!(place(b"default:flow:x").unwrap().0 / 100, 4);
        assert_eq!(
            place(b"default:default:x").unwrap(),
            (place(b"default:default:x").unwrap().0, "x".into())
        );
        for bad in [&b"cp:table"[..], b"cp::x", b"other:table:x", b":table:x"] {
            assert!(place(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        let targets = directory.targets(Addressing::Zankv);
        assert_eq!(targets.len(), 16 + 2 + 4, "all but the default table");
        let of_default = *targets.last().unwrap();
        let shown = directory.shown(Addressing::Zankv, of_default, Bytes::from_static(b"flow:x"));
        assert_eq!(shown, "default:flow:x");
    }

    #[test]
    fn tables_beside_the_default_one_are_whole_on_the_port_of_zankv() {
        let tables = vec![
            table(DEFAULT_NAMESPACE, DEFAULT_TABLE, 1, 8, HashRule::Tag),
            table(DEFAULT_NAMESPACE, "flow", 2, 4, HashRule::Tag),
        ];
        let directory = Directory::new(1, tables, &Statistics::new());
        let targets = directory.targets(Addressing::Zankv);
        assert_eq!(targets.len(), 4);
        // What is shown is what reads it.
        let key = Bytes::from_static(b"default:flow:x");
        let place = directory.place(Addressing::Zankv, &key).unwrap();
        assert!(targets.contains(&place.target));
        assert_eq!(directory.shown(Addressing::Zankv, place.target, place.key), key);
    }

    #[test]
    fn without_a_default_table_the_node_is_still_loading() {
        let directory = Directory::new(1, Vec::new(), &Statistics::new());
        let error = directory.place(Addressing::Plain, &Bytes::from_static(b"a")).unwrap_err();
        assert!(error.to_string().starts_with("LOADING "), "{error}");
        let error = directory.place(Addressing::Zankv, &Bytes::from_static(b"n:t:a")).unwrap_err();
        assert!(error.to_string().starts_with("LOADING "), "{error}");
        assert!(directory.check().is_err(), "and does not say that there are no keys");
    }
}
