//! The SQL a source speaks, as far as statements of ours have to fit it: tests of models.
//!
//! | | names | text | Unix seconds of a column |
//! |---|---|---|---|
//! | SQLite, files | `"x"` | `'it''s'` | `unixepoch` |
//! | PostgreSQL | `"x"` | `'it''s'` | `extract(epoch from …)` |
//! | DuckDB | `"x"` | `'it''s'` | `epoch` |
//! | Snowflake | `"X"`, upper case where it can be written without quotes | backslash doubled | `date_part(epoch_second, …)` |
//! | Spark, Databricks | `` `x` `` | `'it\'s'` | `unix_seconds` |
//! | MySQL, MariaDB | `` `x` `` | backslash doubled | `unix_timestamp` |
//! | BigQuery | `` `x` `` | `'it\'s'` | `unix_seconds` |

use arrow_schema::DataType;

use super::Query;
use super::spelling::Spelling;

/// The SQL a source speaks, where statements of ours have to fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's; also that of files.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
    /// DuckDB's.
    Duckdb,
    /// Snowflake's.
    Snowflake,
    /// Spark's and Databricks'.
    Spark,
    /// MySQL's and MariaDB's.
    Mysql,
    /// BigQuery's.
    Bigquery,
}

impl Dialect {
    fn spelling(self) -> Spelling {
        match self {
            Self::Sqlite | Self::Postgres | Self::Duckdb => Spelling::Standard,
            Self::Snowflake => Spelling::Snowflake,
            Self::Spark | Self::Mysql => Spelling::Backticks,
            Self::Bigquery => Spelling::Bigquery,
        }
    }

    /// A column by the name manifests have for it.
    pub fn column(self, name: &str) -> String {
        self.spelling().column(name)
    }

    /// The statement that answers a query.
    pub fn statement(self, query: &Query) -> String {
        self.spelling().statement(query, None)
    }

    /// A text.
    pub fn text(self, text: &str) -> String {
        let text = match self {
            Self::Sqlite | Self::Postgres | Self::Duckdb => text.replace('\'', "''"),
            Self::Snowflake | Self::Mysql => text.replace('\\', "\\\\").replace('\'', "''"),
            // Two quotes are the end of one text and the beginning of the next one here.
            Self::Spark | Self::Bigquery => {
                let text = text.replace('\\', "\\\\").replace('\'', "\\'");
                text.replace('\n', "\\n").replace('\r', "\\r")
            }
        };
        format!("'{text}'")
    }

    /// True or false.
    pub fn truth(self, truth: bool) -> String {
        match self {
            Self::Sqlite => i32::from(truth).to_string(),
            _ => truth.to_string(),
        }
    }

    /// The type of whole numbers of 64 bits in a cast.
    pub fn whole(self) -> &'static str {
        match self {
            Self::Mysql => "signed",
            Self::Bigquery => "int64",
            _ => "bigint",
        }
    }

    /// An expression that gives a time as whole Unix seconds; what has no zone is in UTC. `column` is quoted, `kind` is its
    /// type as the source has it.
    pub fn seconds(self, column: &str, kind: &DataType) -> String {
        let whole = self.whole();
        if kind.is_numeric() {
            return format!("cast({column} as {whole})");
        }
        let wall_clock = matches!(kind, DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None));
        match self {
            Self::Sqlite => format!("unixepoch({column})"),
            Self::Postgres => format!("cast(floor(extract(epoch from cast({column} as timestamptz))) as bigint)"),
            // A cast of a wall clock to an instant needs the session's zone, and with it an extension.
            Self::Duckdb if wall_clock => format!("cast(floor(epoch(cast({column} as timestamp))) as bigint)"),
            Self::Duckdb => format!("cast(floor(epoch(cast({column} as timestamptz))) as bigint)"),
            Self::Snowflake if wall_clock => format!("date_part(epoch_second, cast({column} as timestamp_ntz))"),
            Self::Snowflake => format!("date_part(epoch_second, cast({column} as timestamp_tz))"),
            Self::Spark | Self::Bigquery => format!("unix_seconds(cast({column} as timestamp))"),
            Self::Mysql => format!("cast(floor(unix_timestamp({column})) as signed)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_names_and_truth() {
        use Dialect::{Bigquery, Duckdb, Mysql, Postgres, Snowflake, Spark, Sqlite};
        for (dialect, text, column, truth) in [
            (Sqlite, r"'it''s\n'", r#""email""#, "1"),
            (Postgres, r"'it''s\n'", r#""email""#, "true"),
            (Duckdb, r"'it''s\n'", r#""email""#, "true"),
            (Snowflake, r"'it''s\\n'", r#""EMAIL""#, "true"),
            (Mysql, r"'it''s\\n'", "`email`", "true"),
            (Spark, r"'it\'s\\n'", "`email`", "true"),
            (Bigquery, r"'it\'s\\n'", "`email`", "true"),
        ] {
            let got = (dialect.text(r"it's\n"), dialect.column("email"), dialect.truth(true));
            assert_eq!(got, (text.to_owned(), column.to_owned(), truth.to_owned()), "{dialect:?}");
        }
        assert_eq!(Bigquery.text("a\nb"), "'a\\nb'");
    }
}
