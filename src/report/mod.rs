//! The faces of a plan, of a run and of diagnostics: made from plain data and from nothing else.
//!
//! ```text
//!   Plan ──► terminal                Run ──► run::terminal        Vec<Diagnostic> ──► diagnostics (text, JSON)
//!    │  └──► json, counts             ├──► counts                               ├──► sarif
//!    └─ mask ──► markdown, html       └─ mask ──► run::markdown, run::html      └──► annotations, codequality
//! ```
//!
//! Nothing here prints: every face is a `String`, and the command line decides where it goes. Markdown and HTML leave
//! the machine they are made on, so they take [`mask::Masked`] and cannot be made from an unmasked plan by accident.

pub mod annotations;
pub mod answers;
pub mod codequality;
pub mod connectors;
pub mod counts;
pub mod diagnostics;
pub mod doctor;
pub mod exposures;
pub mod graph;
pub mod html;
pub mod import;
pub mod json;
pub mod markdown;
pub mod mask;
pub mod run;
pub mod sarif;
pub mod sync_test;
pub mod terminal;
pub mod usage;
pub mod verify;

mod diff;
mod escape;
mod facts;
mod numbers;
mod page;
mod prose;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

pub use doctor::{Examination, Status as ExaminationStatus, Subject, doctor_text};
pub use html::plan_html;
pub use import::{import_markdown, import_text};
pub use markdown::plan_markdown;
pub use mask::{Masked, MaskedRun};
pub use numbers::group as number;
pub use run::{run_html, run_markdown, run_text};
pub use terminal::{Style, plan_text};
