//! Opening a table: it is there (or is made), its columns are there (or are added), and what the server says of them.

use arrow_schema::DataType;
use tokio_postgres::Client;

use super::refusal;
use crate::destinations::table::{self, Column, Columns, fatal, quoted};
use crate::destinations::{SendError, Target};
use crate::manifest::sync::Mode;
use crate::mapping::Meaning;

/// An open table.
pub(super) struct Table {
    /// Its name, quoted, with its schema where one was given.
    pub name: String,
    /// What may happen to it.
    pub mode: Mode,
    /// What the sync writes.
    pub columns: Columns,
    /// What the server says of the columns, identifiers first, then fields.
    pub types: Vec<Type>,
    /// False when no unique index keeps two records with the same identifiers apart: batches then take turns.
    pub unique: bool,
    /// The table's object id.
    pub oid: u32,
}

/// What the server says of one column.
#[derive(Debug, Clone)]
pub(super) struct Type {
    /// Its type, as one would declare it.
    pub declared: String,
    /// The expression of its default.
    pub default: Option<String>,
    /// How values are written for it.
    pub form: Form,
}

/// How values are written for a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As text.
    Plain,
    /// As JSON; text is taken as it is, for it is JSON already.
    Json,
    /// Lists as array literals.
    Array,
}

struct Present {
    name: String,
    number: i16,
    generated: bool,
    of: Type,
}

/// Opens the target's table. With `create: true`, makes the table and missing columns.
pub(super) async fn open(client: &Client, target: &Target) -> Result<Table, SendError> {
    let creates = table::creates(target)?;
    let sql = |e: tokio_postgres::Error| refusal::before_commit(&e, &[]);
    let columns = Columns::of(target);
    let object = &target.object;
    let name = table_name(object);

    let mut oid = oid(client, &name).await.map_err(sql)?;
    if oid.is_none() && creates {
        client.batch_execute(&create(&name, &columns)).await.map_err(sql)?;
        oid = self::oid(client, &name).await.map_err(sql)?;
    }
    let Some(oid) = oid else {
        return Err(fatal(
            format!("there is no table `{object}` in the database"),
            "create it, or set `options: { create: true }` in the sync",
        ));
    };
    let mut present = present(client, oid).await.map_err(sql)?;
    let missing: Vec<&Column> = columns.all().filter(|c| !present.iter().any(|p| p.name == c.name)).collect();
    if !missing.is_empty() {
        if !creates {
            let help = "add it, or set `options: { create: true }` in the sync; names are case-sensitive";
            return Err(table::without(object, &missing, help));
        }
        let add: Vec<String> = missing
            .iter()
            .map(|c| {
                format!("ADD COLUMN IF NOT EXISTS {} {}", quoted(&c.name), declared(c.data_type.as_ref(), c.meaning))
            })
            .collect();
        client.batch_execute(&format!("ALTER TABLE {name} {}", add.join(", "))).await.map_err(sql)?;
        present = self::present(client, oid).await.map_err(sql)?;
    }
    let mut types = Vec::new();
    let mut numbers = Vec::new();
    for (i, column) in columns.all().enumerate() {
        let Some(found) = present.iter().find(|p| p.name == column.name) else {
            return Err(fatal(format!("table `{object}` has no column `{}`", column.name), "plan again"));
        };
        if found.generated {
            return Err(table::generated(object, column));
        }
        if i < columns.matching.len() {
            numbers.push(found.number);
        }
        types.push(found.of.clone());
    }
    let unique = unique(client, oid, &numbers).await.map_err(sql)?;
    Ok(Table { name, mode: target.mode, columns, types, unique, oid })
}

/// `schema.table` as quoted identifiers; a name with points of its own is given quoted: `marts."a.b"`.
pub(super) fn table_name(object: &str) -> String {
    if object.contains('"') {
        return object.to_owned();
    }
    match object.split_once('.') {
        Some((schema, table)) => format!("{}.{}", quoted(schema), quoted(table)),
        None => quoted(object),
    }
}

type Answer<T> = Result<T, tokio_postgres::Error>;

async fn oid(client: &Client, name: &str) -> Answer<Option<u32>> {
    let row = client.query_one("SELECT to_regclass($1::text)::oid", &[&name]).await?;
    row.try_get(0)
}

