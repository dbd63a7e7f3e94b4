//! Writes that change nothing: a member is added that is there, an element taken from a list that is not.
//!
//! Such a write needs no entry in the log, nor a sync. It is carried out over a view of what is committed, by the code
//! that carries out entries, and what it stages is looked at:
//!
//! ```text
//!   SADD s a ──► the view, nothing staged ──► sets::add ──┬─ nothing staged: the reply is the answer
//!                                                         └─ something staged: forgotten, it goes through the log
//! ```
//!
//! Most writes do change something, and for those this is work in vain. So only commands are tried of which that is
//! cheap to find out, see [`KvOp::may_change_nothing`]; when to try at all is for the caller.

use std::sync::Arc;

use api::entry::APPLY_VERSION;
use api::kv::KvOp;
use bytes::Bytes;
use engine::records::{Batch, Record, Records, View};
use engine::{ApplyContext, EngineError};
use types::{Hlc, LogIndex};

use crate::changes::Recorder;
use crate::layout::Facts;
use crate::staging::Staging;
use crate::state::{self, settle};

/// The reply of a write that changes nothing of what a view shows; `None` for any other.
///
/// # Errors
/// What the store says.
pub(crate) fn answer(
    view: Arc<dyn View>,
    epoch: u32,
    op: &mut KvOp,
    now: Hlc,
) -> Result<Option<Bytes>, EngineError> {
    if !op.may_change_nothing() {
        return Ok(None);
    }
    // None of these commands asks for more of the facts than the epoch, unless it changes something.
    let facts = Facts { epoch, ..Facts::default() };
    let mut staging = Staging::new(Arc::new(Frozen(view)), facts, Recorder::default());
    // There is no entry, and nobody wants changes that are not.
    let (hlc, apply_version, index) = (now, APPLY_VERSION, LogIndex(0));
    let context = ApplyContext { hlc, seed: 0, apply_version, index, wants_changes: false };
    let outcome = state::checked_write(&mut staging, &context, op);
    if staging.has_changed(&facts) {
        return Ok(None);
    }
    settle(outcome).map(Some)
}

/// A view in the place of records; nobody writes to it.
struct Frozen(Arc<dyn View>);

impl Records for Frozen {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.0.get(key)
    }

    fn view(&self) -> Arc<dyn View> {
        self.0.clone()
    }

    fn write(&self, _: Batch) -> Result<(), EngineError> {
        Err(EngineError::Storage("a view is not written to".into()))
    }

    fn ingest(&self, _: &mut dyn Iterator<Item = Result<Record, EngineError>>) -> Result<(), EngineError> {
        Err(EngineError::Storage("a view is not written to".into()))
    }

    fn bytes(&self) -> u64 {
        0
    }
}
