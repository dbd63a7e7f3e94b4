//! Chains: a full backup, and increments of which each stands on the one before.
//!
//! ```text
//!   20261101T…  full  ◄── 20261102T…  ◄── 20261103T…       a manifest names its parent, and has the checksum of that
//!                                                          one's manifest: another backup of the name is no parent
//! ```
//!
//! An increment has what has changed since its parent, and nothing without it. So it is only handed out with all that it
//! stands on, each looked at: the same cluster, tables, partitions and kinds of keys, in the order of time. A backup that
//! others stand on is not removed. Lengths are told and go down by one, so that a chain has an end.

use std::collections::{BTreeMap, BTreeSet};

use types::limits::BACKUP_CHAIN_MAX;

use crate::backups::{Listed, State, delete_alone, list, load_alone};
use crate::error::BackupError;
use crate::manifest::{Begun, Manifest, ParentRecord, TableRecord};
use crate::target::Target;

/// A backup, and all that it stands on.
pub struct Chain {
    /// The newest first; never empty.
    manifests: Vec<Manifest>,
    /// The newest one as others name it that stand on it.
    link: ParentRecord,
}

impl Chain {
    /// Reads the manifests of a complete backup and of all that it stands on.
    ///
    /// # Errors
    /// `NoBackup` if there is none of the name, or it was never completed; `Parent` if one that it stands on is not
    /// there, or is not the one that it was; `Damaged`; what the target says.
    pub fn load(target: &dyn Target, id: &str) -> Result<Self, BackupError> {
        let (manifest, checksum) = load_alone(target, id)?;
        let link = ParentRecord::to(&manifest, checksum);
        let mut manifests = vec![manifest];
        while let Some(last) = manifests.last()
            && let Some(parent) = &last.begun.parent
        {
            let (found, checksum) = load_alone(target, &parent.id).map_err(|error| match error {
                BackupError::NoBackup(what) => BackupError::Parent(format!("{id} stands on it: {what}")),
                other => other,
            })?;
            check_link(&last.begun, parent, &found, &checksum).map_err(BackupError::Parent)?;
            manifests.push(found);
        }
        Ok(Self { manifests, link })
    }

    /// What an increment stands on that was begun; `None` for a full backup.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn under(target: &dyn Target, begun: &Begun) -> Result<Option<Self>, BackupError> {
        let Some(parent) = &begun.parent else { return Ok(None) };
        let chain = Self::load(target, &parent.id).map_err(|error| match error {
            BackupError::NoBackup(what) => BackupError::Parent(what),
            other => other,
        })?;
        check_link(begun, parent, chain.newest(), &chain.link.checksum).map_err(BackupError::Parent)?;
        Ok(Some(chain))
    }

    /// The backup itself.
    pub fn newest(&self) -> &Manifest {
        self.manifests.first().expect("a chain is loaded with its newest backup")
    }

    /// The backup itself, without what it stands on.
    pub(crate) fn into_newest(mut self) -> Manifest {
        self.manifests.swap_remove(0)
    }

    /// All manifests, the newest first.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// What an increment of these tables, at this moment, writes down of the backup that it stands on.
    ///
    /// # Errors
    /// `Parent`, saying why there can be none: other tables, partitions or kinds of keys, another cluster, or too many
    /// backups in a chain.
    pub fn link(&self, begun: &Begun) -> Result<ParentRecord, BackupError> {
        if self.manifests.len() >= BACKUP_CHAIN_MAX {
            let what = format!(
                "{} is the last of {} backups that stand on each other, which is the most",
                self.newest().begun.id,
                self.manifests.len()
            );
            return Err(BackupError::Parent(what));
        }
        let link = self.link.clone();
        check_link(begun, &link, self.newest(), &link.checksum).map_err(BackupError::Parent)?;
        Ok(link)
    }
}

impl ParentRecord {
    /// A backup as those name it that stand on it.
    pub(crate) fn to(manifest: &Manifest, checksum: String) -> Self {
        let begun = &manifest.begun;
        Self { id: begun.id.clone(), checksum, length: begun.chain_length() }
    }
}

