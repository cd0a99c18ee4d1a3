//! `test`: rows in, records and operations out. Every kind of expectation holds where it should, and fails where it
//! should not, at its line.

use serde_json::Value;

use crate::project::Project;

/// What is in the sync beside mode, match and destination; `tests` are the cases, from the second column on.
fn with(mode: &str, sync: &str, cases: &str) -> Project {
    let project = Project::people(mode, sync);
    project.write("tests/people.yaml", &format!("name: people\nsync: people\ncases:\n{cases}"));
    project
}

const FIELDS: &str = "fields:
  plan: plan
  full_name: { template: '{{ row.name }} of {{ environment }}' }
  seats: { column: seats, transform: integer, on_null: omit }
  once: { value: 1, write: if_added }
";

const ADA: &str = "{ id: 1, email: a@example.com, name: Ada, plan: free, seats: 2 }";

/// Name; mode and what else the sync says; `previous` and `rows` of a case; an expectation that holds; the same with
/// something else in it, and what is then said of it.
#[allow(clippy::type_complexity)]
const CASES: &[(&str, &str, &str, &str, &str, &str, &[&str])] = &[
    (
        "added",
        "upsert",
        "",
        "rows: [ADA]",
        "{ key: 1, state: added, operation: send }",
        "{ key: 1, state: changed, operation: none }",
        &["row `1`, state", "expected  changed", "got       added", "row `1`, operation", "expected  none"],
    ),
    (
        "a record",
        "upsert",
        "",
        "rows: [ADA]",
        "{ row: 1, record: { plan: free, seats: 2, email: a@example.com, once: 1 } }",
        "{ row: 1, record: { plan: Free } }",
        &["field `plan`", "expected  \"Free\"", "got       \"free\""],
    ),
    (
        "text is not a number",
        "upsert",
        "",
        "rows: [ADA]",
        "{ row: 1, record: { seats: 2.0 } }",
        "{ row: 1, record: { seats: '2' } }",
        &["field `seats`", "expected  \"2\"", "got       2"],
    ),
    (
        "left out where null",
        "upsert",
        "",
        "rows: [{ id: 1, email: a@example.com, name: Ada, plan: null, seats: null }]",
        "{ row: 1, record: { plan: null }, absent: [seats] }",
        "{ row: 1, record: { seats: null }, absent: [plan] }",
        &["field `seats`", "got       not sent", "field `plan`", "expected  not sent", "got       null"],
    ),
    (
        "changed",
        "upsert",
        "",
        "previous: [ADA]\n    rows: [{ id: 1, email: a@example.com, name: Ada, plan: premium, seats: 2 }]",
        "{ key: 1, state: changed, operation: send, record: { plan: premium }, absent: [once] }",
        "{ key: 1, state: unchanged }",
        &["expected  unchanged", "got       changed"],
    ),
    (
        "insert sends no changes",
        "insert",
        "",
        "previous: [ADA]\n    rows: [{ id: 1, email: a@example.com, name: Ada, plan: premium, seats: 2 }]",
        "{ key: 1, state: changed, operation: none }",
        "{ key: 1, operation: send }",
        &["expected  send", "got       none"],
    ),
    (
        "unchanged",
        "upsert",
        "",
        "previous: [ADA]\n    rows: [{ id: 1, email: a@example.com, name: Ada, plan: free, seats: 2.0 }]",
        "{ key: 1, state: unchanged, operation: none }",
        "{ key: 1, record: { plan: free } }",
        &["field `plan`", "got       no record: the row is unchanged"],
    ),
    (
        "mirror deletes what left",
        "mirror",
        "",
        "previous: [ADA]",
        "{ key: 1, state: removed, operation: delete, record: { email: a@example.com } }",
        "{ key: 1, operation: none }",
        &["expected  none", "got       delete"],
    ),
    (
        "upsert keeps what left",
        "upsert",
        "",
        "previous: [ADA]",
        "{ key: 1, state: removed, operation: none }",
        "{ key: 1, operation: clear }",
        &["expected  clear", "got       none"],
    ),
    (
        "clear empties what left",
        "upsert",
        "on_removed: clear\n",
        "previous: [ADA]",
        "{ key: 1, state: removed, operation: clear }",
        "{ key: 1, state: unchanged }",
        &["got       removed"],
    ),
    (
        "a null key",
        "upsert",
        "",
        "rows: [ADA, { id: null, email: b@example.com, name: B, plan: free, seats: 1 }]",
        "{ row: 2, state: invalid, reason: null_key }",
        "{ row: 2, reason: duplicate_key }",
        &["row `row 2`, reason", "expected  duplicate_key", "got       null_key"],
    ),
    (
        "a repeated key",
        "upsert",
        "",
        "rows: [ADA, ADA]",
        "{ key: 1, state: invalid, reason: duplicate_key, operation: none }",
        "{ key: 1, state: added }",
        &["expected  added", "got       invalid", "duplicate_key: several rows have the same primary key"],
    ),
    (
        "a null identifier",
        "upsert",
        "",
        "rows: [{ id: 1, email: null, name: Ada, plan: free, seats: 1 }]",
        "{ row: 1, state: invalid, reason: null_match }",
        "{ row: 1, reason: unmappable }",
        &["got       null_match"],
    ),
    (
        "a value that does not fit",
        "upsert",
        "",
        "rows: [{ id: 1, email: a@example.com, name: Ada, plan: free, seats: many }]",
        "{ row: 1, state: invalid, reason: unmappable }",
        "{ row: 1, state: added, record: { plan: free } }",
        &["got       invalid", "unmappable: `seats`: column `seats`"],
    ),
    (
        "a key there is not",
        "upsert",
        "",
        "rows: [{ id: anna, email: a@example.com, name: Ada, plan: free, seats: 1 }]",
        "{ key: anna, state: added }",
        "{ key: ana, state: added }",
        &["row `ana`, row", "expected  a row with this key", "did you mean `anna`?"],
    ),
];

