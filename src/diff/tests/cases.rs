//! What becomes of single rows: one case a state.

use serde_json::json;

use super::*;

fn counts(o: &Outcome) -> [u64; 5] {
    let s = &o.summary;
    [s.rows, s.added, s.changed, s.removed, s.unchanged]
}

fn invalid(o: &Outcome) -> Vec<(String, Option<String>, u64, Vec<String>)> {
    let each = o.summary.invalid.iter();
    each.map(|i| (i.reason.clone(), i.field.clone(), i.count, i.keys.clone())).collect()
}

#[test]
fn the_first_run_adds_everything_and_the_second_nothing() {
    let rows = [row(1, "free", 1), row(2, "premium", 2)];
    let mut world = World::new();
    let first = world.diff(&plain(), &rows);
    assert_eq!(counts(&first), [2, 2, 0, 0, 0]);
    assert_eq!(first.lines(), ["added firstrun: - → 1,free,1", "added firstrun: - → 2,premium,2"]);
    world.apply(&plain(), &first);
    let second = world.diff(&plain(), &rows);
    assert_eq!(counts(&second), [2, 0, 0, 0, 2]);
    assert_eq!(second.summary.keys, 2);
    assert!(second.lines().is_empty());
}

#[test]
fn added_changed_and_removed_rows_come_with_old_and_new_values() {
    let world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2), row(3, "free", 3)]);
    let outcome = world.diff(&plain(), &[row(4, "free", 4), row(2, "premium", 2), row(1, "free", 1)]);
    assert_eq!(counts(&outcome), [3, 1, 1, 1, 1]);
    let expected =
        ["added data: - → 4,free,4", "changed data: 2,free,2 → 2,premium,2", "removed data: 3,free,3 → 3,free,3"];
    assert_eq!(outcome.lines(), expected);
    assert_eq!(outcome.flat()[2].row_hash, 0);
}

#[test]
fn a_change_that_maps_to_the_same_record_is_no_change() {
    let upper = spec(json!({ "plan": { "column": "plan", "transform": "lower" } }));
    let world = World::after(&upper, &[row(1, "free", 1)]);
    assert_eq!(counts(&world.diff(&upper, &[row(1, "FREE", 1)])), [1, 0, 0, 0, 1]);
    // A column the sync does not use makes no difference either.
    assert_eq!(counts(&world.diff(&upper, &[row(1, "free", 9)])), [1, 0, 0, 0, 1]);
}

#[test]
fn fields_sent_only_with_added_rows_never_make_a_change() {
    let once = spec(json!({ "plan": { "column": "plan", "write": "if_added" }, "seats": "seats" }));
    let world = World::after(&once, &[row(1, "free", 1)]);
    assert_eq!(counts(&world.diff(&once, &[row(1, "premium", 1)])), [1, 0, 0, 0, 1]);
    let outcome = world.diff(&once, &[row(1, "premium", 2)]);
    assert_eq!(outcome.lines(), ["changed data: 1,1 → 1,omitted,2"]);
}

#[test]
fn null_keys_are_counted_and_never_sent() {
    let world = World::after(&plain(), &[row(1, "free", 1)]);
    let outcome = world.diff(&plain(), &[row(1, "free", 1), Row(None, Some("free".into()), 1), Row(None, None, 2)]);
    assert_eq!(counts(&outcome), [3, 0, 0, 0, 1]);
    let named = ["row 2", "row 3"].map(str::to_owned).to_vec();
    assert_eq!(invalid(&outcome), [("null_key".to_owned(), None, 2, named)]);
    assert_eq!(outcome.summary.keys, 1);
}

#[test]
fn rows_without_a_key_are_named_by_their_place_in_the_whole_model() {
    // 40 rows in parts of 7: every third has no key.
    let rows: Vec<Row> = (1..=40).map(|n| Row((n % 3 != 0).then_some(n), None, n)).collect();
    let lowest: Vec<String> = (1..=10).map(|n| format!("row {}", n * 3)).collect();
    for (threads, memory) in [(1, 64 << 20), (3, 64 << 20), (2, 1)] {
        let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 1), row(4, "free", 1)]);
        (world.options.threads, world.options.memory) = (threads, memory);
        let outcome = world.try_diff(&plain(), parts(rows.chunks(7).map(batch).collect())).unwrap();
        assert_eq!(invalid(&outcome), [("null_key".to_owned(), None, 13, lowest.clone())], "{threads} {memory}");
    }
}

#[test]
fn all_rows_of_a_repeated_key_are_invalid_and_it_is_not_removed() {
    let world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2), row(3, "free", 3)]);
    // 1: the same twice; 2: once the same, once changed; 7: new, three times; 3: gone.
    let model = [1, 2, 7, 1, 2, 7, 7].iter().enumerate().map(|(i, id)| match (i, *id) {
        (4, id) => row(id, "premium", id),
        (_, id) => row(id, "free", id),
    });
    let outcome = world.diff(&plain(), &model.collect::<Vec<_>>());
    assert_eq!(counts(&outcome), [7, 0, 0, 1, 0]);
    let keys = ["1", "2", "7"].map(String::from).to_vec();
    assert_eq!(invalid(&outcome), [("duplicate_key".to_owned(), None, 7, keys)]);
    assert_eq!(outcome.lines(), ["removed data: 3,free,3 → 3,free,3"]);
    assert_eq!(outcome.summary.keys, 3);
}

