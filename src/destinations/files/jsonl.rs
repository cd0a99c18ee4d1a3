//! JSON lines: one object a line, `\n` at its end. Values that are not written keep their exact text, and keys their
//! order; new keys go last.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::cell::Cell;
use super::format::{Changes, Format, Identity, hash, unreadable};
use super::stage::failed;
use crate::destinations::table::Columns;
use crate::destinations::{Action, Batch, Operation, Outcome, SendError};
use crate::mapping::Value;

type Object = IndexMap<String, Box<RawValue>>;

/// The JSON lines format for one target.
pub(super) struct JsonLines {
    /// The columns written, identifiers first, as paths of keys.
    paths: Vec<Vec<String>>,
    identifiers: usize,
}

impl JsonLines {
    /// The format. Lines may hold any keys, so there is nothing to check beforehand.
    pub fn new(columns: &Columns) -> Self {
        let path = |name: &str| name.split('.').map(str::to_owned).collect();
        Self { paths: columns.all().map(|c| path(&c.name)).collect(), identifiers: columns.matching.len() }
    }

    fn current(&self, object: &Object, count: usize) -> Vec<Cell> {
        self.paths.iter().take(count).map(|path| get(object, path)).collect()
    }
}

impl Format for JsonLines {
    fn cells(&self, batch: &Batch, columns: &Columns) -> Vec<Result<Vec<Cell>, Outcome>> {
        let cell = |value: &Value| Cell::new((!value.is_null()).then(|| value.json_text()));
        let cells = |operation: &Operation| {
            let record = &operation.record;
            let identifiers = columns.matching.iter().map(|c| (c, Some(c.identifier(record))));
            let fields = columns.fields.iter().map(|c| (c, c.field(record)));
            identifiers
                .chain(fields)
                .map(|(column, value)| match value {
                    Some(value) if !value.is_finite() && operation.action == Action::Send => Err(Outcome::Rejected {
                        code: "not_finite".into(),
                        message: format!("field `{}` is not a finite number, which JSON cannot hold", column.name),
                    }),
                    Some(value) => Ok(cell(value)),
                    None => Ok(Cell::Absent),
                })
                .collect()
        };
        batch.operations.iter().map(cells).collect()
    }

    fn identity(&self, cells: &[Cell]) -> Identity {
        // Strings are compared by what they say, not by how they are escaped; the quote keeps them apart from numbers.
        let plain = |cell: &Cell| {
            let text = cell.text()?;
            Some(serde_json::from_str::<String>(text).map_or_else(|_| text.to_owned(), |text| format!("\"{text}")))
        };
        let plain: Vec<Option<String>> = cells.iter().take(self.identifiers).map(plain).collect();
        hash(plain.iter().map(Option::as_deref))
    }

    fn scan(&self, file: &Path, seen: &mut dyn FnMut(Identity)) -> Result<(), SendError> {
        let mut rows = Reader::open(file)?;
        while let Some(object) = rows.next_row()? {
            seen(self.identity(&self.current(&object, self.identifiers)));
        }
        Ok(())
    }

    fn look(
        &self,
        file: &Path,
        wanted: &dyn Fn(Identity) -> bool,
        found: &mut dyn FnMut(Identity, Vec<Cell>),
    ) -> Result<(), SendError> {
        let mut rows = Reader::open(file)?;
        while let Some(object) = rows.next_row()? {
            let identity = self.identity(&self.current(&object, self.identifiers));
            if wanted(identity) {
                found(identity, self.current(&object, self.paths.len()));
            }
        }
        Ok(())
    }

