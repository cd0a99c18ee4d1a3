//! stand-in until http::limits is there.
use std::time::Duration;

use indexmap::IndexMap;

use crate::http::Reply;
use crate::manifest::connector::api::Bucket;

#[derive(Clone)]
pub struct Limits;
pub struct Permit;
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LimitError {
    message: String,
}
impl Limits {
    pub fn new(_: &IndexMap<String, Bucket>) -> Result<Self, LimitError> {
        Ok(Self)
    }
    pub async fn acquire(&self, _: &[String]) -> Result<Permit, LimitError> {
        Ok(Permit)
    }
    pub fn throttled(&self, _: &Permit) {}
    pub fn set_used(&self, _: &str, _: u64) {}
    pub fn estimate(&self, _: &[String], _: u64) -> f64 {
        0.0
    }
}
pub fn retry_after(reply: &Reply) -> Option<Duration> {
    let value = reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    value.1.trim().parse().ok().map(Duration::from_secs)
}
