//! Values that could not be read: their row is invalid, whatever it was before, and nothing else changes.

use super::*;
use crate::sources::{Batch, BatchReader, Flaw, Unreadable};

const INFINITE: Unreadable = Unreadable::new("an infinite date", "write `nullif(COLUMN, 'infinity') as COLUMN`");
const NOT_UTF8: Unreadable = Unreadable::new("text that is not UTF-8", "correct it");

struct Given(std::vec::IntoIter<Batch>, arrow_schema::SchemaRef);

impl Iterator for Given {
    type Item = Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

impl BatchReader for Given {
    fn schema(&self) -> arrow_schema::SchemaRef {
        self.1.clone()
    }
}

/// Rows, and which of them cannot be read in which column: a null, as a reader leaves it.
type Flawed<'a> = (Row, &'a [(&'a str, Unreadable)]);

/// The rows in batches of two, in two parts.
fn model(rows: &[Flawed<'_>]) -> Vec<BatchStream> {
    let schema = batch(&[]).schema();
    let one = |rows: &[Flawed<'_>]| {
        let flaw = |row: usize, (name, why): &(&str, Unreadable)| Flaw {
            row,
            column: schema.index_of(name).unwrap(),
            why: *why,
        };
        let flaws = rows.iter().enumerate().flat_map(|(at, (_, flaws))| flaws.iter().map(move |f| flaw(at, f)));
        let plain: Vec<Row> = rows.iter().map(|(row, _)| row.clone()).collect();
        Batch { rows: batch(&plain), flaws: flaws.collect() }
    };
    let parts = rows.chunks(rows.len().div_ceil(2).max(1));
    let stream = |part: &[Flawed<'_>]| -> BatchStream {
        Box::new(Given(part.chunks(2).map(one).collect::<Vec<_>>().into_iter(), schema.clone()))
    };
    parts.map(stream).collect()
}

fn good(id: i64, plan: &str, seats: i64) -> Flawed<'static> {
    (row(id, plan, seats), &[])
}

/// A row whose plan cannot be read.
fn bad(id: i64, seats: i64) -> Flawed<'static> {
    (Row(Some(id), None, seats), &[("plan", NOT_UTF8)])
}

/// `reason field: message count [keys]`
fn invalid(outcome: &Outcome) -> Vec<String> {
    let field = |i: &Invalid| i.field.as_ref().map_or(String::new(), |field| format!(" {field}"));
    let one = |i: &Invalid| {
        format!("{}{}: {} {} {:?}", i.reason, field(i), i.message.as_deref().unwrap_or_default(), i.count, i.keys)
    };
    outcome.summary.invalid.iter().map(one).collect()
}

/// The diff, in memory that holds everything and in memory that makes it slice and spill: the same.
fn diffed(world: &mut World, spec: &MappingSpec, rows: &[Flawed<'_>]) -> Outcome {
    let roomy = world.try_diff(spec, model(rows)).unwrap();
    world.options.memory = 1;
    let tight = world.try_diff(spec, model(rows)).unwrap();
    world.options.memory = 64 << 20;
    assert_eq!((&roomy.summary, roomy.flat()), (&tight.summary, tight.flat()));
    let s = &roomy.summary;
    let invalid: u64 = s.invalid.iter().map(|i| i.count).sum();
    assert_eq!(s.rows, s.added + s.changed + s.unchanged + invalid, "{s:?}");
    roomy
}

const PLAN: &str = "unmappable plan: column `plan` holds text that is not UTF-8; correct it";

/// The name, the rows, the changes, what is invalid.
type Case<'a> = (&'a str, Vec<Flawed<'a>>, &'a [&'a str], Vec<String>);

#[test]
fn a_row_with_a_flaw_is_invalid_whatever_it_was() {
    let known = [row(1, "free", 1), row(2, "free", 2), Row(Some(3), None, 3)];
    let cases: [Case<'_>; 6] = [
        (
            "new",
            vec![good(1, "free", 1), good(2, "free", 2), (known[2].clone(), &[]), bad(4, 4)],
            &[],
            vec![format!("{PLAN} 1 [\"4\"]")],
        ),
        // Neither changed to null nor removed.
        (
            "known",
            vec![bad(1, 1), good(2, "gold", 2), (known[2].clone(), &[])],
            &["changed data: 2,free,2 → 2,gold,2"],
            vec![format!("{PLAN} 1 [\"1\"]")],
        ),
        // What is null in its place makes it look as it was.
        (
            "known as null",
            vec![good(1, "free", 1), good(2, "free", 2), bad(3, 3)],
            &[],
            vec![format!("{PLAN} 1 [\"3\"]")],
        ),
        (
            "all",
            vec![bad(1, 1), bad(2, 2), bad(3, 3), bad(4, 4)],
            &[],
            vec![format!("{PLAN} 4 [\"1\", \"2\", \"3\", \"4\"]")],
        ),
        // Twice the same key is that, readable or not.
        (
            "repeated",
            vec![bad(1, 1), bad(1, 1), good(2, "free", 2), bad(2, 2), bad(9, 9), bad(9, 8)],
            &["removed data: 3,null,3 → 3,null,3"],
            vec!["duplicate_key: several rows have the same primary key 6 [\"1\", \"2\", \"9\"]".to_owned()],
        ),
        (
            "beside one that left",
            vec![bad(1, 1), (known[2].clone(), &[])],
            &["removed data: 2,free,2 → 2,free,2"],
            vec![format!("{PLAN} 1 [\"1\"]")],
        ),
    ];
    for (name, rows, changes, expected) in cases {
        for (retry, full_refresh) in [(false, false), (true, false)] {
            let mut world = World::after(&plain(), &known);
            (world.options.retry, world.options.full_refresh) = (retry, full_refresh);
            let outcome = diffed(&mut world, &plain(), &rows);
            assert_eq!(outcome.lines(), changes, "{name}");
            assert_eq!(invalid(&outcome), expected, "{name}");
        }
        // Sent again are only rows that can be.
        let mut world = World::after(&plain(), &known);
        world.options.full_refresh = true;
        let outcome = diffed(&mut world, &plain(), &rows);
        assert_eq!(invalid(&outcome), expected, "{name}");
        let sent = outcome.lines().into_iter().filter(|line| !line.starts_with("removed"));
        assert!(
            sent.clone().all(|line| !line.contains("→ 1,null") && !line.contains("→ 4,")),
            "{name}: {:?}",
            outcome.lines()
        );
    }
}

#[test]
fn a_row_that_is_whole_again_is_what_it_is() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let outcome = diffed(&mut world, &plain(), &[bad(1, 5), good(2, "free", 2)]);
    world.apply(&plain(), &outcome);
    assert!(diffed(&mut world, &plain(), &[good(1, "free", 1), good(2, "free", 2)]).lines().is_empty());
    let outcome = diffed(&mut world, &plain(), &[good(1, "gold", 5), good(2, "free", 2)]);
    assert_eq!(outcome.lines(), ["changed data: 1,free,1 → 1,gold,5"]);
}

#[test]
fn a_column_that_nothing_is_made_of_spoils_nothing() {
    let spec = spec(json!({ "seats": "seats" }));
    let mut world = World::after(&spec, &[row(1, "free", 1)]);
    let outcome = diffed(&mut world, &spec, &[bad(1, 7), bad(2, 2)]);
    assert_eq!(outcome.lines(), ["changed data: 1,1 → 1,7", "added data: - → 2,2"]);
    assert!(outcome.summary.invalid.is_empty());
}

#[test]
fn a_key_with_a_flaw_is_no_key() {
    let flaw: &[(&str, Unreadable)] = &[("id", INFINITE), ("plan", NOT_UTF8)];
    let rows = [
        good(1, "free", 1),
        (Row(None, None, 2), flaw),
        (Row(None, Some("x".into()), 3), &[]),
        (Row(None, None, 4), flaw),
    ];
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let outcome = diffed(&mut world, &plain(), &rows);
    assert_eq!(outcome.lines(), ["removed data: 2,free,2 → 2,free,2"], "as with a null in the key");
    assert_eq!(
        invalid(&outcome),
        [
            "null_key: a column of the primary key is null 1 [\"row 3\"]",
            "null_key: column `id` holds an infinite date; write `nullif(id, 'infinity') as id` 2 [\"row 2\", \"row 4\"]",
        ]
    );
}

#[test]
fn of_several_flaws_one_is_told_and_always_the_same() {
    let both: &[(&str, Unreadable)] = &[("seats", INFINITE), ("plan", NOT_UTF8)];
    let rows = [(Row(Some(1), None, 0), both), bad(2, 2), (Row(Some(3), Some("x".into()), 0), &both[..1])];
    let template = spec(json!({ "p": { "template": "{{ row.plan }}" }, "n": "plan", "s": "seats" }));
    let outcome = diffed(&mut World::new(), &template, &rows);
    assert_eq!(
        invalid(&outcome),
        [
            "unmappable p: column `plan` holds text that is not UTF-8; correct it 2 [\"1\", \"2\"]",
            "unmappable s: column `seats` holds an infinite date; write `nullif(seats, 'infinity') as seats` 1 [\"3\"]",
        ]
    );
}

#[test]
fn what_is_held_or_in_doubt_waits() {
    let mut world = World::after(&plain(), &[row(1, "free", 1), row(2, "free", 2)]);
    let sent = diffed(&mut world, &plain(), &[good(1, "gold", 1), good(2, "gold", 2)]);
    let schema = batch(&[]).schema();
    world.doubt = Some(world.merged(None, &plain(), &schema, &sent.batches));
    let outcome = diffed(&mut world, &plain(), &[bad(1, 1), good(2, "gold", 2)]);
    assert_eq!(outcome.lines(), ["changed doubt: ? → 2,gold,2"], "the row in doubt is neither sent nor removed");
    assert_eq!(invalid(&outcome), [format!("{PLAN} 1 [\"1\"]")]);
}
