//! Tests → SQL: one statement that counts for all tests of a model, and one that names rows of a test that fails.
//!
//! The model stands in front as a common table expression that is read more than once, which both dialects work out once.

use arrow_schema::{DataType, Schema};
use serde_json::Value;

use super::{Check, Test};
use crate::sources::{Dialect, quoted};

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
                let list = names(columns);
                let there = and(&not_null(columns));
                Some(format!(
                    "(select cast(coalesce(sum(syncline_count), 0) as bigint) from (select count(*) as syncline_count \
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
        Some(format!(
            "with {MODEL} as (\n{}\n)\nselect {}\nfrom {MODEL} {join}\nwhere {condition}{filter}\norder by {}\nlimit {limit}",
            self.model,
            names(&columns),
            names(&columns),
        ))
    }

    fn failing(&self, test: &Test) -> Option<Failing> {
        let plain = |condition: String| Some(Failing { join: String::new(), condition });
        match &test.check {
            Check::NotNull(column) => plain(format!("{} is null", quoted(column))),
            Check::Accepted { column, values } => {
                let column = quoted(column);
                let values: Vec<String> = values.iter().map(|value| self.literal(value)).collect();
                plain(format!("{column} is not null and {column} not in ({})", values.join(", ")))
            }
            Check::Unique(columns) => {
                let list = names(columns);
                let filter = test.filter.as_ref().map(|filter| format!(" and ({filter}\n)")).unwrap_or_default();
                let row = if columns.len() == 1 { list.clone() } else { format!("({list})") };
                plain(format!(
                    "{row} in (select {list} from {MODEL} where {}{filter} group by {list} having count(*) > 1)",
                    not_null(columns)
                ))
            }
            Check::Related { column, model, to } => {
                let (column, to, other) = (quoted(column), quoted(to), (self.others)(model)?);
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
        let kind = self.schema.field_with_name(column).map(|field| field.data_type().clone()).unwrap_or(DataType::Null);
        let column = quoted(column);
        if kind.is_numeric() {
            return format!("cast({column} as bigint)");
        }
        match self.dialect {
            Dialect::Sqlite => format!("unixepoch({column})"),
            Dialect::Postgres => format!("cast(floor(extract(epoch from cast({column} as timestamptz))) as bigint)"),
        }
    }

    fn literal(&self, value: &Value) -> String {
        match (value, self.dialect) {
            (Value::Bool(truth), Dialect::Sqlite) => i32::from(*truth).to_string(),
            (Value::String(text), _) => format!("'{}'", text.replace('\'', "''")),
            (other, _) => other.to_string(),
        }
    }
}

/// The statement that counts the rows another one gives.
pub(super) fn count_of(sql: &str) -> String {
    format!("select count(*) as syncline_rows from (\n{sql}\n) as syncline_failing")
}

/// The statement that gives the keys of the rows another one gives.
pub(super) fn keys_of(sql: &str, keys: &[String], limit: usize) -> String {
    let keys = names(keys);
    format!("select {keys} from (\n{sql}\n) as syncline_failing order by {keys} limit {limit}")
}

fn names(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}

fn not_null(columns: &[String]) -> String {
    columns.iter().map(|column| format!("{} is not null", quoted(column))).collect::<Vec<_>>().join(" and ")
}
