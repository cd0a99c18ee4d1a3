//! The tests dbt declares of a model, as far as syncline has the same: they are read from the manifest, not run by dbt.

use serde_json::Value;

use super::{Manifest, Node};

/// A test that dbt declares of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Its name in dbt: `not_null_contacts_email`.
    pub name: String,
    /// What is tested, or why it cannot be taken over, as part of a sentence.
    pub check: Result<Promise, String>,
    /// False where dbt only warns (`severity: warn`).
    pub error: bool,
    /// Only rows for which this condition holds are looked at; in the warehouse's SQL.
    pub filter: Option<String>,
}

/// What dbt's own generic tests say of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Promise {
    /// `not_null`
    NotNull(String),
    /// `unique`
    Unique(String),
    /// `accepted_values`
    Accepted {
        /// The column.
        column: String,
        /// Text, numbers, true or false.
        values: Vec<Value>,
    },
    /// `relationships`
    Related {
        /// The column.
        column: String,
        /// Unique id of the other node.
        node: String,
        /// Its column.
        to: String,
    },
}

/// A test of one node, as the manifest has it.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// Unique id of the node.
    pub node: String,
    pub name: String,
    pub column: Option<String>,
    /// `test_metadata`: `name`, `namespace` and `kwargs` of a generic test; null of one that is SQL.
    pub metadata: Value,
    pub severity: Option<String>,
    pub filter: Option<String>,
    /// How many rows make it fail, where that is not one.
    pub error_if: Option<String>,
    /// Unique ids of the nodes it reads.
    pub upstream: Vec<String>,
}

impl Manifest {
    /// The tests that dbt declares of a node, by name.
    pub fn declared(&self, node: &Node) -> Vec<Declared> {
        let of = self.tests.iter().filter(|attached| attached.node == node.unique_id);
        let mut declared: Vec<Declared> = of.map(Attached::declared).collect();
        declared.sort_by(|a, b| a.name.cmp(&b.name));
        declared
    }
}

impl Attached {
    fn declared(&self) -> Declared {
        Declared {
            name: self.name.clone(),
            check: self.check(),
            error: !self.severity.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("warn")),
            filter: self.filter.clone().filter(|filter| !filter.trim().is_empty()),
        }
    }

    fn check(&self) -> Result<Promise, String> {
        let of = |name: &str| self.metadata.get(name).and_then(Value::as_str);
        let Some(kind) = of("name") else { return Err("it is SQL of its own".into()) };
        if let Some(package) = of("namespace").filter(|package| *package != "dbt") {
            return Err(format!("it is `{package}.{kind}`, which only dbt can run"));
        }
        let kwargs = self.metadata.get("kwargs").unwrap_or(&Value::Null);
        let templated = |text: &Option<String>| text.as_deref().is_some_and(|text| text.contains("{{"));
        if templated(&self.filter) {
            return Err("its `where` is a template".into());
        }
        if self.error_if.as_deref().is_some_and(|limit| limit.replace(' ', "") != "!=0") {
            return Err("its `error_if` lets rows fail".into());
        }
        let text = |name: &str| kwargs.get(name).and_then(Value::as_str).map(str::to_owned);
        let column = self.column.clone().or_else(|| text("column_name"));
        let column = column.ok_or_else(|| "it names no column".to_owned())?;
        // An expression is none of the columns that are read.
        if !column.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err("what it tests is not a column but an expression".into());
        }
        match kind {
            "not_null" => Ok(Promise::NotNull(column)),
            "unique" => Ok(Promise::Unique(column)),
            "accepted_values" => {
                let values = kwargs.get("values").and_then(Value::as_array).cloned().unwrap_or_default();
                let quoted = kwargs.get("quote").and_then(Value::as_bool) != Some(false);
                let values: Vec<Value> = values.into_iter().map(|value| plain(value, quoted)).collect();
                let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
                match values.is_empty() || !values.iter().all(scalar) {
                    true => Err("its values are not plain ones".into()),
                    false => Ok(Promise::Accepted { column, values }),
                }
            }
            "relationships" => {
                let others: Vec<&String> = self.upstream.iter().filter(|id| **id != self.node).collect();
                let node = match others.as_slice() {
                    [] => self.node.clone(),
                    [other] => (*other).clone(),
                    _ => return Err("it is of more than two models".into()),
                };
                let to = text("field").ok_or_else(|| "it names no `field`".to_owned())?;
                Ok(Promise::Related { column, node, to })
            }
            other => Err(format!("`{other}` is a test of the project, which only dbt can run")),
        }
    }
}

