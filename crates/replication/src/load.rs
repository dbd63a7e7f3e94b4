//! How much the leader of a group is asked: requests per second, smoothed.
//!
//! It is the mean over the time since the replica began to lead, in which what is long ago counts less: a second that
//! is [`limits::LOAD_SMOOTHING`] ago counts about a third as much as the current one. Because it is divided by the time
//! that counts, the load of a new leader does not begin at nothing and creep up: whoever evens out leaders would take
//! it for idle, and bring its node more than it can bear. What the first seconds say is chance, so there is no load
//! before [`limits::LOAD_SETTLES`].

use env::Moment;
use types::limits;

/// The load of one replica. It is noted in steps, at most some hundred milliseconds long.
#[derive(Debug, Default)]
pub(crate) struct Load {
    led: Option<Led>,
}

/// Since it leads.
#[derive(Debug)]
struct Led {
    since: Moment,
    /// When the last step ended, and the requests until then.
    last: (Moment, u64),
    /// Requests since, of which older ones count less.
    requests: f64,
    /// The seconds in which they came, of which older ones count as much less.
    seconds: f64,
}

impl Load {
    /// A step has ended. `requests` is how many there were in all until now.
    pub(crate) fn note(&mut self, now: Moment, leads: bool, requests: u64) {
        let Some(led) = self.led.as_mut().filter(|_| leads) else {
            let new = Led { since: now, last: (now, requests), requests: 0.0, seconds: 0.0 };
            self.led = leads.then_some(new);
            return;
        };
        let seconds = now.since(led.last.0).as_secs_f64();
        let smoothing = limits::LOAD_SMOOTHING.as_secs_f64();
        let older = smoothing / (smoothing + seconds);
        // A state that was replaced may have counted fewer.
        led.requests = led.requests * older + requests.saturating_sub(led.last.1) as f64;
        led.seconds = led.seconds * older + seconds;
        led.last = (now, requests);
    }

    /// Requests per second; nothing while it does not lead, or not for long enough to say.
    pub(crate) fn per_second(&self) -> Option<u64> {
        let led = self.led.as_ref()?;
        let settled = led.last.0.since(led.since) >= limits::LOAD_SETTLES;
        settled.then(|| (led.requests / led.seconds).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const STEP: Duration = Duration::from_millis(100);

    /// A replica that is asked evenly, step by step.
    struct Asked {
        load: Load,
        now: Moment,
        requests: u64,
    }

    impl Asked {
        fn new() -> Self {
            Self { load: Load::default(), now: Moment(0), requests: 7 }
        }

        fn go(&mut self, seconds: u64, leads: bool, per_second: u64) -> Option<u64> {
            for _ in 0..seconds * 10 {
                self.now = self.now.plus(STEP);
                self.requests += per_second / 10;
                self.load.note(self.now, leads, self.requests);
            }
            self.load.per_second()
        }
    }

    #[test]
    fn a_steady_load_is_known_as_soon_as_any_is() {
        let mut asked = Asked::new();
        assert_eq!(asked.go(100, false, 500), None, "it does not lead");
        assert_eq!(asked.go(9, true, 500), None, "too early to say");
        assert_eq!(asked.go(2, true, 500), Some(500));
        assert_eq!(asked.go(300, true, 500), Some(500));
    }

    #[test]
    fn what_is_long_ago_counts_less() {
        let mut asked = Asked::new();
        asked.go(600, true, 1000);
        let after_a_second = asked.go(1, true, 0).unwrap();
        assert!((950..1000).contains(&after_a_second), "{after_a_second}");
        let after_a_minute = asked.go(59, true, 0).unwrap();
        assert!((300..500).contains(&after_a_minute), "{after_a_minute}");
        assert!(asked.go(600, true, 0).unwrap() < 5);
    }

    #[test]
    fn who_leads_anew_begins_anew() {
        let mut asked = Asked::new();
        asked.go(600, true, 1000);
        assert_eq!(asked.go(1, false, 0), None);
        assert_eq!(asked.go(5, true, 20), None);
        assert_eq!(asked.go(10, true, 20), Some(20), "nothing of the first time");
    }

    #[test]
    fn a_state_that_counted_fewer_requests_and_a_long_pause_are_no_load() {
        let mut asked = Asked::new();
        asked.go(60, true, 100);
        asked.load.note(asked.now.plus(STEP), true, 0);
        asked.load.note(asked.now.plus(Duration::from_secs(100_000)), true, 0);
        assert_eq!(asked.load.per_second(), Some(0));
    }
}
