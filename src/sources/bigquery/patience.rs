//! How long to wait before something is asked again.

use std::time::Duration;

use crate::http::{self, Reply};

/// Times something is asked again.
const AGAIN: u32 = 5;

/// The first wait, and the longest: what BigQuery's service level agreement asks of who tries again
/// (<https://cloud.google.com/bigquery/sla>, "back-off requirements").
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(32);

/// The waits for one request.
#[derive(Debug, Default)]
pub(super) struct Patience {
    asked: u32,
}

impl Patience {
    /// How long to wait now: what the answer asks for, else twice as long as the last time, give or take; `None` when it
    /// was enough.
    pub(super) fn next(&mut self, reply: Option<&Reply>) -> Option<Duration> {
        if self.asked >= AGAIN {
            return None;
        }
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.asked)).min(LONGEST);
        self.asked += 1;
        // So that those who were turned away together do not come back together.
        let mut random = [0_u8; 1];
        let _ = getrandom::fill(&mut random);
        let spread = doubled.mul_f64(1.0 + f64::from(random[0]) / 512.0);
        Some(reply.and_then(http::retry_after).unwrap_or(spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let mut patience = Patience::default();
        let waits: Vec<f64> = std::iter::from_fn(|| patience.next(None)).map(|wait| wait.as_secs_f64()).collect();
        assert_eq!(waits.len(), 5);
        for (at, wait) in waits.iter().enumerate() {
            let least = f64::from(1 << at);
            assert!((least..=least * 1.5).contains(wait), "{waits:?}");
        }
    }

    #[test]
    fn the_answer_knows_best() {
        let reply = Reply { status: 429, headers: vec![("retry-after".into(), "7".into())], body: Vec::new() };
        assert_eq!(Patience::default().next(Some(&reply)), Some(Duration::from_secs(7)));
    }
}
