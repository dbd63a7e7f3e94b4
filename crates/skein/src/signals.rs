//! Signals as calls: stop, start what is stopped, and start what is wished.

use tokio::signal::unix::{SignalKind, signal};
use types::{ErrorCode, Fault};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGINT, SIGTERM, SIGHUP: stop cleanly.
    Stop,
    /// SIGUSR1: start what is stopped.
    Start,
    /// SIGUSR2: start what somebody has left a wish for, and nothing else.
    StartWished,
}

/// Calls `heed` for every such signal from now on, on a thread of its own.
///
/// # Errors
/// `Internal` if the system gives no thread or no signal handler.
pub fn listen(heed: impl Fn(Asked) + Send + 'static) -> Result<(), Fault> {
    let fault = |error: std::io::Error| Fault::new(ErrorCode::Internal, format!("signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
    // Registered here and not on the thread: a signal right after this call must not be missed.
    let (mut interrupt, mut terminate, mut hangup, mut start, mut wished) = {
        let _inside = runtime.enter();
        let listen = |kind| signal(kind).map_err(fault);
        (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
            listen(SignalKind::user_defined1())?,
            listen(SignalKind::user_defined2())?,
        )
    };
    let heed_all = async move {
        loop {
            let asked = tokio::select! {
                _ = interrupt.recv() => Asked::Stop,
                _ = terminate.recv() => Asked::Stop,
                _ = hangup.recv() => Asked::Stop,
                _ = start.recv() => Asked::Start,
                _ = wished.recv() => Asked::StartWished,
            };
            heed(asked);
        }
    };
    let spawned =
        std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(heed_all));
    spawned.map(|_| ()).map_err(fault)
}
