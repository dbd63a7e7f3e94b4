//! Which run of each node is alive, and which connection of it speaks for each channel.
//!
//! A node may be known by **one live run**. A run lives as long as a proved connection with it is open,
//! whoever called; the kernel closes the connections of a dead process at once. A second run that calls
//! while the first one lives is a copy of a data directory, see `docs/decisions/2026-11-26-handshake.md`.
//!
//! Each channel of a node has **one speaker**. A new connection replaces the old one, and nothing that
//! still arrives on the old one is delivered from then on: the order that Raft needs per peer holds
//! across reconnects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::frame::Channel;
use tokio::sync::{Notify, oneshot};
use types::limits::HANGUP_GRACE;
use types::{BootId, NodeId};

use super::Origin;
use super::queue::Queue;

/// The runs and speakers that this node knows.
#[derive(Default)]
pub(crate) struct Registry {
    runs: Mutex<BTreeMap<NodeId, Run>>,
    /// Some run ended.
    ended: Notify,
    speakers: Mutex<BTreeMap<(NodeId, Channel), Slot>>,
}

/// A channel's speaker.
type Slot = Arc<Seat>;

/// Where a channel's speaker is noted.
#[derive(Default)]
struct Seat {
    /// Held during a delivery, so that one follows the other. What is delivered may ask for the speaker
    /// (a request that is refused is answered at once), so this is not the lock of the speaker.
    delivery: Mutex<()>,
    /// Empty before the first one.
    speaker: Mutex<Option<Speaker>>,
}

struct Run {
    boot: BootId,
    connections: usize,
}

struct Speaker {
    boot: BootId,
    serial: u64,
    replies: Arc<Queue>,
    /// Dropped to end the connection's task.
    _live: oneshot::Sender<()>,
}

/// Keeps a run alive in the registry as long as it exists.
pub(crate) struct Presence {
    registry: Arc<Registry>,
    node: NodeId,
}

/// A connection's right to speak for its channel.
pub(crate) struct Voice {
    slot: Slot,
    serial: u64,
}

impl Registry {
    /// Notes a proved connection with a run of a node.
    ///
    /// # Errors
    /// Another run of the node is alive: its boot id. It was given [`HANGUP_GRACE`] to vanish.
    pub(crate) async fn admit(self: &Arc<Self>, origin: Origin) -> Result<Presence, BootId> {
        self.without_other(origin, |runs| {
            runs.entry(origin.node).or_insert(Run { boot: origin.boot, connections: 0 }).connections += 1;
        })
        .await?;
        Ok(Presence { registry: self.clone(), node: origin.node })
    }

    /// The other live run of a node, if there is one. It is given [`HANGUP_GRACE`] to vanish.
    pub(crate) async fn other_run(&self, origin: Origin) -> Option<BootId> {
        self.without_other(origin, |_| ()).await.err()
    }

    /// Acts on the table at a moment when no other run of the node is in it.
    async fn without_other(
        &self,
        origin: Origin,
        act: impl FnOnce(&mut BTreeMap<NodeId, Run>),
    ) -> Result<(), BootId> {
        let deadline = tokio::time::Instant::now() + HANGUP_GRACE;
        let mut is_last_look = false;
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            let other = {
                let mut runs = lock(&self.runs);
                match runs.get(&origin.node) {
                    Some(run) if run.boot != origin.boot => run.boot,
                    _ => {
                        act(&mut runs);
                        return Ok(());
                    }
                }
            };
            if is_last_look {
                return Err(other);
            }
            if tokio::time::timeout_at(deadline, ended).await.is_err() {
                // If this process itself stood still, the end of the other run's connections may have come
                // in together with the end of the grace: let the sockets be looked at once more.
                tokio::task::yield_now().await;
                is_last_look = true;
            }
        }
    }

    /// Makes a connection the speaker of its channel. The receiver resolves when another one replaces it.
    pub(crate) fn speak(
        &self,
        origin: Origin,
        channel: Channel,
        replies: Arc<Queue>,
    ) -> (Voice, oneshot::Receiver<()>) {
        let slot = lock(&self.speakers).entry((origin.node, channel)).or_default().clone();
        let (live, replaced) = oneshot::channel();
        let mut speaker = lock(&slot.speaker);
        let serial = speaker.as_ref().map_or(1, |old| old.serial + 1);
        *speaker = Some(Speaker { boot: origin.boot, serial, replies, _live: live });
        drop(speaker);
        (Voice { slot, serial }, replaced)
    }

    /// Where replies to a run go now, if it is connected.
    pub(crate) fn replies_to(&self, origin: Origin) -> Option<Arc<Queue>> {
        let slot = lock(&self.speakers).get(&(origin.node, Channel::Requests))?.clone();
        let speaker = lock(&slot.speaker);
        speaker.as_ref().filter(|speaker| speaker.boot == origin.boot).map(|speaker| speaker.replies.clone())
    }
}

impl Voice {
    /// Delivers something, unless another connection has replaced this one; then `false`.
    pub(crate) fn deliver(&self, deliver: impl FnOnce()) -> bool {
        // A new speaker's first frame waits here and cannot overtake this one.
        let _delivery = lock(&self.slot.delivery);
        let speaker = lock(&self.slot.speaker).as_ref().map(|speaker| speaker.serial);
        let speaks = speaker == Some(self.serial);
        if speaks {
            deliver();
        }
        speaks
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut runs = lock(&self.registry.runs);
        if let Some(run) = runs.get_mut(&self.node) {
            run.connections -= 1;
            if run.connections == 0 {
                runs.remove(&self.node);
                drop(runs);
                self.registry.ended.notify_waiters();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A handler that panicked left the handler in doubt, not these tables.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn origin(node: u64, boot: u64) -> Origin {
        Origin { node: NodeId(node), boot: BootId(boot) }
    }

    #[tokio::test]
    async fn a_second_run_waits_for_the_first_one_to_vanish() {
        let registry = Arc::new(Registry::default());
        let first = registry.admit(origin(1, 7)).await.unwrap();
        let again = registry.admit(origin(1, 7)).await.unwrap();
        drop(first);
        assert_eq!(registry.admit(origin(1, 8)).await.err(), Some(BootId(7)), "one connection is still open");
        assert_eq!(registry.other_run(origin(1, 8)).await, Some(BootId(7)));
        assert_eq!(registry.other_run(origin(1, 7)).await, None);

        let waiting = tokio::spawn({
            let registry = registry.clone();
            async move { registry.admit(origin(1, 8)).await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(again);
        assert!(waiting.await.unwrap(), "it vanished within the grace");
    }

    #[test]
    fn the_newest_connection_speaks_and_the_old_one_is_told() {
        let registry = Registry::default();
        let (old, mut replaced) = registry.speak(origin(1, 7), Channel::Raft, Arc::new(Queue::new()));
        assert!(old.deliver(|| ()) && replaced.try_recv().is_err());
        let (new, _live) = registry.speak(origin(1, 7), Channel::Raft, Arc::new(Queue::new()));
        assert!(matches!(replaced.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(!old.deliver(|| unreachable!("replaced")) && new.deliver(|| ()));
    }

    #[test]
    fn what_is_delivered_may_be_answered_at_once() {
        let registry = Registry::default();
        let (voice, _live) = registry.speak(origin(1, 7), Channel::Requests, Arc::new(Queue::new()));
        assert!(voice.deliver(|| assert!(registry.replies_to(origin(1, 7)).is_some())));
    }
}
