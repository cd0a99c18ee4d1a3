//! Laws that hold for all models, against an oracle that keeps everything in a map.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

/// Few keys, so that they meet; few plans, so that rows stay the same; now and then a null.
fn any_row() -> impl Strategy<Value = Row> {
    let id = prop_oneof![1 => Just(None), 30 => (0..40i64).prop_map(Some)];
    let plan = prop_oneof![1 => Just(None), 5 => "[a-b]{0,2}".prop_map(Some)];
    (id, plan, 0..2i64).prop_map(|(id, plan, seats)| Row(id, plan, seats))
}

fn any_model() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(any_row(), 0..60)
}

/// States by brute force: rows by key, those alone with their key against the acknowledged ones.
fn oracle(acknowledged: &HashMap<i64, Row>, model: &[Row]) -> (BTreeMap<i64, RowState>, [u64; 3]) {
    let mut by_key: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    let mut invalid = 0;
    for row in model {
        match row.0 {
            Some(id) => by_key.entry(id).or_default().push(row),
            None => invalid += 1,
        }
    }
    let (mut states, mut unchanged) = (BTreeMap::new(), 0);
    for (id, rows) in &by_key {
        match (rows.as_slice(), acknowledged.get(id)) {
            ([_], None) => drop(states.insert(*id, RowState::Added)),
            ([row], Some(old)) if *row == old => unchanged += 1,
            ([_], Some(_)) => drop(states.insert(*id, RowState::Changed)),
            (rows, _) => invalid += rows.len() as u64,
        }
    }
    for id in acknowledged.keys().filter(|id| !by_key.contains_key(id)) {
        states.insert(*id, RowState::Removed);
    }
    (states, [unchanged, invalid, by_key.len() as u64])
}

fn valid(model: &[Row]) -> HashMap<i64, Row> {
    let mut count: HashMap<i64, usize> = HashMap::new();
    model.iter().filter_map(|r| r.0).for_each(|id| *count.entry(id).or_default() += 1);
    model.iter().filter(|r| r.0.is_some_and(|id| count[&id] == 1)).map(|r| (r.0.unwrap(), r.clone())).collect()
}

