//! One model, the same ten thousand rows with every kind of data, read from every system: the plans agree byte for byte,
//! and what arrives agrees byte for byte, but for what the tables of `docs/sources.md` name.
//!
//! [`places::PLACES`] is the table of systems, [`rows`] makes the rows. A system that has no type for a kind of data
//! holds something in its stead; where that makes another record, the rows it is compared with are changed in just that.

mod parquet;
mod places;
mod rows;
mod sql;
mod text;
mod utf8;

use serde_json::Value;

use crate::project::Project;
use places::{PLACES, Place};
use rows::{COLUMNS, Cell, Row};

const PAGE: &str = include_str!("../docs/sources.md");

/// The state's key decides the order in which records are sent.
const KEY: (&str, &str) = ("SYNCLINE_STATE_KEY", "000102030405060708090a0b0c0d0e0f");

/// The project, without its source.
fn project(place: &Place) -> Project {
    // What a record is matched by is no field.
    let fields = COLUMNS.iter().filter(|(name, _)| *name != "email");
    let fields: String = fields.map(|(name, _)| format!("  {name}: {}\n", place.field(name))).collect();
    let columns: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    Project::new(&[
        ("syncline.yaml", "name: parity\n"),
        (
            "models/everything.yaml",
            &format!(
                "name: everything\nsource: shop\nprimary_key: [id]\ntable: {{ name: everything, columns: [{}] }}\n",
                columns.join(", ")
            ),
        ),
        ("destinations/out.yaml", "name: out\ntype: files\nconnection: { path: out }\n"),
        (
            "syncs/everything.yaml",
            &format!(
                "name: everything\nmodel: everything\ndestination: out\nobject: everything\nmode: upsert\n\
                 match: {{ email: email }}\noptions: {{ format: jsonl }}\nfields:\n{fields}"
            ),
        ),
        ("data/.keep", ""),
        ("out/.keep", ""),
    ])
}

/// The plan, as it is printed: without its id, its time, and the digest of a configuration that names another source.
fn plan(project: &Project) -> String {
    let samples = rows::ROWS.to_string();
    let mut command = project.command(&["plan", "--format", "json", "--show-values", "--samples", &samples]);
    let ran = crate::project::Ran::new(command.env(KEY.0, KEY.1).output().unwrap()).code(0);
    let own =
        |line: &&str| !["\"plan_id\":", "\"digest\":", "\"created_at\":"].iter().any(|k| line.trim().starts_with(k));
    ran.stdout.lines().filter(own).collect::<Vec<_>>().join("\n")
}

