//! What merging keeps, and under which names.

use arrow_array::cast::AsArray;
use serde_json::json;

use super::*;

/// A model whose `plan` is a number.
fn numeric(rows: &[(i64, i64)]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)))),
        ("plan", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true))).unwrap()
}

#[test]
fn a_column_of_another_type_stands_beside_the_old_one() {
    let plan = spec(json!({ "plan": "plan" }));
    let mut world = World::after(&plan, &[row(1, "one", 0), row(2, "two", 0)]);
    let model = numeric(&[(1, 1), (2, 2), (3, 3)]);
    let mut outcome = world.try_diff(&plan, parts(vec![model.clone()])).unwrap();
    let expected = ["changed data: 1,one → 1,1", "changed data: 2,two → 2,2", "added data: - → 3,3"];
    assert_eq!(outcome.lines(), expected);
    // Only the first is acknowledged.
    outcome.batches[0].changes.truncate(1);
    outcome.batches[0].rows = outcome.batches[0].rows.slice(0, 1);
    let old = world.snapshot.take();
    world.snapshot = Some(world.merged(old.as_ref(), &plan, &model.schema(), &outcome.batches));
    let snapshot = world.snapshot.as_ref().unwrap();
    let names: Vec<&str> = snapshot.schema().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["_key_hash", "_row_hash", "_mapping", "id", "plan", "plan@2"]);
    assert_eq!(snapshot.meta().mappings.len(), 2, "the same mapping, of columns of two types");
    let outcome = world.try_diff(&plan, parts(vec![model])).unwrap();
    assert_eq!(outcome.lines(), ["changed data: 2,two → 2,2", "added data: - → 3,3"]);
}

#[test]
fn the_last_acknowledgement_of_a_key_counts() {
    let mut world = World::new();
    let first = world.diff(&plain(), &[row(1, "a", 1), row(2, "a", 2)]);
    let second = world.diff(&plain(), &[row(1, "b", 1), row(3, "b", 3)]);
    let mut gone = first.batches.clone();
    for change in gone.iter_mut().flat_map(|b| &mut b.changes) {
        change.state = RowState::Removed;
    }
    let schema = batch(&[]).schema();
    let in_order = |parts: &[&Vec<ChangeBatch>]| parts.iter().flat_map(|p| p.iter().cloned()).collect::<Vec<_>>();
    for memory in [64 << 20, 1] {
        world.options.memory = memory;
        world.snapshot = None;
        let merged = world.merged(None, &plain(), &schema, &in_order(&[&first.batches, &second.batches]));
        world.snapshot = Some(merged);
        assert!(world.diff(&plain(), &[row(1, "b", 1), row(2, "a", 2), row(3, "b", 3)]).lines().is_empty());
        let old = world.snapshot.take();
        world.snapshot = Some(world.merged(old.as_ref(), &plain(), &schema, &in_order(&[&second.batches, &gone])));
        assert!(world.diff(&plain(), &[row(3, "b", 3)]).lines().is_empty());
    }
    assert!(world.leftovers().is_empty());
}

#[test]
fn the_file_is_sorted_and_readable_by_anyone() {
    let rows: Vec<Row> = (0..5000).map(|i| row(i, "free", i)).collect();
    let world = World::after(&plain(), &rows);
    let snapshot = world.snapshot.as_ref().unwrap();
    assert_eq!(snapshot.rows(), 5000);
    let mut last = None;
    for batch in snapshot.batches().unwrap() {
        for key in snapshot::hashes(batch.unwrap().column(0)).unwrap() {
            assert!(last < Some(key));
            last = Some(key);
        }
    }
    let batch = snapshot.batches().unwrap().next().unwrap().unwrap();
    assert_eq!(batch.column_by_name("plan").unwrap().as_string::<i32>().value(0), "free");
}

#[test]
fn values_can_be_given_up_and_taken_up_again() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let nothing = world.diff(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    world.values = false;
    world.apply(&plain(), &nothing);
    let outcome = world.diff(&plain(), &[row(1, "x", 1), row(2, "free", 2)]);
    assert_eq!(outcome.lines(), ["changed data: ? → 1,x,1"]);
    world.values = true;
    world.apply(&plain(), &outcome);
    let outcome = world.diff(&plain(), &[row(1, "y", 1), row(2, "y", 2)]);
    assert_eq!(outcome.lines(), ["changed data: 1,x,1 → 1,y,1", "changed data: ? → 2,y,2"]);
}

#[test]
fn other_files_are_refused() {
    let world = World::new();
    let path = world.dir.path().join("x.parquet");
    assert!(Snapshot::open(&path).unwrap_err().to_string().contains("x.parquet"));
    std::fs::write(&path, b"no parquet").unwrap();
    assert!(Snapshot::open(&path).is_err());
}

#[test]
fn a_damaged_file_is_an_error_and_not_an_empty_state() {
    let rows: Vec<Row> = (0..500).map(|i| row(i, "free", i)).collect();
    let mut world = World::after(&plain(), &rows);
    let path = world.dir.path().join("1.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    // The page headers of the first column: what they describe is then nonsense.
    bytes[4..24].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    assert!(world.try_diff(&plain(), parts(vec![batch(&rows)])).is_err());
    bytes.truncate(length / 2);
    std::fs::write(&path, &bytes).unwrap();
    assert!(Snapshot::open(&path).is_err());
    world.snapshot = None;
}
