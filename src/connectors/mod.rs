//! 8 · The engine that speaks HTTP APIs as connectors say: where Rust ends and YAML begins.
//!
//! ```text
//!  connectors/*.yaml ──Compiled──► Http (account: address, credentials, limits)
//!                                    └─open─► writer:  look up ─► make request ─► send ─► rules ─► outcome of each record
//!                                                                                     └► job ─► poll ─► results
//! ```
//!
//! All templates and expressions are parsed once; records are written as JSON once, with all their digits, and spliced
//! into the request. Nothing an API answers can make this panic, and nothing unclear becomes a success.

mod account;
mod around;
mod ask;
mod cases;
mod check;
mod compile;
mod cost;
mod destination;
mod expression;
mod filters;
mod job;
mod lookup;
mod outcome;
mod read;
mod record;
mod request;
mod rules;
mod settings;
mod settled;
mod template;
mod value;
mod writer;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

pub use account::Accounts;
pub use cases::{CaseResult, run_cases};
pub use compile::Compiled;
pub use destination::{Http, Setup};

use crate::destinations::Destination;
use crate::diagnostic::Result;
use crate::secret::Connection;

/// The connectors inside the binary: name and YAML text.
pub fn builtin() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        ("hubspot", include_str!("../../connectors/hubspot.yaml")),
        ("iterable", include_str!("../../connectors/iterable.yaml")),
        ("marketo", include_str!("../../connectors/marketo.yaml")),
        ("slack", include_str!("../../connectors/slack.yaml")),
    ]
    .into_iter()
}

/// Something in a connector that can never work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the connector's manifest, e.g. `/objects/user/modes/upsert/send`; for one that stands in a
    /// destination, into the destination's.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Bytes within the scalar at `pointer`, for faults inside a template.
    pub range: Option<Range<usize>>,
}

/// The destination of a connector and a connection. Offline: nothing is connected to before it is opened.
///
/// # Errors
/// As [`Http::new`].
pub fn open(compiled: Arc<Compiled>, connection: &Connection, setup: &Setup) -> Result<Box<dyn Destination>> {
    Ok(Box::new(Http::new(compiled, connection, setup)?))
}
