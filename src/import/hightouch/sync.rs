//! `syncs/SLUG.yaml` of Git Sync → a sync.
//!
//! `config` is the destination's own; known of it are `type`, `mode`, `object`/`objectId`, `externalIdMapping` (record
//! matching) and the mappings. Everything else is named in the report.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::draft::Draft;
use super::reader::Reader;
use super::{mapping, schedule};
use crate::import::NoteKind;
use crate::manifest::Kind;

/// Type of destination, Hightouch's word, our object. Words are compared in lower case.
const OBJECTS: &[(&str, &str, &str)] = &[
    ("iterable", "users", "user"),
    ("iterable", "events", "event"),
    ("iterable", "subscriptions", "subscription"),
    ("iterable", "segment", "list_membership"),
    ("iterable", "list", "list_membership"),
    ("iterable", "catalog", "catalog_item"),
    ("marketo", "leads", "lead"),
    ("marketo", "person", "lead"),
    ("marketo", "people", "lead"),
    ("marketo", "companies", "company"),
    ("marketo", "segment", "list_membership"),
    ("marketo", "list", "list_membership"),
    ("hubspot", "contacts", "contact"),
    ("hubspot", "0-1", "contact"),
    ("hubspot", "companies", "company"),
    ("hubspot", "0-2", "company"),
];

/// Where record matching stands.
const MATCH: &str = "/config/externalIdMapping";

/// What is said of a column that the model's key spells with other letters: a warehouse tells them apart.
pub(super) fn other_case(column: &str, key: &[String]) -> Option<String> {
    let other = key.iter().find(|name| *name != column && name.eq_ignore_ascii_case(column))?;
    Some(format!("the model's key is `{other}`, and here the column is `{column}`; upper and lower case count"))
}

/// A sync, as far as it can be made. `destinations` is name → type, as far as it is known; `keys` is model → key columns.
pub(super) fn sync(
    reader: &Reader<'_>,
    name: &str,
    from: &str,
    slugs: &super::Slugs,
    destinations: &BTreeMap<String, Option<String>>,
    keys: &BTreeMap<String, Vec<String>>,
) -> Draft {
    let mut draft = Draft::new(Kind::Sync, name, from);
    if let Some(display) = reader.text("/name").filter(|display| display != name) {
        draft.comment(&format!("Called `{display}` in Hightouch."));
    }
    if let Some(slug) = reader.text("/slug").filter(|slug| slug != name) {
        draft.comment(&format!("`slug` in Hightouch: {slug}"));
    }
    if let Some(description) = reader.text("/description").filter(|text| !text.trim().is_empty()) {
        draft.entry("description", description.trim());
    }
    let model = reader.text("/model").map(|model| slugs.model(&model));
    let destination = reader.text("/destination").map(|destination| slugs.destination(&destination));
    for (kind, found) in [(Kind::Model, &model), (Kind::Destination, &destination)] {
        match found {
            Some(found) => draft.reference(kind, found),
            None => {
                let message = format!("the sync names no {}", kind.word());
                let note = reader.note(NoteKind::Blocks, "", message, None);
                draft.blocks(note);
            }
        }
    }
    let kind = destination.as_ref().and_then(|name| destinations.get(name)).and_then(Option::as_deref);
    object(reader, &mut draft, kind);
    let mode = mode(reader, &mut draft);
    let matching = matching(reader, &mut draft);
    let key = model.as_ref().and_then(|model| keys.get(model)).map_or(&[] as &[String], Vec::as_slice);
    for (identifier, column) in &matching {
        if let Some(message) = other_case(column, key) {
            draft.differs(reader, MATCH, format!("matched by `{identifier}`: {message}"), None);
        }
    }
    mapping::fields(reader, &mut draft, &matching, key);
    if matches!(mode.as_deref(), Some("update" | "upsert")) {
        draft.comment("Git Sync does not say what became of records whose rows left the model. Here they stay.");
        draft.entry("on_removed", "keep");
    }
    schedule::schedule(reader, &mut draft);
    tags(reader, &mut draft);
    settings(reader, &mut draft);
    draft.left_over(reader);
    draft
}

fn object(reader: &Reader<'_>, draft: &mut Draft, kind: Option<&str>) {
    let of_type = reader.text("/config/type").unwrap_or_default();
    let word = match of_type.as_str() {
        "" | "object" => {
            let id = reader.text("/config/objectId");
            reader.text("/config/object").or(id)
        }
        word => Some(word.to_owned()),
    };
    let Some(word) = word else {
        let help = Some("add `object`; `syncline connectors show NAME` lists what there is".into());
        draft.blocks(reader.note(NoteKind::Blocks, "/config", "the sync does not say what it writes to", help));
        return;
    };
    let lower = word.to_lowercase();
    let found = OBJECTS.iter().find(|(of, theirs, _)| Some(*of) == kind && *theirs == lower).map(|(_, _, ours)| *ours);
    let known = kind.is_some_and(|kind| OBJECTS.iter().any(|(of, _, ours)| *of == kind && *ours == lower));
    let object = found.map_or_else(|| if known { lower } else { word.clone() }, str::to_owned);
    draft.carried(format!("object `{object}`"));
    draft.entry("object", object);
}

