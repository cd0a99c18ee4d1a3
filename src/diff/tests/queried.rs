//! The different keys of a model, as they are written down for the monthly count.

use super::*;

/// The heads of the keys of these rows, as a first run names them.
fn heads(rows: &[Row]) -> Vec<u64> {
    let mut heads: Vec<u64> =
        World::new().diff(&plain(), rows).changes().iter().map(|change| (change.key_hash >> 64) as u64).collect();
    heads.sort_unstable();
    heads
}

fn written(path: &std::path::Path) -> Vec<u64> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks(8).map(|head| u64::from_be_bytes(head.try_into().unwrap())).collect()
}

#[test]
fn every_key_is_written_once_whatever_became_of_its_row() {
    let known: Vec<Row> = (0..3000).map(|id| row(id, "free", id)).collect();
    // Rows that are gone, the same, changed and new.
    let distinct: Vec<Row> = (500..4000).map(|id| row(id, if id % 7 == 0 { "premium" } else { "free" }, id)).collect();
    let mut model = distinct.clone();
    model.extend([row(600, "free", 1), row(3500, "free", 1), Row(None, Some("free".into()), 1)]);
    for (name, memory) in [("in memory", 64 << 20), ("in slices and files", 1)] {
        let mut world = World::after(&plain(), &known);
        world.options.memory = memory;
        let path = world.dir.path().join("keys");
        world.options.queried = Some(path.clone());
        let outcome = world.diff(&plain(), &model);
        let keys = written(&path);
        assert!(keys.is_sorted_by(|a, b| a < b), "{name}");
        assert_eq!(keys, heads(&distinct), "{name}");
        assert_eq!(keys.len() as u64, outcome.summary.keys, "{name}");
    }
}

#[test]
fn a_first_run_and_an_empty_model_write_what_there_is() {
    let mut world = World::new();
    let path = world.dir.path().join("keys");
    world.options.queried = Some(path.clone());
    let rows = [row(2, "free", 1), row(1, "free", 1), row(2, "free", 1)];
    world.diff(&plain(), &rows);
    assert_eq!(written(&path), heads(&rows[..2]));
    world.diff(&plain(), &[]);
    assert_eq!(written(&path), Vec::<u64>::new());
}
