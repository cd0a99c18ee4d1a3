//! Rows whose records were deleted or changed by somebody else at the destination.

use serde_json::json;

use super::*;
use crate::mapping::Value;

/// Row, and what was found at the destination in fields that differ; `None` is no record.
type Seen<'s> = (usize, Option<&'s [(&'s str, &'s str)]>);

/// A state with the rows 1, 2 and 3, and what was found at the destination.
fn found(spec: &MappingSpec, drift: &[Seen<'_>]) -> World {
    let rows = [row(1, "free", 1), row(2, "free", 2), row(3, "free", 3)];
    let mut world = World::new();
    let first = world.diff(spec, &rows);
    world.apply(spec, &first);
    let mut known = Drift::default();
    for (id, there) in drift {
        let key = first.flat()[id - 1].key_hash;
        match there {
            None => known.gone(key),
            Some(fields) => {
                let fields = fields.iter().map(|(name, text)| ((*name).into(), Value::Text((*text).into())));
                known.differs(key, fields.collect());
            }
        }
    }
    world.options.drift = Some(Arc::new(known));
    world
}

#[test]
fn a_row_whose_record_is_gone_is_added_again_and_one_that_was_changed_is_changed_back() {
    let now = [row(1, "free", 1), row(2, "free", 2), row(3, "premium", 3), row(4, "free", 4)];
    /// Found at the destination, changes.
    type Case<'c> = (&'c [Seen<'c>], &'c [&'c str]);
    let cases: &[Case<'_>] = &[
        (&[], &[]),
        (&[(1, None)], &["added drift: - → 1,free,1"]),
        (&[(2, Some(&[("plan", "gold")]))], &["changed drift: 2,gold,2 → 2,free,2"]),
        (
            &[(1, None), (2, Some(&[("plan", "gold"), ("seats", "9")]))],
            &["added drift: - → 1,free,1", "changed drift: 2,gold,9 → 2,free,2"],
        ),
    ];
    // The row that has changed anyhow, and the new one.
    let others = ["changed data: 3,free,3 → 3,premium,3", "added data: - → 4,free,4"];
    for (drift, expected) in cases {
        for (threads, memory) in [(1, 64 << 20), (3, 1)] {
            let mut world = found(&plain(), drift);
            (world.options.threads, world.options.memory) = (threads, memory);
            let outcome = world.diff(&plain(), &now);
            let expected: Vec<&str> = expected.iter().chain(&others).copied().collect();
            assert_eq!(outcome.lines(), expected, "{drift:?}");
        }
    }
}

#[test]
fn of_a_row_that_changes_anyhow_the_change_is_shown_from_what_is_there() {
    let world = found(&plain(), &[(1, Some(&[("plan", "gold")])), (2, None)]);
    let outcome = world.diff(&plain(), &[row(1, "premium", 1), row(2, "premium", 2), row(3, "free", 3)]);
    assert_eq!(outcome.lines(), ["changed data: 1,gold,1 → 1,premium,1", "added drift: - → 2,premium,2"]);
}

#[test]
fn a_record_that_is_made_anew_has_the_fields_of_new_records() {
    let once = spec(json!({ "plan": { "column": "plan", "write": "if_added" }, "seats": "seats" }));
    let world = found(&once, &[(1, None), (2, Some(&[("seats", "9")]))]);
    let outcome = world.diff(&once, &[row(1, "free", 1), row(2, "free", 2), row(3, "free", 3)]);
    assert_eq!(outcome.lines(), ["added drift: - → 1,free,1", "changed drift: 2,9 → 2,omitted,2"]);
}

#[test]
fn what_somebody_does_to_fields_that_are_not_sent_any_more_is_no_change() {
    let world = found(&plain(), &[(1, Some(&[("seats", "9")])), (2, Some(&[("plan", "gold")]))]);
    let outcome =
        world.diff(&spec(json!({ "plan": "plan" })), &[row(1, "free", 1), row(2, "free", 2), row(3, "free", 3)]);
    assert_eq!(outcome.lines(), ["changed drift: 2,gold,2 → 2,free"]);
}

#[test]
fn what_the_destination_refused_stays_held_and_what_left_the_model_is_removed() {
    let mut world = found(&plain(), &[(1, None), (3, None)]);
    let refused = world.diff(&plain(), &[row(1, "bad", 1), row(2, "free", 2)]);
    assert_eq!(refused.lines(), ["added drift: - → 1,bad,1", "removed data: 3,free,3 → 3,free,3"]);
    let change = refused.flat()[0].clone();
    let held = HeldFor { row_hash: change.row_hash, mapping: None, other_way: false, reason: HeldReason::Rejected };
    world.held.insert(change.key_hash, held);
    let outcome = world.diff(&plain(), &[row(1, "bad", 1), row(2, "free", 2), row(3, "free", 3)]);
    assert_eq!(outcome.lines(), ["added drift: - → 3,free,3"]);
    assert_eq!(outcome.summary.held.rejected, 1);
}
