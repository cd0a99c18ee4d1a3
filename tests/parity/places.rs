//! The systems the rows are read from: how they get there, and what is not the same.

use jiff::civil;
use serde_json::json;

use super::parquet;
use super::rows::{COLUMNS, Cell, Kind, Row};
use super::sql::{Dialect, inserts, sqlite};
use crate::project::Project;

/// A system.
pub struct Place {
    /// As the page of sources calls it.
    pub name: &'static str,
    /// Kinds it has no type for, where something in their stead makes the same record.
    pub stand_ins: &'static [StandIn],
    /// Kinds of which it makes another record.
    pub differs: &'static [Differs],
    /// Writes `sources/shop.yaml` and makes the table `everything`; false where the system is not installed.
    pub fill: fn(&Project, &[Row]) -> bool,
}

/// What is there in the stead of a type.
pub struct StandIn {
    pub lacks: &'static str,
    pub kinds: &'static [Kind],
    pub written: &'static str,
    /// A transform that makes the same value of it.
    pub transform: Option<&'static str>,
}

/// What becomes something else.
pub struct Differs {
    pub lacks: &'static str,
    pub kind: Kind,
    pub written: &'static str,
    pub record: &'static str,
    pub held: fn(Cell) -> Cell,
}

impl Place {
    /// How a field is made of its column.
    pub fn field(&self, name: &str) -> String {
        let kind = COLUMNS.iter().find(|(column, _)| *column == name).map(|(_, kind)| kind);
        let transform = self.stand_ins.iter().find(|s| kind.is_some_and(|k| s.kinds.contains(k)));
        match transform.and_then(|stand_in| stand_in.transform) {
            Some(transform) => format!("{{ column: {name}, transform: {transform} }}"),
            None => name.to_owned(),
        }
    }
}

const fn same(lacks: &'static str, kinds: &'static [Kind], written: &'static str) -> StandIn {
    StandIn { lacks, kinds, written, transform: None }
}

const INTERVALS: &[Kind] = &[Kind::Months, Kind::Clock, Kind::Span];

/// The first is what the others are compared with.
pub const PLACES: &[Place] = &[
    Place {
        name: "Parquet",
        stand_ins: &[same("intervals", INTERVALS, "ISO 8601 text"), same("UUIDs", &[Kind::Uuid], "text")],
        differs: &[],
        fill: |project, rows| {
            project.write("sources/shop.yaml", FILES);
            parquet::write(&project.path("data/everything.parquet"), rows);
            true
        },
    },
    Place {
        name: "SQLite",
        stand_ins: &[
            StandIn {
                lacks: "decimals of more than 15 digits",
                kinds: &[Kind::Huge, Kind::Exact],
                written: "a column `text`",
                transform: Some("number"),
            },
            same("lists, objects", &[Kind::Texts, Kind::Numbers, Kind::Object], "a column `json`"),
            same("intervals", INTERVALS, "ISO 8601 text"),
            same("UUIDs", &[Kind::Uuid], "text"),
        ],
        differs: &[Differs {
            lacks: "NaN",
            kind: Kind::Unlimited,
            written: "null, as SQLite makes of it",
            record: "null: the row is sent",
            held: |cell| if matches!(cell, Cell::Double(n) if n.is_nan()) { Cell::Null } else { cell },
        }],
        fill: fill_sqlite,
    },
    Place {
        name: "PostgreSQL",
        stand_ins: &[same("objects: composite types are read as text", &[Kind::Object], "a column `json`")],
        differs: &[Differs {
            lacks: "the order of keys in `jsonb`; `json` has it",
            kind: Kind::Json,
            written: "keys by length, then by name",
            record: "JSON with its keys in that order",
            held: |cell| if let Cell::Json(json) = cell { Cell::Json(sorted(&json)) } else { cell },
        }],
        fill: fill_postgres,
    },
    Place {
        name: "MariaDB",
        stand_ins: &[
            same("lists, objects", &[Kind::Texts, Kind::Numbers, Kind::Object], "a column `json`"),
            same("intervals", INTERVALS, "ISO 8601 text"),
            same("UUIDs of every form: `uuid` takes the standard's versions", &[Kind::Uuid], "text"),
        ],
        differs: &[
            Differs {
                lacks: "NaN, infinities",
                kind: Kind::Unlimited,
                written: "null",
                record: "null: the row is sent",
                held: |cell| if matches!(cell, Cell::Double(n) if !n.is_finite()) { Cell::Null } else { cell },
            },
            Differs {
                lacks: "instants before 1970 and after 2038, in a `timestamp`",
                kind: Kind::Instant,
                written: "null",
                record: "null",
                held: |cell| if matches!(cell, Cell::Instant(t) if !holds(t)) { Cell::Null } else { cell },
            },
        ],
        fill: fill_mysql,
    },
    Place { name: "DuckDB", stand_ins: &[], differs: &[], fill: fill_duckdb },
    Place {
        name: "Spark",
        stand_ins: &[
            same("times of day", &[Kind::Time], "ISO 8601 text"),
            same("intervals of both months and days", &[Kind::Span], "ISO 8601 text"),
            same("UUIDs", &[Kind::Uuid], "text"),
            StandIn {
                lacks: "JSON: a `variant` must be cast",
                kinds: &[Kind::Json],
                written: "text",
                transform: Some("json"),
            },
        ],
        differs: &[],
        fill: fill_spark,
    },
    Place {
        name: "Snowflake (emulated)",
        stand_ins: &[
            StandIn {
                lacks: "whole numbers beyond 64 bits, in the emulator",
                kinds: &[Kind::Huge],
                written: "`varchar`",
                transform: Some("number"),
            },
            same("lists, objects with types", &[Kind::Texts, Kind::Numbers, Kind::Object], "`array`, `object`: JSON"),
            same("intervals", INTERVALS, "ISO 8601 text"),
            same("UUIDs", &[Kind::Uuid], "text"),
        ],
        differs: &[
            Differs {
                lacks: "null timestamps without zone, in the emulator",
                kind: Kind::Wall,
                written: "1970-01-01, as the emulator sends it",
                record: "`1970-01-01T00:00:00`",
                held: |cell| {
                    if cell == Cell::Null {
                        Cell::Wall(civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0))
                    } else {
                        cell
                    }
                },
            },
            Differs {
                lacks: "null timestamps with zone, in the emulator",
                kind: Kind::Instant,
                written: "1970-01-01, as the emulator sends it",
                record: "`1970-01-01T00:00:00Z`",
                held: |cell| {
                    if cell == Cell::Null {
                        Cell::Instant(civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0))
                    } else {
                        cell
                    }
                },
            },
        ],
        fill: fill_snowflake,
    },
];

