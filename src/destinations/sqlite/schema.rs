//! Opening a table: it is there (or is made), its columns are there (or are added), and how it is looked up in.

use std::path::Path;
use std::time::Duration;

use arrow_schema::DataType;
use rusqlite::{Connection, OpenFlags};

use super::bind::Affinity;
use super::refusal;
use super::write::Table;
use crate::destinations::table::{self, Column, Columns, fatal, quoted};
use crate::destinations::{Health, SendError, Target};

/// What SQLite says about one column.
struct Present {
    name: String,
    affinity: Affinity,
    generated: bool,
}

/// Opens the database to read, and asks it something.
pub(super) fn examine(path: &Path) -> Result<Health, SendError> {
    if !path.exists() {
        // Its folder is made with it, as far as the file system allows.
        let there = path.ancestors().skip(1).find(|folder| folder.exists() || folder.as_os_str().is_empty());
        if let Some(file) = there.filter(|there| there.is_file()) {
            return Err(fatal(format!("`{}` is a file, not a folder", file.display()), "correct `connection.path`"));
        }
        let remarks = vec!["the file is made by the first apply of a sync with `options: { create: true }`".to_owned()];
        return Ok(Health { remarks, ..Health::default() });
    }
    let asked = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .and_then(|connection| connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(())));
    asked.map(|()| Health::default()).map_err(|e| refusal::before_commit(&e))
}

/// Opens the database and the target's table. With `create: true`, makes the file, the table and missing columns.
pub(super) fn open(path: &Path, target: &Target) -> Result<Table, SendError> {
    let creates = table::creates(target)?;
    let connection = connect(path, creates)?;
    let sql = |e: rusqlite::Error| refusal::before_commit(&e);
    let columns = Columns::of(target);
    let name = &target.object;

    let kind = kind(&connection, name).map_err(sql)?;
    match kind.as_deref() {
        Some("table") => {}
        None if creates => connection.execute_batch(&create(name, &columns)).map_err(sql)?,
        None => {
            return Err(fatal(
                format!("there is no table `{name}` in {}", path.display()),
                "create it, or set `options: { create: true }` in the sync",
            ));
        }
        Some(kind) => {
            return Err(fatal(format!("`{name}` is a {kind}, not a table"), "name a table as the sync's `object`"));
        }
    }
    let mut present = present(&connection, name).map_err(sql)?;
    let missing: Vec<&Column> = columns.all().filter(|c| find(&present, &c.name).is_none()).collect();
    if !missing.is_empty() {
        if !creates {
            let help = "add it, or set `options: { create: true }` in the sync";
            return Err(table::without(name, &missing, help));
        }
        for column in missing {
            let declared = declared(column.data_type.as_ref());
            let add = format!("ALTER TABLE {} ADD COLUMN {} {declared}", quoted(name), quoted(&column.name));
            connection.execute_batch(&add).map_err(sql)?;
        }
        present = self::present(&connection, name).map_err(sql)?;
    }
    if let Some(generated) = columns.all().find(|c| find(&present, &c.name).is_some_and(|p| p.generated)) {
        return Err(table::generated(name, generated));
    }
    let rowid = rowid(&connection, name, &present);
    let affinity = |c: &Column| find(&present, &c.name).map_or(Affinity::None, |p| p.affinity);
    let affinities = (columns.matching.iter().map(affinity).collect(), columns.fields.iter().map(affinity).collect());
    Table::new(connection, target, columns, affinities, rowid).map_err(sql)
}

fn connect(path: &Path, create: bool) -> Result<Connection, SendError> {
    if !create && !path.exists() {
        return Err(fatal(
            format!("there is no database file {}", path.display()),
            "check `connection.path` of the destination, or set `options: { create: true }` in the sync",
        ));
    }
    if let Some(folder) = path.parent().filter(|folder| create && !folder.exists()) {
        std::fs::create_dir_all(folder).map_err(|e| {
            fatal(format!("{}: {e}", folder.display()), "the folder of `connection.path` cannot be made")
        })?;
    }
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(3))?;
        connection.set_prepared_statement_cache_capacity(256);
        // An acknowledged batch must survive a power cut, also in WAL mode; constraints of the destination hold for us.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;")?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    open().map_err(|e: rusqlite::Error| match refusal::before_commit(&e) {
        SendError::Fatal { message, help } => {
            SendError::Fatal { message: format!("{}: {message}", path.display()), help }
        }
        other => other,
    })
}

fn kind(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare("SELECT type FROM pragma_table_list(?1) WHERE schema = 'main'")?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

fn present(connection: &Connection, name: &str) -> rusqlite::Result<Vec<Present>> {
    let mut statement = connection.prepare("SELECT name, type, hidden FROM pragma_table_xinfo(?1, 'main')")?;
    let rows = statement.query_map([name], |row| {
        let declared: String = row.get(1)?;
        let hidden: i64 = row.get(2)?;
        Ok(Present { name: row.get(0)?, affinity: Affinity::of(&declared), generated: hidden > 1 })
    })?;
    rows.collect()
}

fn find<'a>(present: &'a [Present], name: &str) -> Option<&'a Present> {
    present.iter().find(|p| p.name.eq_ignore_ascii_case(name))
}

/// A name of the row id that no column hides; `None` for tables without row ids.
fn rowid(connection: &Connection, table: &str, present: &[Present]) -> Option<&'static str> {
    let free = ["rowid", "_rowid_", "oid"].into_iter().find(|alias| find(present, alias).is_none())?;
    connection.prepare(&format!("SELECT {free} FROM {}", quoted(table))).ok().map(|_| free)
}

fn create(name: &str, columns: &Columns) -> String {
    let mut lines = Vec::new();
    for column in &columns.matching {
        lines.push(format!("{} {} NOT NULL", quoted(&column.name), declared(column.data_type.as_ref())));
    }
    for column in &columns.fields {
        lines.push(format!("{} {}", quoted(&column.name), declared(column.data_type.as_ref())));
    }
    let key: Vec<String> = columns.matching.iter().map(|c| quoted(&c.name)).collect();
    lines.push(format!("PRIMARY KEY ({})", key.join(", ")));
    format!("CREATE TABLE IF NOT EXISTS {} ({})", quoted(name), lines.join(", "))
}

/// The declared type of a new column. What has no known type gets none: SQLite then keeps each value as it is.
fn declared(data_type: Option<&DataType>) -> String {
    match data_type {
        None | Some(DataType::Null) => String::new(),
        Some(DataType::Dictionary(_, values)) => declared(Some(values)),
        Some(DataType::Boolean) => "BOOLEAN".into(),
        Some(t) if t.is_integer() => "INTEGER".into(),
        Some(t) if t.is_floating() => "REAL".into(),
        // Longer decimals would be rounded to a double in a numeric column.
        Some(DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)) if *precision <= 15 => {
            format!("DECIMAL({precision}, {scale})")
        }
        Some(DataType::Date32 | DataType::Date64) => "DATE".into(),
        Some(DataType::Time32(_) | DataType::Time64(_)) => "TIME".into(),
        Some(DataType::Timestamp(..)) => "TIMESTAMP".into(),
        Some(DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)) => {
            "BLOB".into()
        }
        Some(_) => "TEXT".into(),
    }
}