/// A value as it is meant: with `quote: false` a text is written into the SQL as it is.
fn plain(value: Value, quoted: bool) -> Value {
    match &value {
        Value::String(text) if !quoted => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => text.parse::<bool>().map_or(value, Value::from),
        },
        // Between quotes, a number is text to the warehouse, which makes a number of it again where the column is one.
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attached(metadata: Value, config: &Value, upstream: &[&str]) -> Declared {
        let text = |name: &str| config[name].as_str().map(str::to_owned);
        let attached = Attached {
            node: "model.shop.people".into(),
            column: Some("plan".into()),
            metadata,
            severity: text("severity"),
            filter: text("where"),
            error_if: text("error_if"),
            upstream: upstream.iter().map(|id| (*id).to_owned()).collect(),
            ..Attached::default()
        };
        attached.declared()
    }

    #[test]
    fn what_dbt_tests_is_taken_over_or_said_why_not() {
        let own = |name: &str, kwargs: Value| json!({ "name": name, "namespace": null, "kwargs": kwargs });
        let plan = || "plan".to_owned();
        for (metadata, config, upstream, expected) in [
            (own("not_null", json!({})), json!({}), vec![], Ok(Promise::NotNull(plan()))),
            (own("unique", json!({})), json!({ "error_if": "!= 0" }), vec![], Ok(Promise::Unique(plan()))),
            (
                own("accepted_values", json!({ "values": ["free", "paid"] })),
                json!({}),
                vec![],
                Ok(Promise::Accepted { column: plan(), values: vec![json!("free"), json!("paid")] }),
            ),
            (
                own("accepted_values", json!({ "values": ["1", "2"], "quote": false })),
                json!({}),
                vec![],
                Ok(Promise::Accepted { column: plan(), values: vec![json!(1), json!(2)] }),
            ),
            (
                own("relationships", json!({ "to": "ref('plans')", "field": "id" })),
                json!({}),
                vec!["model.shop.plans", "model.shop.people"],
                Ok(Promise::Related { column: plan(), node: "model.shop.plans".into(), to: "id".into() }),
            ),
            (
                own("relationships", json!({ "to": "ref('people')", "field": "id" })),
                json!({}),
                vec!["model.shop.people"],
                Ok(Promise::Related { column: plan(), node: "model.shop.people".into(), to: "id".into() }),
            ),
            (
                json!({ "name": "at_least_one", "namespace": "dbt_utils" }),
                json!({}),
                vec![],
                Err("it is `dbt_utils.at_least_one`, which only dbt can run"),
            ),
            (
                own("is_even", json!({})),
                json!({}),
                vec![],
                Err("`is_even` is a test of the project, which only dbt can run"),
            ),
            (own("unique", json!({})), json!({ "error_if": ">10" }), vec![], Err("its `error_if` lets rows fail")),
            (
                own("unique", json!({})),
                json!({ "where": "at > {{ var('x') }}" }),
                vec![],
                Err("its `where` is a template"),
            ),
            (own("accepted_values", json!({ "values": [] })), json!({}), vec![], Err("its values are not plain ones")),
        ] {
            let found = attached(metadata.clone(), &config, &upstream);
            assert_eq!(found.check, expected.map_err(str::to_owned), "{metadata}");
        }
        let found = attached(own("unique", json!({})), &json!({ "severity": "WARN", "where": "id > 1" }), &[]);
        assert_eq!((found.error, found.filter.as_deref()), (false, Some("id > 1")));
        assert!(attached(own("unique", json!({})), &json!({ "severity": "ERROR" }), &[]).error);
    }
}
