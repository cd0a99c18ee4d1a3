//! What only SQLite can do wrong.

use syncline::destinations::DestinationKind;
use syncline::destinations::{Action, Outcome, SendError};
use syncline::manifest::sync::Mode;
use syncline::mapping::Value;

use super::place::{Kind, Place, Rows, connect, run};
use super::records::{batch, change, field, operation, record, send, target};

/// A database file whose table is made by these statements.
fn database(sql: &str) -> (tempfile::TempDir, rusqlite::Connection, Box<dyn syncline::destinations::Destination>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.sqlite");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(sql).unwrap();
    let destination = connect(DestinationKind::Sqlite, serde_json::json!({ "path": path }));
    (folder, db, destination)
}

fn rows(db: &rusqlite::Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT email || ' ' || plan || ' ' || seats FROM users ORDER BY 1").unwrap();
    statement.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

const NO_INDEX: &str = "CREATE TABLE users (email TEXT COLLATE NOCASE, plan TEXT, seats INTEGER);";

#[tokio::test]
async fn no_index_is_needed_and_double_rows_are_left_alone() {
    let there = "INSERT INTO users VALUES ('one@x', 'free', 1), ('TWO@x', 'free', 2), ('two@X', 'free', 3);";
    let (_folder, db, destination) = database(&format!("{NO_INDEX}{there}"));
    let target = target("users", Mode::Mirror, serde_json::json!({}));
    let sends =
        vec![send("ONE@X", "gold 9"), send("two@x", "gold 9"), send("new@x", "gold 9"), send("NEW@x", "best 8")];
    let answer = run(&*destination, &target, &[batch(1, sends)]).await.unwrap();
    assert!(matches!(&answer[0][1], Outcome::Rejected { code, .. } if code == "multiple_match"), "{answer:?}");
    assert_eq!(rows(&db), ["TWO@x free 2", "new@x best 8", "one@x gold 9", "two@X free 3"]);
    let delete = operation(Action::Delete, record("two@x", "_ _"));
    let answer = run(&*destination, &target, &[batch(2, vec![delete])]).await.unwrap();
    assert!(matches!(&answer[0][0], Outcome::Rejected { code, .. } if code == "multiple_match"), "{answer:?}");
    assert_eq!(rows(&db).len(), 4);
}

#[tokio::test]
async fn a_large_table_without_index_is_read_once_a_batch() {
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
        INSERT INTO users SELECT 'u' || i || '@x', 'free', i FROM n;";
    let (_folder, db, destination) = database(&format!("{NO_INDEX}{fill}"));
    let sends = (1..=4000).map(|i| send(&format!("u{i}@x"), "gold 0")).collect();
    let started = std::time::Instant::now();
    let target = target("users", Mode::Update, serde_json::json!({}));
    run(&*destination, &target, &[batch(1, sends)]).await.unwrap();
    let gold: i64 = db.query_row("SELECT count(*) FROM users WHERE plan = 'gold'", [], |r| r.get(0)).unwrap();
    assert_eq!(gold, 4000);
    // Reading the table once for every record takes minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[tokio::test]
async fn tables_without_row_ids_and_with_columns_called_rowid() {
    for columns in
        ["rowid TEXT, email TEXT PRIMARY KEY, plan TEXT, seats INTEGER", "email TEXT PRIMARY KEY, plan, seats"]
    {
        for suffix in ["", "WITHOUT ROWID"] {
            let (_folder, db, destination) = database(&format!("CREATE TABLE users ({columns}) {suffix}"));
            let target = target("users", Mode::Upsert, serde_json::json!({}));
            for (id, words) in [(1, "free 1"), (2, "gold 2")] {
                run(&*destination, &target, &[batch(id, vec![send("a@x", words)])]).await.unwrap();
            }
            assert_eq!(rows(&db), ["a@x gold 2"]);
        }
    }
}

#[tokio::test]
async fn create_makes_file_table_and_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out/new.sqlite");
    let destination = connect(DestinationKind::Sqlite, serde_json::json!({ "path": path }));
    let plain = target("users", Mode::Upsert, serde_json::json!({}));
    let error = run(&*destination, &plain, &[]).await.unwrap_err();
    assert!(matches!(&error, SendError::Fatal { help: Some(help), .. } if help.contains("create: true")), "{error:?}");
    assert!(!path.exists(), "a missing file is not made by looking at it");

    let mut create = target("users", Mode::Upsert, serde_json::json!({ "create": true }));
    run(&*destination, &create, &[batch(1, vec![send("a@x", "free 1")])]).await.unwrap();
    create.fields.push(field("address.city", arrow_schema::DataType::Utf8));
    let mut with_city = send("a@x", "gold 2");
    change(&mut with_city, |fields| fields.push(Some(Value::Text("Berlin".into()))));
    run(&*destination, &create, &[batch(2, vec![with_city])]).await.unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    let schema: String = db.query_row("SELECT sql FROM sqlite_schema WHERE name = 'users'", [], |r| r.get(0)).unwrap();
    assert!(schema.contains(r#""seats" INTEGER"#) && schema.contains(r#"PRIMARY KEY ("email")"#), "{schema}");
    let city: String = db.query_row(r#"SELECT "address.city" FROM users"#, [], |r| r.get(0)).unwrap();
    assert_eq!((rows(&db), city.as_str()), (vec!["a@x gold 2".to_owned()], "Berlin"));
}

#[tokio::test]
async fn what_breaks_a_rule_of_the_schema_is_refused_with_sqlites_word() {
    let schema = "CREATE TABLE plans (name TEXT PRIMARY KEY); INSERT INTO plans VALUES ('free');
        CREATE TABLE users (email TEXT PRIMARY KEY, plan TEXT NOT NULL REFERENCES plans, seats INTEGER UNIQUE CHECK (seats < 100));
        INSERT INTO users VALUES ('there@x', 'free', 7);";
    let cases = [
        ("null 1", "SQLITE_CONSTRAINT_NOTNULL"),
        ("gold 1", "SQLITE_CONSTRAINT_FOREIGNKEY"),
        ("free 7", "SQLITE_CONSTRAINT_UNIQUE"),
        ("free 100", "SQLITE_CONSTRAINT_CHECK"),
    ];
    for (words, word) in cases {
        let (_folder, db, destination) = database(schema);
        let target = target("users", Mode::Upsert, serde_json::json!({}));
        let both = batch(1, vec![send("good@x", "free 50"), send("bad@x", words)]);
        let error = run(&*destination, &target, &[both]).await.unwrap_err();
        assert!(matches!(&error, SendError::Refused { code, .. } if code == word), "{words}: {error:?}");
        assert_eq!(rows(&db).len(), 1, "nothing of the batch is there");
        let answer = run(&*destination, &target, &[batch(2, vec![send("bad@x", words)])]).await.unwrap();
        assert!(matches!(&answer[0][0], Outcome::Rejected { code, .. } if code == word), "{words}: {answer:?}");
    }
}

#[tokio::test]
async fn no_other_row_is_replaced() {
    let (_folder, db, destination) = database(
        "CREATE TABLE users (email TEXT PRIMARY KEY, plan TEXT, seats INTEGER UNIQUE ON CONFLICT REPLACE);
         INSERT INTO users VALUES ('there@x', 'free', 7);",
    );
    let target = target("users", Mode::Upsert, serde_json::json!({}));
    let answer = run(&*destination, &target, &[batch(1, vec![send("new@x", "free 7")])]).await.unwrap();
    assert!(matches!(&answer[0][0], Outcome::Rejected { .. }), "{answer:?}");
    assert_eq!(rows(&db), ["there@x free 7"]);
}

#[tokio::test]
async fn a_locked_database_is_worth_another_try() {
    let place = Place::new(Kind::Sqlite).await.unwrap();
    let db = place.sqlite();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = place.run(Mode::Upsert, &[batch(1, vec![send("a@x", "free 1")])]).await.unwrap_err();
    assert!(matches!(error, SendError::Transient { .. }), "{error:?}");
    db.execute_batch("COMMIT").unwrap();
    place.run(Mode::Upsert, &[batch(1, vec![send("a@x", "free 1")])]).await.unwrap();
    assert_eq!(place.rows().await, Rows::from([("a@x".into(), "free 1".into())]));
}

#[tokio::test]
async fn numbers_keep_all_their_digits_or_are_rejected() {
    let (_folder, db, destination) = database("CREATE TABLE users (email TEXT PRIMARY KEY, plan TEXT, seats NUMERIC)");
    let target = target("users", Mode::Upsert, serde_json::json!({}));
    let with = |plan: &str, seats: &str| {
        let mut send = send("a@x", "_ _");
        let own = vec![Some(Value::Decimal(plan.into())), Some(Value::Decimal(seats.into()))];
        change(&mut send, |fields| *fields = own);
        send
    };
    run(&*destination, &target, &[batch(1, vec![with("12345678901234567890.12", "1234567890123456789")])])
        .await
        .unwrap();
    assert_eq!(rows(&db), ["a@x 12345678901234567890.12 1234567890123456789"]);
    let answer = run(&*destination, &target, &[batch(2, vec![with("1", "12345678901234567890.12")])]).await.unwrap();
    assert!(matches!(&answer[0][0], Outcome::Rejected { code, .. } if code == "rounded"), "{answer:?}");
}
