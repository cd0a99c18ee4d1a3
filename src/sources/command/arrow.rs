//! Arrow IPC streams that a program has printed. They come from outside, so their frames are walked through before
//! anything of them is taken: no length in them is believed that the file does not have.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::diagnostic::{Error, Result};
use crate::sources::{BATCH_ROWS, BatchStream, flawless, stream_error};

/// What begins each message.
const CONTINUES: u32 = 0xFFFF_FFFF;
/// Largest description of a message, in bytes.
const HEAD: u64 = 64 << 20;
/// Largest message, in bytes: it is in memory at once.
const BODY: u64 = 1 << 30;

const HELP: &str =
    "write it with an Arrow library as a stream (not a file), close the writer, and use batches of less than 1 GiB";

/// A stream that is whole.
pub(super) struct Batches {
    path: PathBuf,
    schema: SchemaRef,
}

impl Batches {
    /// Looks at the frames of a file, and at its schema.
    ///
    /// # Errors
    /// It is no stream, or not a whole one.
    pub(super) fn check(path: &Path, end_marker: bool) -> Result<Self> {
        let broken = |error: std::io::Error| Error::failed(format!("it cannot be read: {error}"));
        let mut file = BufReader::new(File::open(path).map_err(broken)?);
        let length = file.get_ref().metadata().map_err(broken)?.len();
        walk(&mut file, length, end_marker).map_err(|what| Error::failed_help(what, HELP))?;
        file.seek(SeekFrom::Start(0)).map_err(broken)?;
        let reader =
            guarded(|| StreamReader::try_new(file, None)).map_err(|e| Error::failed_help(e.to_string(), HELP))?;
        let mut names: Vec<_> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
        names.sort();
        if let Some([twice, _]) = names.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(Error::failed_help(format!("it has two columns `{twice}`"), "give each a name of its own"));
        }
        if names.is_empty() {
            return Err(Error::failed_help("it has no columns", HELP));
        }
        let schema = bare(&reader.schema());
        Ok(Self { path: path.to_owned(), schema })
    }

    /// The columns.
    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The rows.
    pub(super) fn stream(&self, columns: &[usize]) -> Result<BatchStream> {
        let file = File::open(&self.path).map_err(|e| Error::failed(format!("cannot read what was printed: {e}")))?;
        let file = BufReader::with_capacity(1 << 18, file);
        let reader = guarded(|| StreamReader::try_new(file, Some(columns.to_vec())));
        let reader = reader.map_err(super::super::failure)?;
        let schema = Arc::new(self.schema.project(columns).map_err(super::super::failure)?);
        Ok(flawless(Cut { reader, schema, rest: None }))
    }
}

/// The schema without metadata of its own, which would mean something here.
fn bare(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}

/// Goes from message to message to the end.
fn walk(file: &mut (impl Read + Seek), length: u64, end_marker: bool) -> Result<(), String> {
    let mut at = 0_u64;
    loop {
        let Some(first) = word(file, &mut at, length)? else {
            return match end_marker || at == 0 {
                true => Err(format!("the stream ends after {at} bytes without its end marker: it is not whole")),
                false => Ok(()),
            };
        };
        let head =
            if first == CONTINUES { word(file, &mut at, length)?.ok_or("it ends within a message")? } else { first };
        let head = u64::from(head);
        if head == 0 {
            return if at == length { Ok(()) } else { Err("something follows the end of the stream".into()) };
        }
        if head > HEAD || head > length - at {
            return Err(format!("the message at byte {at} is not whole"));
        }
        let mut bytes = vec![0; usize::try_from(head).map_err(|e| e.to_string())?];
        file.read_exact(&mut bytes).map_err(|e| e.to_string())?;
        at += head;
        let message =
            arrow_ipc::root_as_message(&bytes).map_err(|_| format!("the message before byte {at} is not Arrow's"))?;
        let body =
            u64::try_from(message.bodyLength()).map_err(|_| format!("the message before byte {at} has no length"))?;
        if body > BODY {
            return Err(format!("the message at byte {at} has {body} bytes, which is more than {} MiB", BODY >> 20));
        }
        if body > length - at {
            return Err(format!(
                "the message at byte {at} is not whole: {body} bytes are said to follow, {} do",
                length - at
            ));
        }
        if !within(&message, body) {
            return Err(format!("the message before byte {at} points outside of itself"));
        }
        at += body;
        file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
    }
}

