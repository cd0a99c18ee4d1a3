//! Old values are taken out of single pages: they are those a reader of whole columns gives.

use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use serde_json::json;

use super::*;
use crate::diff::old;

/// Rows of a snapshot: several pages of each column, and dictionaries that are given up.
const ROWS: i64 = 12_000;

/// Columns of every kind, with nulls here and there, in whole pages and nowhere.
fn wide() -> RecordBatch {
    let rows = || 0..ROWS;
    let there = |n: i64| (n % 11 != 3).then_some(n);
    let stretches = |n: i64| (n / 3000 % 2 == 0).then_some(n);
    let decimal = |digits, scale, factor: i128| -> ArrayRef {
        let values = rows().map(|n| there(n).map(|n| (i128::from(n) - 4000) * factor));
        Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(digits, scale).unwrap())
    };
    let lists = rows().map(|n| there(n).map(|n| (0..n % 3).map(|i| Some(i as i32)).collect::<Vec<_>>()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bytes", Arc::new(rows().map(|n| there(n).map(|n| n.to_le_bytes().to_vec())).collect::<BinaryArray>())),
        ("day", Arc::new(rows().map(|n| there(n).map(|n| n as i32)).collect::<Date32Array>())),
        ("dec_09", decimal(9, 2, 7)),
        ("dec_18", decimal(18, 2, 1_000_003)),
        ("dec_38", decimal(38, 4, 10i128.pow(25))),
        (
            "few",
            Arc::new(
                rows().map(|n| stretches(n).map(|n| ["free", "", "größer"][n as usize % 3])).collect::<StringArray>(),
            ),
        ),
        ("flag", Arc::new(rows().map(|n| there(n).map(|n| n % 5 < 2)).collect::<BooleanArray>())),
        ("float", Arc::new(rows().map(|n| stretches(n).map(|n| n as f64 / 3.0)).collect::<Float64Array>())),
        ("id", Arc::new(Int64Array::from_iter_values(rows()))),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        ("long", Arc::new(rows().map(|n| there(n).map(|n| format!("{n} ").repeat(60))).collect::<StringArray>())),
        ("micros", Arc::new(TimestampMicrosecondArray::from_iter_values(rows().map(|n| n * 1_000_003)))),
        ("none", Arc::new(rows().map(|_| None::<&str>).collect::<StringArray>())),
        ("one", Arc::new(StringArray::from_iter_values(rows().map(|_| "the same")))),
        ("seconds", Arc::new(rows().map(stretches).collect::<TimestampSecondArray>())),
        ("small", Arc::new(Int64Array::from_iter_values(rows().map(|n| n % 7)))),
        ("time", Arc::new(rows().map(|n| there(n).map(|n| n as i32)).collect::<Time32MillisecondArray>())),
        ("wide", Arc::new(rows().map(|n| there(n).map(|n| u64::MAX - n as u64)).collect::<UInt64Array>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// A snapshot of these rows, as they are kept.
fn kept(world: &mut World, model: &RecordBatch) -> Snapshot {
    let fields = model.schema().fields().iter().map(|f| (f.name().clone(), json!(f.name()))).collect();
    let spec = spec(serde_json::Value::Object(fields));
    let layout = world.layout(&spec, &model.schema());
    assert_eq!(layout.schema.fields().len(), model.num_columns());
    let columns = model.columns().iter().zip(layout.schema.fields());
    let columns = columns.map(|(c, f)| arrow_cast::cast(c, f.data_type()).unwrap()).collect();
    let rows = RecordBatch::try_new(layout.schema.clone(), columns).unwrap();
    let change = |n: usize| Change {
        state: RowState::Added,
        cause: Cause::Data,
        // Spread evenly, and in another order than the rows.
        key_hash: (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
        row_hash: n as u128,
        before: Before::Nothing,
        record: None,
    };
    let changes = (0..rows.num_rows()).map(change).collect();
    world.merged(None, &spec, &model.schema(), &[ChangeBatch { rows, changes }])
}

#[test]
fn values_from_pages_are_those_of_whole_columns() {
    let mut world = World::new();
    let snapshot = kept(&mut world, &wide());
    let batches: Vec<RecordBatch> = snapshot.batches().unwrap().map(Result::unwrap).collect();
    let whole = concat_batches(snapshot.schema(), &batches).unwrap();
    let last = ROWS as u64 - 1;
    let cases: [(&str, Vec<u64>); 6] = [
        ("every row", (0..=last).collect()),
        ("one in a hundred", (0..=last).step_by(97).collect()),
        ("borders of pages", vec![2047, 2048, 2049, 4095, 4096, 8191, 8192, 8193]),
        ("first and last", vec![0, last]),
        ("one", vec![5000]),
        ("a page of nulls and those beside it", (2900..6100).collect()),
    ];
    for (name, positions) in cases {
        let wanted = positions.iter().rev().map(|position| (*position, *position)).collect();
        let runs = old::fetch(&snapshot, wanted, 1, 64 << 20, world.dir.path()).unwrap();
        let [run] = <[_; 1]>::try_from(runs).ok().expect("one thread, one run");
        let got: Vec<RecordBatch> = run.read().unwrap().map(Result::unwrap).collect();
        let got = concat_batches(&got[0].schema(), &got).unwrap();
        assert_eq!(got.num_rows(), positions.len(), "{name}");
        let indices = UInt64Array::from(positions);
        for (at, field) in got.schema().fields().iter().enumerate().skip(1) {
            let expected = take(whole.column_by_name(field.name()).unwrap(), &indices, None).unwrap();
            assert_eq!(got.column(at), &expected, "{name}: {}", field.name());
        }
    }
}

#[test]
fn a_damaged_page_is_an_error_and_no_panic() {
    let mut world = World::new();
    let path = {
        let snapshot = kept(&mut world, &wide());
        drop(snapshot);
        world.dir.path().join("1.parquet")
    };
    let sound = std::fs::read(&path).unwrap();
    let positions: Vec<(u64, u64)> = (0..ROWS as u64).step_by(5).map(|n| (n, n)).collect();
    let mut errors = 0;
    for cut in 1..40 {
        // Bytes in the middle of what holds the values; the footer is as it was.
        let mut damaged = sound.clone();
        let at = sound.len() / 2 / 40 * cut;
        damaged[at..at + 64].fill(0xff);
        std::fs::write(&path, &damaged).unwrap();
        let snapshot = Snapshot::open(&path).unwrap();
        errors += usize::from(old::fetch(&snapshot, positions.clone(), 1, 64 << 20, world.dir.path()).is_err());
    }
    assert!(errors > 0, "none of the damages was noticed");
}
