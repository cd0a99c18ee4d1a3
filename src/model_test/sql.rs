//! Tests → SQL: one statement that counts for all tests of a model, and one that names rows of a test that fails.
//!
//! The model stands in front as a common table expression that is read more than once, which most systems work out once.

use arrow_schema::{DataType, Schema};
use serde_json::Value;

use super::{Check, Test};
use crate::sources::{Dialect, TYPE_JSON, TYPE_KEY};

/// What the model is called within a statement; a name no table has.
const MODEL: &str = "syncline_model";

/// Gives the `select` of another model.
pub(super) type Others<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The statements of one model.
pub(super) struct Sql<'a> {
    pub dialect: Dialect,
    /// The `select` that gives its rows.
    pub model: String,
    pub schema: &'a Schema,
    pub others: Others<'a>,
}

/// Which rows fail.
struct Failing {
    /// What is joined to the model to find out; often nothing.
    join: String,
    condition: String,
}

impl Sql<'_> {
    /// The statement that gives the number of rows, then one number for each of the `scalars`.
    pub(super) fn counting(&self, scalars: &[String]) -> String {
        let columns = scalars.iter().enumerate().map(|(at, scalar)| format!(",\n  {scalar} as syncline_{at}"));
        format!(
            "with {MODEL} as (\n{}\n)\nselect\n  count(*) as syncline_rows{}\nfrom {MODEL}",
            self.model,
            columns.collect::<String>()
        )
    }

    /// The number that decides a test, as an expression over all rows of the model: rows that fail, or for freshness
    /// Unix seconds. `None` where the number of rows decides, or a statement of its own.
    pub(super) fn scalar(&self, test: &Test) -> Option<String> {
        let and = |condition: &str| match &test.filter {
            Some(filter) => format!("{condition} and ({filter}\n)"),
            None => condition.to_owned(),
        };
        match &test.check {
            Check::RowCount { .. } | Check::NoRows(_) => None,
            Check::Fresh { column, .. } => {
                let seconds = self.seconds(column);
                let seconds = match &test.filter {
                    Some(filter) => format!("case when ({filter}\n) then {seconds} end"),
                    None => seconds,
                };
                Some(format!("max({seconds})"))
            }
            Check::Unique(columns) => {
                let (list, whole) = (self.names(columns), self.dialect.whole());
                let there = and(&self.not_null(columns));
                Some(format!(
                    "(select cast(coalesce(sum(syncline_count), 0) as {whole}) from (select count(*) as syncline_count \
                     from {MODEL} where {there} group by {list} having count(*) > 1) as syncline_groups)"
                ))
            }
            _ => {
                let Failing { join, condition } = self.failing(test)?;
                let condition = and(&condition);
                Some(match join.is_empty() {
                    true => format!("count(case when {condition} then 1 end)"),
                    false => format!("(select count(*) from {MODEL} {join} where {condition})"),
                })
            }
        }
    }

    /// The statement that names rows for which a test fails: the columns of `keys`, then the column tested, where it is
    /// one and no key. `None` where no single row is at fault.
    pub(super) fn rows(&self, test: &Test, keys: &[String], limit: usize) -> Option<String> {
        let Failing { join, condition } = self.failing(test)?;
        let filter = test.filter.as_ref().map(|filter| format!(" and ({filter}\n)")).unwrap_or_default();
        let mut columns = keys.to_vec();
        columns.extend(test.columns().into_iter().filter(|c| !keys.iter().any(|k| k == c)).map(str::to_owned));
        let ordered: Vec<String> = columns.iter().filter(|column| self.has_order(column)).cloned().collect();
        let order = match ordered.as_slice() {
            [] => String::new(),
            ordered => format!("\norder by {}", self.names(ordered)),
        };
        Some(format!(
            "with {MODEL} as (\n{}\n)\nselect {}\nfrom {MODEL} {join}\nwhere {condition}{filter}{order}\nlimit {limit}",
            self.model,
            self.names(&columns),
        ))
    }

    fn failing(&self, test: &Test) -> Option<Failing> {
        let plain = |condition: String| Some(Failing { join: String::new(), condition });
        match &test.check {
            Check::NotNull(column) => plain(format!("{} is null", self.dialect.column(column))),
            Check::Accepted { column, values } => {
                let column = self.dialect.column(column);
                let values: Vec<String> = values.iter().map(|value| self.literal(value)).collect();
                plain(format!("{column} is not null and {column} not in ({})", values.join(", ")))
            }
            // Joined and not looked up: few systems know `(a, b) in (select a, b …)`.
            Check::Unique(columns) => {
                let filter = test.filter.as_ref().map(|filter| format!(" and ({filter}\n)")).unwrap_or_default();
                let names: Vec<String> = columns.iter().map(|column| self.dialect.column(column)).collect();
                let numbered = names.iter().enumerate();
                let (keys, same): (Vec<_>, Vec<_>) = numbered
                    .map(|(n, name)| (format!("{name} as syncline_key_{n}"), format!("{name} = syncline_key_{n}")))
                    .unzip();
                let (list, there) = (names.join(", "), self.not_null(columns));
                Some(Failing {
                    join: format!(
                        "join (select {} from {MODEL} where {there}{filter} group by {list} having count(*) > 1) as \
                         syncline_keys on {}",
                        keys.join(", "),
                        same.join(" and "),
                    ),
                    condition: there,
                })
            }
            Check::Related { column, model, to } => {
                let (column, to) = (self.dialect.column(column), self.dialect.column(to));
                let other = (self.others)(model)?;
                Some(Failing {
                    join: format!(
                        "left join (select distinct {to} as syncline_key from (\n{other}\n) as syncline_other where {to} \
                         is not null) as syncline_keys on syncline_key = {column}"
                    ),
                    condition: format!("{column} is not null and syncline_key is null"),
                })
            }
            Check::RowCount { .. } | Check::Fresh { .. } | Check::NoRows(_) => None,
        }
    }

    /// A column as Unix seconds, UTC.
    fn seconds(&self, column: &str) -> String {
        let kind = self.schema.field_with_name(column).map_or(&DataType::Null, |field| field.data_type());
        self.dialect.seconds(&self.dialect.column(column), kind)
    }

    /// Whether rows can be put in the order of a column: JSON and what holds other values has none in some systems.
    fn has_order(&self, column: &str) -> bool {
        let Ok(field) = self.schema.field_with_name(column) else { return true };
        let json = field.metadata().get(TYPE_KEY).is_some_and(|meaning| meaning == TYPE_JSON);
        !json && !field.data_type().is_nested()
    }

    fn literal(&self, value: &Value) -> String {
        match value {
            Value::Bool(truth) => self.dialect.truth(*truth),
            Value::String(text) => self.dialect.text(text),
            other => other.to_string(),
        }
    }

    fn names(&self, columns: &[String]) -> String {
        names(self.dialect, columns)
    }

    fn not_null(&self, columns: &[String]) -> String {
        let there = columns.iter().map(|column| format!("{} is not null", self.dialect.column(column)));
        there.collect::<Vec<_>>().join(" and ")
    }
}

/// The statement that counts the rows another one gives.
pub(super) fn count_of(sql: &str) -> String {
    format!("select count(*) as syncline_rows from (\n{sql}\n) as syncline_failing")
}

/// The statement that gives the keys of the rows another one gives.
pub(super) fn keys_of(dialect: Dialect, sql: &str, keys: &[String], limit: usize) -> String {
    let keys = names(dialect, keys);
    format!("select {keys} from (\n{sql}\n) as syncline_failing order by {keys} limit {limit}")
}

fn names(dialect: Dialect, columns: &[String]) -> String {
    columns.iter().map(|column| dialect.column(column)).collect::<Vec<_>>().join(", ")
}
