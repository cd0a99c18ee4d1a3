//! How the systems spell what syncline itself writes in SQL: names, tables, a statement without rows.

use super::Query;

/// How a system spells names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Names in double quotes, as the standard has it: SQLite, PostgreSQL, DuckDB and most others.
    Standard,
    /// As the standard, but names without quotes are upper case to the server.
    Snowflake,
    /// Names in backticks, a backtick in them doubled: MySQL, Spark, Databricks.
    Backticks,
    /// Names in backticks, with a backslash before what would end them: BigQuery.
    Bigquery,
}

impl Spelling {
    /// A name as the system takes it literally.
    pub fn quoted(self, name: &str) -> String {
        match self {
            Self::Standard | Self::Snowflake => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::Backticks => crate::mysql::quoted(name),
            Self::Bigquery => format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`")),
        }
    }

    /// A table name with its schema, `marts.contacts`; taken as it is when it is quoted already, as dbt writes it.
    pub fn table(self, name: &str) -> String {
        if name.contains(['"', '`']) {
            return name.to_owned();
        }
        name.split('.').map(|part| self.column(part)).collect::<Vec<_>>().join(".")
    }

    /// A column by the name manifests have for it.
    pub fn column(self, name: &str) -> String {
        self.quoted(self.server_name(name).as_deref().unwrap_or(name))
    }

    /// The name the server has for one that is written without quotes; `None` where it is the same.
    fn server_name(self, name: &str) -> Option<String> {
        (self == Self::Snowflake && unquoted(name)).then(|| name.to_ascii_uppercase())
    }

    /// The name by which manifests know a column of the server. Where the server makes upper case of names without
    /// quotes, such a name is lower case again: `select email` gives `email` whatever the system.
    pub fn shown_name(self, name: &str) -> String {
        match self {
            Self::Snowflake if unquoted(name) && !name.contains(|c: char| c.is_ascii_lowercase()) => {
                name.to_ascii_lowercase()
            }
            _ => name.to_owned(),
        }
    }

    /// The statement that answers a query; of a table's columns only those in `hint`, where there is one.
    pub fn statement(self, query: &Query, hint: Option<&[String]>) -> String {
        let (name, columns, filter) = match query {
            Query::Sql(sql) => return sql.clone(),
            Query::Table { name, columns, filter } => (name, columns, filter),
        };
        let kept = |c: &&String| hint.is_none_or(|hint| hint.contains(c));
        let column = |name: &String| self.column(name);
        let columns = match (columns, hint) {
            (Some(names), _) => names.iter().filter(kept).map(column).collect::<Vec<_>>(),
            (None, Some(hint)) => hint.iter().map(column).collect(),
            (None, None) => vec!["*".to_owned()],
        };
        // No column at all is a count of rows.
        let columns = if columns.is_empty() { format!("1 as {}", self.quoted("rows")) } else { columns.join(", ") };
        let filter = filter.as_ref().map(|f| format!(" where ({f}\n)")).unwrap_or_default();
        format!("select {columns} from {}{filter}", self.table(name))
    }

    /// The statement around another one: the same columns, no rows.
    pub fn without_rows(self, statement: &str) -> String {
        format!("select * from (\n{statement}\n) as model where 1 = 0")
    }
}

/// True when a name can be written without quotes.
fn unquoted(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
}

/// The first word of a statement in lower case, behind comments and opening brackets.
pub fn first_word(sql: &str) -> String {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            break;
        };
    }
    rest.chars().take_while(|c| c.is_alphabetic()).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_in_every_spelling() {
        let table = |columns: Option<&[&str]>, filter: Option<&str>| Query::Table {
            name: "marts.contacts".into(),
            columns: columns.map(|names| names.iter().map(|n| (*n).to_owned()).collect()),
            filter: filter.map(str::to_owned),
        };
        let cases = [
            (Spelling::Standard, r#"select "email", "Plan" from "marts"."contacts" where (seats > 1"#),
            (Spelling::Snowflake, r#"select "EMAIL", "PLAN" from "MARTS"."CONTACTS" where (seats > 1"#),
            (Spelling::Backticks, "select `email`, `Plan` from `marts`.`contacts` where (seats > 1"),
            (Spelling::Bigquery, "select `email`, `Plan` from `marts`.`contacts` where (seats > 1"),
        ];
        for (spelling, expected) in cases {
            let query = table(Some(&["email", "Plan"]), Some("seats > 1"));
            assert_eq!(spelling.statement(&query, None), format!("{expected}\n)"), "{spelling:?}");
        }
        let hint = ["email".to_owned()];
        let all = table(None, None);
        assert_eq!(Spelling::Standard.statement(&all, None), r#"select * from "marts"."contacts""#);
        assert_eq!(Spelling::Standard.statement(&all, Some(&hint)), r#"select "email" from "marts"."contacts""#);
        assert_eq!(Spelling::Backticks.statement(&all, Some(&[])), "select 1 as `rows` from `marts`.`contacts`");
        let quoted = Query::Table { name: "\"Marts\".\"x.y\"".into(), columns: None, filter: None };
        assert_eq!(Spelling::Snowflake.statement(&quoted, None), r#"select * from "Marts"."x.y""#);
    }

    #[test]
    fn names() {
        let cases = [
            (Spelling::Standard, "a\"b", "\"a\"\"b\"", "a\"b"),
            (Spelling::Snowflake, "EMAIL", "\"EMAIL\"", "email"),
            (Spelling::Snowflake, "Email", "\"Email\"", "Email"),
            (Spelling::Snowflake, "E MAIL", "\"E MAIL\"", "E MAIL"),
            (Spelling::Backticks, "a`b", "`a``b`", "a`b"),
            (Spelling::Bigquery, "a`b\\", "`a\\`b\\\\`", "a`b\\"),
        ];
        for (spelling, name, quoted, shown) in cases {
            assert_eq!((spelling.quoted(name).as_str(), spelling.shown_name(name).as_str()), (quoted, shown), "{name}");
        }
    }

    #[test]
    fn the_first_word_is_behind_comments_and_brackets() {
        for (sql, word) in [
            ("select 1", "select"),
            ("  -- a line\n/* more */ With x as (select 1) select * from x", "with"),
            ("((SELECT 1) union (select 2))", "select"),
            ("delete from t", "delete"),
            ("-- only a comment", ""),
            ("/* not closed", ""),
            ("", ""),
        ] {
            assert_eq!(first_word(sql), word, "{sql}");
        }
    }
}
