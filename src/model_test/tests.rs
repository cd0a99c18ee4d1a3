//! Tests of models over files, by case: rows, a test as a manifest has it, and what comes of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::diagnostic::Result;
use crate::manifest::source::SourceType;
use crate::secret::Connection;
use crate::sources::{self, BatchStream};

const PEOPLE: &str = "\
id,email,plan,team,seats,active,updated_at
1,ann@x.io,free,10,5,true,2026-11-28T10:00:00Z
2,bob@x.io,premium,10,7,true,2026-11-27T10:00:00Z
3,,gold,20,7,false,2026-11-20T06:30:00Z
4,ann@x.io,,99,9,true,
5,o'hara@x.io,it's,,1,false,2026-11-01T00:00:00Z
";
const TEAMS: &str = "id,name\n10,ten\n20,twenty\n";

/// A source that runs no SQL, as most are that are no database.
struct Plain(Box<dyn Source>);

impl Source for Plain {
    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        self.0.schema(query)
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        assert!(matches!(query, Query::Table { .. }), "no SQL here: {query:?}");
        self.0.read(query, columns)
    }
}

fn files(folder: &Path) -> Box<dyn Source> {
    let path = json!(folder.display().to_string());
    let values = serde_json::Map::from_iter([("path".to_owned(), path)]);
    sources::open(SourceType::Files, &Connection::new(values, Vec::new())).unwrap()
}

fn table(name: &str) -> Query {
    Query::Table { name: name.to_owned(), columns: None, filter: None }
}

fn test(check: Check) -> Test {
    Test { name: "t".into(), severity: Severity::Error, filter: None, check, pointer: "/tests/0".into() }
}

/// One line: `ok`, or the number of failures, what is said, and the rows named.
fn shown(outcome: &Outcome) -> String {
    if outcome.ok {
        return "ok".into();
    }
    let rows = outcome.samples.iter().map(|sample| match &sample.value {
        Some(value) => format!(" {}={value}", sample.key),
        None => format!(" {}", sample.key),
    });
    format!("{}: {}:{}", outcome.failures, outcome.message, rows.collect::<String>())
}

fn run_on(source: &dyn Source, scratch: &Path, tests: &[Test], same: bool) -> Result<Vec<Outcome>, Failure> {
    let (query, other) = (table("people"), table("teams"));
    let (schema, teams) = (source.schema(&query).unwrap(), source.schema(&other).unwrap());
    let key = ["id".to_owned()];
    let people =
        Subject { name: "people", source_name: "here", source, query: &query, schema: &schema, primary_key: &key };
    let source_name = if same { "here" } else { "elsewhere" };
    let teams = Subject { name: "teams", source_name, query: &other, schema: &teams, ..people };
    let circumstances =
        Circumstances { now: "2026-11-29T12:00:00Z".parse().unwrap(), rows_before: Some(10), samples: 3, scratch };
    let subject = |name: &str| [people, teams].into_iter().find(|subject| subject.name == name);
    run(&people, tests, &subject, &circumstances)
}

