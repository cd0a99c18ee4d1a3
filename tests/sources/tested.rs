//! Tests of models in the source: each system finds what is found over copies, the same rows and the same samples.

use std::sync::Mutex;

use arrow_schema::SchemaRef;
use syncline::diagnostic::Result;
use syncline::manifest::model_test::Severity;
use syncline::model_test::{Check, Circumstances, Outcome, Statement, Subject, Test, copy_name, run};
use syncline::sources::{BatchStream, Dialect};

use super::*;

/// How a system writes what it writes differently.
struct Words {
    quote: &'static str,
    backslash: &'static str,
    line_end: &'static str,
    instant: &'static str,
    wall_clock: &'static str,
    day: &'static str,
}

const STANDARD: Words = Words { quote: "''", backslash: "\\", line_end: "\n", instant: "", wall_clock: "", day: "" };

const ESCAPED: Words = Words {
    quote: "\\'",
    backslash: "\\\\",
    line_end: "\\n",
    instant: "timestamp ",
    wall_clock: "timestamp_ntz ",
    day: "date ",
};

/// `id, email, plan, team, seats, active, updated_at, seen, day, note`
fn people(words: &Words) -> String {
    let Words { quote, backslash, line_end, instant, wall_clock, day } = words;
    format!(
        "(1, 'ann@x.io', 'free', 10, 5, true, {instant}'2026-11-28 10:00:00+00:00', {wall_clock}'2026-11-28 10:00:00', \
         {day}'2026-11-28', 'a{backslash}b'), \
         (2, 'bob@x.io', 'premium', 10, 7, true, {instant}'2026-11-27 10:00:00+00:00', {wall_clock}'2026-11-27 10:00:00', \
         {day}'2026-11-27', 'it{quote}s'), \
         (3, null, 'gold', 20, 7, false, {instant}'2026-11-20 06:30:00+00:00', {wall_clock}'2026-11-20 06:30:00', \
         {day}'2026-11-20', null), \
         (4, 'ann@x.io', null, 99, 9, true, null, null, null, 'line{line_end}end'), \
         (5, 'o{quote}hara@x.io', 'it{quote}s', null, 1, false, {instant}'2026-11-01 00:00:00+00:00', \
         {wall_clock}'2026-11-01 00:00:00', {day}'2026-11-01', 'plain')"
    )
}

const TEAMS: &str = "(10, 'ten'), (20, 'twenty')";

