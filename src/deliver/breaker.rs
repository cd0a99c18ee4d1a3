//! Sees when it is of no use to go on, from what all batches of a sync get for an answer.

use std::time::Duration;

use tokio::time::Instant;

use super::retry::RetryPolicy;

/// So many times as many single refusals in a row stop a sync of which the destination took something.
const PATIENT: u32 = 5;

/// What the batches in flight have seen together.
#[derive(Debug)]
pub struct Breaker {
    policy: RetryPolicy,
    /// Failures without an answer in between, and when the first was.
    failures: Option<(u32, Instant)>,
    /// Tries that did not reach the destination, with none in between that did.
    unreached: Option<(u32, Instant)>,
    /// Answers that only ask for a pause, with no other in between.
    pauses: Option<(u32, Instant)>,
    /// Single records refused in a row with the same code.
    refused: (String, u32),
    /// The destination took a record, or at least a batch.
    took: bool,
}

impl Breaker {
    /// A breaker that has seen nothing yet.
    pub fn new(policy: &RetryPolicy) -> Self {
        Self {
            policy: policy.clone(),
            failures: None,
            unreached: None,
            pauses: None,
            refused: (String::new(), 0),
            took: false,
        }
    }

    /// The destination answered, be it with a refusal: it is there and works.
    pub fn answered(&mut self) {
        (self.failures, self.unreached, self.pauses) = (None, None, None);
    }

    /// The destination took something.
    pub fn took(&mut self) {
        self.took = true;
        self.refused.1 = 0;
    }

    /// It asked for a pause: it is there, and it says what it wants. Gives the reason to stop, if there is one: where
    /// nothing else is heard for as long as one batch may be tried, the others would only wait in their turn.
    pub fn paused(&mut self, message: &str) -> Option<String> {
        self.unreached = None;
        let (count, since) = again(&mut self.pauses);
        (count > 1 && since >= self.policy.budget).then(|| {
            format!(
                "the destination asked to wait {count} times in a row for {} s and took nothing: {message}",
                since.as_secs()
            )
        })
    }

    /// It failed, or its answer was lost. Gives the reason to stop, if there is one.
    pub fn failed(&mut self, message: &str) -> Option<String> {
        self.unreached = None;
        self.failure(message)
    }

    fn failure(&mut self, message: &str) -> Option<String> {
        let (count, since) = again(&mut self.failures);
        (count >= self.policy.failures && since >= self.policy.failing).then(|| {
            format!(
                "the destination failed {count} times in a row for {} s, and was given up: {message}",
                since.as_secs()
            )
        })
    }

    /// It was not reached. Gives the longest pause before the next try.
    ///
    /// # Errors
    /// With the reason to stop.
    pub fn unreachable(&mut self, message: &str) -> Result<Duration, String> {
        if let Some(reason) = self.failure(message) {
            return Err(reason);
        }
        let (count, since) = again(&mut self.unreached);
        if count >= self.policy.unreachable_tries && since >= self.policy.unreachable {
            let seconds = since.as_secs();
            return Err(format!("the destination could not be reached in {count} tries over {seconds} s: {message}"));
        }
        Ok(self.policy.unreachable.saturating_sub(since).max(self.policy.base))
    }

    /// It refused a batch of a single record. Gives the reason to stop, if there is one.
    pub fn refused_alone(&mut self, code: &str, message: &str) -> Option<String> {
        if self.refused.0 == code {
            self.refused.1 = self.refused.1.saturating_add(1);
        } else {
            self.refused = (code.to_owned(), 1);
        }
        let count = self.refused.1;
        // What took some may take others again; but not when all at once it takes none, as when a list is deleted. Rows come
        // in the order of their hashes: so many in a row are not those that happen to be bad.
        let most = if self.took { self.policy.refusals.saturating_mul(PATIENT) } else { self.policy.refusals };
        (count >= most).then(|| {
            let took = if self.took { "takes no record any more" } else { "took no record" };
            format!(
                "the destination {took} and refused {count} in a row one by one with the same code, so that the rest was \
                 not tried: {code}: {message}"
            )
        })
    }

    /// A pause for the batches to come where the failed one is not tried again: doubling with each failure.
    pub fn pause(&self) -> Duration {
        let count = self.failures.map_or(0, |(count, _)| count.saturating_sub(1)).min(20);
        self.policy.base.saturating_mul(1 << count).min(self.policy.cap)
    }
}

/// One more: how many there were, and for how long.
fn again(streak: &mut Option<(u32, Instant)>) -> (u32, Duration) {
    let (count, since) = streak.get_or_insert_with(|| (0, Instant::now()));
    *count = count.saturating_add(1);
    (*count, since.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(&RetryPolicy::default())
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn ten_failures_in_a_row_count_once_they_have_lasted() {
        let mut breaker = breaker();
        for _ in 0..50 {
            assert_eq!(breaker.failed("503"), None, "all at once: a hiccup");
        }
        pass(21).await;
        let reason = breaker.failed("503").unwrap();
        assert!(reason.contains("51 times") && reason.contains("503"), "{reason}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_between_starts_the_count_anew() {
        let mut breaker = breaker();
        for round in 0..100 {
            assert_eq!(breaker.failed("503"), None, "round {round}");
            pass(10).await;
            if round % 8 == 7 {
                breaker.answered();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_reached_is_given_up_after_ten_seconds_and_not_before_three_tries() {
        let mut breaker = breaker();
        assert_eq!(breaker.unreachable("refused"), Ok(Duration::from_secs(10)));
        pass(4).await;
        assert_eq!(breaker.unreachable("refused"), Ok(Duration::from_secs(6)));
        pass(6).await;
        let reason = breaker.unreachable("connection refused").unwrap_err();
        assert!(reason.contains("3 tries") && reason.contains("connection refused"), "{reason}");
        breaker.answered();
        assert!(breaker.unreachable("refused").is_ok());
        pass(60).await;
        assert!(breaker.unreachable("refused").is_ok(), "the second try");
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_that_only_asks_to_wait_is_given_up_after_the_budget_of_a_batch() {
        let mut breaker = breaker();
        assert_eq!(breaker.paused("too many requests"), None);
        pass(179).await;
        assert_eq!(breaker.paused("too many requests"), None, "it may recover yet");
        breaker.answered();
        pass(3600).await;
        assert_eq!(breaker.paused("too many requests"), None, "it answered in between");
        pass(181).await;
        let reason = breaker.paused("too many requests").unwrap();
        assert!(reason.contains("2 times in a row for 181 s") && reason.contains("too many requests"), "{reason}");
    }

    #[test]
    fn single_refusals_in_a_row_stop_where_the_code_is_the_same() {
        // Whether something was taken before, codes in turn, after how many refusals in a row it stops.
        for (took, codes, stops) in
            [(false, &["a"] as &[&str], Some(200)), (true, &["a"], Some(1000)), (false, &["a", "b"], None)]
        {
            let mut breaker = breaker();
            if took {
                breaker.took();
            }
            let mut refused = (0..2000).map(|i| breaker.refused_alone(codes[i % codes.len()], "no such field"));
            assert_eq!(refused.position(|reason| reason.is_some()).map(|at| at + 1), stops, "{took} {codes:?}");
        }
        let mut breaker = breaker();
        for _ in 0..10 {
            breaker.took();
            assert!((0..999).all(|_| breaker.refused_alone("a", "bad address").is_none()), "one was taken in between");
        }
    }
}
