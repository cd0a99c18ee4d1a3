//! What in a mapping can never work, found before any row is read; and which columns it uses.

use std::collections::BTreeSet;

use arrow_schema::Schema;
use indexmap::IndexMap;

use super::column::MARK;
use super::kind::{Kind, word};
use super::scan::{self, Mention};
use super::template::Templates;
use super::{Fault, MappingSpec, Used, Value, transform};
use crate::diagnostic::closest;
use crate::manifest::model::Column;
use crate::manifest::sync::{Field, Origin, Transform};
use crate::template::Unknown;

/// The model's columns one field is made of.
pub fn columns_of(field: &Field) -> Used {
    match &field.origin {
        Origin::Column(column) => Used::Columns([column.clone()].into()),
        Origin::Value(_) => Used::Columns(BTreeSet::new()),
        Origin::Template(template) => {
            let of_row = scan::mentions(template).into_iter().filter(|mention| mention.root == "row");
            of_row.map(|mention| mention.member).collect::<Option<_>>().map_or(Used::All, Used::Columns)
        }
    }
}

impl MappingSpec {
    /// The model's columns this mapping uses: of the key, the match, the fields, and those its templates read.
    ///
    /// # Errors
    /// The faults of templates that cannot be read ([`MappingSpec::check_templates`]).
    pub fn columns(&self) -> Result<Used, Vec<Fault>> {
        let faults = self.check_templates();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut used: BTreeSet<String> = self.primary_key.iter().chain(self.matching.values()).cloned().collect();
        for field in self.fields.values() {
            match columns_of(field) {
                Used::All => return Ok(Used::All),
                Used::Columns(columns) => used.extend(columns),
            }
        }
        Ok(Used::Columns(used))
    }

