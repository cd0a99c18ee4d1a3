//! Records as templates see them, and written as JSON without detours.

use minijinja::Value as Mini;
use serde_json::Value as Json;

use super::expression::{Scope, walk};
use super::template::Node;
use super::value;
use crate::destinations::{Operation, Target};
use crate::mapping::{Value, nested_json};

/// How the records of a sync are laid out; the same for a whole run.
#[derive(Debug)]
pub(super) struct Layout {
    matching: Names,
    fields: Names,
    /// Position of fields without a meaning of their own.
    others: Vec<usize>,
    others_flat: bool,
    /// True when identifiers and fields together make one object without nesting.
    plain: bool,
}

#[derive(Debug)]
struct Names {
    names: Vec<String>,
    /// Names as JSON text with their colon.
    keys: Vec<Vec<u8>>,
    /// True when no name is dotted, so that nothing nests.
    flat: bool,
}

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<String> = names.map(str::to_owned).collect();
        let key = |name: &String| {
            let mut key = Vec::new();
            value::text(&mut key, name);
            key.push(b':');
            key
        };
        Self { keys: names.iter().map(key).collect(), flat: names.iter().all(|name| !name.contains('.')), names }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    fn key(&self, position: usize) -> &[u8] {
        self.keys.get(position).map_or(b"\"\":", Vec::as_slice)
    }

    fn name(&self, position: usize) -> &str {
        self.names.get(position).map_or("", String::as_str)
    }
}

impl Layout {
    /// True when no field nests in another.
    pub fn is_flat(&self) -> bool {
        self.fields.flat
    }

    /// The layout of a target; `known` are the fields with a meaning of their own.
    pub fn new(target: &Target, known: impl Fn(&str) -> bool) -> Self {
        let fields = Names::new(target.fields.iter().map(|field| field.name.as_str()));
        let others: Vec<usize> = (0..fields.names.len()).filter(|at| !known(fields.name(*at))).collect();
        let others_flat = others.iter().all(|at| !fields.name(*at).contains('.'));
        let matching = Names::new(target.matching.iter().map(|field| field.name.as_str()));
        let twice = matching.names.iter().any(|name| fields.position(name).is_some());
        let plain = matching.flat && fields.flat && !twice;
        Self { matching, fields, others, others_flat, plain }
    }
}

/// One record as templates see it: `match`, `fields`, `others`, `key`, `dedupe_id`, `added`, `found`.
pub(super) struct RecordScope<'a> {
    pub parent: &'a dyn Scope,
    pub layout: &'a Layout,
    pub operation: &'a Operation,
    pub found: Option<&'a Json>,
}