#[test]
fn the_ten_lowest_keys_are_named() {
    let rows: Vec<Row> = (0..40).map(|i| row(i % 20, "free", i)).collect();
    let outcome = World::new().diff(&plain(), &rows);
    let keys = ["0", "1", "10", "11", "12", "13", "14", "15", "16", "17"].map(String::from).to_vec();
    assert_eq!(invalid(&outcome), [("duplicate_key".to_owned(), None, 40, keys)]);
}

#[test]
fn rows_that_cannot_be_mapped_are_invalid_and_not_removed() {
    let number = spec(json!({ "plan": { "column": "plan", "transform": "integer" } }));
    let world = World::after(&number, &[row(1, "1", 1), row(2, "2", 2)]);
    let outcome = world.diff(&number, &[row(1, "one", 1), row(2, "2", 2), row(3, "three", 3)]);
    assert_eq!(counts(&outcome), [3, 0, 0, 0, 1]);
    let keys = ["1", "3"].map(String::from).to_vec();
    assert_eq!(invalid(&outcome), [("unmappable".to_owned(), Some("plan".to_owned()), 2, keys)]);
}

#[test]
fn a_null_identifier_is_invalid() {
    let mut spec = plain();
    spec.matching = [("plan".to_owned(), "plan".to_owned())].into_iter().collect();
    let outcome = World::new().diff(&spec, &[Row(Some(1), None, 1), row(2, "free", 2)]);
    assert_eq!(counts(&outcome), [2, 1, 0, 0, 0]);
    assert_eq!(invalid(&outcome), [("null_match".to_owned(), Some("plan".to_owned()), 1, vec!["1".to_owned()])]);
}

#[test]
fn the_other_parts_of_a_null_key_are_named() {
    let mut spec = plain();
    spec.primary_key = vec!["id".into(), "plan".into()];
    let outcome = World::new().diff(&spec, &[Row(Some(7), None, 1)]);
    assert_eq!(invalid(&outcome), [("null_key".to_owned(), None, 1, vec!["[7,null]".to_owned()])]);
}

#[test]
fn a_read_that_breaks_off_ends_the_diff_and_removes_nothing() {
    let world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let error = world.try_diff(&plain(), vec![broken(&[row(1, "free", 1)])]).unwrap_err();
    assert!(matches!(error, DiffError::Source(_)), "{error:?}");
    assert_eq!(crate::diagnostic::Error::from(error).to_string(), "connection lost");
    assert!(world.leftovers().is_empty());
}

#[test]
fn an_empty_model_removes_everything() {
    let world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    assert_eq!(counts(&world.diff(&plain(), &[])), [0, 0, 0, 2, 0]);
}

#[test]
fn another_key_is_refused() {
    let world = World::after(&plain(), &[row(1, "free", 1)]);
    let mut other = plain();
    other.primary_key = vec!["plan".into()];
    let error = world.try_diff(&other, parts(vec![batch(&[row(1, "free", 1)])])).unwrap_err();
    let DiffError::KeyChanged { before, now } = &error else { panic!("{error:?}") };
    assert_eq!(before, &[("id".to_owned(), "integer".to_owned())]);
    assert_eq!(now, &[("plan".to_owned(), "text".to_owned())]);
    assert!(crate::diagnostic::Error::from(error).help().unwrap().contains("--rekey"));
}

#[test]
fn held_rows_wait_until_they_change_or_are_retried() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let model = [row(1, "bad", 1), row(3, "bad", 3)];
    let tried = world.diff(&plain(), &model);
    let reasons = [HeldReason::Rejected, HeldReason::NoMatch, HeldReason::InDoubt];
    let held = |(c, reason): (&&Change, _)| {
        (c.key_hash, HeldFor { row_hash: c.row_hash, mapping: Some(plain().digest()), other_way: false, reason })
    };
    world.held = tried.changes().iter().zip(reasons).map(held).collect();
    let outcome = world.diff(&plain(), &model);
    assert_eq!(counts(&outcome), [2, 0, 0, 0, 2]);
    assert_eq!(outcome.summary.held, HeldCounts { rejected: 1, no_match: 1, in_doubt: 1 });
    let outcome = world.diff(&plain(), &[row(1, "better", 1), row(3, "bad", 3)]);
    assert_eq!(outcome.lines(), ["changed data: 1,free,1 → 1,better,1"]);
    world.options.retry = true;
    let outcome = world.diff(&plain(), &model);
    let expected =
        ["changed retry: 1,free,1 → 1,bad,1", "added retry: - → 3,bad,3", "removed data: 2,free,2 → 2,free,2"];
    assert_eq!(outcome.lines(), expected);
}