/// Tests as a manifest has them, and how many rows fail.
fn cases(people: &str) -> Vec<(&'static str, Test, u64)> {
    let test = |check: Check| Test {
        name: "t".into(),
        severity: Severity::Error,
        filter: None,
        check,
        pointer: String::new(),
    };
    let of = |filter: &str, check: Check| Test { filter: Some(filter.into()), ..test(check) };
    let not_null = |column: &str| Check::NotNull(column.into());
    let unique = |columns: &[&str]| Check::Unique(columns.iter().map(|c| (*c).to_owned()).collect());
    let accepted = |column: &str, values: Value| Check::Accepted {
        column: column.into(),
        values: values.as_array().cloned().unwrap(),
    };
    let related = |model: &str, to: &str| Check::Related { column: "team".into(), model: model.into(), to: to.into() };
    let fresh = |column: &str, hours: i64| Check::Fresh {
        column: column.into(),
        max_age: jiff::SignedDuration::from_hours(hours),
        written: format!("{hours}h"),
    };
    let statement = |sql: &str| {
        Check::NoRows(Statement {
            sql: sql.replace("PEOPLE", people),
            over_copies: sql.replace("PEOPLE", &copy_name("people")),
            models: vec!["people".into()],
        })
    };
    let notes = |last: &str| json!(["a\\b", "it's", "line\nend", last]);
    vec![
        ("not null, holds", test(not_null("id")), 0),
        ("not null", test(not_null("email")), 1),
        ("not null, of some rows", of("seats > 7 -- why", not_null("email")), 0),
        ("unique, holds", test(unique(&["id"])), 0),
        ("unique", test(unique(&["email"])), 2),
        ("unique, of some rows", of("id < 4", unique(&["email"])), 0),
        ("unique together, holds", test(unique(&["email", "seats"])), 0),
        ("unique together", test(unique(&["active", "team"])), 2),
        ("accepted values", test(accepted("plan", json!(["free", "premium"]))), 2),
        ("accepted values with a quote", test(accepted("plan", json!(["free", "premium", "gold", "it's"]))), 0),
        ("accepted values with signs", test(accepted("note", notes("plain"))), 0),
        ("accepted values with other signs", test(accepted("note", notes("other"))), 1),
        ("accepted numbers", test(accepted("seats", json!([5, 7, 9]))), 1),
        ("accepted truth", test(accepted("active", json!([true]))), 2),
        ("related", test(related("teams", "id")), 1),
        ("related to itself", test(related("people", "team")), 0),
        ("fresh", test(fresh("updated_at", 48)), 0),
        ("stale", test(fresh("updated_at", 24)), 1),
        ("stale, of some rows", of("plan = 'gold'", fresh("updated_at", 48)), 1),
        ("a wall clock that is fresh", test(fresh("seen", 27)), 0),
        ("a wall clock that is stale", test(fresh("seen", 25)), 1),
        ("a day that is fresh", test(fresh("day", 37)), 0),
        ("a day that is stale", test(fresh("day", 35)), 1),
        ("rows", test(Check::RowCount { min: Some(5), max: Some(5), max_change: None }), 0),
        ("too few rows", test(Check::RowCount { min: Some(6), max: None, max_change: None }), 1),
        ("a statement, holds", test(statement("select * from PEOPLE where seats > 100")), 0),
        ("a statement", test(statement("select seats, id from PEOPLE where seats > 5")), 3),
        ("a statement without keys", test(statement("select seats from PEOPLE where seats > 5")), 3),
    ]
}

/// A source that writes down what it is asked; without SQL of ours where `dialect` is `None`.
struct Watched<'a> {
    inner: &'a dyn Source,
    dialect: Option<Dialect>,
    asked: Mutex<Vec<Query>>,
}

impl Source for Watched<'_> {
    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        self.inner.schema(query)
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        self.asked.lock().unwrap().push(query.clone());
        self.inner.read(query, columns)
    }

    fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }
}

