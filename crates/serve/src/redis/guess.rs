//! Whether to look if a write would change anything before it goes to the log.
//!
//! Where such writes are common, as when a set is filled with what it holds already or an empty list is asked for
//! elements, the look saves an entry and a sync. Where they are not, it costs some microseconds in vain. So each
//! connection goes by what it has met lately.

/// Looks in vain, one after another, before they are made seldom.
const PATIENCE: u8 = 8;
/// One write in so many is looked at then.
const SELDOM: u8 = 16;

/// What a connection has met.
#[derive(Debug)]
pub(crate) struct Guess {
    patience: u8,
    passed: u8,
}

impl Default for Guess {
    fn default() -> Self {
        Self { patience: PATIENCE, passed: 0 }
    }
}

impl Guess {
    /// Whether to look at the next write.
    pub(crate) fn is_worth_a_look(&mut self) -> bool {
        if self.patience > 0 {
            return true;
        }
        self.passed = (self.passed + 1) % SELDOM;
        self.passed == 0
    }

    /// What a look has shown.
    pub(crate) fn note(&mut self, changes_nothing: bool) {
        self.patience = if changes_nothing { PATIENCE } else { self.patience.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_vain_become_seldom_and_one_that_helps_brings_them_back() {
        let mut guess = Guess::default();
        let looks = |guess: &mut Guess, writes: usize, helps: bool| {
            let look = |_: &usize| {
                let looks = guess.is_worth_a_look();
                if looks {
                    guess.note(helps);
                }
                looks
            };
            (0..writes).filter(look).count()
        };
        assert_eq!(looks(&mut guess, 8 + 160, false), 8 + 10);
        assert_eq!(looks(&mut guess, 16, true), 1);
        assert_eq!(looks(&mut guess, 100, true), 100);
    }
}
