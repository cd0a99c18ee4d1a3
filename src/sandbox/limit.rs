//! Rate limits, as the real ones count.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Requests a second per endpoint: a bucket that is full at the start and fills at the rate of the limit.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    levels: HashMap<&'static str, (f64, Instant)>,
}

impl Buckets {
    /// Takes one request from the bucket of an endpoint; false when there is none left.
    pub fn take(&mut self, endpoint: &'static str, requests: f64, per: Duration, now: Instant) -> bool {
        let (level, last) = self.levels.entry(endpoint).or_insert((requests, now));
        let gained = now.saturating_duration_since(*last).as_secs_f64() / per.as_secs_f64() * requests;
        *level = (*level + gained).min(requests);
        *last = now;
        let allowed = *level >= 1.0;
        if allowed {
            *level -= 1.0;
        }
        allowed
    }
}

/// At most so many requests in any window of time.
#[derive(Debug, Default)]
pub(super) struct Window {
    taken: VecDeque<Instant>,
}

impl Window {
    /// Notes a request; false, and it does not count, when the window is full.
    pub fn take(&mut self, requests: usize, per: Duration, now: Instant) -> bool {
        while self.taken.front().is_some_and(|then| now.saturating_duration_since(*then) >= per) {
            self.taken.pop_front();
        }
        let allowed = self.taken.len() < requests;
        if allowed {
            self.taken.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_at_its_rate() {
        let mut buckets = Buckets::default();
        let start = Instant::now();
        let mut take = |ms| buckets.take("x", 5.0, Duration::from_secs(1), start + Duration::from_millis(ms));
        assert_eq!((0..6).map(|_| take(0)).filter(|allowed| *allowed).count(), 5);
        assert!(!take(100));
        assert!(take(210));
        assert!(!take(220));
        assert_eq!((0..9).map(|_| take(9000)).filter(|allowed| *allowed).count(), 5);
    }

    #[test]
    fn a_window_forgets_what_left_it() {
        let mut window = Window::default();
        let start = Instant::now();
        let mut take = |s| window.take(2, Duration::from_secs(20), start + Duration::from_secs(s));
        assert_eq!([take(0), take(1), take(19), take(20), take(20), take(21)], [true, true, false, true, false, true]);
    }
}
