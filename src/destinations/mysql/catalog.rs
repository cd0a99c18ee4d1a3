//! What the server says of a table: whether it is there, its columns, its indexes, and what the user may do to it.

use mysql_async::prelude::Queryable;
use mysql_async::{Error, Row};

use super::link::{Link, number, text};
use super::literal::literal;
use super::refusal;
use super::schema::{Form, Type};
use crate::destinations::SendError;
use crate::destinations::table::{Columns, fatal};
use crate::mysql::quoted;

/// Where a table is.
pub(super) struct Place {
    /// Its database.
    pub database: String,
    table: String,
}

impl Place {
    /// `` `database`.`table` ``
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.database), quoted(&self.table))
    }

    /// The condition of a table of `information_schema`.
    fn condition(&self) -> String {
        format!("table_schema = {} AND table_name = {}", literal(&self.database), literal(&self.table))
    }
}

/// Where an object's table is: in the connection's database unless the name says otherwise.
pub(super) async fn place(link: &mut Link, object: &str) -> Result<Place, SendError> {
    let (database, table) = names(object);
    let database = match database {
        Some(database) => Some(database),
        None => link.rows("SELECT database()", &[]).await?.first().and_then(|row| text(row, 0)),
    };
    let Some(database) = database else {
        return Err(fatal(
            format!("it is not said which database table `{object}` is in"),
            "set `database` in the destination's `connection`, or write `object: database.table` in the sync",
        ));
    };
    Ok(Place { database, table })
}

/// Database and table of a name; one with points of its own is given quoted: `` marts.`a.b` ``.
fn names(object: &str) -> (Option<String>, String) {
    let mut parts = vec![String::new()];
    let mut within = false;
    let mut letters = object.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '`' if within && letters.next_if_eq(&'`').is_some() => {
                parts.last_mut().into_iter().for_each(|p| p.push('`'))
            }
            '`' => within = !within,
            '.' if !within && parts.len() == 1 => parts.push(String::new()),
            letter => parts.last_mut().into_iter().for_each(|p| p.push(letter)),
        }
    }
    let table = parts.pop().unwrap_or_default();
    (parts.pop(), table)
}

/// Whether there is such a table, or view.
pub(super) async fn exists(link: &mut Link, place: &Place) -> Result<bool, SendError> {
    let sql = format!("SELECT 1 FROM information_schema.tables WHERE {}", place.condition());
    Ok(!link.rows(&sql, &[]).await?.is_empty())
}

/// Refuses a table whose engine cannot take back half a batch.
pub(super) async fn transactional(link: &mut Link, place: &Place, object: &str) -> Result<(), SendError> {
    let sql = format!(
        "SELECT e.engine FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine
         WHERE {} AND e.transactions = 'NO'",
        place.condition()
    );
    match link.rows(&sql, &[]).await?.first().and_then(|row| text(row, 0)) {
        None => Ok(()),
        Some(engine) => Err(fatal(
            format!(
                "table `{object}` is of engine {engine}, which has no transactions: half a batch could be left behind"
            ),
            "make it an InnoDB table: `alter table … engine = InnoDB`",
        )),
    }
}

/// A collation of this server to which two texts are the same only when all their bytes are, spaces at the end among
/// them; of an old MySQL the next best, which does not count those.
pub(super) async fn bytewise(link: &mut Link) -> Result<String, SendError> {
    let sql = "SELECT collation_name FROM information_schema.collations
        WHERE collation_name IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')";
    let found = link.rows(sql, &[]).await?.first().and_then(|row| text(row, 0));
    Ok(found.unwrap_or_else(|| "utf8mb4_bin".into()))
}

/// A column that is there.
pub(super) struct Present {
    name: String,
    /// It is computed and cannot be written.
    pub generated: bool,
    /// What values for it are like.
    pub of: Type,
}

/// Names of columns are the same in upper and lower case.
pub(super) fn find<'a>(present: &'a [Present], name: &str) -> Option<&'a Present> {
    present.iter().find(|p| p.name.to_lowercase() == name.to_lowercase())
}

/// The columns of a table.
pub(super) async fn present(link: &mut Link, place: &Place) -> Result<Vec<Present>, SendError> {
    let json = match link.mariadb {
        // MariaDB's `json` is text with a check, and the check is all that tells.
        true => {
            let sql = format!(
                "SELECT check_clause FROM information_schema.check_constraints
                 WHERE constraint_schema = {} AND table_name = {}",
                literal(&place.database),
                literal(&place.table)
            );
            link.rows(&sql, &[]).await?.iter().filter_map(|row| text(row, 0)).collect()
        }
        false => Vec::new(),
    };
    let sql = format!(
        "SELECT column_name, data_type, column_type, character_set_name, collation_name, column_default, is_nullable,
             extra, generation_expression, datetime_precision, character_maximum_length
         FROM information_schema.columns WHERE {} ORDER BY ordinal_position",
        place.condition()
    );
    let rows = link.rows(&sql, &[]).await?;
    Ok(rows.iter().map(|row| column(row, link.mariadb, &json)).collect())
}

/// Letters of a text that a temporary table's index looks at.
const PREFIX: usize = 64;

