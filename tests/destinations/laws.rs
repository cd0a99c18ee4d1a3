//! Laws that hold for every destination, whatever the records.

use mysql_async::prelude::Queryable;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use syncline::destinations::{Action, Operation};
use syncline::manifest::sync::Mode;

use super::place::{Kind, Place, Rows};
use super::records::{batch, operation, record};

/// Sends, clears and deletes of a handful of records.
fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let plan = prop_oneof![Just("null"), Just("_"), Just("free"), Just("gold")];
    let seats = prop_oneof![Just("null".to_owned()), Just("_".to_owned()), (0..3_i64).prop_map(|n| n.to_string())];
    let one = (0..6_u8, plan, seats).prop_map(|(who, plan, seats)| {
        operation(Action::Send, record(&format!("u{who}@x"), &format!("{plan} {seats}")))
    });
    prop::collection::vec(one, 0..12)
}

/// What the rows should be after upserts, by the plainest possible model.
fn expected(rows: &mut Rows, operations: &[Operation]) {
    use syncline::mapping::Value;
    for operation in operations {
        let Value::Text(email) = &operation.record.matching[0] else { panic!("emails are texts") };
        let row = rows.entry(email.to_string()).or_insert_with(|| "null null".into());
        let mut words: Vec<String> = row.split(' ').map(str::to_owned).collect();
        for (word, value) in words.iter_mut().zip(&operation.record.fields) {
            match value {
                None => {}
                Some(Value::Null) => *word = "null".into(),
                Some(Value::Int(n)) => *word = n.to_string(),
                Some(Value::Text(text)) => *word = text.to_string(),
                Some(other) => panic!("unexpected {other:?}"),
            }
        }
        *row = words.join(" ");
    }
}

/// Something that changes whenever a row is written, even with the same values.
async fn fingerprint(place: &Place) -> String {
    match place.kind {
        Kind::Sqlite => {
            let count = "SELECT count(*) FROM sqlite_schema WHERE name = 'writes'";
            let db = place.sqlite();
            if db.query_row(count, [], |r| r.get::<_, i64>(0)).unwrap() == 0 {
                db.execute_batch(
                    "CREATE TABLE writes (n);
                     CREATE TRIGGER u AFTER UPDATE ON users BEGIN INSERT INTO writes VALUES (1); END;
                     CREATE TRIGGER i AFTER INSERT ON users BEGIN INSERT INTO writes VALUES (1); END;",
                )
                .unwrap();
            }
            db.query_row("SELECT count(*) FROM writes", [], |r| r.get::<_, i64>(0)).unwrap().to_string()
        }
        Kind::Postgres => {
            let sql = "SELECT coalesce(string_agg(xmin::text || ctid::text, ' ' ORDER BY email), '') FROM users";
            place.postgres().query_one(sql, &[]).await.unwrap().get(0)
        }
        Kind::Mysql => {
            let mut connection = place.mysql().await;
            let known: Option<String> = connection.query_first("SHOW TABLES LIKE 'writes'").await.unwrap();
            if known.is_none() {
                connection
                    .query_drop(
                        "CREATE TABLE writes (n int);
                         CREATE TRIGGER u AFTER UPDATE ON users FOR EACH ROW INSERT INTO writes VALUES (1);
                         CREATE TRIGGER i AFTER INSERT ON users FOR EACH ROW INSERT INTO writes VALUES (1);",
                    )
                    .await
                    .unwrap();
            }
            let count: Option<i64> = connection.query_first("SELECT count(*) FROM writes").await.unwrap();
            count.unwrap().to_string()
        }
        _ => {
            use std::os::unix::fs::MetadataExt;
            let file = place.file();
            format!("{} {:?}", std::fs::metadata(&file).unwrap().ino(), std::fs::read(&file).unwrap())
        }
    }
}

#[test]
fn upserting_twice_writes_nothing_the_second_time() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for kind in Kind::ALL {
        let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
        let law = |(before, operations): (Vec<Operation>, Vec<Operation>)| {
            runtime.block_on(async {
                let Some(place) = Place::new(kind).await else { return Ok(()) };
                // Two operations on one record could undo each other each time: only the last one counts here.
                let mut seen = std::collections::HashSet::new();
                let mut last: Vec<_> =
                    operations.iter().rev().filter(|o| seen.insert(o.key.clone())).cloned().collect();
                last.reverse();
                place.run(Mode::Upsert, &[batch(1, before.clone())]).await.unwrap();
                place.run(Mode::Upsert, &[batch(2, last.clone())]).await.unwrap();
                let mut rows = Rows::new();
                expected(&mut rows, &before);
                expected(&mut rows, &last);
                prop_assert_eq!(place.rows().await, rows.clone());
                let first = fingerprint(&place).await;
                place.run(Mode::Upsert, &[batch(3, last)]).await.unwrap();
                prop_assert_eq!(fingerprint(&place).await, first);
                prop_assert_eq!(place.rows().await, rows);
                Ok(())
            })
        };
        runner.run(&(operations(), operations()), law).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
    }
}

#[test]
fn batches_may_be_cut_anywhere() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for kind in Kind::ALL {
        let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
        let law = |(operations, cut): (Vec<Operation>, usize)| {
            runtime.block_on(async {
                let (Some(whole), Some(parts)) = (Place::new(kind).await, Place::new(kind).await) else {
                    return Ok(());
                };
                let (first, second) = operations.split_at(cut.min(operations.len()));
                whole.run(Mode::Upsert, &[batch(1, operations.clone())]).await.unwrap();
                parts.run(Mode::Upsert, &[batch(1, first.to_vec()), batch(2, second.to_vec())]).await.unwrap();
                prop_assert_eq!(whole.rows().await, parts.rows().await);
                Ok(())
            })
        };
        runner.run(&(operations(), 0..12_usize), law).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
    }
}
