//! When the mapping changes: whose doing each difference is.

use serde_json::json;

use super::*;

#[test]
fn exactly_the_records_that_differ_are_changed_by_the_configuration() {
    let world = World::after(&plain(), &[row(1, "free", 1), row(2, "FREE", 2), row(3, "free", 3)]);
    let lower = spec(json!({ "plan": { "column": "plan", "transform": "lower" }, "seats": "seats" }));
    let outcome = world.diff(&lower, &[row(1, "free", 1), row(2, "FREE", 2), row(3, "premium", 3), row(4, "free", 4)]);
    let expected = [
        "changed configuration: 2,FREE,2 → 2,free,2",
        "changed data: 3,free,3 → 3,premium,3",
        "added data: - → 4,free,4",
    ];
    assert_eq!(outcome.lines(), expected);
    assert_eq!(outcome.summary.unchanged, 1);
}

#[test]
fn when_the_run_began_makes_no_row_changed() {
    let stamped = spec(json!({ "plan": { "template": "{{ row.plan }} at {{ run.started_at }}" }, "seats": "seats" }));
    let mut world = World::after(&stamped, &[row(1, "free", 1), row(2, "free", 2)]);
    world.options.started_at = "2026-02-02T00:00:00Z".into();
    let outcome = world.diff(&stamped, &[row(1, "free", 1), row(2, "premium", 2)]);
    let expected = "changed data: 2,free at 2026-02-02T00:00:00Z,2 → 2,premium at 2026-02-02T00:00:00Z,2";
    assert_eq!(outcome.lines(), [expected]);
    assert_eq!(outcome.summary.unchanged, 1);
}

#[test]
fn the_order_of_fields_is_no_difference() {
    let world = World::after(&plain(), &[row(1, "free", 1)]);
    let other = spec(json!({ "seats": "seats", "plan": "plan" }));
    assert_eq!(world.diff(&other, &[row(1, "free", 1)]).summary.unchanged, 1);
}

#[test]
fn a_new_column_is_the_configurations_doing_and_gone_columns_are_too() {
    let narrow = spec(json!({ "plan": "plan" }));
    let world = World::after(&narrow, &[row(1, "free", 1), row(2, "free", 2)]);
    let outcome = world.diff(&plain(), &[row(1, "free", 1), row(2, "premium", 2)]);
    let expected = ["changed configuration: 1,free → 1,free,1", "changed data: 2,free → 2,premium,2"];
    assert_eq!(outcome.lines(), expected);

    let world = World::after(&plain(), &[row(1, "free", 1)]);
    let outcome = world.diff(&narrow, &[row(1, "premium", 1)]);
    assert_eq!(outcome.lines(), ["changed configuration: 1,free,1 → 1,premium"]);
}

#[test]
fn rows_of_several_mappings_stand_side_by_side() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let narrow = spec(json!({ "level": "plan" }));
    let mut outcome = world.diff(&narrow, &[row(1, "free", 1), row(2, "free", 2)]);
    assert_eq!(outcome.lines().len(), 2);
    // Only the first record gets through.
    for batch in &mut outcome.batches {
        batch.changes.truncate(1);
        batch.rows = batch.rows.slice(0, 1);
    }
    outcome.batches.truncate(1);
    world.apply(&narrow, &outcome);
    assert_eq!(world.snapshot.as_ref().unwrap().meta().mappings.len(), 2);
    let outcome = world.diff(&narrow, &[row(1, "free", 1), row(2, "free", 2)]);
    assert_eq!(outcome.lines(), ["changed configuration: 2,free,2 → 2,free"]);
    let mut gone = world.diff(&narrow, &[]).lines();
    gone.sort();
    assert_eq!(gone, ["removed data: 1,free → 1,free", "removed data: 2,free,2 → 2,free,2"]);
    let outcome = world.diff(&narrow, &[row(1, "free", 1), row(2, "free", 2)]);
    world.apply(&narrow, &outcome);
    assert_eq!(world.snapshot.as_ref().unwrap().meta().mappings.len(), 1);
    assert!(world.diff(&narrow, &[row(1, "free", 1), row(2, "free", 2)]).lines().is_empty());
}

#[test]
fn fingerprints_say_unknown_and_never_none() {
    let mut world = World::new();
    world.values = false;
    let first = world.diff(&plain(), &[row(1, "free", 1), row(2, "free", 2), row(3, "free", 3)]);
    world.apply(&plain(), &first);
    let schema = world.snapshot.as_ref().unwrap().schema().clone();
    assert_eq!(schema.fields().len(), 3, "no values are kept");

    let outcome = world.diff(&plain(), &[row(1, "free", 1), row(2, "premium", 2)]);
    assert_eq!(outcome.lines(), ["changed data: ? → 2,premium,2", "removed data: ? → ?"]);
    // Another mapping of the same columns.
    let lower = spec(json!({ "plan": { "column": "plan", "transform": "lower" }, "seats": "seats" }));
    let outcome = world.diff(&lower, &[row(1, "free", 1), row(2, "premium", 2), row(3, "free", 3)]);
    let expected =
        ["changed configuration: ? → 1,free,1", "changed data: ? → 2,premium,2", "changed configuration: ? → 3,free,3"];
    assert_eq!(outcome.lines(), expected);
    // Other columns: the fingerprints say nothing about them.
    let narrow = spec(json!({ "plan": "plan" }));
    let outcome = world.diff(&narrow, &[row(1, "free", 1), row(2, "x", 2), row(3, "free", 3)]);
    assert!(outcome.lines().iter().all(|line| line.starts_with("changed configuration: ?")));
    assert_eq!(outcome.summary.changed, 3);
}