    /// Faults of the templates that need no schema to be seen: syntax, names, filters, tests and methods that do not exist.
    pub fn check_templates(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, field) in &self.fields {
            if let Origin::Template(template) = &field.origin {
                self.check_template(template, &pointer(&["fields", name, "template"]), &mut faults);
            }
        }
        faults
    }

    /// Everything in the mapping that can never work with a model of this schema. `columns` is what the model's manifest
    /// promises about its columns; promises about columns that are not used are not looked at.
    ///
    /// Pointers are into the sync manifest, except `/primary_key/N` (codes `unknown-key-column`, `key-type`) and
    /// `/columns/NAME/type` (code `column-type`), which are into the model's. A short field `plan: plan` is pointed at
    /// as `/fields/plan/column` too.
    pub fn check(&self, schema: &Schema, columns: &IndexMap<String, Column>) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (position, column) in self.primary_key.iter().enumerate() {
            let at = format!("/primary_key/{position}");
            if let Some(kind) = lookup(schema, column, &at, "unknown-key-column", &mut faults) {
                let json =
                    schema.field_with_name(column).is_ok_and(|f| f.metadata().get(MARK).is_some_and(|m| m == "json"));
                if json || matches!(kind, Kind::Float | Kind::Nested) {
                    let what = if json { "JSON" } else { kind.words() };
                    let message = format!("column `{column}` is {what}, which cannot be a primary key");
                    let help = "use a column of whole numbers or text, or cast it in the model";
                    faults.push(fault(at, "key-type", message, Some(help.into())));
                }
            }
        }
        for (identifier, column) in &self.matching {
            let at = pointer(&["match", identifier]);
            if let Some(Kind::Nested) = lookup(schema, column, &at, "unknown-column", &mut faults) {
                let message = format!("column `{column}` is a list or an object, which no record can be matched by");
                faults.push(fault(at, "match-type", message, None));
            }
        }
        for (name, field) in &self.fields {
            self.check_field(schema, name, field, &mut faults);
        }
        check_promises(self, schema, columns, &mut faults);
        faults
    }

    fn check_field(&self, schema: &Schema, name: &str, field: &Field, faults: &mut Vec<Fault>) {
        let (from, kind) = match &field.origin {
            Origin::Column(column) => {
                let at = pointer(&["fields", name, "column"]);
                let Some(kind) = lookup(schema, column, &at, "unknown-column", faults) else { return };
                (format!("column `{column}`"), kind)
            }
            Origin::Value(json) => {
                let value = Value::from_json(json);
                let kind = Kind::of_value(&value);
                let chain = check_chain("the constant", kind, &field.transform);
                if let (Ok(_), Err(reason)) = (&chain, transform::apply(&field.transform, value)) {
                    let at = pointer(&["fields", name, "transform"]);
                    faults.push(fault(at, "transform-type", format!("the constant does not fit: {reason}"), None));
                }
                ("the constant".to_owned(), kind)
            }
            Origin::Template(template) => {
                let at = pointer(&["fields", name, "template"]);
                self.check_template(template, &at, faults);
                for mention in scan::mentions(template).into_iter().filter(|mention| mention.root == "row") {
                    let Some(column) = &mention.member else { continue };
                    let known = faults.len();
                    lookup(schema, column, &at, "unknown-column", faults);
                    faults.iter_mut().skip(known).for_each(|fault| fault.range = Some(mention.range.clone()));
                }
                ("the template".to_owned(), Kind::Text)
            }
        };
        if let Err((message, help)) = check_chain(&from, kind, &field.transform) {
            faults.push(fault(pointer(&["fields", name, "transform"]), "transform-type", message, help));
        }
    }

    fn check_template(&self, template: &str, at: &str, faults: &mut Vec<Fault>) {
        let mut templates = Templates::new();
        if let Err(error) = templates.add(0, template) {
            let message = format!("the template cannot be read: {}", error.detail().unwrap_or("syntax error"));
            faults.push(Fault { range: error.range(), ..fault(at.into(), "template-syntax", message, None) });
            return;
        }
        let undeclared = templates.get(0).map(|t| t.undeclared_variables(false)).unwrap_or_default();
        let mut put = |code, message: String, help, range| {
            faults.push(Fault { range: Some(range), ..fault(at.into(), code, message, help) });
        };
        for Mention { root, member, range } in scan::mentions(template) {
            match (root.as_str(), member) {
                ("vars", Some(member)) => {
                    let known: Vec<&str> = match self.scope.get("vars") {
                        Some(serde_json::Value::Object(vars)) => vars.keys().map(String::as_str).collect(),
                        _ => Vec::new(),
                    };
                    if !known.contains(&member.as_str()) {
                        let help = closest(&member, known).map(|near| format!("did you mean `{near}`?"));
                        put("unknown-variable", format!("there is no variable `vars.{member}`"), help, range);
                    }
                }
                ("run", Some(member)) if member != "started_at" => {
                    let help = Some("a template can use `run.started_at`".to_owned());
                    put("unknown-variable", format!("there is no `run.{member}`"), help, range);
                }
                ("row" | "vars" | "environment" | "run", _) => {}
                (root, _) if undeclared.contains(root) && !templates.has_global(root) => {
                    let help = "a template of a field sees `row`, `vars`, `environment` and `run.started_at`; a column is \
                                `row.NAME`";
                    put("unknown-variable", format!("there is no `{root}` here"), Some(help.into()), range);
                }
                _ => {}
            }
        }
        for Unknown { message, help, range } in templates.unknown_calls(template) {
            put("unknown-function", message, help, range);
        }
    }
}

/// What a model promises about its columns and does not keep: columns with a type or tests that are not there, and those
/// of another type. Pointers are into the model's manifest (codes `unknown-column`, `column-type`).
pub fn check_contract(schema: &Schema, columns: &IndexMap<String, Column>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, column) in columns.iter().filter(|(_, column)| column.kind.is_some() || !column.tests.is_empty()) {
        match schema.field_with_name(name) {
            Ok(_) => faults.extend(promise(schema, name, column)),
            Err(_) => {
                let message = format!("the model has no column `{name}`, which it promises");
                // What it is called now, if that can be told, and the ways to go on.
                let now =
                    near(schema, name).map(|near| format!("{near}{}", if near.ends_with('?') { "" } else { ";" }));
                let ways = format!(
                    "if it was renamed, write the new name here and in the syncs, or keep the old one in the model's SQL: \
                     `… as {name}`"
                );
                let help = now.map_or_else(|| ways.clone(), |now| format!("{now} {ways}"));
                faults.push(fault(pointer(&["columns", name]), "unknown-column", message, Some(help)));
            }
        }
    }
    faults
}