fn mode(reader: &Reader<'_>, draft: &mut Draft) -> Option<String> {
    let Some(word) = reader.text("/config/mode") else {
        let help = "add `mode`; `syncline connectors show NAME` lists the modes of each object";
        draft.blocks(reader.note(NoteKind::Blocks, "/config", "the sync does not say its mode", Some(help.into())));
        return None;
    };
    let mode = match word.as_str() {
        "insert" | "update" | "upsert" | "mirror" | "add" | "remove" => word.as_str(),
        "all" => "mirror",
        _ => {
            let message = format!("there is no mode `{word}`");
            let help = "choose one of `insert`, `update`, `upsert`, `mirror`, `add`, `remove`";
            draft.blocks(reader.note(NoteKind::Blocks, "/config/mode", message, Some(help.into())));
            draft.entry("mode", word.as_str());
            return None;
        }
    };
    draft.entry("mode", mode);
    draft.carried(format!("mode `{mode}`"));
    if word == "all" {
        let message =
            "`all` replaced everything at the destination; `mirror` deletes only what this sync has itself sent";
        draft.differs(reader, "/config/mode", message, None);
    }
    Some(mode.to_owned())
}

/// Identifier → column.
fn matching(reader: &Reader<'_>, draft: &mut Draft) -> BTreeMap<String, String> {
    let pointers: Vec<String> = match reader.look(MATCH) {
        Some(Value::Array(items)) => (0..items.len()).map(|at| format!("{MATCH}/{at}")).collect(),
        Some(_) => vec![MATCH.to_owned()],
        None => Vec::new(),
    };
    let (mut pairs, mut map) = (BTreeMap::new(), Map::new());
    for pointer in &pointers {
        let kind = reader.text(&format!("{pointer}/type")).unwrap_or_else(|| "standard".into());
        let pair = (reader.text(&format!("{pointer}/to")), reader.text(&format!("{pointer}/from")));
        match (kind.as_str(), pair) {
            ("standard", (Some(to), Some(from))) => {
                draft.carried(format!("matched by `{to}`, column `{from}`"));
                map.insert(to.clone(), from.clone().into());
                pairs.insert(to, from);
            }
            _ => {
                let message = "records are matched by something else than a column";
                let help = Some("make it a column of the model, and write `match: { IDENTIFIER: COLUMN }`".into());
                draft.blocks(reader.note(NoteKind::Blocks, pointer, message, help));
            }
        }
    }
    if map.is_empty() && pointers.is_empty() {
        let help = Some("add `match: { IDENTIFIER: COLUMN }`".into());
        let message = "the sync does not say what records are matched by";
        draft.blocks(reader.note(NoteKind::Blocks, "/config", message, help));
    }
    if !map.is_empty() {
        draft.entry("match", map);
    }
    pairs
}

/// Words to select by. Hightouch's tags have a value too.
fn tags(reader: &Reader<'_>, draft: &mut Draft) {
    let tags: Vec<Value> = match reader.look("/tags") {
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => items.clone(),
        Some(Value::Object(map)) if map.values().all(Value::is_string) => {
            map.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()).into()).collect()
        }
        _ => return,
    };
    reader.get("/tags");
    if !tags.is_empty() {
        draft.entry("tags", tags);
    }
}

/// What is known of the rest of `config`.
fn settings(reader: &Reader<'_>, draft: &mut Draft) {
    if reader.look("/config/configVersion").is_some_and(|version| version.as_u64() == Some(2)) {
        reader.get("/config/configVersion");
    }
    if reader.look("/config/rateLimit").is_some() {
        reader.get("/config/rateLimit");
        draft.left(
            reader,
            "/config/rateLimit",
            "how fast a destination is written to is said by its connector, for all its syncs together",
            Some("`delivery.concurrency` and `delivery.batch_size` make a sync gentler"),
        );
    }
    let words: Vec<&str> = ["/config/deleteBehavior", "/config/deleteBehaviour"]
        .into_iter()
        .filter(|at| reader.look(at).is_some())
        .collect();
    for at in words {
        reader.get(at);
        draft.left(
            reader,
            at,
            "no public file of Git Sync shows the words of this setting",
            Some(
                "write `on_removed: keep` or `clear`; or `mode: mirror`, which deletes what this sync has itself sent",
            ),
        );
    }
}