/// Whether a backup can stand on another; if not, why.
pub(crate) fn check_link(
    child: &Begun,
    link: &ParentRecord,
    parent: &Manifest,
    checksum: &str,
) -> Result<(), String> {
    let (id, parent) = (&child.id, &parent.begun);
    let not = |what: String| Err(format!("{id} cannot stand on {}: {what}", parent.id));
    if link.checksum != checksum {
        return not("it is not the backup that it was then".into());
    }
    if link.length != parent.chain_length() {
        return not(format!("{} backups are in its chain, not {}", parent.chain_length(), link.length));
    }
    if child.cluster != parent.cluster {
        return not(format!("it is of cluster {}", parent.cluster));
    }
    if child.at_ms < parent.at_ms {
        return not("it is of a later time".into());
    }
    let kinds = |begun: &Begun| begun.kinds.iter().cloned().collect::<BTreeSet<String>>();
    if kinds(child) != kinds(parent) {
        let told = |begun: &Begun| match begun.kinds.is_empty() {
            true => "all kinds of keys".to_owned(),
            false => begun.kinds.join(", "),
        };
        return not(format!("it has {}, and this one has {}", told(parent), told(child)));
    }
    if let Some(table) = parent.tables.iter().find(|table| child.table(table).is_none()) {
        return not(format!("it has the table {}, and this one has not", table.title()));
    }
    for table in &child.tables {
        let Some(old) = parent.table(table) else {
            return not(format!("it has not the table {}", table.title()));
        };
        check_table(table, old).or_else(not)?;
    }
    Ok(())
}

fn check_table(table: &TableRecord, old: &TableRecord) -> Result<(), String> {
    let title = table.title();
    if table.partitions.len() != old.partitions.len() || table.hash != old.hash {
        let (old, new) = (old.partitions.len(), table.partitions.len());
        return Err(format!("{title} had {old} partitions, and has {new}"));
    }
    for (new, old) in table.partitions.iter().zip(&old.partitions) {
        if new.group != old.group {
            return Err(format!("{title} was dropped and made anew since"));
        }
        if new.index < old.index {
            return Err(format!("partition {} of {title} has gone back since", new.partition));
        }
    }
    Ok(())
}

/// The backups that stand on one, straight or over others, complete or not; the newest first.
///
/// # Errors
/// What the target says.
pub fn dependants(target: &dyn Target, id: &str) -> Result<Vec<String>, BackupError> {
    Ok(standing_on(&list(target)?, id))
}

fn standing_on(listed: &[Listed], id: &str) -> Vec<String> {
    let mut standing = BTreeSet::from([id]);
    let mut found = Vec::new();
    // Names sort by age, but two clocks may have named them.
    loop {
        let before = found.len();
        for one in listed {
            let parent = one.begun.as_ref().and_then(|begun| begun.parent.as_ref());
            if parent.is_some_and(|parent| standing.contains(parent.id.as_str())) && standing.insert(&one.id)
            {
                found.push(one.id.clone());
            }
        }
        if found.len() == before {
            found.reverse();
            return found;
        }
    }
}

/// Removes a backup, complete or not, on which no other stands.
///
/// # Errors
/// `Needed`, naming those that stand on it; `NoBackup` if there is none of the name; what the target says.
pub fn delete(target: &dyn Target, id: &str) -> Result<u64, BackupError> {
    match dependants(target, id)? {
        needed_by if needed_by.is_empty() => delete_alone(target, id),
        needed_by => Err(BackupError::Needed { id: id.to_owned(), needed_by }),
    }
}

/// Removes a backup and all that stand on it, those first; which, and how many files each had.
///
/// # Errors
/// `NoBackup` if there is none of the name; what the target says. What is left then is whole.
pub fn delete_with_dependants(target: &dyn Target, id: &str) -> Result<Vec<(String, u64)>, BackupError> {
    let mut going = dependants(target, id)?;
    going.push(id.to_owned());
    going.into_iter().map(|id| delete_alone(target, &id).map(|files| (id, files))).collect()
}

/// Takes those out of a list that stand on something that is not there, or is not what it was.
pub(crate) fn check_all(target: &dyn Target, listed: &mut [Listed], checksums: &[Option<String>]) {
    let places: BTreeMap<String, usize> = listed.iter().map(|one| one.id.clone()).zip(0..).collect();
    let length = |place: &usize| listed[*place].begun.as_ref().map_or(0, Begun::chain_length);
    let mut in_order: Vec<usize> = (0..listed.len()).collect();
    // A parent has the shorter chain: it is looked at before those that stand on it.
    in_order.sort_by_key(length);
    for place in in_order {
        let Some(begun) = listed[place].manifest.as_ref().map(|manifest| &manifest.begun) else { continue };
        let Some(link) = &begun.parent else { continue };
        let why = match places.get(&link.id).map(|parent| (&listed[*parent], &checksums[*parent])) {
            None => Some(format!("{} is not there", link.id)),
            Some((Listed { manifest: Some(manifest), .. }, Some(checksum))) => {
                check_link(begun, link, manifest, checksum).err()
            }
            Some((other, _)) => Some(format!("{} is {}", link.id, other.state.word())),
        };
        if let Some(why) = why {
            let problem = format!("it stands on another backup in {}: {why}", target.url());
            let one = &mut listed[place];
            (one.manifest, one.state, one.problem) = (None, State::Damaged, problem);
        }
    }
}
