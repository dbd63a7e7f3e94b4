//! The pace of a merge that was asked for: it rests, it can be ended, and it gives up before writers wait for it.
//!
//! fjall calls a filter for each record that a compaction keeps. The one here keeps every record; on a thread that has
//! begun a *piece* of a compaction it is the moment to rest. fjall's own compactions, on its worker, have no piece
//! and do not rest.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::EngineError;
use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};
use fjall::{Keyspace, LsmError};

use crate::error::guarded;
use crate::old_tables::Keeper;

/// After so many bytes it is time to look around.
const LOOK_BYTES: usize = 64 * 1024;
/// A piece rests as long as it worked, so that it takes half of a core at most. Shorter rests than this cost more
/// than they give.
const WORK_MIN: Duration = Duration::from_millis(2);
/// The longest rest: what came before it was a disk that was waited for.
const REST_MAX: Duration = Duration::from_millis(100);
/// What is flushed meanwhile waits above the piece. With so many tables waiting the piece rests no more ...
const TABLES_HURRY: usize = 8;
/// ... and with so many it gives up: from 20 on fjall slows writers down, and at 30 it stops them.
const TABLES_MAX: usize = 16;

/// Why a piece was given up. The state is as it was before the piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// The state was written to faster than it can be compacted.
    Overtaken,
    /// The thread is to end, see [`engine::pace::is_over`].
    Over,
}

thread_local! {
    /// What the next compaction on this thread is.
    static NEXT: RefCell<Option<Piece>> = const { RefCell::new(None) };
    static GIVEN_UP: Cell<Option<GivenUp>> = const { Cell::new(None) };
}

/// Runs a compaction of a state on this thread as a piece. Tells whether it was given up.
///
/// # Errors
/// `Storage` when the disk refuses, `Damaged` when stored bytes do not fit.
pub(crate) fn run(
    keyspace: &Keyspace,
    merge: impl FnOnce() -> fjall::Result<()>,
) -> Result<Option<GivenUp>, EngineError> {
    GIVEN_UP.set(None);
    NEXT.set(Some(Piece { keyspace: keyspace.clone(), unheard: 0, rested: Instant::now() }));
    let outcome = guarded(|| match merge() {
        // The filter's own error.
        Err(_) if GIVEN_UP.get().is_some() => Ok(()),
        outcome => outcome,
    });
    NEXT.set(None);
    outcome?;
    Ok(GIVEN_UP.take())
}

/// The filters of the compactions of a state.
pub(crate) struct Filters {
    keeper: Keeper,
    /// The name of its keyspace.
    keyspace: String,
}

/// Which filter a state of this name has.
type Assigner = Arc<dyn Fn(&str) -> Option<Arc<dyn Factory>> + Send + Sync>;

impl Filters {
    /// As fjall wants it; for every state.
    pub(crate) fn assigner(keeper: Keeper) -> Assigner {
        Arc::new(move |name| Some(Arc::new(Filters { keeper: keeper.clone(), keyspace: name.to_owned() })))
    }
}

impl Factory for Filters {
    fn name(&self) -> &str {
        "pace"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        let Filters { keeper, keyspace } = self;
        Box::new(Filter { piece: NEXT.take(), keeper: keeper.clone(), keyspace: keyspace.clone() })
    }
}

struct Filter {
    /// Nothing for a compaction of fjall's own.
    piece: Option<Piece>,
    keeper: Keeper,
    keyspace: String,
}

impl CompactionFilter for Filter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        if let Some(piece) = &mut self.piece
            && let Err(why) = piece.merged(item.key().len() + item.value()?.len())
        {
            GIVEN_UP.set(Some(why));
            return Err(LsmError::Io(ErrorKind::Interrupted.into()));
        }
        Ok(Verdict::Keep)
    }

    /// All is merged, and no lock is held: what was merged is replaced next.
    fn finish(self: Box<Self>) {
        self.keeper.ends(&self.keyspace);
    }
}

/// A compaction that rests.
struct Piece {
    keyspace: Keyspace,
    /// Bytes merged since it last looked around.
    unheard: usize,
    /// When it last rested.
    rested: Instant,
}

impl Piece {
    /// So many more bytes are kept.
    fn merged(&mut self, bytes: usize) -> Result<(), GivenUp> {
        self.unheard += bytes;
        if self.unheard < LOOK_BYTES {
            return Ok(());
        }
        engine::pace::worked(std::mem::take(&mut self.unheard));
        if engine::pace::is_over() {
            return Err(GivenUp::Over);
        }
        match self.keyspace.l0_table_count() {
            TABLES_MAX.. => return Err(GivenUp::Overtaken),
            TABLES_HURRY.. => {}
            _ => self.rest(),
        }
        Ok(())
    }

    fn rest(&mut self) {
        let worked = self.rested.elapsed();
        if worked >= WORK_MIN {
            std::thread::sleep(worked.min(REST_MAX));
            self.rested = Instant::now();
        }
    }
}
