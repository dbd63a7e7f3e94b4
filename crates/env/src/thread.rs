//! Threads of the operating system: which of them stand back for others.

/// The nice value of a thread that stands back. Linux gives it a tenth of the share of an ordinary thread: on a
/// busy machine its work still ends.
const NICE: i32 = 10;

/// From now on the calling thread lets ordinary ones go first. For long work that clients shall not feel; it
/// should hold no lock that they wait for.
pub fn stand_back() {
    // On Linux a priority belongs to a thread, and this names the calling one. Whoever may not lower its own
    // priority goes on with the one that it has.
    let _ = rustix::process::setpriority_process(None, NICE);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stands_back_alone() {
        let own = || rustix::process::getpriority_process(None).expect("a priority");
        let before = own();
        let inside = std::thread::spawn(move || {
            stand_back();
            own()
        });
        assert_eq!(inside.join().expect("a thread"), before.max(NICE));
        assert_eq!(own(), before);
    }
}