#[test]
fn every_expectation_holds_or_fails_at_its_line() {
    for (name, mode, sync, rows, holds, fails, said) in CASES {
        let rows = rows.replace("ADA", ADA);
        let case = |expect: &str| format!("  - name: {name}\n    {rows}\n    expect:\n      - {expect}\n");
        let project = with(mode, &format!("{FIELDS}{sync}"), &case(holds));
        let ran = project.run(&["test"]).code(0);
        assert!(ran.stdout.contains(&format!("ok      {name}")), "{name}: {}", ran.stdout);
        project.write("tests/people.yaml", &format!("name: people\nsync: people\ncases:\n{}", case(fails)));
        let ran = project.run(&["test"]);
        assert_eq!(ran.code, 1, "{name}: {}{}", ran.stdout, ran.stderr);
        let line = project.read("tests/people.yaml").lines().count();
        for words in said.iter().chain(&[format!("tests/people.yaml:{line}:").as_str(), "1 case, 1 failed."]) {
            assert!(ran.stdout.contains(words), "{name}: `{words}` is not in\n{}", ran.stdout);
        }
    }
}

#[test]
fn columns_have_the_types_the_model_promises() {
    let columns = "columns:
  day: { type: date }
  at: { type: timestamp }
  amount: { type: number }
  more: { type: json }
";
    let fields = "fields:
  day: { column: day, transform: iso8601 }
  at: { column: at, transform: epoch_s }
  amount: amount
  more: more
";
    let project = with(
        "upsert",
        fields,
        "  - name: types
    rows: [{ id: 1, email: a@example.com, day: 2026-02-28, at: 1970-01-01T00:01:00Z, amount: '0.10', more: [1, { a: b }] }]
    expect:
      - { key: 1, record: { day: 2026-02-28, at: 60, more: [1, { a: b }] } }
",
    );
    let model = project.read("models/people.yaml").replace("name, plan, seats", "day, at, amount, more");
    project.write("models/people.yaml", &format!("{model}{columns}"));
    project.run(&["test"]).code(0);
    project.edit("tests/people.yaml", "day: 2026-02-28, at", "day: 2026-02-30, at");
    let ran = project.run(&["test"]).code(1);
    let said = "tests/people.yaml:5:48: column `day` must be a date such as 2026-01-31";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
}

