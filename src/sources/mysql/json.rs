//! Which columns of MariaDB hold JSON.
//!
//! To MariaDB `json` is another word for `longtext` with a check of the column's own name, and its results say `longtext`
//! (<https://mariadb.com/kb/en/json/>). Who created the column meant JSON, so the check is looked for. MySQL has a type.

use std::collections::HashSet;

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn, Error};

/// The server's own account of it; MySQL's table of this name has no names of tables, and needs none.
const CHECKS: &str = "select constraint_name from information_schema.check_constraints
    where constraint_schema = ? and table_name = ? and level = 'Column'
      and check_clause = concat('json_valid(`', replace(constraint_name, '`', '``'), '`)')";

/// For each of the columns of a statement, whether it is one that MariaDB was told to be JSON.
///
/// # Errors
/// The connection broke.
pub(super) async fn columns(connection: &mut Conn, columns: &[Column]) -> Result<Vec<bool>, Error> {
    let none = vec![false; columns.len()];
    let tables: HashSet<(String, String)> = columns.iter().filter(|c| may_be(c)).map(table).collect();
    if tables.is_empty() {
        return Ok(none);
    }
    let version: Option<String> = connection.query_first("select version()").await?;
    if !version.unwrap_or_default().contains("MariaDB") {
        return Ok(none);
    }
    let mut found = HashSet::new();
    for (schema, name) in tables {
        let names: Vec<String> = connection.exec(CHECKS, (&schema, &name)).await?;
        found.extend(names.into_iter().map(|column| (schema.clone(), name.clone(), column)));
    }
    let told = |column: &Column| {
        let (schema, name) = table(column);
        may_be(column) && found.contains(&(schema, name, column.org_name_str().into_owned()))
    };
    Ok(columns.iter().map(told).collect())
}

/// Whether a column is a `longtext` that stands in a table.
fn may_be(column: &Column) -> bool {
    column.column_type() == ColumnType::MYSQL_TYPE_BLOB
        && column.column_length() == u32::MAX
        && !column.org_table_ref().is_empty()
        && !column.org_name_ref().is_empty()
}

fn table(column: &Column) -> (String, String) {
    (column.schema_str().into_owned(), column.org_table_str().into_owned())
}
