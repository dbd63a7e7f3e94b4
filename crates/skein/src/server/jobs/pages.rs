//! Pages on their way from a job to whoever takes them: each once, in order, the latest also again.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backup::write::Progress;
use bytes::Bytes;
use types::{ErrorCode, Fault};

/// Pages that wait to be taken.
const WAITING_MAX: usize = 2;
/// How often a job whose pages nobody takes looks whether it is cancelled.
const LOOK: Duration = Duration::from_millis(20);
/// How long whoever takes a page waits for it; then he asks again.
const WAIT: Duration = Duration::from_secs(5);

/// A page; `None` is the end.
type Page = Option<Bytes>;

/// Pages of one job.
pub(super) struct Pages {
    giver: SyncSender<Page>,
    taker: Mutex<Taker>,
}

struct Taker {
    pages: Receiver<Page>,
    /// The number of the next page.
    next: u64,
    /// The page before it, for whoever did not hear the answer.
    last: Option<Page>,
}

impl Default for Pages {
    fn default() -> Self {
        let (giver, pages) = sync_channel(WAITING_MAX);
        Self { giver, taker: Mutex::new(Taker { pages, next: 0, last: None }) }
    }
}

impl Pages {
    /// Gives a page, once there is room for it.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(super) fn give(&self, mut page: Page, progress: &Progress) -> Result<(), Fault> {
        loop {
            match self.giver.try_send(page) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => page = back,
            }
            progress.sleep(LOOK).map_err(|error| error.to_fault())?;
        }
    }

    /// Takes the page of a number. Waits for it.
    ///
    /// # Errors
    /// `BadArgument` for one that is gone, or not the next; `Overloaded` if it is not there in time.
    pub(super) fn take(&self, number: u64) -> Result<Page, Fault> {
        let mut taker = self.taker.lock().unwrap_or_else(PoisonError::into_inner);
        if number + 1 == taker.next
            && let Some(last) = &taker.last
        {
            return Ok(last.clone());
        }
        if number != taker.next {
            let detail = format!("page {number} was asked for, and {} is the next", taker.next);
            return Err(Fault::new(ErrorCode::BadArgument, detail));
        }
        let page = taker.pages.recv_timeout(WAIT).map_err(|error| match error {
            RecvTimeoutError::Timeout => Fault::new(ErrorCode::Overloaded, "the page is not there yet"),
            RecvTimeoutError::Disconnected => ErrorCode::Internal.into(),
        })?;
        taker.next += 1;
        taker.last = Some(page.clone());
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_in_order_and_the_latest_comes_again() {
        let (pages, progress) = (Pages::default(), Progress::default());
        pages.give(Some(Bytes::from_static(b"a")), &progress).unwrap();
        pages.give(None, &progress).unwrap();
        assert_eq!(pages.take(1).unwrap_err().code, ErrorCode::BadArgument);
        assert_eq!(pages.take(0).unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(pages.take(0).unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(pages.take(1).unwrap(), None);
        assert_eq!(pages.take(0).unwrap_err().code, ErrorCode::BadArgument);
    }

    #[test]
    fn whom_nobody_listens_to_can_be_cancelled() {
        let (pages, progress) = (Pages::default(), Progress::default());
        (0..WAITING_MAX).for_each(|_| pages.give(None, &progress).unwrap());
        progress.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(pages.give(None, &progress).unwrap_err().code, ErrorCode::Cancelled);
    }
}
