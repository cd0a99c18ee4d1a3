//! The engine as a whole.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Compiled, builtin, run_cases};
use crate::diagnostic::SourceText;
use crate::manifest::connector::Connector;
use crate::manifest::document::Document;

pub(super) fn parse(name: &str, text: &str) -> Connector {
    let source = SourceText { path: PathBuf::from(name), text: text.into() };
    let document = Document::parse(source).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
    serde_path_to_error::deserialize(document.to_json()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub(super) fn compile(name: &str, text: &str) -> Arc<Compiled> {
    Arc::new(Compiled::new(&parse(name, text)).unwrap_or_else(|faults| panic!("{name}: {faults:#?}")))
}

#[tokio::test]
async fn builtin_connectors_pass_their_own_cases() {
    let mut failed = Vec::new();
    for (name, text) in builtin() {
        let results = run_cases(&compile(name, text)).await;
        assert!(!results.is_empty(), "{name} has no cases");
        for result in results.into_iter().filter(|result| !result.failures.is_empty()) {
            failed.push(format!("{name}: {}\n    {}", result.name, result.failures.join("\n    ")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