fn outcomes(source: &dyn Source, people: &Query, teams: &Query, tests: &[Test]) -> Vec<Outcome> {
    let scratch = tempfile::tempdir().unwrap();
    let failed = |e: Error| panic!("{e}; {}", e.help().unwrap_or_default());
    let (schema, other) = (source.schema(people).unwrap_or_else(failed), source.schema(teams).unwrap_or_else(failed));
    let key = ["id".to_owned()];
    let people =
        Subject { name: "people", source_name: "s", source, query: people, schema: &schema, primary_key: &key };
    let teams = Subject { name: "teams", query: teams, schema: &other, ..people };
    let circumstances = Circumstances {
        now: "2026-11-29T12:00:00Z".parse().unwrap(),
        rows_before: None,
        samples: 3,
        scratch: scratch.path(),
    };
    let subject = |name: &str| [people, teams].into_iter().find(|subject| subject.name == name);
    run(&people, tests, &subject, &circumstances).unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// Runs all tests in the source and over copies of it, and says what differs.
fn check(system: &str, source: &dyn Source, people: &str, teams: &str) -> Vec<String> {
    let dialect = source.dialect();
    assert!(dialect.is_some(), "{system} takes no SQL of ours");
    let inside = Watched { inner: source, dialect, asked: Mutex::default() };
    let outside = Watched { inner: source, dialect: None, asked: Mutex::default() };
    let cases = cases(people);
    let tests: Vec<Test> = cases.iter().map(|(_, test, _)| test.clone()).collect();
    let (people, teams) = (table(people), sql(&format!("select id, name from {teams}")));
    let here = outcomes(&inside, &people, &teams, &tests);
    let copied = outcomes(&outside, &people, &teams, &tests);
    // No row but those that are named has left the source.
    for query in inside.asked.lock().unwrap().iter() {
        let Query::Sql(sql) = query else { panic!("{system} was read whole: {query:?}") };
        assert!(sql.contains("syncline_"), "{system}: {sql}");
    }
    assert!(outside.asked.lock().unwrap().contains(&people), "{system} was not copied");
    let mut wrong = Vec::new();
    for (((name, _, failures), here), copied) in cases.iter().zip(here).zip(copied) {
        if here.failures != *failures || here != copied {
            wrong.push(format!(
                "{system}, {name}: {failures} are to fail\n   in the source {here:?}\n   over copies {copied:?}"
            ));
        }
    }
    wrong
}

#[test]
fn tests_of_models_find_the_same_in_the_source_and_over_copies() {
    let mut wrong = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let columns = "id bigint, email text, plan text, team bigint, seats bigint, active boolean, updated_at timestamptz, \
                   seen timestamp, day date, note text";
    let standard = format!(
        "create table people ({columns});\ninsert into people values {};\ncreate table teams (id bigint, name text);\n\
         insert into teams values {TEAMS}",
        people(&STANDARD)
    );

    let path = folder.path().join("shop.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(&standard).unwrap();
    wrong.extend(check("sqlite", &*open(SourceType::Sqlite, json!({ "path": path })), "people", "teams"));

    if let Some(server) = crate::postgres::server() {
        let database = server.database(&standard);
        let source = open(SourceType::Postgres, json!({ "url": server.url(&database) }));
        wrong.extend(check("postgres", &*source, "people", "teams"));
    }

    if let Some(server) = crate::mysql::server() {
        let columns = columns.replace("timestamptz", "timestamp null").replace("seen timestamp", "seen datetime");
        let words = Words { backslash: "\\\\", ..STANDARD };
        let database = server.database(&format!(
            "create table people ({columns});\ninsert into people values {};\n\
             create table teams (id bigint, name text);\ninsert into teams values {TEAMS}",
            people(&words).replace("+00:00'", "'")
        ));
        let source = open(SourceType::Mysql, server.parts(&database));
        wrong.extend(check("mysql", &*source, "people", "teams"));
    }

    if let Some(library) = super::duckdb::library() {
        let path = folder.path().join("shop.duckdb");
        super::duckdb::database(&library, &path, &standard);
        let source = open(SourceType::Duckdb, json!({ "path": path, "driver": library }));
        wrong.extend(check("duckdb", &*source, "people", "teams"));
    }

    if let Some(server) = crate::fakesnow::server() {
        let words = Words { backslash: "\\\\", ..STANDARD };
        let columns = columns.replace("timestamptz", "timestamp_tz").replace("seen timestamp", "seen timestamp_ntz");
        let schema = server.schema(&format!(
            "create table people ({columns});\ninsert into people values {};\n\
             create table teams (id bigint, name text);\ninsert into teams values {TEAMS}",
            people(&words)
        ));
        wrong.extend(check("snowflake", &*open(SourceType::Snowflake, server.connection(&schema)), "people", "teams"));
    }

    if let Some(server) = crate::bqemulator::server() {
        let words = Words { wall_clock: "datetime ", ..ESCAPED };
        let dataset = server.dataset(&format!(
            "create table DATASET.people (id int64, email string, plan string, team int64, seats int64, active bool, \
             updated_at timestamp, seen datetime, day date, note string);\n\
             insert into DATASET.people values {};\n\
             create table DATASET.teams (id int64, name string);\ninsert into DATASET.teams values {TEAMS}",
            people(&words)
        ));
        let source = open(SourceType::Bigquery, server.connection(&dataset));
        wrong.extend(check("bigquery", &*source, &format!("{dataset}.people"), &format!("{dataset}.teams")));
    }

    if let Some(server) = crate::spark::server() {
        server.run(&format!(
            "create table tested_people (id bigint, email string, plan string, team bigint, seats bigint, \
             active boolean, updated_at timestamp, seen timestamp_ntz, day date, note string) using parquet;\n\
             insert into tested_people values {};\n\
             create table tested_teams (id bigint, name string) using parquet;\n\
             insert into tested_teams values {TEAMS}",
            people(&ESCAPED)
        ));
        let source = open(SourceType::Spark, server.connection());
        wrong.extend(check("spark", &*source, "tested_people", "tested_teams"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