#[test]
fn a_column_nobody_gives_is_a_fault_of_the_test() {
    let case = "  - name: seats
    rows: [{ id: 1, email: a@example.com, name: Ada, plan: free, seets: 2 }]
    expect: [{ key: 1, state: added }]
";
    let project = with("upsert", FIELDS, case);
    let ran = project.run(&["test"]).code(1);
    assert!(ran.stdout.contains("the sync uses no column `seets`"), "{}", ran.stdout);
    assert!(ran.stdout.contains("did you mean `seats`?"), "{}", ran.stdout);
    project.edit("tests/people.yaml", ", seets: 2", "");
    let ran = project.run(&["test"]).code(1);
    assert!(ran.stdout.contains("no row has the column `seats`, which the sync uses"), "{}", ran.stdout);
    project.edit("tests/people.yaml", "plan: free", "plan: free, seats: null");
    project.run(&["test"]).code(0);
}

#[test]
fn tests_need_neither_source_nor_destination_nor_credentials() {
    let project = with("upsert", FIELDS, "  - { name: n, rows: [ADA], expect: [{ key: 1, state: added }] }\n");
    project.edit("tests/people.yaml", "ADA", ADA);
    let postgres = "type: postgres\nconnection: { url: '{{ env.NOT_THERE }}' }\n";
    project.write("sources/files.yaml", &format!("name: files\n{postgres}"));
    project.write("destinations/crm.yaml", &format!("name: crm\n{postgres}"));
    project.run(&["test"]).code(0);
    assert!(!project.path(".syncline").exists(), "nothing is kept");
}

#[test]
fn tests_see_the_environment_and_its_variables() {
    let project = with(
        "upsert",
        FIELDS,
        "  - name: greets
    rows: [{ id: 1, email: a@example.com, name: '{{ vars.who }}', plan: free, seats: 1 }]
    expect: [{ row: 1, record: { full_name: Ada of one } }]
",
    );
    let environments = "environments:\n  one: { default: true, vars: { who: Ada } }\n  two: { vars: { who: Bea } }\n";
    project.write("syncline.yaml", &format!("name: test\n{environments}"));
    project.run(&["test"]).code(0);
    let ran = project.run(&["test", "--env", "two"]).code(1);
    assert!(ran.stdout.contains("got       \"Bea of two\""), "{}", ran.stdout);
}

#[test]
fn one_sync_can_be_chosen_and_an_unknown_one_is_named() {
    let project = with("upsert", FIELDS, "  - { name: n, rows: [ADA], expect: [{ key: 1, state: removed }] }\n");
    project.edit("tests/people.yaml", "ADA", ADA);
    let other = project.read("syncs/people.yaml").replace("name: people\nmodel", "name: others\nmodel");
    project.write("syncs/others.yaml", &other);
    project.run(&["test"]).code(1);
    let ran = project.run(&["test", "others"]).code(0);
    assert_eq!(ran.stdout, "without a test: others\n0 cases, 0 failed.\n");
    let ran = project.run(&["test", "poeple"]).code(1);
    assert!(ran.stderr.contains("there is no sync `poeple`") && ran.stderr.contains("`people`"), "{}", ran.stderr);
}

#[test]
fn json_and_junit_say_what_failed_and_where() {
    let project = with("upsert", FIELDS, "  - { name: 'a < b', rows: [ADA], expect: [{ key: 1, state: removed }] }\n");
    project.edit("tests/people.yaml", "ADA", ADA);
    let json = project.run(&["test", "--format", "json"]).code(1).json();
    let mismatch = &json["tests"][0]["cases"][0]["mismatches"][0];
    assert_eq!(mismatch["place"]["line"], Value::from(4));
    assert_eq!((&mismatch["expected"], &mismatch["got"]), (&Value::from("removed"), &Value::from("added")));
    let junit = project.run(&["test", "--format", "junit"]).code(1).stdout;
    assert!(junit.contains(r#"<testsuites name="syncline" tests="1" failures="1">"#), "{junit}");
    assert!(junit.contains(r#"name="a &lt; b" file="tests/people.yaml">"#), "{junit}");
    let python = "import sys, xml.dom.minidom as m; m.parseString(sys.stdin.buffer.read())";
    project.write("junit.xml", &junit);
    let file = std::fs::File::open(project.path("junit.xml")).expect("the report");
    let read = std::process::Command::new("python3").args(["-c", python]).stdin(file).output();
    if let Ok(read) = read {
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    }
}
