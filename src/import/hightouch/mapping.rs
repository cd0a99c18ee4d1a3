//! Mappings of a sync → fields.
//!
//! An item is `{to, from}` (`standard`), `{to, template}` (Liquid), `{to, variable}` or `{to, lookup}` (`reference`); a
//! constant (`static`) is documented, and its key in files was never seen: `value` and `constant` are taken.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::liquid::{self, Made};
use super::reader::Reader;

/// The lists that hold mappings. Braze keeps its custom fields apart.
const LISTS: [&str; 2] = ["/config/mappings", "/config/customMappings"];

const LOOKUP: &str = "syncline has no look-ups of other records while it maps";
const LOOKUP_HELP: &str = "join the id in the model and map that column";

/// A line below `fields`.
enum Line {
    Field(String, Value),
    Differs(String, String),
    Left(String, String, Option<&'static str>),
}

/// Writes the fields of a sync. `matching` is identifier → column, `key` the key columns of its model.
pub(super) fn fields(reader: &Reader<'_>, draft: &mut Draft, matching: &BTreeMap<String, String>, key: &[String]) {
    let mut lines = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for list in LISTS {
        for at in 0..reader.length(list) {
            let pointer = format!("{list}/{at}");
            match field(reader, &pointer, &draft.name, &mut lines) {
                Ok((to, value)) => match clash(&to, &value, &known, matching) {
                    Ok(true) => {
                        known.push(to.clone());
                        let column = value.as_str().or_else(|| value.get("column").and_then(Value::as_str));
                        if let Some(message) = column.and_then(|column| super::sync::other_case(column, key)) {
                            lines.push(Line::Differs(format!("{pointer}/from"), message));
                        }
                        lines.push(Line::Field(to, value));
                    }
                    Ok(false) => {}
                    Err(message) => lines.push(Line::Left(pointer, message, None)),
                },
                Err((message, help)) => {
                    reader.get(&pointer);
                    lines.push(Line::Left(pointer, message, help));
                }
            }
        }
    }
    if !known.is_empty() {
        draft.carried(format!("{} {}", known.len(), if known.len() == 1 { "field" } else { "fields" }));
        draft.nest("fields");
    }
    for line in lines {
        match line {
            Line::Field(to, value) => draft.entry(&to, value),
            Line::Differs(pointer, message) => draft.differs(reader, &pointer, message, None),
            Line::Left(pointer, message, help) => draft.left(reader, &pointer, message, help),
        }
    }
    if !known.is_empty() {
        draft.unnest();
    }
    for list in ["/config/associationMappings", "/config/aliasMappings"] {
        for at in 0..reader.length(list) {
            let pointer = format!("{list}/{at}");
            reader.get(&pointer);
            match list.contains("association") {
                true => draft.left(reader, &pointer, LOOKUP, Some(LOOKUP_HELP)),
                false => draft.left(reader, &pointer, "aliases have no counterpart", None),
            }
        }
    }
}

type Untaken = (String, Option<&'static str>);

/// One field: its name and how it is made.
fn field(reader: &Reader<'_>, pointer: &str, sync: &str, lines: &mut Vec<Line>) -> Result<(String, Value), Untaken> {
    let at = |key: &str| format!("{pointer}/{key}");
    let Some(to) = reader.text(&at("to")) else { return Err(("it does not say which field it is for".into(), None)) };
    let kind = reader.text(&at("type")).unwrap_or_else(|| "standard".into());
    let mut made = match kind.as_str() {
        "standard" => match reader.text(&at("from")) {
            Some(column) => json!({ "column": column }),
            None => return Err(("`from` is not the name of a column".into(), Some("map a column of the model"))),
        },
        "template" => {
            let template = reader.text(&at("template")).unwrap_or_default();
            let made = liquid::translate(&template).map_err(|refused| {
                let message = format!("the template uses {}: there is nothing here that does exactly this", refused.0);
                (message, Some("make the value in the model's SQL, or write a `template` of syncline's"))
            })?;
            lines.extend(made.remarks.into_iter().map(|remark| Line::Differs(at("template"), remark)));
            let mut field = match made.origin {
                Made::Column(column) => json!({ "column": column }),
                Made::Template(template) => json!({ "template": template }),
            };
            match made.transform.as_slice() {
                [] => {}
                [one] => field["transform"] = json!(one),
                several => field["transform"] = json!(several),
            }
            field
        }
        "variable" => match reader.text(&at("variable")).unwrap_or_default().replace('_', "-").as_str() {
            "sync-id" => {
                let message = "Hightouch's number of the sync; the name of the sync stands for it";
                lines.push(Line::Differs(at("variable"), message.into()));
                json!({ "value": sync })
            }
            "sync-run-id" => {
                let message = "Hightouch's number of the run; a run is known here by when it began";
                lines.push(Line::Differs(at("variable"), message.into()));
                json!({ "template": "{{ run.started_at }}" })
            }
            other => return Err((format!("there is no variable `{other}`"), None)),
        },
        "static" | "constant" => {
            match reader.get(&at("value")).or_else(|| reader.get(&at("constant"))).or_else(|| reader.get(&at("from"))) {
                Some(value) => json!({ "value": value }),
                None => return Err(("the constant has no value".into(), None)),
            }
        }
        "reference" => return Err((LOOKUP.into(), Some(LOOKUP_HELP))),
        other => return Err((format!("there is no kind of mapping like `{other}`"), None)),
    };
    if reader.look(&at("ignoreNull")).is_some() && reader.text(&at("ignoreNull")).as_deref() == Some("true") {
        made["on_null"] = json!("omit");
    }
    Ok((to, short(made)))
}

/// A column and nothing else is written by its name alone.
fn short(made: Value) -> Value {
    match made.as_object().map(Map::len) {
        Some(1) => made.get("column").cloned().unwrap_or(made),
        _ => made,
    }
}

/// Whether a field is to be written; `false` where it says what the identifier says already.
fn clash(to: &str, value: &Value, known: &[String], matching: &BTreeMap<String, String>) -> Result<bool, String> {
    if let Some(column) = matching.get(to) {
        if value.as_str() == Some(column) {
            return Ok(false);
        }
        return Err(format!("`{to}` is what records are matched by, and that is column `{column}`"));
    }
    if to.is_empty() || to.split('.').any(str::is_empty) {
        return Err(format!("`{to}` is not the name of a field"));
    }
    let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    for other in known.iter().chain(matching.keys()) {
        if other == to {
            return Err(format!("`{to}` is mapped a second time"));
        }
        if within(to, other) || within(other, to) {
            return Err(format!("`{to}` and `{other}` cannot both be fields: one would be a part of the other"));
        }
    }
    Ok(true)
}