impl RecordScope<'_> {
    fn matching(&self) -> impl Iterator<Item = (usize, &Value)> {
        // A null identifier names nobody.
        self.operation.record.matching().iter().enumerate().filter(|(_, value)| !value.is_null())
    }

    fn fields(&self) -> impl Iterator<Item = (usize, &Value)> {
        self.operation.record.fields.iter().enumerate().filter_map(|(at, value)| Some((at, value.as_ref()?)))
    }

    fn others(&self) -> impl Iterator<Item = (usize, &Value)> {
        let get = |at: &usize| Some((*at, self.operation.record.fields.get(*at)?.as_ref()?));
        self.layout.others.iter().filter_map(get)
    }

    fn object(&self, name: &str) -> Option<Value> {
        let (matching, fields) = (&self.layout.matching, &self.layout.fields);
        Some(match name {
            "match" => nested_json(self.matching().map(|(at, value)| (matching.name(at), value))),
            "fields" => nested_json(self.fields().map(|(at, value)| (fields.name(at), value))),
            "others" => nested_json(self.others().map(|(at, value)| (fields.name(at), value))),
            _ => return None,
        })
    }

    /// One identifier or field by its path.
    fn one(&self, root: &str, path: &[Box<str>], out: &mut Vec<u8>) -> bool {
        let names = if root == "match" { &self.layout.matching } else { &self.layout.fields };
        let get = |at: usize| match root {
            "match" => self.operation.record.matching().get(at).filter(|value| !value.is_null()),
            _ => self.operation.record.fields.get(at).and_then(Option::as_ref),
        };
        let allowed = |at: &usize| root != "others" || self.layout.others.contains(at);
        if let [name] = path
            && let Some(at) = names.position(name).filter(allowed)
        {
            return match self.operation.record.written() {
                Some(line) => {
                    let value = if root == "match" { line.identifier(at) } else { line.field(at) };
                    value.map(|value| out.extend_from_slice(value)).is_some()
                }
                None => get(at).map(|value| value.write_json(out)).is_some(),
            };
        }
        let whole = self.object(root).unwrap_or(Value::Null);
        let step = |value: &Value, step: &str| match value {
            Value::Object(entries) => entries.iter().find(|(name, _)| **name == *step).map(|(_, value)| value.clone()),
            _ => None,
        };
        let found = path.iter().try_fold(whole, |value, name| step(&value, name));
        found.map(|value| value.write_json(out)).is_some()
    }

    /// Writes a part of the record in which nothing nests.
    fn flat(&self, part: Part, out: &mut Vec<u8>) {
        out.push(b'{');
        match self.operation.record.written() {
            Some(line) if part != Part::Others || self.layout.others.len() == self.layout.fields.names.len() => {
                out.extend_from_slice(match part {
                    Part::All => line.all(),
                    Part::Match => line.identifiers(),
                    Part::Fields | Part::Others => line.fields(),
                });
            }
            Some(line) => {
                let entries = self.layout.others.iter().map(|at| line.field_entry(*at));
                list(entries.filter(|entry| !entry.is_empty()), out, |entry, out| out.extend_from_slice(entry));
            }
            None => {
                let put = |(key, value): (&[u8], &Value), out: &mut Vec<u8>| {
                    out.extend_from_slice(key);
                    value.write_json(out);
                };
                let matching = self.matching().map(|(at, value)| (self.layout.matching.key(at), value));
                let named = |(at, value)| (self.layout.fields.key(at), value);
                match part {
                    Part::All => list(matching.chain(self.fields().map(named)), out, put),
                    Part::Match => list(matching, out, put),
                    Part::Fields => list(self.fields().map(named), out, put),
                    Part::Others => list(self.others().map(named), out, put),
                }
            }
        }
        out.push(b'}');
    }

    /// Writes the record as the template says; without one, as its identifiers and fields.
    pub fn put(&self, template: Option<&Node>, out: &mut Vec<u8>) -> Result<bool, String> {
        if let Some(template) = template {
            return template.write(self, out);
        }
        let (matching, fields) = (&self.layout.matching, &self.layout.fields);
        if self.layout.plain {
            self.flat(Part::All, out);
        } else {
            let all = self.matching().map(|(at, value)| (matching.name(at), value));
            nested_json(all.chain(self.fields().map(|(at, value)| (fields.name(at), value)))).write_json(out);
        }
        Ok(true)
    }
}

/// What may be written of a record as one object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    All,
    Match,
    Fields,
    Others,
}

/// Writes entries with commas between them.
fn list<T>(entries: impl Iterator<Item = T>, out: &mut Vec<u8>, mut put: impl FnMut(T, &mut Vec<u8>)) {
    for (position, entry) in entries.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        put(entry, out);
    }
}

impl Scope for RecordScope<'_> {
    fn json(&self, name: &str) -> Option<&Json> {
        match name {
            "found" => self.found,
            "match" | "fields" | "others" | "key" | "dedupe_id" | "added" => None,
            _ => self.parent.json(name),
        }
    }

    fn root(&self, name: &str) -> Option<Mini> {
        match name {
            "match" | "fields" | "others" => self.object(name).map(|value| value::show(&value)),
            "key" => Some(Mini::from(self.operation.key.as_str())),
            "dedupe_id" => Some(Mini::from(self.operation.dedupe_id.text())),
            "added" => Some(Mini::from(self.operation.added)),
            "found" => self.found.map(value::from_json),
            _ => self.parent.root(name),
        }
    }

    fn write(&self, path: &[Box<str>], out: &mut Vec<u8>) -> Option<bool> {
        let (root, rest) = path.split_first()?;
        match (&**root, rest) {
            ("match", []) if self.layout.matching.flat => self.flat(Part::Match, out),
            ("fields", []) if self.layout.fields.flat => self.flat(Part::Fields, out),
            ("others", []) if self.layout.others_flat => self.flat(Part::Others, out),
            ("match" | "fields" | "others", []) => self.object(root)?.write_json(out),
            ("match" | "fields" | "others", rest) => return Some(self.one(root, rest, out)),
            ("key", []) => value::text(out, self.operation.key.as_str()),
            ("dedupe_id", []) => value::text(out, self.operation.dedupe_id.text().as_str()),
            ("added", []) => value::text(out, &self.operation.added),
            ("found", rest) => match self.found.and_then(|found| walk(found, rest)) {
                Some(json) => value::text(out, json),
                None => return Some(false),
            },
            ("key" | "dedupe_id" | "added", _) => return Some(false),
            _ => return self.parent.write(path, out),
        }
        Some(true)
    }
}