    fn rewrite(&self, old: Option<&Path>, new: File, changes: &mut dyn Changes) -> Result<bool, SendError> {
        let mut differs = old.is_none();
        let mut rows = old.map(Reader::open).transpose()?;
        let mut out = BufWriter::with_capacity(1 << 18, new);
        while let Some(mut object) = rows.as_mut().map(Reader::next_row).transpose()?.flatten() {
            let identity = self.identity(&self.current(&object, self.identifiers));
            if changes.touches(identity) {
                let current = self.current(&object, self.paths.len());
                let Some(merged) = changes.merge(identity, current.clone())? else {
                    differs = true;
                    continue;
                };
                for ((path, before), after) in self.paths.iter().zip(&current).zip(&merged) {
                    if before != after {
                        differs = true;
                        set(&mut object, path, after);
                    }
                }
            }
            write(&object, &mut out)?;
        }
        while let Some(cells) = changes.appended()? {
            differs = true;
            let mut object = Object::new();
            for (path, cell) in self.paths.iter().zip(&cells) {
                set(&mut object, path, cell);
            }
            write(&object, &mut out)?;
        }
        out.flush().map_err(|e| failed(&e, Path::new("the new JSON lines file")))?;
        Ok(differs)
    }
}

fn get(object: &Object, path: &[String]) -> Cell {
    let Some((key, rest)) = path.split_first() else { return Cell::Absent };
    match object.get(key) {
        None => Cell::Absent,
        Some(value) if rest.is_empty() => Cell::new((value.get() != "null").then(|| value.get())),
        Some(value) => serde_json::from_str::<Object>(value.get()).map_or(Cell::Absent, |inner| get(&inner, rest)),
    }
}

/// Sets a value deep in an object; what is in the way and no object is replaced.
fn set(object: &mut Object, path: &[String], cell: &Cell) {
    let Some((key, rest)) = path.split_first() else { return };
    let text = match cell {
        Cell::Absent => return,
        _ if !rest.is_empty() => {
            let inner = object.get(key).and_then(|value| serde_json::from_str::<Object>(value.get()).ok());
            let mut inner = inner.unwrap_or_default();
            set(&mut inner, rest, cell);
            object_text(&inner)
        }
        Cell::Null => "null".to_owned(),
        Cell::Text(text) => text.to_string(),
    };
    // The text was written as JSON, here or by `cells`, so it is taken as it is.
    if let Ok(value) = RawValue::from_string(text) {
        object.insert(key.clone(), value);
    }
}

fn object_text(object: &Object) -> String {
    let mut text = String::from("{");
    for (i, (key, value)) in object.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(&Value::Text(key.as_str().into()).json_text());
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    text
}

fn write(object: &Object, out: &mut BufWriter<File>) -> Result<(), SendError> {
    let mut line = object_text(object);
    line.push('\n');
    out.write_all(line.as_bytes()).map_err(|e| failed(&e, Path::new("the new JSON lines file")))
}

struct Reader<'a> {
    path: &'a Path,
    input: BufReader<File>,
    line: u64,
    text: String,
}

impl<'a> Reader<'a> {
    fn open(path: &'a Path) -> Result<Self, SendError> {
        let file = File::open(path).map_err(|e| failed(&e, path))?;
        Ok(Self { path, input: BufReader::with_capacity(1 << 18, file), line: 0, text: String::new() })
    }

    fn next_row(&mut self) -> Result<Option<Object>, SendError> {
        loop {
            self.text.clear();
            self.line += 1;
            let bad = |e: &dyn std::fmt::Display| unreadable(self.path, format!("line {}: {e}", self.line));
            if self.input.read_line(&mut self.text).map_err(|e| bad(&e))? == 0 {
                return Ok(None);
            }
            let line = self.text.trim_start_matches('\u{feff}').trim();
            if !line.is_empty() {
                return serde_json::from_str(line).map(Some).map_err(|_| bad(&"not a JSON object"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_deep_and_the_rest_keeps_its_text() {
        let cases = [
            (r#"{"a":1.10,"b":"x"}"#, "b", "\"y\"", r#"{"a":1.10,"b":"y"}"#),
            (r#"{"a":1}"#, "c.d", "2", r#"{"a":1,"c":{"d":2}}"#),
            (r#"{"c":{"e":1e5}}"#, "c.d", "2", r#"{"c":{"e":1e5,"d":2}}"#),
            (r#"{"c":7}"#, "c.d", "2", r#"{"c":{"d":2}}"#),
        ];
        for (before, path, value, after) in cases {
            let mut object: Object = serde_json::from_str(before).expect("an object");
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            set(&mut object, &path, &Cell::Text(value.into()));
            assert_eq!(object_text(&object), after);
            assert_eq!(get(&object, &path), Cell::Text(value.into()));
        }
    }
}
