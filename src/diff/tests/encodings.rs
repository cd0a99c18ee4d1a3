//! Hashes are of values: the encoding of a column makes no difference, its kind does.

use arrow_array::*;
use arrow_schema::{DataType, TimeUnit};

use super::*;
use crate::diff::hash::{Folded, Hasher};

/// Row hashes of a single column `c` with key `k`.
fn hashes(column: ArrayRef) -> Vec<Hash> {
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("c", column.clone(), true),
        ("k", Arc::new(Int64Array::from(vec![1; column.len()])) as ArrayRef, true),
    ]);
    let layout = Layout::new(&batch.unwrap().schema(), &["c".into()], &["k".into()]).unwrap();
    let key: ArrayRef = Arc::new(Int64Array::from(vec![1; column.len()]));
    Hasher::new(&layout, &KEY).hash(&[column.clone(), key], column.len(), &mut Folded::default()).unwrap().row
}

/// The column cast to another type has the same hashes.
fn same(column: ArrayRef, types: &[DataType]) {
    let plain = hashes(column.clone());
    for data_type in types {
        let cast = arrow_cast::cast(&column, data_type).unwrap();
        assert_eq!(hashes(cast), plain, "{data_type}");
    }
}

#[test]
fn encodings_and_widths_make_no_difference() {
    use DataType::*;
    let dictionary = |values: DataType| Dictionary(Box::new(Int32), Box::new(values));
    let narrow = |values: DataType| Dictionary(Box::new(UInt8), Box::new(values));
    let long = "x".repeat(500);
    let text = StringArray::from(vec![Some("a"), None, Some(""), Some("exactly8"), Some("nine long"), Some(&long)]);
    same(Arc::new(text), &[LargeUtf8, Utf8View, dictionary(Utf8), narrow(Utf8View)]);
    let bytes = BinaryArray::from(vec![Some(&b"ab"[..]), None]);
    same(Arc::new(bytes), &[LargeBinary, BinaryView, dictionary(Binary)]);
    let numbers = Int64Array::from(vec![Some(1), None, Some(127)]);
    same(Arc::new(numbers), &[Int8, Int16, Int32, UInt8, UInt32, UInt64, dictionary(Int64)]);
    same(Arc::new(Float32Array::from(vec![Some(1.5), None])), &[Float64]);
    let decimals = Decimal128Array::from(vec![Some(150), Some(0), None, Some(-1200)]);
    let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
    same(Arc::new(decimals), &[Decimal128(20, 5), Decimal256(40, 7), Decimal64(18, 2)]);
    same(Arc::new(Date32Array::from(vec![Some(1), None])), &[Date64]);
    let times = TimestampSecondArray::from(vec![Some(1_700_000_000), None]);
    let times_in = |unit| Timestamp(unit, None);
    let units = [TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    same(Arc::new(times), &units.map(times_in));
    let far = TimestampSecondArray::from(vec![Some(1_700_000_000), Some(90_000_000_000)]);
    same(Arc::new(far), &[Timestamp(TimeUnit::Millisecond, None)]);
    let list = ListArray::from_iter_primitive::<types::Int32Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    let field = |t| std::sync::Arc::new(arrow_schema::Field::new("item", t, true));
    same(Arc::new(list), &[LargeList(field(Int64)), LargeList(field(Int16))]);
}

#[test]
fn a_slice_is_hashed_as_its_rows() {
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("d")]));
    assert_eq!(hashes(text.slice(1, 2)), hashes(text.clone())[1..3]);
    let dictionary = arrow_cast::cast(&text, &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)));
    assert_eq!(hashes(dictionary.unwrap().slice(1, 2)), hashes(text)[1..3]);
}

#[test]
fn zeros_and_nans_are_one() {
    let h = hashes(Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0])));
    assert_eq!((h[0], h[2]), (h[1], h[3]));
    assert!(h[0] != h[2] && h[0] != h[4]);
}

