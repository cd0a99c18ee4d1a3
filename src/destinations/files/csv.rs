//! CSV: UTF-8, a header, commas, quotes only where needed. Null is nothing at all, empty text is `""`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use super::cell::Cell;
use super::format::{Changes, Format, Identity, hash, unreadable};
use super::stage::failed;
use crate::destinations::table::Columns;
use crate::destinations::{Batch, Outcome, SendError};

/// The CSV format for one target.
pub(super) struct Csv {
    /// Names of the columns written, identifiers first.
    names: Vec<String>,
    identifiers: usize,
}

impl Csv {
    /// The format; checks the header of the file that is there.
    pub fn open(columns: &Columns, existing: Option<&Path>) -> Result<Self, SendError> {
        let names = columns.all().map(|c| c.name.clone()).collect();
        let csv = Self { names, identifiers: columns.matching.len() };
        if let Some(path) = existing {
            let (_, header) = reader(path)?;
            csv.places(path, &header)?;
        }
        Ok(csv)
    }

    /// The position of each written column in the file.
    fn places(&self, path: &Path, header: &[String]) -> Result<Vec<Option<usize>>, SendError> {
        let place = |name: &String| header.iter().position(|h| h == name);
        let places: Vec<Option<usize>> = self.names.iter().map(place).collect();
        for (i, name) in header.iter().enumerate() {
            if header.iter().skip(i + 1).any(|other| other == name) {
                return Err(unreadable(path, format!("column `{name}` occurs twice in the header")));
            }
        }
        let missing = self.names.iter().zip(&places).take(self.identifiers).find(|(_, place)| place.is_none());
        match missing {
            Some((name, _)) if !header.is_empty() => {
                Err(unreadable(path, format!("there is no column `{name}`, by which records are matched")))
            }
            _ => Ok(places),
        }
    }
}

impl Format for Csv {
    fn cells(&self, batch: &Batch, columns: &Columns) -> Vec<Result<Vec<Cell>, Outcome>> {
        let cells = |operation: &crate::destinations::Operation| {
            let record = &operation.record;
            let identifiers = columns.matching.iter().map(|c| Cell::of(c.identifier(record)));
            let fields = columns.fields.iter().map(|c| c.field(record).map_or(Cell::Absent, Cell::of));
            Ok(identifiers.chain(fields).collect())
        };
        batch.operations.iter().map(cells).collect()
    }

    fn identity(&self, cells: &[Cell]) -> Identity {
        hash(cells.iter().take(self.identifiers).map(Cell::text))
    }

    fn scan(&self, file: &Path, seen: &mut dyn FnMut(Identity)) -> Result<(), SendError> {
        let (mut rows, header) = reader(file)?;
        let places = self.places(file, &header)?;
        while let Some(row) = rows.next_row()? {
            let identifiers = places.iter().take(self.identifiers);
            seen(hash(identifiers.map(|place| place.and_then(|i| row.get(i)).and_then(Cell::text))));
        }
        Ok(())
    }

    fn look(
        &self,
        file: &Path,
        wanted: &dyn Fn(Identity) -> bool,
        found: &mut dyn FnMut(Identity, Vec<Cell>),
    ) -> Result<(), SendError> {
        let (mut rows, header) = reader(file)?;
        let places = self.places(file, &header)?;
        while let Some(row) = rows.next_row()? {
            let at = |place: &Option<usize>| place.and_then(|at| row.get(at)).cloned().unwrap_or(Cell::Null);
            let identifiers: Vec<Cell> = places.iter().take(self.identifiers).map(at).collect();
            let identity = self.identity(&identifiers);
            if wanted(identity) {
                found(identity, places.iter().map(at).collect());
            }
        }
        Ok(())
    }

    fn rewrite(&self, old: Option<&Path>, new: File, changes: &mut dyn Changes) -> Result<bool, SendError> {
        let mut differs = old.is_none();
        let mut rows = old.map(reader).transpose()?;
        let mut header = rows.as_ref().map(|(_, header)| header.clone()).unwrap_or_default();
        let before = match (&rows, old) {
            (Some((_, header)), Some(path)) => self.places(path, header)?,
            _ => vec![None; self.names.len()],
        };
        header
            .extend(self.names.iter().zip(&before).filter(|(_, place)| place.is_none()).map(|(name, _)| name.clone()));
        let places: Vec<usize> =
            self.names.iter().map(|name| header.iter().position(|h| h == name).unwrap_or_default()).collect();

        let mut out = Rows { file: BufWriter::with_capacity(1 << 18, new), width: header.len() };
        out.write(header.iter().map(|name| Cell::Text(name.as_str().into())).collect())?;
        while let Some(mut row) = rows.as_mut().map(|(rows, _)| rows.next_row()).transpose()?.flatten() {
            row.resize(header.len(), Cell::Null);
            let at = |i: &usize| row.get(*i).cloned().unwrap_or(Cell::Null);
            let identifiers: Vec<Cell> = places.iter().take(self.identifiers).map(at).collect();
            let identity = self.identity(&identifiers);
            if changes.touches(identity) {
                let current: Vec<Cell> = places.iter().map(at).collect();
                let Some(merged) = changes.merge(identity, current.clone())? else {
                    differs = true;
                    continue;
                };
                differs |= merged != current;
                for (place, cell) in places.iter().zip(merged) {
                    row[*place] = cell; // `places` are positions in the header, to which the row was resized
                }
            }
            out.write(row)?;
        }
        while let Some(cells) = changes.appended()? {
            differs = true;
            let mut row = vec![Cell::Null; header.len()];
            for (place, cell) in places.iter().zip(cells) {
                row[*place] = cell; // as above
            }
            out.write(row)?;
        }
        out.file.flush().map_err(|e| failed(&e, Path::new("the new CSV file")))?;
        Ok(differs)
    }
}