fn states(outcome: &Outcome) -> BTreeMap<i64, RowState> {
    let id = |c: &Change| match c.record.as_ref().unwrap().matching[0] {
        crate::mapping::Value::Int(id) => id,
        ref other => panic!("{other:?}"),
    };
    outcome.changes().into_iter().map(|c| (id(c), c.state)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn states_are_those_of_the_oracle(before in any_model(), now in any_model()) {
        let world = World::after(&plain(), &before);
        let outcome = world.diff(&plain(), &now);
        let (expected, [unchanged, invalid, keys]) = oracle(&valid(&before), &now);
        prop_assert_eq!(states(&outcome), expected);
        prop_assert_eq!(outcome.summary.unchanged, unchanged);
        prop_assert_eq!(outcome.summary.invalid.iter().map(|i| i.count).sum::<u64>(), invalid);
        prop_assert_eq!(outcome.summary.keys, keys);
    }

    #[test]
    fn after_applying_nothing_is_left_to_do(before in any_model(), now in any_model()) {
        let mut world = World::after(&plain(), &before);
        let outcome = world.diff(&plain(), &now);
        world.apply(&plain(), &outcome);
        prop_assert!(world.diff(&plain(), &now).lines().is_empty());
    }

    #[test]
    fn the_order_of_rows_makes_no_difference_to_the_counts(
        before in any_model(),
        (now, shuffled) in any_model().prop_flat_map(|m| (Just(m.clone()), Just(m).prop_shuffle())),
    ) {
        let world = World::after(&plain(), &before);
        let (mut one, mut two) = (world.diff(&plain(), &now), world.diff(&plain(), &shuffled));
        prop_assert_eq!(states(&one), states(&two));
        // Rows without a key are named by their place.
        for invalid in one.summary.invalid.iter_mut().chain(&mut two.summary.invalid) {
            invalid.keys.retain(|key| !key.starts_with("row "));
        }
        prop_assert_eq!(one.summary, two.summary);
    }

    #[test]
    fn there_and_back_again(a in any_model(), b in any_model()) {
        // Rows that are invalid on one side stay as they were: only models without them come back.
        let (a, b) = (valid(&a).into_values().collect::<Vec<_>>(), valid(&b).into_values().collect::<Vec<_>>());
        let mut world = World::after(&plain(), &a);
        let there = world.diff(&plain(), &b);
        world.apply(&plain(), &there);
        let back = world.diff(&plain(), &a);
        prop_assert_eq!(there.summary.added, back.summary.removed);
        prop_assert_eq!(there.summary.removed, back.summary.added);
        prop_assert_eq!(there.summary.changed, back.summary.changed);
        world.apply(&plain(), &back);
        prop_assert!(world.diff(&plain(), &a).lines().is_empty());
    }

    #[test]
    fn threads_and_memory_make_no_difference(before in any_model(), now in any_model(), other in any::<bool>()) {
        let mut world = World::after(&plain(), &before);
        let spec = if other {
            spec(serde_json::json!({ "plan": { "column": "plan", "transform": "upper" } }))
        } else {
            plain()
        };
        let expected = world.diff(&spec, &now);
        for (threads, memory) in [(1, 64 << 20), (4, 64 << 20), (2, 600), (1, 64), (3, 1)] {
            world.options.threads = threads;
            world.options.memory = memory;
            let outcome = world.diff(&spec, &now);
            prop_assert_eq!(outcome.flat(), expected.flat(), "{} threads, {} bytes", threads, memory);
            prop_assert_eq!(&outcome.summary, &expected.summary);
            world.options.memory = memory;
        }
        prop_assert!(world.leftovers().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Rows of two mappings, held rows, rows in doubt, rows that cannot be mapped, with and without values.
    #[test]
    fn nothing_depends_on_threads_and_memory(
        (before, between, now) in (any_model(), any_model(), any_model()),
        (again, values, picky) in (0..3u8, any::<bool>(), any::<bool>()),
        (share, every) in (1..4usize, 2..5usize),
    ) {
        let upper = spec(serde_json::json!({ "plan": { "column": "plan", "transform": "upper" } }));
        let wide = spec(serde_json::json!({ "plan": "plan", "seats": "seats", "all": { "template": "{{ row.id }}" } }));
        let refuses = spec(serde_json::json!({ "phone": { "column": "plan", "transform": "e164" }, "seats": "seats" }));
        let mut world = World::new();
        world.values = values;
        let first = world.diff(&plain(), &before);
        world.apply(&plain(), &first);
        let mut second = world.diff(&upper, &between);
        for batch in &mut second.batches {
            let kept = batch.changes.len() / share;
            batch.changes.truncate(kept);
            batch.rows = batch.rows.slice(0, kept);
        }
        second.batches.retain(|batch| !batch.changes.is_empty());
        world.apply(&upper, &second);
        let now_spec = if picky { refuses } else { wide };
        let tried = world.diff(&now_spec, &now);
        for (i, change) in tried.changes().into_iter().enumerate().filter(|(i, _)| i % every == 0) {
            let reason = [HeldReason::Rejected, HeldReason::NoMatch, HeldReason::InDoubt][i % 3];
            let mapping = (i % 2 == 0).then(|| now_spec.digest());
            world.held.insert(change.key_hash, HeldFor { row_hash: change.row_hash, mapping, other_way: false, reason });
        }
        let mut lost = World::new().diff(&plain(), &between).batches;
        for batch in &mut lost {
            batch.changes.truncate(3);
            batch.rows = batch.rows.slice(0, batch.changes.len());
        }
        if !lost.is_empty() {
            world.doubt = Some(world.merged(None, &plain(), &batch(&[]).schema(), &lost));
        }
        (world.options.retry, world.options.full_refresh) = (again == 1, again == 2);
        let expected = world.diff(&now_spec, &now);
        let mut keys: Vec<Hash> = expected.changes().iter().map(|change| change.key_hash).collect();
        keys.sort_unstable();
        keys.dedup();
        prop_assert_eq!(keys.len(), expected.changes().len(), "one change a key");
        for (threads, memory) in [(1, 64 << 20), (4, 64 << 20), (2, 600), (3, 1)] {
            (world.options.threads, world.options.memory) = (threads, memory);
            let outcome = world.diff(&now_spec, &now);
            prop_assert_eq!(outcome.flat(), expected.flat(), "{} threads, {} bytes", threads, memory);
            prop_assert_eq!(&outcome.summary, &expected.summary);
        }
        prop_assert!(world.leftovers().is_empty());
    }
}

/// Enough rows to have several runs, pages and batches, in every part of the machine.
#[test]
fn large_models_spill_and_come_out_the_same() {
    let before: Vec<Row> = (0..30_000).map(|i| row(i, "free", i % 7)).collect();
    let now: Vec<Row> = (1_000..34_000)
        .map(|i| row(if i % 1_000 == 3 { i - 1 } else { i }, if i % 3 == 0 { "paid" } else { "free" }, i % 7))
        .collect();
    let mut world = World::new();
    world.options.memory = 100_000;
    let first = world.diff(&plain(), &before);
    world.apply(&plain(), &first);
    let small = world.diff(&plain(), &now);
    world.options.memory = 512 << 20;
    world.options.threads = 1;
    let large = world.diff(&plain(), &now);
    assert_eq!(small.summary, large.summary);
    assert!(small.flat() == large.flat());
    let (expected, [unchanged, invalid, _]) = oracle(&before.into_iter().map(|r| (r.0.unwrap(), r)).collect(), &now);
    assert!(states(&large) == expected);
    assert_eq!(large.summary.unchanged, unchanged);
    assert_eq!(large.summary.invalid[0].count, invalid);
    assert!(world.leftovers().is_empty());
}

/// Values as records have them: identifiers and fields of few names, some left out.
fn any_mapped() -> impl Strategy<Value = (MappingSpec, crate::mapping::Record)> {
    let value = || (0..3i64).prop_map(crate::mapping::Value::Int);
    let identifiers = prop::collection::btree_map("[ab]", value(), 1..3);
    let fields = prop::collection::vec(("[a-d]", prop::option::of(value())), 0..5);
    (identifiers, fields).prop_map(|(identifiers, fields)| {
        let fields: indexmap::IndexMap<_, _> = fields.into_iter().collect();
        let spec = MappingSpec {
            matching: identifiers.keys().map(|name| (name.clone(), "id".to_owned())).collect(),
            fields: fields.keys().map(|name| (name.clone(), serde_json::from_value("id".into()).unwrap())).collect(),
            ..plain()
        };
        let fields = fields.into_values().collect();
        (spec, crate::mapping::Record { matching: identifiers.into_values().collect(), fields })
    })
}

proptest! {
    /// What counts as changed is exactly what can be shown as changed.
    #[test]
    fn a_record_is_the_same_when_there_is_no_difference_to_show(then in any_mapped(), now in any_mapped()) {
        let schema = batch(&[]).schema();
        let compiled = |spec: &MappingSpec| Mapping::new(spec, &schema, "").unwrap();
        let before = crate::mapping::named(then.1.clone(), &compiled(&then.0));
        let shown = crate::mapping::differences(&before, &now.1, &compiled(&now.0));
        let same = super::super::mappings::Alignment::new(&then.0, &now.0).same(&then.1, &now.1);
        prop_assert_eq!(same, shown.is_empty(), "{:?}", shown);
    }
}