#[test]
fn different_values_and_kinds_have_different_hashes() {
    let mut all: Vec<Hash> = Vec::new();
    let mut add = |column: ArrayRef| all.extend(hashes(column));
    let texts: Vec<String> = (0..200).flat_map(|n| ["a".repeat(n), "b".repeat(n + 1)]).collect();
    add(Arc::new(StringArray::from(texts)));
    add(Arc::new(StringArray::from(vec![None, Some("1"), Some("true"), Some("null"), Some("a\0"), Some("\0")])));
    add(Arc::new(BinaryArray::from(vec![&b"1"[..], b""])));
    add(Arc::new(Int64Array::from(vec![0, 1, -1, i64::MAX, i64::MIN])));
    add(Arc::new(UInt64Array::from(vec![u64::MAX, i64::MAX as u64 + 1])));
    add(Arc::new(BooleanArray::from(vec![true, false])));
    add(Arc::new(Float64Array::from(vec![0.0, 1.0])));
    add(Arc::new(Decimal128Array::from(vec![0, 1, 15, 1 << 100]).with_precision_and_scale(38, 1).unwrap()));
    add(Arc::new(Date32Array::from(vec![0, 1])));
    add(Arc::new(TimestampSecondArray::from(vec![0, 1])));
    add(Arc::new(TimestampSecondArray::from(vec![0, 1]).with_timezone("UTC")));
    add(Arc::new(Time32SecondArray::from(vec![0, 1])));
    let lists = vec![Some(vec![]), Some(vec![None]), Some(vec![Some(1)]), Some(vec![Some(1), Some(1)])];
    add(Arc::new(ListArray::from_iter_primitive::<types::Int32Type, _, _>(lists)));
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn text_does_not_run_into_the_next_column() {
    let table = |a: &str, b: &str| {
        let columns = [("a", a), ("b", b)].map(|(n, v)| (n, Arc::new(StringArray::from(vec![v])) as ArrayRef, true));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let hash = |batch: RecordBatch| {
        let layout = Layout::new(&batch.schema(), &[], &["a".into(), "b".into()]).unwrap();
        let hashes = Hasher::new(&layout, &KEY).hash(batch.columns(), 1, &mut Folded::default()).unwrap();
        (hashes.key[0], hashes.row[0])
    };
    let (one, two) = (hash(table("a", "bc")), hash(table("ab", "c")));
    assert!(one.0 != two.0 && one.1 != two.1);
    let (one, two) = (hash(table("a", "b")), hash(table("b", "a")));
    assert!(one.0 != two.0 && one.1 != two.1);
}

#[test]
fn hashes_depend_on_the_key_and_stay_the_same_between_versions() {
    let batch = batch(&[row(1, "free", 3)]);
    let layout = Layout::new(&batch.schema(), &["plan".into(), "seats".into()], &["id".into()]).unwrap();
    let columns = layout.columns(&batch).unwrap();
    let hash = |key: &HashKey| {
        let hashes = Hasher::new(&layout, key).hash(&columns, 1, &mut Folded::default()).unwrap();
        (hashes.key[0], hashes.row[0])
    };
    let other = hash(&HashKey([7; 16]));
    assert!(hash(&KEY).0 != other.0 && hash(&KEY).1 != other.1);
    // A new version that hashes otherwise would take every row of every state for changed.
    let expected = (0x6b88219f7fc29a5adce5d6c391555a68, 0x1e1f8f3c94b82043d0c0b15112a7662e);
    assert_eq!(hash(&KEY), expected);
}

#[test]
fn columns_that_cannot_be_compared_are_refused() {
    let field = arrow_schema::Field::new("c", DataType::Interval(arrow_schema::IntervalUnit::YearMonth), true);
    let schema = Arc::new(arrow_schema::Schema::new(vec![field]));
    let error = Layout::new(&schema, &[], &["c".into()]).unwrap_err();
    assert!(matches!(error, DiffError::Unsupported { .. }));
    assert!(matches!(Layout::new(&schema, &["d".into()], &[]).unwrap_err(), DiffError::MissingColumn(_)));
}

#[test]
fn decimals_in_text_are_the_values_of_decimal_columns_and_json_is_no_text() {
    let marked = |values: &[&str], mark: &str| {
        let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        let metadata = HashMap::from([("syncline.type".to_owned(), mark.to_owned())]);
        let field = arrow_schema::Field::new("c", DataType::Utf8, true).with_metadata(metadata);
        let layout =
            Layout::new(&Arc::new(arrow_schema::Schema::new(vec![field])), &["c".into()], &["c".into()]).unwrap();
        let hashes = Hasher::new(&layout, &KEY).hash(&[column], values.len(), &mut Folded::default()).unwrap();
        (hashes.key, hashes.row)
    };
    let typed = |array: ArrayRef| {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap();
        let layout = Layout::new(&batch.schema(), &["c".into()], &["c".into()]).unwrap();
        let rows = batch.num_rows();
        let hashes = Hasher::new(&layout, &KEY).hash(batch.columns(), rows, &mut Folded::default()).unwrap();
        (hashes.key, hashes.row)
    };
    let big = "123456789012345678901234567890123456789012345678901234567890.5";
    let text = marked(&["1.50", "-0.0", "12", "-3.25", "007", big], "decimal");
    let decimals = Decimal128Array::from(vec![150, 0, 1200, -325, 700]).with_precision_and_scale(20, 2).unwrap();
    let decimals = typed(Arc::new(decimals));
    assert_eq!((&text.0[..5], &text.1[..5]), (&decimals.0[..], &decimals.1[..]));
    let wide: ArrayRef = Arc::new(StringArray::from(vec![big]));
    let wide = typed(arrow_cast::cast(&wide, &DataType::Decimal256(70, 5)).unwrap());
    assert_eq!((&text.0[5..], &text.1[5..]), (&wide.0[..], &wide.1[..]));
    let same = marked(&["1.5", "1.500", "01.5"], "decimal");
    assert!(same.0.iter().all(|hash| *hash == same.0[0]), "keys that are equal are found twice");
    assert_ne!(marked(&["[1]"], "json"), typed(Arc::new(StringArray::from(vec!["[1]"]))));
    assert_ne!(marked(&["1"], "decimal").1, marked(&["1.5"], "decimal").1);
}
