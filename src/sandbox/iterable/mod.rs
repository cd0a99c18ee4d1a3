//! A local Iterable: users, events, purchases, lists and catalogs, with the limits and answers of the real one.

mod account;
mod answer;
mod catalogs;
mod events;
mod fields;
mod identity;
mod lists;
mod lookups;
mod seed;
mod shape;
mod subscriptions;
mod users;

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::Value;

pub(super) use account::Account;
use answer::Refusal;
pub use seed::Seed;

use super::limit::Buckets;
use super::wire::{Answer, Call};

/// The only key that is let in.
pub(super) const API_KEY: &str = "sandbox";
/// Largest request, in bytes.
const MAX_BYTES: usize = 4_000_000;
/// Most records of a request.
const MAX_RECORDS: usize = 1000;

/// The account and how often it was asked.
pub(super) struct Iterable {
    pub account: Account,
    buckets: Buckets,
    limits: bool,
}

/// What an endpoint says.
type Said = Result<Answer, Refusal>;

impl Iterable {
    pub fn new(limits: bool) -> Self {
        Self { account: Account::new(), buckets: Buckets::default(), limits }
    }

    /// Answers a request; the body has been read as JSON already, where it is some.
    pub fn answer(&mut self, call: &Call, body: Option<Value>) -> Answer {
        let route = call.path.clone();
        self.checked(call, body, &route).unwrap_or_else(|refusal| refusal.answer())
    }

    fn checked(&mut self, call: &Call, body: Option<Value>, route: &str) -> Said {
        if let Some(status) = call.trouble.status {
            return Err(answer::status(status, route));
        }
        if call.trouble.token_expired {
            return Err(answer::unauthorized());
        }
        match call.header("api-key").or_else(|| call.query("api_key")) {
            None => return Err(answer::no_key()),
            Some(API_KEY) => {}
            Some(_) => return Err(answer::unauthorized()),
        }
        if call.trouble.quota || call.trouble.code.is_some() {
            return Err(answer::rate_limited(route));
        }
        if call.body.len() > MAX_BYTES {
            return Err(answer::too_large(call.body.len()));
        }
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let Some(path) = segments.strip_prefix(&["api"]) else { return Err(answer::no_such_route(route)) };
        if let Some((endpoint, requests, per)) = limit(&call.method, path).filter(|_| self.limits)
            && !self.buckets.take(endpoint, requests, Duration::from_secs(per), Instant::now())
        {
            return Err(answer::rate_limited(route));
        }
        let body = Body { call, json: body };
        self.account.route(call, path, &body)
    }
}

/// The body of a request, checked against the shape the endpoint wants.
struct Body<'a> {
    call: &'a Call,
    json: Option<Value>,
}

impl Body<'_> {
    /// The body as an object of this shape.
    ///
    /// # Errors
    /// 400 `BadJsonBody`, naming each place that is not as it must be.
    fn read(&self, shape: shape::Members) -> Result<&serde_json::Map<String, Value>, Refusal> {
        let Some(json) = &self.json else { return Err(answer::bad_json(&self.call.path, Vec::new())) };
        let wrong = shape::check(json, shape);
        match json {
            Value::Object(object) if wrong.is_empty() => Ok(object),
            _ => Err(answer::bad_json(&self.call.path, wrong)),
        }
    }
}

/// Name, requests and seconds of the limit of an endpoint.
fn limit(method: &Method, path: &[&str]) -> Option<(&'static str, f64, u64)> {
    let limit = match (method.as_str(), path) {
        ("POST", ["users", "update"]) => ("users/update", 500.0, 1),
        ("POST", ["users", "bulkUpdate"]) => ("users/bulkUpdate", 5.0, 1),
        ("POST", ["users", "forget"]) => ("users/forget", 3.0, 1),
        ("POST", ["users", "unforget"]) => ("users/unforget", 3.0, 1),
        ("POST", ["users", "merge"]) => ("users/merge", 50.0, 1),
        ("GET", ["users", "getFields"]) => ("users/getFields", 3.0, 1),
        ("GET", ["users", "getByEmail"]) => ("users/getByEmail", 100.0, 1),
        ("GET", ["users", "byUserId" | "getByUserId", ..]) => ("users/byUserId", 100.0, 1),
        ("GET", ["users", _]) => ("users/get", 100.0, 1),
        ("DELETE", ["users", ..]) => ("users/delete", 100.0, 1),
        ("POST", ["events", "track"]) => ("events/track", 2000.0, 1),
        ("POST", ["events", "trackBulk"]) => ("events/trackBulk", 10.0, 1),
        ("GET", ["events", ..]) => ("events/get", 100.0, 1),
        ("GET", ["lists", "getUsers"]) => ("lists/getUsers", 5.0, 60),
        ("GET", ["lists", _, "size"]) => ("lists/size", 5.0, 60),
        ("GET", ["lists"]) => ("lists", 100.0, 1),
        ("GET", ["channels"]) => ("channels", 100.0, 1),
        ("GET", ["messageTypes"]) => ("messageTypes", 100.0, 1),
        ("POST" | "DELETE", ["catalogs", _, "items"]) => ("catalogs/items", 100.0, 1),
        ("PUT" | "PATCH" | "DELETE", ["catalogs", _, "items", _]) => ("catalogs/item", 1000.0, 1),
        _ => return None,
    };
    Some(limit)
}