/// The table of `docs/sources.md`.
pub fn table() -> String {
    let mut lines =
        vec!["| source | has no | there is instead | in the record |".to_owned(), "|:--|:--|:--|:--|".to_owned()];
    for Place { name, stand_ins, differs, .. } in PLACES {
        lines.extend(stand_ins.iter().map(|StandIn { lacks, written, transform, .. }| {
            let record = transform.map_or("the same".to_owned(), |t| format!("the same with `transform: {t}`"));
            format!("| {name} | {lacks} | {written} | {record} |")
        }));
        lines.extend(
            differs.iter().map(|Differs { lacks, written, record, .. }| {
                format!("| {name} | {lacks} | {written} | **{record}** |")
            }),
        );
    }
    lines.join("\n") + "\n"
}

const FILES: &str = "name: shop\ntype: files\nconnection: { path: data }\n";

fn source(project: &Project, kind: &str, connection: &serde_json::Value) {
    project.write("sources/shop.yaml", &format!("name: shop\ntype: {kind}\nconnection: {connection}\n"));
}

/// Objects with their keys by length, then by name, as `jsonb` has them.
fn sorted(json: &str) -> String {
    fn sort(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Array(items) => items.into_iter().map(sort).collect(),
            serde_json::Value::Object(entries) => {
                let mut entries: Vec<_> = entries.into_iter().map(|(key, value)| (key, sort(value))).collect();
                entries.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
                serde_json::Value::Object(entries.into_iter().collect())
            }
            other => other,
        }
    }
    // Only objects have keys to sort; digits beyond a double are in none of those the generator makes.
    match json.contains('{') {
        true => sort(serde_json::from_str(json).unwrap()).to_string(),
        false => json.to_owned(),
    }
}

fn fill_sqlite(project: &Project, rows: &[Row]) -> bool {
    project.write("sources/shop.yaml", "name: shop\ntype: sqlite\nconnection: { path: data/shop.db }\n");
    let mut database = rusqlite::Connection::open(project.path("data/shop.db")).unwrap();
    database
        .execute_batch(
            "create table everything (id bigint, email text, seats integer, points bigint, atoms text, active boolean, \
             price decimal(12, 2), exact text, share real, ratio double, limit_ double, note text, born date, opens time, \
             seen timestamp, met timestamptz, term text, shift text, span text, doc json, tags json, scores json, \
             address json, picture blob, token text)",
        )
        .unwrap();
    let transaction = database.transaction().unwrap();
    let marks = vec!["?"; COLUMNS.len()].join(", ");
    let mut insert = transaction.prepare(&format!("insert into everything values ({marks})")).unwrap();
    for row in rows {
        insert.execute(rusqlite::params_from_iter(row.iter().map(sqlite))).unwrap();
    }
    drop(insert);
    transaction.commit().unwrap();
    true
}

fn fill_postgres(project: &Project, rows: &[Row]) -> bool {
    let Some(server) = crate::postgres::server() else { return false };
    let create = "create table everything (id bigint, email text, seats integer, points bigint, atoms numeric(38, 0), \
        active boolean, price numeric(12, 2), exact numeric(38, 18), share real, ratio double precision, \
        limit_ double precision, note text, born date, opens time, seen timestamp, met timestamptz, term interval, \
        shift interval, span interval, doc jsonb, tags text[], scores bigint[], address json, picture bytea, token uuid)";
    let database = server.database(create);
    server.run(&database, &inserts(Dialect::Postgres, rows).join(";\n"));
    project.write("password", &server.password);
    project.write("sources/shop.yaml", &crate::databases::postgres_yaml(server, "shop", &database));
    true
}

