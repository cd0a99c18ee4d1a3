//! A bare program that reads the table by binary `copy` and makes Arrow batches of it: the types of its eight columns
//! are written down here, and there is nothing to look after.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Decimal128Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use futures_util::{StreamExt, pin_mut};
use syncline::sources::BATCH_ROWS;
use tokio_postgres::NoTls;

/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH: i64 = 946_684_800_000_000;
/// What a binary copy begins with; flags and the length of an extension follow, 4 bytes each.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

#[derive(Default)]
struct Batch {
    rows: usize,
    id: Int64Builder,
    text: [StringBuilder; 3],
    seats: Int32Builder,
    mrr: Decimal128Builder,
    active: BooleanBuilder,
    created_at: TimestampMicrosecondBuilder,
}

impl Batch {
    fn finish(&mut self) -> RecordBatch {
        self.rows = 0;
        let [email, name, plan] = &mut self.text;
        let mrr = self.mrr.finish().with_precision_and_scale(12, 2).expect("it fits");
        let columns: [(&str, ArrayRef); 8] = [
            ("id", Arc::new(self.id.finish())),
            ("email", Arc::new(email.finish())),
            ("name", Arc::new(name.finish())),
            ("plan", Arc::new(plan.finish())),
            ("seats", Arc::new(self.seats.finish())),
            ("mrr", Arc::new(mrr)),
            ("active", Arc::new(self.active.finish())),
            ("created_at", Arc::new(self.created_at.finish().with_timezone("UTC"))),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }
}

/// Reads the table; gives the number of rows.
pub fn read(url: &str, table: &str) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let stream = client.copy_out(&format!("copy {table} to stdout (format binary)")).await.expect("a copy");
        pin_mut!(stream);
        let (mut batch, mut rows) = (Batch::default(), 0);
        while let Some(data) = stream.next().await {
            let data = data.expect("the copy comes to its end");
            // The server sends a row a message, and the head with the first.
            let mut rest = &data[..];
            if rest.starts_with(SIGNATURE) {
                rest = &rest[SIGNATURE.len() + 8..];
            }
            while let Some((columns, fields)) = rest.split_first_chunk::<2>() {
                rest = fields;
                // -1 is the end.
                if i16::from_be_bytes(*columns) < 0 {
                    break;
                }
                row(&mut batch, &mut rest);
                rows += 1;
                if batch.rows == BATCH_ROWS {
                    std::hint::black_box(batch.finish());
                }
            }
        }
        std::hint::black_box(batch.finish());
        rows
    })
}

fn row(batch: &mut Batch, rest: &mut &[u8]) {
    batch.rows += 1;
    batch.id.append_option(field(rest).map(int8));
    for text in &mut batch.text {
        text.append_option(field(rest).map(|bytes| str::from_utf8(bytes).expect("UTF-8")));
    }
    batch.seats.append_option(field(rest).map(|b| i32::from_be_bytes(b.try_into().expect("4 bytes"))));
    batch.mrr.append_option(field(rest).map(hundredths));
    batch.active.append_option(field(rest).map(|b| b != [0]));
    batch.created_at.append_option(field(rest).map(|b| int8(b) + EPOCH));
}

/// The bytes of the next field; `None` for null.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (size, after) = rest.split_first_chunk::<4>().expect("a size");
    let size = usize::try_from(i32::from_be_bytes(*size)).ok();
    let (bytes, after) = after.split_at(size.unwrap_or(0));
    *rest = after;
    size.map(|_| bytes)
}

fn int8(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().expect("8 bytes"))
}

/// A `numeric(12, 2)` that is not negative, in hundredths: groups of four digits, the first one's weight before them.
fn hundredths(bytes: &[u8]) -> i128 {
    let short = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (groups, weight) = (short(0), short(2));
    // In ten-thousandths first.
    let group = |at: i16| i128::from(short(8 + 2 * at as usize)) * 10_000_i128.pow((weight - at + 1) as u32);
    (0..groups).map(group).sum::<i128>() / 100
}