/// Whether what a message says of its columns lies in its own bytes: the reader takes that for granted.
fn within(message: &arrow_ipc::Message<'_>, body: u64) -> bool {
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else { return true };
    let inside = |offset: i64, length: i64| {
        let end = u64::try_from(offset).ok().zip(u64::try_from(length).ok()).and_then(|(o, l)| o.checked_add(l));
        end.is_some_and(|end| end <= body)
    };
    let buffers = batch.buffers().into_iter().flatten().all(|buffer| inside(buffer.offset(), buffer.length()));
    let counts = |rows: i64, nulls: i64| (0..=rows).contains(&nulls);
    batch.length() >= 0
        && buffers
        && batch.nodes().into_iter().flatten().all(|node| counts(node.length(), node.null_count()))
}

/// What a reader makes of bytes that came from outside. Where it breaks on them, that is an error as any other.
fn guarded<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ArrowError::IpcError("the stream contradicts itself".into())))
}

/// Four bytes; `None` at the end of the file.
fn word(file: &mut impl Read, at: &mut u64, length: u64) -> Result<Option<u32>, String> {
    if *at == length {
        return Ok(None);
    }
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes).map_err(|_| format!("the stream ends within a message, after {length} bytes"))?;
    *at += 4;
    Ok(Some(u32::from_le_bytes(bytes)))
}

/// Batches of no more rows than fit well.
struct Cut<R: Read> {
    reader: StreamReader<R>,
    schema: SchemaRef,
    rest: Option<RecordBatch>,
}

impl<R: Read> Iterator for Cut<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match guarded(|| self.reader.next().transpose()) {
                Ok(batch) => batch?,
                Err(error) => return Some(Err(stream_error(Error::failed_help(error.to_string(), HELP)))),
            },
        };
        let now = batch.num_rows().min(BATCH_ROWS);
        if now < batch.num_rows() {
            self.rest = Some(batch.slice(now, batch.num_rows() - now));
        }
        let columns = batch.slice(0, now).columns().to_vec();
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(now));
        Some(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options))
    }
}

impl<R: Read> RecordBatchReader for Cut<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field};

    use super::*;

    fn stream() -> Vec<u8> {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        let mut bytes = Vec::new();
        let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &schema).unwrap();
        for from in [0, 100] {
            let ids = Int64Array::from_iter_values(from..from + 100);
            writer.write(&RecordBatch::try_new(schema.clone(), vec![Arc::new(ids)]).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        bytes
    }

    fn walked(bytes: &[u8], end_marker: bool) -> Result<(), String> {
        walk(&mut Cursor::new(bytes), bytes.len() as u64, end_marker)
    }

    #[test]
    fn only_the_whole_stream_is_one() {
        let bytes = stream();
        assert_eq!(walked(&bytes, true), Ok(()));
        for cut in 0..bytes.len() {
            assert!(walked(&bytes[..cut], true).is_err(), "{cut} of {} bytes are taken for all", bytes.len());
        }
        assert_eq!(
            walked(&[bytes.as_slice(), b"x"].concat(), true),
            Err("something follows the end of the stream".into())
        );
        // Without its end marker it may end between two messages, and nowhere else.
        assert_eq!((0..bytes.len()).filter(|cut| walked(&bytes[..*cut], false).is_ok()).count(), 3);
    }

    #[test]
    fn lengths_are_not_believed() {
        let bytes = stream();
        for at in 0..bytes.len() {
            for value in [0x00, 0x7F, 0x80, 0xFF] {
                let mut broken = bytes.clone();
                broken[at] = value;
                let path = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(path.path(), &broken).unwrap();
                // Whatever it is: an error or rows, and never a panic or a gigabyte.
                if let Ok(batches) = Batches::check(path.path(), true)
                    && let Ok(stream) = batches.stream(&[0])
                {
                    stream.for_each(drop);
                }
            }
        }
    }
}