struct Rows {
    file: BufWriter<File>,
    width: usize,
}

impl Rows {
    fn write(&mut self, row: Vec<Cell>) -> Result<(), SendError> {
        let mut line = String::new();
        for (i, cell) in row.iter().take(self.width).enumerate() {
            if i > 0 {
                line.push(',');
            }
            let Some(text) = cell.text() else { continue };
            if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
                line.push('"');
                line.push_str(&text.replace('"', "\"\""));
                line.push('"');
            } else {
                line.push_str(text);
            }
        }
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|e| failed(&e, Path::new("the new CSV file")))
    }
}

/// Rows of a CSV file, telling null from empty text.
struct Reader<'a> {
    path: &'a Path,
    input: BufReader<File>,
    line: u64,
    width: usize,
}

/// Opens a file; gives its header too, which is empty for an empty file.
fn reader(path: &Path) -> Result<(Reader<'_>, Vec<String>), SendError> {
    let file = File::open(path).map_err(|e| failed(&e, path))?;
    let mut rows = Reader { path, input: BufReader::with_capacity(1 << 18, file), line: 0, width: usize::MAX };
    let mut header = Vec::new();
    if let Some(cells) = rows.next_row()? {
        for (i, cell) in cells.iter().enumerate() {
            let name = cell.text().unwrap_or_default();
            header.push(if i == 0 { name.trim_start_matches('\u{feff}') } else { name }.to_owned());
        }
    }
    rows.width = header.len();
    Ok((rows, header))
}

impl Reader<'_> {
    fn next_row(&mut self) -> Result<Option<Vec<Cell>>, SendError> {
        let mut text = String::new();
        let first = self.line + 1;
        loop {
            let before = text.len();
            let read = self.input.read_line(&mut text);
            self.line += 1;
            read.map_err(|e| unreadable(self.path, format!("line {}: {e}", self.line)))?;
            if text.len() == before {
                if text.is_empty() {
                    return Ok(None);
                }
                return Err(unreadable(self.path, format!("line {first}: a quote is not closed")));
            }
            // An even number of quotes: no line break of this row is inside of quotes.
            if text.bytes().filter(|b| *b == b'"').count() % 2 == 1 {
                continue;
            }
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                text.clear();
                continue;
            }
            let row = split(line);
            if row.len() > self.width {
                let (found, width) = (row.len(), self.width);
                return Err(unreadable(self.path, format!("line {first}: {found} cells, but the header has {width}")));
            }
            return Ok(Some(row));
        }
    }
}

/// The cells of one row.
fn split(line: &str) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (text, after) = rest.split_at(end);
                (if text.is_empty() { Cell::Null } else { Cell::Text(text.into()) }, after)
            }
        };
        cells.push(cell);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return cells,
        }
    }
}

/// A quoted cell, and what follows it.
fn unquote(mut rest: &str) -> (Cell, &str) {
    let mut text = String::new();
    loop {
        let end = rest.find('"').unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        text.push_str(part);
        let after = after.strip_prefix('"').unwrap_or(after);
        match after.strip_prefix('"') {
            Some(next) => {
                text.push('"');
                rest = next;
            }
            None => {
                // Text after the closing quote belongs to the cell, as most readers have it.
                let end = after.find(',').unwrap_or(after.len());
                let (tail, after) = after.split_at(end);
                text.push_str(tail);
                return (Cell::Text(text.into()), after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_row() {
        let t = |text: &str| Cell::Text(text.into());
        let cases = [
            ("a,b", vec![t("a"), t("b")]),
            ("a,,\"\"", vec![t("a"), Cell::Null, t("")]),
            ("\"a,b\",\"say \"\"x\"\"\"", vec![t("a,b"), t("say \"x\"")]),
            (",", vec![Cell::Null, Cell::Null]),
            ("\"a\nb\",c", vec![t("a\nb"), t("c")]),
            ("a\"b,c", vec![t("a\"b"), t("c")]),
        ];
        for (line, cells) in cases {
            assert_eq!(split(line), cells, "{line}");
        }
    }
}
