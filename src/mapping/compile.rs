//! A mapping made ready: columns found, constants transformed, templates compiled. Then bound to a batch, row by row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use indexmap::IndexMap;
use smol_str::SmolStr;

use super::column::Column;
use super::kind::Kind;
use super::template::{self, Rows, Scope, Templates};
use super::{Fault, MappingSpec, Reason, Record, Unmappable, Value, json, transform};
use crate::diagnostic::{Error, Result};
use crate::manifest::sync::{OnNull, Origin, Transform, Write};

pub mod page;

/// A mapping compiled for one schema. Immutable; shared by threads.
#[derive(Debug)]
pub struct Mapping {
    spec: MappingSpec,
    schema: SchemaRef,
    positions: Arc<HashMap<String, usize>>,
    key: Vec<usize>,
    matching: Vec<Feed>,
    fields: Vec<Step>,
    /// The names of identifiers, then of fields.
    names: Vec<SmolStr>,
    /// The names of identifiers and fields as they begin an entry of a JSON object: `"name":`.
    keys: Vec<Vec<u8>>,
    templates: Templates,
    scope: Arc<Scope>,
}

/// A column and what it goes into.
#[derive(Debug)]
struct Feed {
    name: String,
    column: usize,
    may_be_infinite: bool,
}

#[derive(Debug)]
struct Step {
    name: String,
    make: Make,
    transform: Vec<Transform>,
    omit_null: bool,
    only_added: bool,
}

#[derive(Debug)]
enum Make {
    Column(Feed),
    /// Already transformed.
    Constant(Value),
    Template(usize),
}

impl Mapping {
    /// Compiles a mapping for rows of this schema. `started_at` is what `run.started_at` gives in templates.
    ///
    /// # Errors
    /// All faults of the mapping, as [`MappingSpec::check`] finds them.
    pub fn new(spec: &MappingSpec, schema: &SchemaRef, started_at: &str) -> Result<Mapping, Vec<Fault>> {
        let faults = spec.check(schema, &IndexMap::new());
        if !faults.is_empty() {
            return Err(faults);
        }
        let positions: HashMap<String, usize> =
            schema.fields().iter().enumerate().map(|(position, field)| (field.name().clone(), position)).collect();
        let from = |name: &str, column: &str| {
            // The check has found every column; a fault here would be one of this module.
            let position = positions.get(column).copied().ok_or_else(|| vec![internal(name)])?;
            let kind = Kind::of(schema.field(position));
            let may_be_infinite = matches!(kind, Kind::Float | Kind::Nested | Kind::Any);
            Ok::<_, Vec<Fault>>(Feed { name: column.to_owned(), column: position, may_be_infinite })
        };
        let key = spec.primary_key.iter().map(|c| Ok(from(c, c)?.column)).collect::<Result<_, Vec<Fault>>>()?;
        let matching = spec.matching.iter().map(|(n, c)| from(n, c)).collect::<Result<_, _>>()?;
        let mut templates = Templates::new();
        let mut fields = Vec::with_capacity(spec.fields.len());
        for (number, (name, field)) in spec.fields.iter().enumerate() {
            let make = match &field.origin {
                Origin::Column(column) => Make::Column(from(name, column)?),
                Origin::Value(json) => Make::Constant(
                    transform::apply(&field.transform, Value::from_json(json)).map_err(|_| vec![internal(name)])?,
                ),
                Origin::Template(text) => {
                    templates.add(number, text).map_err(|_| vec![internal(name)])?;
                    Make::Template(number)
                }
            };
            let transform = if let Make::Constant(_) = make { Vec::new() } else { field.transform.clone() };
            let (omit_null, only_added) = (field.on_null == OnNull::Omit, field.write == Write::IfAdded);
            fields.push(Step { name: name.clone(), make, transform, omit_null, only_added });
        }
        let scope = Arc::new(Scope::new(&spec.scope, started_at));
        let key_of = |name: &String| {
            let mut key = Vec::new();
            json::write_text(&mut key, name);
            key.push(b':');
            key
        };
        let all = || spec.matching.keys().chain(spec.fields.keys());
        let (names, keys) = (all().map(SmolStr::from).collect(), all().map(key_of).collect());
        let (spec, schema, positions) = (spec.clone(), Arc::clone(schema), Arc::new(positions));
        Ok(Mapping { spec, schema, positions, key, matching, fields, names, keys, templates, scope })
    }

