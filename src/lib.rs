//! syncline: sync-as-code.
//!
//! YAML manifests in git say what data leaves the warehouse, where it goes and how. `plan` shows, record by record and
//! field by field, what would change at the destinations; `apply` makes it so. The modules stand in the order in which
//! the data goes:
//!
//! ```text
//!  files ──► manifest ──► project ──► sources ──► mapping ──► diff ──► plan ──► deliver ──► destinations
//!            (spans)      (linked)    (Arrow)     (records)   (states)  (JSON)  (journal)   (outcomes)
//!               │            │                                  ▲         │         │            │
//!             render       secret                             state ◄─────┼─────────┘       connectors (YAML)
//!                                                     (snapshot, runs)    │                      │
//!                                                                      report                  http ──► an API, the sandbox
//! ```

#![forbid(unsafe_op_in_unsafe_fn)]

pub mod cli;
pub mod connectors;
pub mod dbt;
pub mod deliver;
pub mod destinations;
pub mod diff;
pub mod forge;
pub mod import;
pub mod manifest;
pub mod mapping;
pub mod model_test;
pub mod notify;
pub mod plan;
pub mod project;
pub mod render;
pub mod report;
pub mod sandbox;
pub mod schedule;
pub mod sources;
pub mod state;
pub mod sync_test;
pub mod usage;

pub mod diagnostic;
pub mod http;
pub mod login;
pub mod mask;
pub mod mysql;
pub mod postgres;
pub mod process;
pub mod secret;
pub mod template;
pub mod tls;
