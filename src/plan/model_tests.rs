//! What a plan says of the tests of a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Notice;

/// Code of the notices about tests that fail.
pub const FAILED: &str = "test_failed";

/// One test of a model and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestResult {
    /// The model.
    pub model: String,
    /// What is tested: `not_null`, `unique`, `accepted_values`, `relationships`, `row_count`, `freshness`, or the test's own
    /// name.
    pub test: String,
    /// The column; several are joined by `, `. Absent where the test is of the whole model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// `error` refuses the sync, `warn` does not.
    pub severity: String,
    /// Rows that fail; 1 where the test is of the model as a whole.
    pub failures: u64,
    /// True when nothing fails.
    pub ok: bool,
    /// What is wrong. Absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `file:line:column` of the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// A few of the rows that fail: those with the lowest keys.
    pub samples: Vec<TestSample>,
}

/// A row that fails a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestSample {
    /// The row's key.
    pub key: String,
    /// Its value in the column tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
    /// True when the column is not declared `sensitive: false`; the value is then masked outside the terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

impl TestResult {
    /// True when it makes `apply` refuse.
    pub fn refuses(&self) -> bool {
        !self.ok && self.severity != "warn"
    }

    /// What it is called, with the column: `` `not_null` of `people.email` ``.
    pub fn title(&self) -> String {
        match &self.column {
            Some(column) => format!("`{}` of `{}.{column}`", self.test, self.model),
            None => format!("`{}` of `{}`", self.test, self.model),
        }
    }

    /// What is said of it in the plan of a sync; `None` when it holds.
    pub fn notice(&self, sync: &str) -> Option<Notice> {
        if self.ok {
            return None;
        }
        let message = self.message.as_deref().unwrap_or("it does not hold");
        let help = if self.refuses() {
            let first = match self.test.as_str() {
                "freshness" => "see whether what fills the source has run",
                "row_count" => "see whether what fills the source has run to its end, and what the query leaves out",
                "unique" => "keep one row of each in the query of the model, or correct the rows",
                _ => "correct the rows, or the query of the model",
            };
            format!(
                "{first}; where the test is too strict, change it or make it `severity: warn`; to go ahead once: \
                 --no-tests"
            )
        } else {
            "it is a warning: `severity: error` would refuse the sync".to_owned()
        };
        Some(Notice {
            code: FAILED.into(),
            sync: Some(sync.to_owned()),
            message: format!("`{sync}`: test {} fails: {message}", self.title()),
            help: Some(help),
            place: self.place.clone(),
            keys: Vec::new(),
        })
    }
}
