//! How often and how long a batch is tried again: full jitter within a budget, `Retry-After` honoured. And when all
//! batches together are given up, because the destination itself does not work.

use std::time::Duration;

/// The limits of trying again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The longest first pause; it doubles from try to try.
    pub base: Duration,
    /// The longest pause by our own choice.
    pub cap: Duration,
    /// All pauses of one batch together.
    pub budget: Duration,
    /// Tries of one batch after the first.
    pub attempts: u32,
    /// Failures in a row, of all batches together and without an answer in between, after which the sync stops; only
    /// once they have lasted for `failing`. A pause the destination asks for is no failure.
    pub failures: u32,
    /// How long failures must last before the sync stops.
    pub failing: Duration,
    /// How long a destination that cannot be reached at all is tried.
    pub unreachable: Duration,
    /// How often, at least.
    pub unreachable_tries: u32,
    /// Single records refused in a row with the same code after which the sync stops; five times as many where something was
    /// taken before.
    pub refusals: u32,
    /// Where the jitter begins; the same seed gives the same pauses.
    pub seed: u64,
}

impl Default for RetryPolicy {
    /// Up to 3 minutes of pauses, from half a second to half a minute each, for a batch that alone does not go through;
    /// 10 failures and 20 seconds where nothing goes through; 10 seconds where nobody is there.
    fn default() -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            budget: Duration::from_secs(180),
            attempts: 20,
            failures: 10,
            failing: Duration::from_secs(20),
            unreachable: Duration::from_secs(10),
            unreachable_tries: 3,
            refusals: 200,
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}

/// What is left of the budget of one batch.
#[derive(Debug, Clone)]
pub struct Budget {
    policy: RetryPolicy,
    attempt: u32,
    spent: Duration,
    random: u64,
}

impl Budget {
    /// A fresh budget; `batch` makes its jitter differ from that of other batches.
    pub fn new(policy: &RetryPolicy, batch: u64) -> Self {
        let random = policy.seed ^ batch.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { policy: policy.clone(), attempt: 0, spent: Duration::ZERO, random }
    }

    /// The pause before the next try, `None` when the budget is used up. What the destination asked for is kept to,
    /// with a little on top so that not all batches come back at the same moment.
    pub fn pause(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let longest = self.policy.base.saturating_mul(1 << self.attempt.min(20)).min(self.policy.cap);
        let share = self.share();
        let pause = match retry_after {
            Some(asked) => asked + self.policy.base.mul_f64(share),
            None => longest.mul_f64(share),
        };
        self.attempt += 1;
        self.spent += pause;
        (self.attempt <= self.policy.attempts && self.spent <= self.policy.budget).then_some(pause)
    }

    /// True once it was tried again.
    pub fn tried(&self) -> bool {
        self.attempt > 0
    }

    /// The next number of the sequence between 0 and 1 (splitmix64).
    fn share(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(seed: u64) -> Budget {
        Budget::new(&RetryPolicy { seed, ..RetryPolicy::default() }, 7)
    }

    #[test]
    fn pauses_stay_below_their_doubling_limit_and_within_the_budget() {
        for seed in 0..200 {
            let mut budget = budget(seed);
            let (mut sum, mut limit) = (Duration::ZERO, Duration::from_millis(500));
            while let Some(pause) = budget.pause(None) {
                assert!(pause <= limit, "{pause:?} > {limit:?}");
                limit = (limit * 2).min(Duration::from_secs(30));
                sum += pause;
            }
            assert!(sum <= Duration::from_secs(180));
        }
    }

    #[test]
    fn what_the_destination_asks_for_is_kept_to_or_given_up() {
        let asked = Duration::from_secs(60);
        let mut budget = budget(1);
        let first = budget.pause(Some(asked)).expect("within the budget");
        assert!((asked..asked + Duration::from_secs(1)).contains(&first));
        assert!(budget.pause(Some(asked)).is_some());
        assert_eq!(budget.pause(Some(asked)), None, "three times 60 s and jitter are more than 180 s");
    }
}
