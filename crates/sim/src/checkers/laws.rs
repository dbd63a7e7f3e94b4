//! The catalog, command by command: every change is as the rules of operations say.
//!
//! The checkers follow the commands of group 0 in their order, whichever node is the first to carry one out, and
//! keep a catalog of their own. What each command has changed goes through all that watch operations.

use std::collections::BTreeMap;

use api::catalog::{CatalogAnswer, CatalogCommand, CatalogOp};
use api::operation::OperationChange;
use bytes::Bytes;
use catalog::{Catalog, RecordChange};
use engine::ApplyContext;
use prost::Message;
use types::settings::AUTO_FAILOVER;
use types::{ErrorCode, GroupId, OperationId, ReplicaId};

use super::departures::Departures;
use super::evidence::Evidence;
use super::locks;
use super::numbers::Numbers;
use super::permits;
use super::procedures;
use super::repeats;
use super::rest::Rest;
use super::votes::Votes;

/// One command of the catalog, and what became of it.
pub struct Transition<'a> {
    /// The catalog before.
    pub before: &'a Catalog,
    /// The command.
    pub op: &'a CatalogOp,
    /// The catalog afterwards; the same if the command was refused.
    pub after: &'a Catalog,
}

impl Transition<'_> {
    /// The change of operations, if it is one.
    pub fn change(&self) -> Option<&OperationChange> {
        match self.op {
            CatalogOp::Operate(change) => Some(change),
            _ => None,
        }
    }
}

/// What somebody else may want to know of a command.
#[derive(Default)]
pub struct Noted {
    /// It changed operations.
    pub change: Option<OperationChange>,
    /// It chose other founders for a group.
    pub chose_founders: bool,
    /// It was such a change, made from a record that was old.
    pub stale: bool,
    /// What became of it, for the reader of a trace.
    pub changes: Vec<RecordChange>,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
}

/// The catalog as the commands make it, and those who look at each of them.
#[derive(Default)]
pub struct Laws {
    catalog: Catalog,
    /// The last entry that was followed.
    last: u64,
    /// At some moment no replica was to take over by itself.
    was_manual: bool,
    numbers: Numbers,
    /// Watches votes; told of memberships as well.
    pub votes: Votes,
    /// Watches hashes; told of the true ones as well.
    pub evidence: Evidence,
    /// Watches who has left; asked by others as well.
    pub departures: Departures,
    rest: Rest,
    /// Changes of operations that were applied twice.
    pub repeated: u64,
}

impl Laws {
    /// The catalog as of the last command that any node carried out.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// A plan has announced what these operations would leave. It says nothing of a partition that another
    /// operation changes first.
    pub fn announce(&mut self, operations: &[u64], tolerance: u32) {
        let is_first = |id: &&u64| {
            let group = self.catalog.operation(OperationId(**id)).and_then(|operation| operation.group);
            let others =
                self.catalog.operations().filter(|other| other.id < **id && !other.state().has_ended());
            group.is_some() && others.into_iter().all(|other| other.group != group)
        };
        let first: Vec<u64> = operations.iter().filter(is_first).copied().collect();
        self.votes.announce(&first, tolerance);
    }

    /// Whether no replica was to take over by itself at some moment.
    pub fn was_manual(&self) -> bool {
        self.was_manual
    }

    /// Whether all that operations have begun is over.
    ///
    /// # Errors
    /// What is not, in words.
    pub fn rest(&self) -> Result<(), String> {
        self.rest.check(&self.catalog)
    }

    /// Commands that a node has carried out together. Those that another has carried out before are passed over.
    ///
    /// # Errors
    /// The checker and what it has seen.
    pub fn carried_out(
        &mut self,
        commands: Vec<(ApplyContext, Bytes)>,
    ) -> Result<Vec<Noted>, (&'static str, String)> {
        let known = self.last;
        let mut noted = Vec::new();
        for (context, bytes) in commands.into_iter().filter(|(context, _)| context.index.get() > known) {
            self.last = context.index.get();
            let Ok(command) = CatalogCommand::decode(bytes) else { continue };
            noted.push(self.follow(&command, &context)?);
        }
        Ok(noted)
    }

    fn follow(
        &mut self,
        command: &CatalogCommand,
        context: &ApplyContext,
    ) -> Result<Noted, (&'static str, String)> {
        let Some(op) = &command.op else { return Ok(Noted::default()) };
        let before = self.catalog.clone();
        let (reply, changes) = self.catalog.apply(command, context);
        if let Some(CatalogAnswer::Refused(refused)) = &reply.answer {
            let stale = matches!(op, CatalogOp::Operate(change) if !change.update.is_empty())
                && refused.code == ErrorCode::PlanOutdated.as_str();
            let refused = Some(format!("{} [{}]", refused.detail, refused.code));
            return Ok(Noted { stale, refused, ..Noted::default() });
        }
        let transition = Transition { before: &before, op, after: &self.catalog };
        let named = |checker| move |detail| (checker, format!("entry {}: {detail}", context.index));
        if let Some(change) = transition.change() {
            self.repeated += 1;
            repeats::check(&transition, change, context).map_err(named("repeats"))?;
        }
        self.was_manual |= self.catalog.setting(&AUTO_FAILOVER) == 0;
        if changes.is_empty() {
            return Ok(Noted::default());
        }
        procedures::check(&transition).map_err(named("procedures"))?;
        locks::check(&transition).map_err(named("locks"))?;
        self.numbers.check(&transition).map_err(named("numbers"))?;
        self.votes.wished(&transition).map_err(named("votes"))?;
        permits::check(&transition, &self.votes).map_err(named("permits"))?;
        self.evidence.check(&transition).map_err(named("evidence"))?;
        self.departures.check(&transition, &self.votes).map_err(named("departures"))?;
        self.rest.count(&transition);
        let chose_founders = matches!(op, CatalogOp::ChooseFounders(_));
        Ok(Noted { change: transition.change().cloned(), chose_founders, changes, ..Noted::default() })
    }
}

/// The replicas of a group that are wished for, by id and node.
pub fn wished(catalog: &Catalog, group: GroupId) -> BTreeMap<ReplicaId, u64> {
    let replicas = catalog.partition(group).map_or(&[][..], |partition| &partition.replicas);
    replicas.iter().map(|replica| (ReplicaId(replica.id), replica.node)).collect()
}
