//! HTTP: one call, one answer. Retries and meaning are decided by who calls.
//!
//! [`Client`] sends: one pool of connections for each account, guarded (`guard`), without redirects, with bounded
//! answers, and only to the hosts of the account. [`Limits`] says when. [`WireLog`] writes down what went over the wire.

mod client;
mod failure;
pub mod guard;
mod limits;
mod metadata;
mod retry_after;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::manifest::connector::api::Method;
pub use client::{Client, Settings};
pub use limits::{LimitError, Limits, Permit};
pub use metadata::{METADATA_HOST, metadata};
pub use retry_after::{retry_after, retry_after_at};
pub use wire::{Logged, WireLog};

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Body,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
    /// True when the answer holds a credential that nobody knows yet: its body is not written down.
    pub confidential: bool,
}

/// What is sent.
#[derive(Debug, Clone, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes of this content type.
    Bytes {
        /// The content type.
        content_type: String,
        /// The bytes; whoever keeps them for another try shares them.
        bytes: Bytes,
    },
    /// `multipart/form-data`.
    Parts(Vec<Part>),
}

/// One part of a body in parts.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its file name, if it is a file.
    pub filename: Option<String>,
    /// Its content type.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The destination cannot be reached, and nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    /// The request may have arrived; there is no answer, or not all of it, or it is larger than any should be.
    #[error("{0}")]
    Lost(String),
    /// The address is one no request may go to, or the request is none that can be sent; nothing was sent.
    #[error("{message}")]
    Forbidden {
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
}

/// Something that answers calls: a client, or in tests a script.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends one request and waits for the whole answer.
    async fn call(&self, call: Call) -> Result<Reply, CallError>;
}