/// Rows of two mappings stand side by side in the state, in no order: a batch each would be one a row.
#[test]
fn removed_rows_of_several_mappings_come_in_few_batches() {
    let rows: Vec<Row> = (0..2000).map(|i| row(i, "free", i)).collect();
    let mut world = World::after(&plain(), &rows);
    let narrow = spec(json!({ "level": "plan" }));
    let outcome = world.diff(&narrow, &rows);
    let half = Outcome {
        batches: outcome
            .batches
            .iter()
            .map(|b| ChangeBatch {
                rows: b.rows.slice(0, b.changes.len() / 2),
                changes: b.changes[..b.changes.len() / 2].to_vec(),
            })
            .collect(),
        ..outcome
    };
    world.apply(&narrow, &half);
    let gone = world.diff(&narrow, &[]);
    assert_eq!(gone.summary.removed, 2000);
    assert!(gone.batches.len() <= 2, "{} batches", gone.batches.len());
}

/// How many rows of the state have each number in `_mapping`.
fn numbers(world: &World) -> Vec<usize> {
    let mut counts = std::collections::BTreeMap::new();
    for batch in world.snapshot.as_ref().unwrap().batches().unwrap() {
        let batch = batch.unwrap();
        snapshot::numbers(batch.column(2)).unwrap().iter().for_each(|number| *counts.entry(*number).or_default() += 1);
    }
    counts.into_values().collect()
}

#[test]
fn rows_whose_record_stayed_the_same_count_as_sent_with_the_new_mapping() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free ", 2), row(3, "free", 3)]);
    let trimmed = spec(json!({ "plan": { "column": "plan", "transform": "trim" }, "seats": "seats" }));
    let rows = [row(1, "free", 1), row(2, "free ", 2), row(3, "free", 4)];
    let mut outcome = world.diff(&trimmed, &rows);
    let padded = "changed configuration: 2,free ,2 → 2,free,2";
    assert_eq!(outcome.lines(), [padded, "changed data: 3,free,3 → 3,free,4"]);
    assert_eq!(outcome.summary.unchanged, 1);
    // Only the second change gets through.
    outcome.batches[0].changes.remove(0);
    outcome.batches[0].rows = outcome.batches[0].rows.slice(1, 1);
    world.apply(&trimmed, &outcome);
    assert_eq!(numbers(&world), [1, 2], "the row that is still to be sent keeps its mapping");
    let outcome = world.diff(&trimmed, &rows);
    assert_eq!(outcome.lines(), [padded]);
    world.apply(&trimmed, &outcome);
    assert_eq!(numbers(&world), [3]);
    assert!(world.diff(&trimmed, &rows).lines().is_empty());
}

#[test]
fn a_field_that_is_not_sent_any_more_changes_no_record_and_is_remembered() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let narrow = spec(json!({ "plan": "plan" }));
    let outcome = world.diff(&narrow, &[row(1, "free", 9), row(2, "free", 2), row(3, "free", 3)]);
    assert_eq!(outcome.lines(), ["added data: - → 3,free"], "the number of seats is not used any more");
    world.apply(&narrow, &outcome);
    assert_eq!(numbers(&world), [2, 1]);
    let outcome = world.diff(&plain(), &[row(1, "free", 1), row(2, "free", 9), row(3, "free", 3)]);
    let expected = ["changed data: 2,free,2 → 2,free,9", "changed configuration: 3,free → 3,free,3"];
    assert_eq!(outcome.lines(), expected);

    // With the remaining field made in another way, the record differs although nothing else does.
    let loud = spec(json!({ "plan": { "template": "{{ row.plan }}!" } }));
    let outcome = world.diff(&loud, &[row(1, "free", 1), row(2, "premium", 9), row(3, "free", 3)]);
    let expected = [
        "changed configuration: 1,free,1 → 1,free!",
        "changed configuration: 2,free,2 → 2,premium!",
        "changed configuration: 3,free → 3,free!",
    ];
    assert_eq!(outcome.lines(), expected);
}

#[test]
fn held_rows_stay_held_when_the_mapping_changes_without_changing_them() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let rows = [row(1, "free", 1), row(2, "free", 2)];
    let hash = |outcome: &Outcome| outcome.changes().iter().map(|c| (c.key_hash, c.row_hash)).collect::<Vec<_>>();
    world.options.full_refresh = true;
    let known = hash(&world.diff(&plain(), &rows));
    world.options.full_refresh = false;
    world.held.insert(
        known[0].0,
        HeldFor { row_hash: known[0].1, mapping: None, other_way: false, reason: HeldReason::InDoubt },
    );
    let other = spec(json!({ "plan": { "column": "plan", "transform": "trim" }, "seats": "seats" }));
    let outcome = world.diff(&other, &rows);
    assert!(outcome.lines().is_empty());
    assert_eq!((outcome.summary.unchanged, outcome.summary.held.in_doubt), (2, 1));
}
