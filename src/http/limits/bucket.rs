//! One limit by time: at most so many requests in any span of a length, and less while the vendor says so.

use std::collections::VecDeque;
use std::time::Duration;

/// Requests of one rolling limit. All moments are spans since the beginning of the clock.
#[derive(Debug, Clone)]
pub(super) struct Rolling {
    /// Most requests within `per`; `None` where nothing is documented.
    limit: Option<(usize, Duration)>,
    /// The last requests in the order they went, at most as many as the limit holds: `(id, moment that counts)`. The vendor
    /// counts a request when it arrives, which is somewhere between its going and its answer: the later one counts, as
    /// long as that costs no more than a tenth of the span.
    recent: VecDeque<(u64, Duration)>,
    /// When the next one may go, were all of them spread evenly.
    even: Duration,
    /// Requests a second, while the vendor wants fewer.
    throttle: Option<Throttle>,
}

#[derive(Debug, Clone, Copy)]
struct Throttle {
    /// Requests a second when it was set.
    rate: f64,
    /// What it had been before.
    full: f64,
    since: Duration,
}

/// How long an undocumented rate is looked at.
const LATE: Duration = Duration::from_secs(10);

/// Requests it takes to say what the rate was. A 429 before that is about what others sent, or about an earlier run: a
/// pause answers it, and a rate made of it would be far too low for far too long.
const FEW: usize = 10;

/// How fast what was halved comes back where the vendor documents nothing: a tenth in so many seconds.
const FOUND_AGAIN: f64 = 10.0;

/// The slowest a limit gets by being halved: one request in so many seconds.
const SLOWEST: f64 = 60.0;

impl Rolling {
    pub(super) fn new(limit: Option<(usize, Duration)>) -> Self {
        Self { limit, recent: VecDeque::new(), even: Duration::ZERO, throttle: None }
    }

    fn nominal(&self) -> Option<f64> {
        self.limit.map(|(requests, per)| requests as f64 / per.as_secs_f64())
    }

    /// Requests a second right now; `None` when there is no limit.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        let Some(Throttle { rate, full, since }) = self.throttle else { return self.nominal() };
        // A tenth of the full rate comes back each minute, or each tenth of the span where that is longer.
        let step = self.limit.map_or(FOUND_AGAIN, |(_, per)| (per.as_secs_f64() / 10.0).max(60.0));
        let recovered = rate + full * 0.1 * now.saturating_sub(since).as_secs_f64() / step;
        match self.nominal() {
            Some(nominal) => Some(recovered.min(nominal)),
            // Nobody knows the limit: by twice the rate it failed at, it is forgotten.
            None => Some(recovered).filter(|rate| *rate < full * 2.0),
        }
    }

    /// How many may go at once after a rest: a tenth of the limit, and one by one while throttled.
    fn burst(&self, now: Duration) -> usize {
        match self.limit {
            Some((requests, _)) if self.rate(now) == self.nominal() => (requests / 10).max(1),
            _ => 1,
        }
    }

    /// The moment from which another request may go.
    pub(super) fn free_at(&self, now: Duration) -> Duration {
        let Some(rate) = self.rate(now) else { return now };
        let ahead = Duration::from_secs_f64((self.burst(now) - 1) as f64 / rate);
        let even = self.even.saturating_sub(ahead);
        match (self.limit, self.recent.front()) {
            (Some((requests, per)), Some((_, first))) if self.recent.len() >= requests => even.max(*first + per),
            _ => even,
        }
    }

    /// A request goes.
    pub(super) fn go(&mut self, id: u64, now: Duration) {
        match self.limit {
            Some((requests, per)) => {
                while self.recent.len() >= requests {
                    self.recent.pop_front();
                }
                self.recent.push_back((id, now + per / 10));
            }
            None => {
                while self.recent.front().is_some_and(|(_, then)| *then + LATE < now) {
                    self.recent.pop_front();
                }
                self.recent.push_back((id, now));
            }
        }
        if let Some(rate) = self.rate(now) {
            self.even = self.even.max(now) + Duration::from_secs_f64(1.0 / rate);
        }
    }

    /// The answer is there: the request has arrived by now.
    pub(super) fn answered(&mut self, id: u64, now: Duration) {
        // Ids grow, so the place can be searched for.
        if self.limit.is_some()
            && let Ok(place) = self.recent.binary_search_by_key(&id, |(id, _)| *id)
            && let Some((_, counts)) = self.recent.get_mut(place)
        {
            *counts = now.min(*counts);
        }
    }

    /// The vendor wants fewer requests: halves the rate, unless the request went before it was last halved.
    pub(super) fn halve(&mut self, went: Duration, now: Duration) {
        if self.throttle.is_some_and(|throttle| went < throttle.since) {
            return;
        }
        let late = || {
            let late = self.recent.iter().filter(|(_, then)| *then + LATE >= now);
            let first = late.clone().map(|(_, then)| *then).min().unwrap_or(now);
            let count = late.count();
            (count >= FEW).then(|| count as f64 / (now - first).as_secs_f64().max(0.1))
        };
        let Some(rate) = self.rate(now).or_else(late) else { return };
        let full = self.nominal().unwrap_or(rate);
        self.throttle = Some(Throttle { rate: (rate / 2.0).max(1.0 / SLOWEST).min(full), full, since: now });
        self.even = self.even.max(now);
    }

    /// The least seconds for so many requests from now on.
    pub(super) fn seconds(&self, requests: u64, now: Duration) -> f64 {
        let Some(rate) = self.rate(now) else { return 0.0 };
        requests.saturating_sub(self.burst(now) as u64) as f64 / rate
    }
}
