//! Frozen rows → records, on the way out.

use std::sync::Arc;

use arrow_schema::SchemaRef;

use crate::destinations::Action;
use crate::diagnostic::Result;
use crate::diff::RowState;
use crate::mapping::{Mapping, MappingSpec, Page, Payload, Record, Unmappable, Value};
use crate::plan::operations::{Frozen, Head};

/// Makes the records of frozen rows.
pub trait Mapper: Send {
    /// One entry per row: `None` where nothing is done at the destination, else the record, or why there is none
    /// (without the value itself).
    fn records(&mut self, frozen: &Frozen) -> Result<Vec<Option<Result<Payload, String>>>>;
}

/// Makes records by a sync's mapping. The columns of a part are those the model had when its rows were frozen, or, for
/// removed rows, when they were last sent: the mapping is made ready for each schema that comes along.
pub struct SpecMapper {
    spec: MappingSpec,
    started_at: String,
    ready: Option<(SchemaRef, Option<Arc<Mapping>>)>,
    written: bool,
}

impl SpecMapper {
    /// A mapper for this mapping; `started_at` is what templates see as `run.started_at`.
    pub fn new(spec: MappingSpec, started_at: impl Into<String>) -> Self {
        Self { spec, started_at: started_at.into(), ready: None, written: false }
    }

    /// The same; where `written`, records are written as JSON, and values are made only where somebody asks for them.
    pub fn written(self, written: bool) -> Self {
        Self { written, ..self }
    }
}

impl Mapper for SpecMapper {
    fn records(&mut self, frozen: &Frozen) -> Result<Vec<Option<Result<Payload, String>>>> {
        let schema = frozen.rows.schema();
        if self.ready.as_ref().is_none_or(|(ready, _)| *ready != schema) {
            // Rows last sent by an older mapping may lack columns this one reads.
            self.ready = Some((schema.clone(), Mapping::new(&self.spec, &schema, &self.started_at).ok().map(Arc::new)));
        }
        let mapping = self.ready.as_ref().and_then(|(_, mapping)| mapping.as_ref());
        let bound = mapping.map(|mapping| mapping.bind(&frozen.rows)).transpose()?;
        let is_written = |head: &Head| self.written && head.action == Some(Action::Send) && head.matching.is_none();
        let mut written = match mapping {
            Some(mapping) => {
                let rows = frozen.heads.iter().enumerate().filter(|(_, head)| is_written(head));
                let rows = rows.map(|(row, head)| (row, head.state == RowState::Added));
                Some(Page::write(mapping, &frozen.rows, rows)?.into_iter())
            }
            None => None,
        };
        let record = |(row, head): (usize, &Head)| {
            head.action?;
            if is_written(head)
                && let Some(payload) = written.as_mut().and_then(Iterator::next)
            {
                return Some(payload.map_err(|fault| told(&fault)));
            }
            let unbound = || Unmappable {
                field: String::new(),
                reason: crate::mapping::Reason::Unmappable,
                message: "the row does not have the columns of the mapping".into(),
            };
            let bound = bound.as_ref().ok_or_else(unbound);
            // A removed row is named by the identifiers it was last sent with, whatever the mapping is today.
            let matching = match (&head.matching, &bound) {
                (Some(matching), _) => Ok(matching.clone()),
                (None, Ok(bound)) => bound.matching(row),
                (None, Err(fault)) => Err(fault.clone()),
            };
            let record = matching.and_then(|matching| {
                let fields = match head.action {
                    // Also what is left out otherwise: it may have been sent when the row had a value.
                    Some(Action::Clear) => Ok(vec![Some(Value::Null); self.spec.fields.len()]),
                    _ => bound.and_then(|bound| bound.fields(row, head.state == RowState::Added)),
                };
                match fields {
                    // To go it need not be what it would be today.
                    Err(_) if head.action == Some(Action::Delete) || head.matching.is_some() => {
                        Ok(Record { matching, fields: vec![None; self.spec.fields.len()] })
                    }
                    fields => Ok(Record { matching, fields: fields? }),
                }
            });
            Some(record.map(Payload::from).map_err(|fault| told(&fault)))
        };
        Ok(frozen.heads.iter().enumerate().map(record).collect())
    }
}

fn told(fault: &Unmappable) -> String {
    format!("field `{}`: {}", fault.field, fault.message)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    use super::*;
    use crate::destinations::Action;
    use crate::diff::Cause;
    use crate::mapping::Value;

    /// id, name; what became of the row; what is done about it; the identifiers it was last sent with; whether it is
    /// written.
    type Case = (i64, Option<&'static str>, RowState, Option<Action>, Option<Vec<Value>>, bool);

    #[test]
    fn what_is_written_beforehand_is_the_same_record() {
        let (send, clear) = (Some(Action::Send), Some(Action::Clear));
        let cases: [Case; 7] = [
            (1, Some("Ada"), RowState::Added, send, None, true),
            (2, Some("Grace"), RowState::Changed, None, None, false),
            (3, None, RowState::Changed, send, None, true),
            (4, Some("left"), RowState::Removed, Some(Action::Delete), Some(vec![Value::Int(14)]), false),
            (5, Some("Alan"), RowState::Changed, send, None, true),
            (6, Some("left"), RowState::Removed, clear, None, false),
            (7, Some("left"), RowState::Removed, clear, Some(vec![Value::Int(17)]), false),
        ];
        let head = |(at, (id, _, state, action, matching, _)): (usize, &Case)| Head {
            ordinal: at as u64,
            state: *state,
            cause: Cause::Data,
            action: *action,
            key: id.to_string().into(),
            key_hash: 1,
            row_hash: 2,
            matching: matching.clone(),
        };
        let columns: [(&str, ArrayRef); 2] = [
            ("id", Arc::new(Int64Array::from_iter_values(cases.iter().map(|case| case.0)))),
            ("name", Arc::new(cases.iter().map(|case| case.1).collect::<StringArray>())),
        ];
        let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
        let frozen = Frozen { heads: cases.iter().enumerate().map(head).collect(), rows };
        let spec: MappingSpec = serde_json::from_value(serde_json::json!({
            "primary_key": ["id"], "matching": { "id": "id" },
            "fields": { "first": { "column": "name", "write": "if_added" }, "number": { "column": "name", "transform": "integer" } }
        }))
        .unwrap();
        let with = |fields: &[&str]| {
            let mut spec = spec.clone();
            spec.fields.retain(|name, _| fields.contains(&name.as_str()));
            spec
        };
        for spec in [with(&["first"]), with(&["first", "number"])] {
            let values = SpecMapper::new(spec.clone(), "").records(&frozen).unwrap();
            let written = SpecMapper::new(spec, "").written(true).records(&frozen).unwrap();
            for ((values, written), case) in values.into_iter().zip(written).zip(&cases) {
                let is_written = matches!(&written, Some(Ok(payload)) if payload.written().is_some());
                assert_eq!(is_written, case.5 && matches!(values, Some(Ok(_))), "{case:?}");
                let record =
                    |made: Option<Result<Payload, String>>| made.map(|made| made.map(|made| Record::clone(&made)));
                let (written, values) = (record(written), record(values));
                assert_eq!(written, values, "{case:?}");
                if case.3 == clear {
                    let fields = values.unwrap().unwrap().fields;
                    assert!(fields.iter().all(|field| *field == Some(Value::Null)), "{case:?}: {fields:?}");
                }
            }
        }
    }
}
