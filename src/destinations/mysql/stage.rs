//! A batch in a temporary table: what it looks like, and the statements that fill it.

use crate::destinations::staged::{Numbered, Presence, Presences};
use crate::destinations::table::Column;
use crate::destinations::{Action, Operation, SendError};
use crate::mysql::quoted;

use super::literal::write;
use super::schema::{Form, Table, Type};

/// Bytes of one statement, where the server takes that many.
const STATEMENT: usize = 8 << 20;
/// Columns of the temporary table's index: as many texts as surely fit.
const PARTS: usize = 8;
/// Bytes that a server may count beside the statement itself.
const SPARE: usize = 1024;

/// The columns of the temporary table: `n` is the position in the batch, `r` the round (see the merge), `s` which fields
/// with a default the record holds, `c0`, `c1`, … the identifiers and fields in the table's order, `p2`, `p3`, … say
/// whether a field is in the record.
pub(super) struct Layout<'a> {
    table: &'a Table,
    held: Presences,
    /// What a field's default makes is not known here, so a new row must not name the fields that its record does not
    /// hold. These are the different sets of fields with a default that records of the batch hold.
    shapes: Vec<Vec<bool>>,
}

/// One field of a batch in SQL.
pub(super) struct InBatch<'a> {
    /// The field.
    pub column: &'a Column,
    /// Its quoted name.
    pub name: String,
    /// What the server says of it.
    pub kind: &'a Type,
    /// Its value in the batch; null for records that do not hold it.
    pub sent: String,
    /// Its value in the batch; that of the row `t` for records that do not hold it.
    pub updated: String,
    /// An expression that is true where the row `t` holds what was sent.
    pub same: String,
    /// Its position among identifiers and fields.
    position: usize,
}

impl<'a> Layout<'a> {
    /// The layout for these operations.
    pub fn of(table: &'a Table, action: Action, operations: &[Numbered<'_>]) -> Self {
        let mut layout = Self { table, held: Presences::of(&table.columns, action, operations), shapes: Vec::new() };
        for (_, operation) in operations {
            let shape = layout.shape(operation);
            if !layout.shapes.contains(&shape) {
                layout.shapes.push(shape);
            }
        }
        layout
    }

    /// Name of the temporary table; it is in the target's database, for the connection may have none.
    pub fn name(table: &Table) -> String {
        format!("{}._syncline_batch", table.database)
    }

    /// `CREATE TEMPORARY TABLE`.
    pub fn create(&self) -> String {
        let mut lines = vec![
            "n int NOT NULL PRIMARY KEY".to_owned(),
            "r int NOT NULL DEFAULT 1".to_owned(),
            "s int NOT NULL".to_owned(),
        ];
        for ((i, flagged), kind) in self.held.columns().filter_map(|c| Some((c, self.table.types.get(c.0)?))) {
            lines.extend(flagged.then(|| format!("p{i} tinyint NOT NULL")));
            lines.push(format!("c{i} {}", kind.declared));
        }
        // Where the table has no index, it is read once, and each of its rows is looked for here. JSON takes none.
        let identifiers = self.table.types.iter().take(self.table.columns.matching.len()).enumerate();
        let parts = identifiers.filter(|(_, kind)| kind.form != Form::Json).take(PARTS);
        let parts: Vec<String> = parts.map(|(i, kind)| format!("c{i}{}", kind.prefix)).collect();
        if !self.table.indexed && !parts.is_empty() {
            lines.push(format!("KEY ({})", parts.join(", ")));
        }
        format!("CREATE TEMPORARY TABLE {} ({}) ENGINE = InnoDB", Self::name(self.table), lines.join(", "))
    }

    /// The statements that fill it, none longer than `packet` bytes.
    ///
    /// # Errors
    /// A record is longer than that.
    pub fn inserts(&self, operations: &[Numbered<'_>], packet: usize) -> Result<Vec<String>, SendError> {
        let most = STATEMENT.min(packet.saturating_sub(SPARE));
        let names: Vec<String> = self.held.names().collect();
        let begin = format!("INSERT INTO {} (n, s, {}) VALUES ", Self::name(self.table), names.join(", "));
        let (mut statements, mut statement) = (Vec::new(), begin.clone());
        for numbered in operations {
            let row = self.row(numbered);
            if begin.len() + row.len() > packet.saturating_sub(SPARE) {
                return Err(SendError::Refused {
                    code: "too_large".into(),
                    message: format!(
                        "the record takes {} bytes, and the server's `max_allowed_packet` is {packet}",
                        row.len()
                    ),
                });
            }
            if statement.len() + row.len() + 2 > most && statement.len() > begin.len() {
                statements.push(std::mem::replace(&mut statement, begin.clone()));
            }
            if statement.len() > begin.len() {
                statement.push_str(", ");
            }
            statement.push_str(&row);
        }
        statements.push(statement);
        Ok(statements)
    }

    fn row(&self, (n, operation): &Numbered<'_>) -> String {
        let shape = self.shape(operation);
        let shape = self.shapes.iter().position(|known| *known == shape).unwrap_or_default();
        let mut out = format!("({n}, {shape}");
        for (i, column, flag, value) in self.held.values(&self.table.columns, &operation.record) {
            let Some(kind) = self.table.types.get(i) else { continue };
            out.push_str(flag.map_or("", |held| if held { ", 1" } else { ", 0" }));
            out.push_str(", ");
            write(value, kind.form, column.meaning, &mut out);
        }
        out.push(')');
        out
    }

    /// The fields that some record of the batch holds.
    pub fn fields(&self) -> Vec<InBatch<'a>> {
        let identifiers = self.table.columns.matching.len();
        let mut fields = Vec::new();
        for (i, column) in self.table.columns.fields.iter().enumerate() {
            let position = identifiers + i;
            let Some(kind) = self.table.types.get(position) else { continue };
            let (name, sent) = (quoted(&column.name), format!("b.c{position}"));
            let there = format!("t.{name}");
            let (updated, same) = match self.held.at(position) {
                Presence::Never => continue,
                Presence::Always => (sent.clone(), kind.same(&there, &sent)),
                Presence::Sometimes => (
                    format!("CASE WHEN b.p{position} THEN {sent} ELSE {there} END"),
                    format!("(b.p{position} = 0 OR {})", kind.same(&there, &sent)),
                ),
            };
            fields.push(InBatch { column, name, kind, sent, updated, same, position });
        }
        fields
    }

    /// The sets of fields that new rows of the batch name: the number each has in `s`, and the fields.
    pub fn shapes(&self) -> Vec<(usize, Vec<InBatch<'a>>)> {
        let within = |shape: &[bool], field: &InBatch<'_>| shape.get(field.position).copied().unwrap_or(true);
        let shape =
            |(s, shape): (usize, &Vec<bool>)| (s, self.fields().into_iter().filter(|f| within(shape, f)).collect());
        self.shapes.iter().enumerate().map(shape).collect()
    }

    /// By position among identifiers and fields, whether a new row names it: always, unless it has a default and the
    /// record does not hold it.
    fn shape(&self, operation: &Operation) -> Vec<bool> {
        let identifiers = self.table.columns.matching.len();
        let named = |(i, (column, kind)): (usize, (&Column, &Type))| {
            i < identifiers
                || self.held.at(i) != Presence::Sometimes
                || !kind.defaulted
                || column.field(&operation.record).is_some()
        };
        self.table.columns.all().zip(&self.table.types).enumerate().map(named).collect()
    }
}