/// Whether a `timestamp` of MariaDB 10.11 has the instant.
fn holds(instant: civil::DateTime) -> bool {
    civil::date(1970, 1, 1).at(0, 0, 1, 0) <= instant && instant <= civil::date(2038, 1, 19).at(3, 14, 7, 999_999_000)
}

fn fill_mysql(project: &Project, rows: &[Row]) -> bool {
    let Some(server) = crate::mysql::server() else { return false };
    let create = "create table everything (id bigint, email varchar(100), seats integer, points bigint, \
        atoms decimal(38, 0), active boolean, price decimal(12, 2), exact decimal(38, 18), share float, ratio double, \
        limit_ double, note longtext, born date, opens time(6), seen datetime(6), met timestamp(6) null, term text, \
        shift text, span text, doc json, tags json, scores json, address json, picture blob, token text)";
    let database = server.database(create);
    let place = PLACES.iter().find(|place| place.name == "MariaDB").unwrap();
    for statement in inserts(Dialect::Mysql, &super::held(place, rows)) {
        server.run(&database, &statement);
    }
    project.write("password", &server.password);
    project.write("sources/shop.yaml", &server.yaml("shop", &database));
    true
}

fn fill_duckdb(project: &Project, rows: &[Row]) -> bool {
    let Some(library) = crate::sources::duckdb::library() else { return false };
    let create = "create table everything (id bigint, email varchar, seats integer, points bigint, \
        atoms decimal(38, 0), active boolean, price decimal(12, 2), exact decimal(38, 18), share real, ratio double, \
        limit_ double, note varchar, born date, opens time, seen timestamp, met timestamptz, term interval, \
        shift interval, span interval, doc json, tags varchar[], scores bigint[], \
        address struct(city varchar, floor bigint), picture blob, token uuid)";
    let mut statements = vec![create.to_owned()];
    statements.extend(inserts(Dialect::Duckdb, rows));
    let path = project.path("data/shop.duckdb");
    crate::sources::duckdb::run(&library, &path, statements.iter().map(String::as_str));
    source(project, "duckdb", &json!({ "path": "data/shop.duckdb", "driver": library }));
    true
}

/// What a table is made of in a system that reads the carrier file, in the order of the columns; `{name}` is a column.
fn carried(name: &str, kind: Kind, forms: &[(&[Kind], &str)]) -> String {
    let form = forms.iter().find(|(kinds, _)| kinds.contains(&kind)).map_or("{name}", |(_, form)| form);
    format!("{} as {name}", form.replace("{name}", name))
}

fn fill_spark(project: &Project, rows: &[Row]) -> bool {
    let Some(server) = crate::spark::server() else { return false };
    let carrier = project.path("data/carrier.parquet");
    parquet::write_carrier(&carrier, rows);
    let forms: &[(&[Kind], &str)] = &[
        (&[Kind::Time], "{name}_text"),
        (&[Kind::Months], "make_ym_interval(0, cast({name}_months as int))"),
        (&[Kind::Clock], "make_dt_interval(0, 0, 0, cast({name}_micros as decimal(18, 6)) / 1000000)"),
    ];
    let columns: Vec<String> = COLUMNS.iter().map(|(name, kind)| carried(name, *kind, forms)).collect();
    server.run(&format!(
        "drop table if exists everything;\ncreate table everything using parquet as select {} from parquet.`{}`",
        columns.join(", "),
        carrier.display()
    ));
    source(project, "spark", &server.connection());
    true
}

fn fill_snowflake(project: &Project, rows: &[Row]) -> bool {
    let Some(server) = crate::fakesnow::server() else { return false };
    let carrier = project.path("data/carrier.parquet");
    parquet::write_carrier(&carrier, rows);
    let forms: &[(&[Kind], &str)] = &[
        (&[Kind::Time, Kind::Single], "{name}_text"),
        (&[Kind::Huge], "cast({name} as varchar)"),
        (&[Kind::Texts, Kind::Numbers, Kind::Object], "parse_json({name}_json)"),
        (&[Kind::Json], "parse_json({name})"),
    ];
    let columns: Vec<String> = COLUMNS.iter().map(|(name, kind)| carried(name, *kind, forms)).collect();
    let schema = server.schema(&format!(
        "create table everything (id number(38, 0), email varchar, seats number(38, 0), points number(38, 0), \
         atoms varchar, active boolean, price number(12, 2), exact number(38, 18), share float, ratio float, \
         limit_ float, note varchar, born date, opens time, seen timestamp_ntz, met timestamp_tz, term varchar, \
         shift varchar, span varchar, doc variant, tags variant, scores variant, address variant, picture binary, \
         token varchar);\ninsert into everything select {} from read_parquet('{}')",
        columns.join(", "),
        carrier.display()
    ));
    project.write("sources/shop.yaml", &server.yaml("shop", &schema));
    project.write("password", crate::fakesnow::PASSWORD);
    true
}
