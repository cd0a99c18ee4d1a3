//! Tokens: given for client id and secret, good for a while.

use std::time::{Duration, Instant};

use serde_json::json;

use super::answer::Refusal;
use crate::sandbox::wire::{Answer, Call, pairs};

/// The only client that is let in, and its secret.
pub(in crate::sandbox) const CLIENT: &str = "sandbox";

/// The token that counts and those that did.
#[derive(Debug)]
pub(super) struct Tokens {
    lifetime: Duration,
    current: Option<(String, Instant)>,
    old: Vec<String>,
}

impl Tokens {
    pub fn new(seconds: u64) -> Self {
        Self { lifetime: Duration::from_secs(seconds), current: None, old: Vec::new() }
    }

    /// GET or POST /identity/oauth/token: the same token again, until it runs out.
    pub fn grant(&mut self, call: &Call) -> Answer {
        let mut given = call.query.clone();
        if call.content_is("application/x-www-form-urlencoded") {
            given.extend(pairs(&call.body));
        }
        let value = |name: &str| given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if value("grant_type") != Some("client_credentials") {
            let words = "Unsupported grant type, only client_credentials is supported";
            return refused(400, "unsupported_grant_type", words);
        }
        if value("client_id") != Some(CLIENT) {
            let words = format!("No client with requested id: {}", value("client_id").unwrap_or(""));
            return refused(401, "invalid_client", &words);
        }
        if value("client_secret") != Some(CLIENT) {
            return refused(401, "unauthorized", "Bad client credentials");
        }
        self.age();
        let (token, until) = self
            .current
            .get_or_insert_with(|| (format!("{}:int", uuid::Uuid::now_v7()), Instant::now() + self.lifetime));
        let left = until.saturating_duration_since(Instant::now()).as_secs().min(3599);
        let body = json!({ "access_token": token, "token_type": "bearer", "expires_in": left,
            "scope": "sandbox@example.com" });
        Answer::json(200, &body)
    }

    /// A token that has run out is one that was.
    fn age(&mut self) {
        if self.current.as_ref().is_some_and(|(_, until)| *until <= Instant::now()) {
            self.expire();
        }
    }

    /// Makes the token run out now.
    pub fn expire(&mut self) {
        self.old.extend(self.current.take().map(|(token, _)| token));
    }

    /// Whether a token is good.
    ///
    /// # Errors
    /// 600 without one, 602 when it has run out, 601 when it never was one.
    pub fn check(&mut self, token: Option<&str>) -> Result<(), Refusal> {
        self.age();
        let Some(token) = token else { return Err(Refusal::usual(600)) };
        match &self.current {
            Some((current, _)) if current == token => Ok(()),
            _ if self.old.iter().any(|old| old == token) => Err(Refusal::usual(602)),
            _ => Err(Refusal::usual(601)),
        }
    }
}

fn refused(status: u16, error: &str, words: &str) -> Answer {
    Answer::json(status, &json!({ "error": error, "error_description": words })).with_code(error)
}
