//! Contacts as a warehouse has them, in two versions. The same row number and version always give the same row.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const FIRST: [&str; 16] = [
    "Ada", "Ben", "Carla", "Deniz", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kofi", "Lena", "Mehmet",
    "Nora", "Olga", "Paul",
];
const LAST: [&str; 12] = [
    "Lovelace", "Nguyen", "Okafor", "Schmidt", "García", "Yılmaz", "Novak", "Rossi", "Kim", "Silva", "Dubois", "Ivanov",
];
const PLANS: [&str; 4] = ["free", "free", "premium", "ultimate"];

/// Scrambles a number: the same one always in the same way.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// True for the rows that the second version has otherwise: 1 %.
pub fn changed(row: u64) -> bool {
    mix(row) % 100 == 7
}

/// True for the rows that only one version has: 0.1 % each.
pub fn only(row: u64, version: u64) -> bool {
    mix(row) % 1000 == 500 + version
}

/// Writes one version of the table.
pub fn write(path: &Path, rows: u64, version: u64) {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a level")))
        .set_max_row_group_row_count(Some(500_000))
        .build();
    let file = File::create(path).expect("the folder can be written to");
    let mut writer = ArrowWriter::try_new(file, batch(&[], version).schema(), Some(properties)).expect("valid schema");
    let mut start = 0;
    while start < rows {
        let end = (start + 65_536).min(rows);
        let here: Vec<u64> = (start..end).filter(|row| !only(*row, 1 - version)).collect();
        writer.write(&batch(&here, version)).expect("the disk has room");
        start = end;
    }
    writer.close().expect("the disk has room");
}

fn batch(rows: &[u64], version: u64) -> RecordBatch {
    let newer = |row: u64| version == 1 && changed(row);
    let text = |make: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| make(*row))))
    };
    let first = |row: u64| FIRST[(mix(row + 1) % 16) as usize];
    let last = |row: u64| LAST[(mix(row + 2) % 12) as usize];
    let name = |row: u64| format!("{}{}", last(row), mix(row + 3) % 500);
    let created = |row: u64| 1_500_000_000_000_000 + (mix(row + 4) % 200_000_000_000) as i64 * 1_000;
    let money = rows.iter().map(|row| i128::from(mix(*row + 5) % 100_000) * 25);
    let domain = |row: u64| mix(row + 6) % 50_000;
    let columns: [(&str, ArrayRef); 10] = [
        ("email", text(&|row| format!("{}.{row}@company{}.example", first(row).to_lowercase(), domain(row)))),
        ("contact_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| 10_000_000 + *row as i64)))),
        ("first_name", text(&|row| first(row).to_owned())),
        ("last_name", text(&name)),
        ("company", text(&|row| format!("Company {} GmbH", domain(row)))),
        ("plan", text(&|row| PLANS[((mix(row + 7) + u64::from(newer(row))) % 4) as usize].to_owned())),
        (
            "seats",
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| (mix(*r + 8) % 500) as i32 + newer(*r) as i32))),
        ),
        ("mrr", Arc::new(Decimal128Array::from_iter_values(money).with_precision_and_scale(12, 2).expect("12 digits"))),
        ("created_at", Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| created(*row))))),
        (
            "updated_at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                rows.iter()
                    .map(|row| created(*row) + 86_400_000_000 * (mix(*row + 9) % 300 + newer(*row) as u64) as i64),
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}