fn check_promises(spec: &MappingSpec, schema: &Schema, columns: &IndexMap<String, Column>, faults: &mut Vec<Fault>) {
    let used = spec.columns().unwrap_or(Used::All);
    let used = columns.iter().filter(|(name, _)| used.contains(name));
    faults.extend(used.filter_map(|(name, column)| promise(schema, name, column)));
}

/// A column whose type is not the one promised.
fn promise(schema: &Schema, name: &str, column: &Column) -> Option<Fault> {
    let declared = column.kind?;
    let kind = Kind::of(schema.field_with_name(name).ok()?);
    if kind.keeps(declared) {
        return None;
    }
    let declared = format!("{declared:?}").to_lowercase();
    let message = format!("column `{name}` is declared as `{declared}`, but the model gives {}", kind.words());
    let help = "if that is meant, change the type here; else correct the source, or cast the column in the model's SQL";
    Some(fault(pointer(&["columns", name, "type"]), "column-type", message, Some(help.into())))
}

/// Follows the kinds through the transforms. The error is message and help.
fn check_chain(from: &str, mut kind: Kind, transforms: &[Transform]) -> Result<Kind, (String, Option<String>)> {
    let mut from = from.to_owned();
    for transform in transforms {
        let name = word(*transform);
        kind = kind.after(*transform).ok_or_else(|| {
            let help = match transform {
                Transform::Trim | Transform::Lower | Transform::Upper | Transform::Title | Transform::E164 => {
                    Some(format!("`{name}` takes text; put `string` before it"))
                }
                Transform::EpochS | Transform::EpochMs | Transform::Iso8601 | Transform::Date => {
                    Some(format!("`{name}` takes a date, a timestamp or ISO 8601 text"))
                }
                _ => None,
            };
            (format!("transform `{name}` cannot take {}: {from} is {}", kind.words(), kind.words()), help)
        })?;
        from = format!("the result of `{name}`");
    }
    Ok(kind)
}

/// The kind of a column, or a fault that there is no such column, or more than one.
fn lookup(schema: &Schema, column: &str, at: &str, code: &'static str, faults: &mut Vec<Fault>) -> Option<Kind> {
    let mut found = schema.fields().iter().filter(|field| field.name() == column);
    match (found.next(), found.next()) {
        (Some(field), None) => Some(Kind::of(field)),
        (Some(_), Some(_)) => {
            let message = format!("the model has more than one column `{column}`");
            let help = "give each column of the query its own name with `as`";
            faults.push(fault(at.into(), "ambiguous-column", message, Some(help.into())));
            None
        }
        (None, _) => {
            faults.push(fault(at.into(), code, format!("the model has no column `{column}`"), near(schema, column)));
            None
        }
    }
}

/// What is suggested for a column that is not there.
pub fn near(schema: &Schema, column: &str) -> Option<String> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    if let Some(other_case) = names.iter().find(|name| name.to_lowercase() == column.to_lowercase()) {
        return Some(format!("the column is `{other_case}`"));
    }
    if let Some(near) = closest(column, names.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let listed: Vec<String> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > listed.len() { ", …" } else { "" };
    (!listed.is_empty()).then(|| format!("its columns are {}{more}", listed.join(", ")))
}

fn fault(pointer: String, code: &'static str, message: String, help: Option<String>) -> Fault {
    Fault { pointer, code, message, help, range: None }
}

/// A JSON pointer (RFC 6901).
fn pointer(parts: &[&str]) -> String {
    parts.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests;