fn column(row: &Row, mariadb: bool, json: &[String]) -> Present {
    let word = |column: usize| text(row, column).unwrap_or_default();
    let (name, data_type, extra) = (word(0), word(1).to_lowercase(), word(7).to_lowercase());
    let (charset, collation) = (text(row, 3), text(row, 4));
    let check = format!("json_valid({})", quoted(&name)).to_lowercase();
    let fraction = number(row, 9);
    let form = match data_type.as_str() {
        "json" => Form::Json,
        _ if json.iter().any(|clause| clause.to_lowercase() == check) => Form::Json,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Form::Whole,
        "decimal" | "float" | "double" => Form::Number,
        "bit" => Form::Bit,
        "date" => Form::Date,
        "datetime" | "timestamp" => Form::Moment(fraction),
        "time" => Form::Time(fraction),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Form::Bytes,
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "geomcollection" => Form::Bytes,
        _ => Form::Plain,
    };
    let mut declared = word(2);
    if let (Some(charset), Some(collation)) = (&charset, &collation) {
        declared.push_str(&format!(" CHARACTER SET {charset} COLLATE {collation}"));
    }
    // Without the word, a `timestamp` takes no null on some servers.
    declared.push_str(" NULL");
    // MariaDB says that there is none by the word.
    let default = text(row, 5).filter(|default| !mariadb || default != "NULL");
    let long = charset.is_some() || form == Form::Bytes;
    let whole = matches!(data_type.as_str(), "enum" | "set") || (1..=PREFIX).contains(&number(row, 10));
    Present {
        generated: !word(8).is_empty() || extra.contains("virtual generated") || extra.contains("stored generated"),
        of: Type {
            declared,
            defaulted: default.is_some() || word(6) == "NO" || extra.contains("auto_increment"),
            form,
            textual: charset.is_some(),
            prefix: if long && !whole { "(64)" } else { "" },
        },
        name,
    }
}

/// Whether a unique index keeps records with the same identifiers apart, and whether there is that or another one that
/// begins with all of them: of a part of them alone there could be any number of rows.
pub(super) async fn indexes(link: &mut Link, place: &Place, columns: &Columns) -> Result<(bool, bool), SendError> {
    let names: Vec<String> = columns.matching.iter().map(|c| literal(&c.name.to_lowercase())).collect();
    let ours = format!("coalesce(lower(column_name), '') IN ({})", names.join(", "));
    let sql = format!(
        "SELECT min(non_unique), min({ours}), min(sub_part IS NULL), sum(seq_in_index <= {count} AND {ours})
         FROM information_schema.statistics WHERE {} GROUP BY index_name",
        place.condition(),
        count = names.len()
    );
    let rows = link.rows(&sql, &[]).await?;
    let unique = rows.iter().any(|row| number(row, 0) == 0 && number(row, 1) == 1 && number(row, 2) == 1);
    Ok((unique, unique || rows.iter().any(|row| number(row, 3) == names.len())))
}

/// Those of the privileges that the user does not have on an object's table; none where there is no such table. The server
/// is asked to prepare a statement that needs it, which is where it says no; nothing is executed.
pub(super) async fn missing(link: &mut Link, object: &str, needed: &[&str]) -> Result<Vec<String>, SendError> {
    let place = place(link, object).await?;
    if !exists(link, &place).await? {
        return Ok(Vec::new());
    }
    let name = place.quoted();
    let first = present(link, &place).await?.into_iter().find(|c| !c.generated).map(|c| quoted(&c.name));
    let Some(first) = first else { return Ok(needed.iter().map(|p| (*p).to_owned()).collect()) };
    let mut missing = Vec::new();
    for privilege in needed {
        let sql = match *privilege {
            "INSERT" => format!("INSERT INTO {name} () VALUES ()"),
            "UPDATE" => format!("UPDATE {name} SET {first} = {first} WHERE 1 = 0"),
            "DELETE" => format!("DELETE FROM {name} WHERE 1 = 0"),
            _ => format!("SELECT {first} FROM {name} WHERE 1 = 0"),
        };
        match link.connection().prep(sql).await {
            Ok(statement) => link.connection().close(statement).await.unwrap_or_default(),
            // ER_TABLEACCESS_DENIED_ERROR; a right to single columns only is for the batch to find out.
            Err(Error::Server(error)) if error.code == 1142 => missing.push((*privilege).to_owned()),
            Err(Error::Server(_)) => {}
            Err(error) => return Err(refusal::before_commit(&error, &[])),
        }
    }
    // A right to the database and not to the table, so that the same advice would not do.
    let batch = format!("{}._syncline_rights", quoted(&place.database));
    link.run(&format!("CREATE TEMPORARY TABLE {batch} (n int)"), &[]).await?;
    link.run(&format!("DROP TEMPORARY TABLE {batch}"), &[]).await?;
    Ok(missing)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_tables() {
        let cases = [
            ("users", None, "users"),
            ("marts.Users", Some("marts"), "Users"),
            ("marts.`a.b`", Some("marts"), "a.b"),
            ("`a.b`", None, "a.b"),
            ("`a``b`.c", Some("a`b"), "c"),
            ("a.b.c", Some("a"), "b.c"),
        ];
        for (object, database, table) in cases {
            assert_eq!(super::names(object), (database.map(str::to_owned), table.to_owned()), "{object}");
        }
    }
}