/// What arrives, line by line; the order of the lines is that of the source.
fn arrived(project: &Project) -> String {
    let mut command = project.command(&["apply", "--auto-approve"]);
    crate::project::Ran::new(command.env(KEY.0, KEY.1).output().unwrap()).code(0);
    let text = project.read("out/everything.jsonl");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Where two texts differ: for each field the first place, with what stands around it.
fn differences(what: &str, got: &str, expected: &str) -> Vec<String> {
    let (got, expected): (Vec<&str>, Vec<&str>) = (got.lines().collect(), expected.lines().collect());
    let mut found = std::collections::BTreeMap::new();
    for (at, (a, b)) in got.iter().zip(&expected).enumerate().filter(|(_, (a, b))| a != b) {
        let named = |line: &&&str| line.trim().starts_with("\"name\":");
        let field = got[..=at].iter().rev().take(3).find(named).map_or("", |line| line.trim());
        let shown = |line: &str| line.chars().take(600).collect::<String>();
        found.entry(field).or_insert_with(|| {
            format!("{what}, line {}, {field}\n  got      {}\n  expected {}", at + 1, shown(a), shown(b))
        });
    }
    if got.len() != expected.len() {
        found.insert("lines", format!("{what}: {} lines and not {}", got.len(), expected.len()));
    }
    found.into_values().take(12).collect()
}

/// The rows as this place can hold them.
fn held(place: &Place, rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for differs in place.differs {
        for row in &mut rows {
            for (cell, (_, kind)) in row.iter_mut().zip(COLUMNS) {
                if kind == differs.kind {
                    *cell = (differs.held)(cell.clone());
                }
            }
        }
    }
    rows
}

#[test]
fn ten_thousand_rows_of_every_kind_are_the_same_plan_from_everywhere() {
    let rows = rows::rows();
    let reference = |rows: &[Row]| {
        let place = &PLACES[0];
        let project = project(place);
        assert!((place.fill)(&project, rows), "files are always there");
        (plan(&project), arrived(&project))
    };
    let plain = reference(&rows);
    what_was_generated_is_what_is_planned(&rows, &plain.0);
    let (mut compared, mut wrong) = (0, Vec::new());
    for place in &PLACES[1..] {
        let project = project(place);
        if !(place.fill)(&project, &rows) {
            continue;
        }
        let changed = (!place.differs.is_empty()).then(|| reference(&held(place, &rows)));
        let own = changed.as_ref().unwrap_or(&plain);
        wrong.extend(differences(&format!("{}: the plan", place.name), &plan(&project), &own.0));
        wrong.extend(differences(&format!("{}: what arrived", place.name), &arrived(&project), &own.1));
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 1, "at least SQLite is always there");
}

/// The generator says itself what each value is to be in a plan: the reference is not merely the first to be read.
fn what_was_generated_is_what_is_planned(rows: &[Row], plan: &str) {
    let plan: Value = serde_json::from_str(plan).unwrap();
    let sync = &plan["syncs"][0];
    let unlimited = |row: &&Row| row.iter().any(|cell| matches!(cell, Cell::Double(n) if !n.is_finite()));
    let sent: Vec<&Row> = rows.iter().filter(|row| !unlimited(row)).collect();
    assert_eq!(sync["counts"]["rows"], rows.len());
    assert_eq!(sync["counts"]["invalid"], rows.len() - sent.len(), "NaN and infinities: {}", sync["invalid"]);
    let samples = sync["samples"].as_array().unwrap();
    assert_eq!(samples.len(), sent.len());
    for (sample, row) in samples.iter().zip(sent) {
        let key = text::plain(&row[0]);
        assert_eq!(sample["key"], key.as_str());
        for ((name, _), cell) in COLUMNS.iter().zip(row).filter(|((name, _), _)| *name != "email") {
            let field = sample["fields"].as_array().unwrap().iter().find(|field| field["name"] == *name);
            let after = field.map_or(&Value::Null, |field| &field["after"]);
            assert!(says(after, cell), "row {key}, {name}: {after} is not {cell:?}");
        }
    }
}

/// Whether a value of a plan is a generated one. What a number of JSON cannot show exactly is its digits as text.
fn says(after: &Value, cell: &Cell) -> bool {
    match cell {
        Cell::Whole(_) | Cell::Decimal(_, _) => {
            let digits = text::plain(cell);
            match after {
                Value::String(text) => *text == digits,
                // A double says them when it is written back with just them.
                Value::Number(number) => {
                    number.to_string() == digits || number.as_f64().is_some_and(|double| format!("{double}") == digits)
                }
                _ => false,
            }
        }
        Cell::Double(double) => after.as_f64() == Some(*double),
        Cell::Single(single) => after.to_string().parse() == Ok(*single),
        Cell::Json(json) if json.contains("0000000") || json.contains("123456789") => {
            after.to_string().replace('"', "") == *json
        }
        _ => *after == serde_json::from_str::<Value>(&text::json(cell)).unwrap(),
    }
}

#[test]
fn the_page_of_sources_names_every_exception() {
    let table = places::table();
    assert!(
        PAGE.contains(&table),
        "docs/sources.md is to have this table, as `tests/parity/places.rs` says:\n\n{table}"
    );
}