    /// What it was compiled from.
    pub fn spec(&self) -> &MappingSpec {
        &self.spec
    }

    /// The names of identifiers, then of fields, in the order of a record's values.
    pub fn names(&self) -> impl Iterator<Item = &SmolStr> {
        self.names.iter()
    }

    /// Binds a batch of rows: every column is found once, here.
    ///
    /// # Errors
    /// When the rows do not have the columns of the schema the mapping was compiled for, or one is of a type that
    /// records cannot hold.
    pub fn bind<'a>(&'a self, rows: &'a RecordBatch) -> Result<Bound<'a>> {
        let (said, got) = (self.schema.fields(), rows.schema_ref().fields());
        if said.len() != got.len() || said.iter().zip(got).any(|(said, got)| said.name() != got.name()) {
            let list =
                |f: &arrow_schema::Fields| f.iter().map(|f| format!("`{}`", f.name())).collect::<Vec<_>>().join(", ");
            let (said, got) = (list(said), list(got));
            return Err(Error::failed(format!("the rows have other columns than the model: {got} instead of {said}")));
        }
        // The metadata is that of the mapping's schema: sources need not repeat it in every batch.
        let column = |position: usize| {
            let (column, field) = (rows.column(position), self.schema.field(position));
            Column::new(column, Some(field)).map_err(|why| Error::failed(format!("column `{}` {why}", field.name())))
        };
        let mut fields = Vec::with_capacity(self.fields.len());
        let mut has_templates = false;
        for step in &self.fields {
            fields.push(match &step.make {
                Make::Column(from) => Cell::Column(column(from.column)?, from),
                Make::Constant(value) => Cell::Constant(value),
                Make::Template(number) => {
                    has_templates = true;
                    let missing = || Error::failed(format!("the template of field `{}` is missing", step.name));
                    Cell::Template(self.templates.get(*number).ok_or_else(missing)?)
                }
            });
        }
        let rows_seen = || {
            let (schema, positions) = (Arc::clone(&self.schema), Arc::clone(&self.positions));
            Arc::new(Rows { schema, positions, columns: rows.columns().to_vec() })
        };
        Ok(Bound {
            mapping: self,
            key: self.key.iter().map(|position| column(*position)).collect::<Result<_>>()?,
            matching: self.matching.iter().map(|from| column(from.column)).collect::<Result<_>>()?,
            fields,
            rows: has_templates.then(rows_seen),
        })
    }
}

fn internal(field: &str) -> Fault {
    Fault {
        pointer: "/fields".into(),
        code: "internal",
        message: format!("field `{field}` passed the checks but cannot be compiled"),
        help: None,
        range: None,
    }
}

/// A mapping bound to a batch of rows.
#[derive(Debug)]
pub struct Bound<'a> {
    mapping: &'a Mapping,
    key: Vec<Column<'a>>,
    matching: Vec<Column<'a>>,
    fields: Vec<Cell<'a>>,
    /// Only where there are templates.
    rows: Option<Arc<Rows>>,
}

#[derive(Debug)]
enum Cell<'a> {
    Column(Column<'a>, &'a Feed),
    Constant(&'a Value),
    Template(minijinja::Template<'a, 'a>),
}