fn cases() -> BTreeMap<&'static str, (Test, &'static str)> {
    let column = |name: &str| name.to_owned();
    let accepted = |column: &str, values: serde_json::Value| {
        test(Check::Accepted { column: column.into(), values: values.as_array().cloned().unwrap() })
    };
    let filtered = |filter: &str, test: Test| Test { filter: Some(filter.into()), ..test };
    let related =
        |model: &str, to: &str| test(Check::Related { column: "team".into(), model: model.into(), to: to.into() });
    let fresh = |hours: i64| {
        let max_age = jiff::SignedDuration::from_hours(hours);
        test(Check::Fresh { column: "updated_at".into(), max_age, written: format!("{hours}h") })
    };
    let count = |min, max, max_change| test(Check::RowCount { min, max, max_change });
    let statement = |sql: &str| {
        let copy = sql.replace("people", &copy_name("people"));
        test(Check::NoRows(Statement { sql: sql.into(), over_copies: copy, models: vec!["people".into()] }))
    };
    BTreeMap::from([
        ("not null, holds", (test(Check::NotNull(column("id"))), "ok")),
        ("not null", (test(Check::NotNull(column("email"))), "1: 1 row has no `email`: 3=null")),
        ("not null, of some rows", (filtered("plan <> 'gold' -- why", test(Check::NotNull(column("email")))), "ok")),
        ("unique, holds", (test(Check::Unique(vec![column("id")])), "ok")),
        (
            "unique",
            (
                test(Check::Unique(vec![column("email")])),
                r#"2: 2 rows share their `email` with another: 1="ann@x.io" 4="ann@x.io""#,
            ),
        ),
        ("unique, of some rows", (filtered("id < 4", test(Check::Unique(vec![column("email")]))), "ok")),
        ("unique together, holds", (test(Check::Unique(vec![column("email"), column("seats")])), "ok")),
        (
            "unique together",
            (filtered("id > 1", test(Check::Unique(vec![column("seats"), column("updated_at")]))), "ok"),
        ),
        (
            "unique together, fails",
            (
                test(Check::Unique(vec![column("active"), column("team")])),
                "2: 2 rows share their `active` and `team` with another: 1 2",
            ),
        ),
        (
            "accepted values",
            (
                accepted("plan", json!(["free", "premium"])),
                r#"2: 2 rows have another `plan` than `free` or `premium`: 3="gold" 5="it's""#,
            ),
        ),
        ("accepted values with a quote", (accepted("plan", json!(["free", "premium", "gold", "it's"])), "ok")),
        (
            "accepted numbers",
            (accepted("seats", json!([5, 7, 9])), "1: 1 row has another `seats` than `5`, `7` or `9`: 5=1"),
        ),
        (
            "accepted truth",
            (accepted("active", json!([true])), "2: 2 rows have another `active` than `true`: 3=false 5=false"),
        ),
        ("related", (related("teams", "id"), "1: the `team` of 1 row is no `id` of model `teams`: 4=99")),
        ("related to itself", (related("people", "team"), "ok")),
        ("fresh", (fresh(48), "ok")),
        (
            "stale",
            (fresh(24), "1: the newest `updated_at` is 2026-11-28 10:00:00 UTC, 1 day 2 hours ago; the most is 24h:"),
        ),
        (
            "stale, of some rows",
            (
                filtered("plan = 'gold'", fresh(48)),
                "1: the newest `updated_at` is 2026-11-20 06:30:00 UTC, 9 days 5 hours ago; the most is 48h:",
            ),
        ),
        ("rows", (count(Some(5), Some(5), None), "ok")),
        ("too few rows", (count(Some(6), None, None), "1: the model has 5 rows, the fewest are 6:")),
        (
            "too much fewer",
            (
                count(None, None, Some(Limit::Percent(20.0))),
                "1: the model has 5 rows, 5 fewer than the 10 of the last run; the most is 20%:",
            ),
        ),
        ("a statement, holds", (statement("select * from people where seats > 100"), "ok")),
        (
            "a statement",
            (statement("select seats, id from people where seats > 5"), "3: its statement gives 3 rows: 2 3 4"),
        ),
        (
            "a statement without keys",
            (statement("select seats from people where seats > 5"), "3: its statement gives 3 rows:"),
        ),
    ])
}

#[test]
fn what_holds_and_what_does_not_wherever_it_is_tested() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("people.csv"), PEOPLE).unwrap();
    std::fs::write(folder.path().join("teams.csv"), TEAMS).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let cases = cases();
    let tests: Vec<Test> = cases.values().map(|(test, _)| test.clone()).collect();
    let plain = Plain(files(folder.path()));
    let inside = files(folder.path());
    for (place, source, same) in
        [("in the source", &*inside, true), ("two sources", &*inside, false), ("no SQL", &plain as &dyn Source, true)]
    {
        let outcomes = run_on(source, scratch.path(), &tests, same).unwrap();
        for ((name, (_, expected)), outcome) in cases.iter().zip(&outcomes) {
            assert_eq!(shown(outcome), *expected, "{name}, {place}");
        }
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "copies are gone");
}

#[test]
fn a_test_that_cannot_be_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("people.csv"), PEOPLE).unwrap();
    std::fs::write(folder.path().join("teams.csv"), TEAMS).unwrap();
    let good = test(Check::NotNull("id".into()));
    let broken = Test { filter: Some("plam = 'free'".into()), ..good.clone() };
    let failure = run_on(&*files(folder.path()), folder.path(), &[good, broken], true).unwrap_err();
    let Failure::Test(1, error) = failure else { panic!("{failure:?}") };
    assert!(error.to_string().contains("plam"), "{error}");
}

#[test]
fn what_can_never_work_is_found_before_a_row_is_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("people.csv"), PEOPLE).unwrap();
    let source = files(folder.path());
    let schema = source.schema(&table("people")).unwrap();
    let accepted =
        |column: &str, value: serde_json::Value| Check::Accepted { column: column.into(), values: vec![value] };
    let fresh = |column: &str| Check::Fresh {
        column: column.into(),
        max_age: jiff::SignedDuration::from_hours(1),
        written: "1h".into(),
    };
    for (check, said) in [
        (Check::NotNull("emial".into()), Some("test `t`: the model has no column `emial`")),
        (accepted("plan", json!(1)), Some("test `t`: column `plan` is text, which is never 1")),
        (accepted("seats", json!("5")), Some("test `t`: column `seats` is a whole number, which is never \"5\"")),
        (
            accepted("active", json!("true")),
            Some("test `t`: column `active` is true or false, which is never \"true\""),
        ),
        (accepted("updated_at", json!("2026-11-28T10:00:00Z")), None),
        (fresh("active"), Some("test `t`: column `active` is true or false, which says no time")),
        (fresh("updated_at"), None),
        (fresh("seats"), None),
    ] {
        let faults = super::check(&[test(check)], &schema, &|_| None);
        assert_eq!(faults.first().map(|fault| fault.message.as_str()), said);
    }
}