#[test]
fn rows_in_doubt_are_always_sent_again() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2), row(3, "free", 3)]);
    let lost = World::new().diff(&plain(), &[row(1, "free", 1), row(8, "free", 8), row(9, "free", 9), row(3, "x", 3)]);
    world.doubt = Some(world.merged(None, &plain(), &batch(&[]).schema(), &lost.batches));
    let outcome = world.diff(&plain(), &[row(1, "free", 1), row(8, "free", 8), row(2, "free", 2)]);
    assert_eq!(counts(&outcome), [3, 1, 1, 2, 1]);
    assert_eq!(outcome.lines()[..2], ["changed doubt: ? → 1,free,1", "added doubt: ? → 8,free,8"]);
    let mut removed = outcome.lines()[2..].to_vec();
    removed.sort();
    assert_eq!(removed, ["removed doubt: ? → 3,x,3", "removed doubt: ? → 9,free,9"]);
}

#[test]
fn a_row_that_was_refused_while_an_earlier_one_is_in_doubt_waits_until_it_changes() {
    let mut world = World::after(&plain(), &[row(1, "free", 1)]);
    let lost = World::new().diff(&plain(), &[row(1, "lost", 1)]);
    world.doubt = Some(world.merged(None, &plain(), &batch(&[]).schema(), &lost.batches));
    let refused = [row(1, "bad", 1)];
    let tried = world.diff(&plain(), &refused);
    let reason = HeldReason::Rejected;
    let held = |c: &crate::diff::Change| {
        (c.key_hash, HeldFor { row_hash: c.row_hash, mapping: None, other_way: false, reason })
    };
    world.held = tried.changes().iter().map(|c| held(c)).collect();
    assert_eq!(world.diff(&plain(), &refused).lines(), Vec::<String>::new());
    // Back at what was last acknowledged: whether the lost one arrived is not known, so it is sent.
    assert_eq!(world.diff(&plain(), &[row(1, "free", 1)]).lines(), ["changed doubt: ? → 1,free,1"]);
}

#[test]
fn a_full_refresh_sends_every_row() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    world.options.full_refresh = true;
    let outcome = world.diff(&plain(), &[row(1, "free", 1), row(2, "new", 2)]);
    assert_eq!(outcome.lines(), ["changed retry: 1,free,1 → 1,free,1", "changed data: 2,free,2 → 2,new,2"]);
}

#[test]
fn another_mapping_makes_another_payload_which_is_not_held() {
    let mut world = World::after(&plain(), &[row(1, "free", 1)]);
    let model = [row(1, "bad", 1), row(2, "bad", 2), row(3, "bad", 3)];
    let tried = world.diff(&plain(), &model);
    let reasons = [HeldReason::Rejected, HeldReason::NoMatch, HeldReason::InDoubt];
    let held = |(c, reason): (&&Change, _)| {
        (c.key_hash, HeldFor { row_hash: c.row_hash, mapping: Some(plain().digest()), other_way: false, reason })
    };
    world.held = tried.changes().iter().zip(reasons).map(held).collect();
    assert_eq!(counts(&world.diff(&plain(), &model)), [3, 0, 0, 0, 3]);
    let upper = spec(serde_json::json!({ "plan": { "column": "plan", "transform": "upper" }, "seats": "seats" }));
    let outcome = world.diff(&upper, &model);
    assert_eq!(outcome.lines(), ["changed data: 1,free,1 → 1,BAD,1", "added configuration: - → 2,BAD,2"]);
    assert_eq!(outcome.summary.held, HeldCounts { in_doubt: 1, ..HeldCounts::default() });
    let reordered = spec(serde_json::json!({ "seats": "seats", "plan": "plan" }));
    assert_eq!(counts(&world.diff(&reordered, &model)), [3, 0, 0, 0, 3]);
}

#[test]
fn a_removal_in_doubt_is_done_with_what_the_state_has() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let mut gone = world.diff(&plain(), &[row(1, "free", 1)]).batches;
    for change in gone.iter_mut().flat_map(|b| &mut b.changes) {
        assert_eq!((change.state, change.row_hash), (RowState::Removed, 0));
        // Among the rows in doubt it is put, not removed.
        change.state = RowState::Changed;
    }
    // The run had another mapping, which the columns of the old row do not fit.
    let wide = spec(serde_json::json!({ "plan": "plan", "seats": "seats", "more": { "template": "{{ row.id }}" } }));
    world.doubt = Some(world.merged(None, &wide, &batch(&[]).schema(), &gone));
    let outcome = world.diff(&wide, &[row(1, "free", 1)]);
    assert_eq!(outcome.lines(), ["changed configuration: 1,free,1 → 1,free,1,1", "removed doubt: ? → 2,free,2"]);
}