async fn present(client: &Client, oid: u32) -> Answer<Vec<Present>> {
    let rows = client
        .query(
            "SELECT a.attname::text, a.attnum, a.attgenerated <> '' OR a.attidentity = 'a',
                    format_type(a.atttypid, a.atttypmod), coalesce(pg_get_expr(d.adbin, d.adrelid), t.typdefault),
                    b.typname::text, b.typcategory::text
             FROM pg_attribute a
             JOIN pg_type t ON t.oid = a.atttypid
             JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
             LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped",
            &[&oid],
        )
        .await?;
    let read = |row: &tokio_postgres::Row| {
        let (base, category): (String, String) = (row.try_get(5)?, row.try_get(6)?);
        let form = match base.as_str() {
            "json" | "jsonb" => Form::Json,
            _ if category == "A" => Form::Array,
            _ => Form::Plain,
        };
        Ok(Present {
            name: row.try_get(0)?,
            number: row.try_get(1)?,
            generated: row.try_get(2)?,
            of: Type { declared: row.try_get(3)?, default: row.try_get(4)?, form },
        })
    };
    rows.iter().map(read).collect()
}

async fn unique(client: &Client, oid: u32, matching: &[i16]) -> Answer<bool> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM pg_index
                WHERE indrelid = $1 AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
                  AND NOT EXISTS (SELECT 1 FROM unnest(indkey::int2[]) AS k WHERE k <> ALL ($2)))",
            &[&oid, &matching],
        )
        .await?;
    row.try_get(0)
}

fn create(name: &str, columns: &Columns) -> String {
    let mut lines: Vec<String> =
        columns.all().map(|c| format!("{} {}", quoted(&c.name), declared(c.data_type.as_ref(), c.meaning))).collect();
    let key: Vec<String> = columns.matching.iter().map(|c| quoted(&c.name)).collect();
    lines.push(format!("PRIMARY KEY ({})", key.join(", ")));
    format!("CREATE TABLE IF NOT EXISTS {name} ({})", lines.join(", "))
}

/// The declared type of a new column; text where the type is not known.
fn declared(data_type: Option<&DataType>, meaning: Meaning) -> String {
    match data_type {
        Some(DataType::Dictionary(_, values)) => return declared(Some(values), meaning),
        Some(DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)) if *scale >= 0 => {
            return format!("numeric({precision}, {scale})");
        }
        _ => {}
    }
    match data_type {
        Some(DataType::Boolean) => "boolean",
        Some(DataType::Int8 | DataType::Int16 | DataType::UInt8) => "smallint",
        Some(DataType::Int32 | DataType::UInt16) => "integer",
        Some(DataType::Int64 | DataType::UInt32) => "bigint",
        Some(DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..)) => "numeric",
        Some(DataType::Float16 | DataType::Float32) => "real",
        Some(DataType::Float64) => "double precision",
        Some(DataType::Date32 | DataType::Date64) => "date",
        Some(DataType::Time32(_) | DataType::Time64(_)) => "time",
        Some(DataType::Timestamp(_, None)) => "timestamp",
        Some(DataType::Timestamp(_, Some(_))) => "timestamptz",
        Some(DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)) => "bytea",
        Some(t) if t.is_nested() => "jsonb",
        _ if meaning == Meaning::Json => "jsonb",
        _ if meaning == Meaning::Decimal => "numeric",
        _ => "text",
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_new_column_holds_what_the_source_has() {
        let cases = [
            (Some(DataType::Utf8), Meaning::Itself, "text"),
            (Some(DataType::Utf8), Meaning::Json, "jsonb"),
            (Some(DataType::Utf8), Meaning::Decimal, "numeric"),
            (Some(DataType::Decimal128(10, 2)), Meaning::Itself, "numeric(10, 2)"),
            (Some(DataType::Int64), Meaning::Decimal, "bigint"),
            (None, Meaning::Json, "jsonb"),
            (None, Meaning::Itself, "text"),
        ];
        for (data_type, meaning, expected) in cases {
            assert_eq!(declared(data_type.as_ref(), meaning), expected, "{data_type:?} {meaning:?}");
        }
    }

    #[test]
    fn names_of_tables() {
        let cases =
            [("users", r#""users""#), ("marts.Users", r#""marts"."Users""#), (r#"marts."a.b""#, r#"marts."a.b""#)];
        for (object, expected) in cases {
            assert_eq!(super::table_name(object), expected);
        }
    }
}