impl Bound<'_> {
    /// The record a row becomes. Fields with `write: if_added` are left out unless the row is `added`.
    ///
    /// # Errors
    /// The first identifier or field that cannot be made, and why.
    pub fn record(&self, row: usize, added: bool) -> Result<Record, Unmappable> {
        Ok(Record { matching: self.matching(row)?, fields: self.fields(row, added)? })
    }

    /// The fields of that record.
    ///
    /// # Errors
    /// The first that cannot be made, and why.
    pub fn fields(&self, row: usize, added: bool) -> Result<Vec<Option<Value>>, Unmappable> {
        let (mut fields, mut context) = (Vec::with_capacity(self.fields.len()), None);
        for (cell, step) in self.fields.iter().zip(&self.mapping.fields) {
            fields.push(self.field(cell, step, row, added, &mut context)?);
        }
        Ok(fields)
    }

    /// The identifiers of the record a row becomes.
    ///
    /// # Errors
    /// The first that cannot be made, and why.
    pub fn matching(&self, row: usize) -> Result<Vec<Value>, Unmappable> {
        // Its length is known: a vector that is collected from results grows in steps.
        let mut matching = Vec::with_capacity(self.matching.len());
        for value in self.identifiers(row) {
            matching.push(value?);
        }
        Ok(matching)
    }

    fn identifiers(&self, row: usize) -> impl Iterator<Item = Result<Value, Unmappable>> {
        let names = self.mapping.spec.matching.keys();
        self.matching.iter().zip(&self.mapping.matching).zip(names).map(move |((column, from), identifier)| {
            let fail = |reason, message| Unmappable { field: identifier.clone(), reason, message };
            let value = read(column, from, row).map_err(|message| fail(Reason::Unmappable, message))?;
            if value.is_null() {
                return Err(fail(Reason::NullMatch, format!("column `{}` is null", from.name)));
            }
            Ok(value)
        })
    }

    /// The value of a field; `None` where it is left out. `context` is what templates see of the row, made by the first.
    fn field(
        &self,
        cell: &Cell<'_>,
        step: &Step,
        row: usize,
        added: bool,
        context: &mut Option<minijinja::Value>,
    ) -> Result<Option<Value>, Unmappable> {
        if step.only_added && !added {
            return Ok(None);
        }
        let unmappable = |message| (Reason::Unmappable, message);
        let value = match (cell, &self.rows) {
            (Cell::Column(column, from), _) => read(column, from, row).map_err(unmappable),
            (Cell::Constant(value), _) => Ok((*value).clone()),
            (Cell::Template(template), Some(rows)) => {
                let context = context.get_or_insert_with(|| template::context(rows, &self.mapping.scope, row));
                template::render(template, context.clone())
            }
            (Cell::Template(_), None) => Err(unmappable("the template has no row".into())),
        };
        let transformed = |value| {
            transform::apply(&step.transform, value).map_err(|message| match cell {
                Cell::Column(_, from) => unmappable(format!("column `{}`: {message}", from.name)),
                Cell::Constant(_) | Cell::Template(_) => unmappable(message),
            })
        };
        let value = value.and_then(transformed).map_err(|(reason, message)| Unmappable {
            field: step.name.clone(),
            reason,
            message,
        })?;
        Ok(if step.omit_null && value.is_null() { None } else { Some(value) })
    }

    /// The values of the key columns, in the order of `primary_key`. A value that cannot be read is null.
    pub fn key(&self, row: usize) -> Vec<Value> {
        self.key.iter().map(|column| column.at(row).unwrap_or(Value::Null)).collect()
    }

    /// The key as shown to people: the value itself, or a JSON array of a composite key's values.
    pub fn key_text(&self, row: usize) -> String {
        super::key_text(&self.key(row))
    }
}

#[inline]
fn read(column: &Column<'_>, from: &Feed, row: usize) -> Result<Value, String> {
    let value = column.at(row).map_err(|reason| format!("column `{}` {reason}", from.name))?;
    if from.may_be_infinite && !value.is_finite() {
        return Err(format!("column `{}` is not a finite number", from.name));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
