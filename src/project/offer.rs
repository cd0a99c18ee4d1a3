//! What a destination offers a sync, and whether the sync keeps to it.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::files::File;
use super::parameters::{Settings, quoted};
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::connector::object::{FieldType, LostClass, Matching, Object};
use crate::manifest::connector::operation::Requests;
use crate::manifest::connector::{Parameter, ParameterType};
use crate::manifest::document::escape;
use crate::manifest::sync::Mode;

/// What a destination offers.
pub(super) enum Offer<'a> {
    /// Tables or files: any object, any field.
    Native(&'a str),
    /// The objects of a connector; its name.
    Objects(&'a str, &'a IndexMap<String, Object>),
    /// One request by row state: any object, any field.
    Requests(&'a Requests),
}

/// Checks a sync against what its destination offers.
pub(super) fn check(sync: &File, offer: &Offer<'_>, out: &mut Vec<Diagnostic>) {
    match offer {
        Offer::Native(kind) => {
            let whose = format!("a destination of type `{kind}`");
            if let Some(modes) = native_modes(kind) {
                mode(sync, &whose, modes, out);
            }
            // A program says itself what it takes.
            if !["command", "singer"].contains(kind) {
                options(sync, whose, &native_options(kind), out);
            }
        }
        Offer::Requests(requests) => {
            let whose = "this destination".to_owned();
            let modes = request_modes(requests);
            mode(sync, &whose, &modes, out);
            if modes.iter().any(|mode| Some(mode.word()) == sync.text("/mode")) {
                on_removed(sync, &whose, false, requests.removed.is_some(), out);
            }
            batch_size(sync, request_limit(requests, sync.text("/mode")), out);
            if let Some(mode) = modes.iter().find(|mode| Some(mode.word()) == sync.text("/mode")) {
                on_doubt(sync, requests.class(*mode), &["hold", "skip"], out);
            }
            options(sync, whose, &requests.options, out);
        }
        Offer::Objects(connector, objects) => {
            let Some(name) = sync.text("/object") else { return };
            let Some(object) = objects.get(name) else {
                out.push(unknown_object(sync, connector, name, objects));
                return;
            };
            let whose = format!("object `{name}` of `{connector}`");
            let modes: Vec<Mode> = object.modes.keys().copied().collect();
            mode(sync, &whose, &modes, out);
            matching(sync, &whose, object, out);
            fields(sync, &whose, object, out);
            if let Some((mode, steps)) = object.modes.iter().find(|(m, _)| Some(m.word()) == sync.text("/mode")) {
                on_removed(sync, &whose, steps.clear.is_some(), object.delete(*mode).is_some(), out);
                let operations = [&steps.send, &steps.added, &steps.changed].into_iter().flatten();
                let limits = operations.filter_map(|step| object.operations.get(&step.operation));
                batch_size(sync, limits.map(|operation| operation.batch.records.unwrap_or(1)).max(), out);
                // To write down what holds anyway is a habit, and no mistake where nobody here chose the class.
                on_doubt(sync, steps.class, &["skip"], out);
            }
            options(sync, whose, &object.options, out);
        }
    }
}

fn unknown_object(sync: &File, connector: &str, name: &str, objects: &IndexMap<String, Object>) -> Diagnostic {
    let names = || objects.keys().map(String::as_str);
    let help = match closest(name, names()) {
        Some(guess) => format!("did you mean `{guess}`?"),
        None => format!("objects of `{connector}`: {}", quoted(names())),
    };
    let message = format!("`{connector}` has no object `{name}`");
    Diagnostic::error("unknown-object", message, sync.place("/object")).with_help(help)
}

/// The modes of a type that is no connector; `None` when it is not known here.
fn native_modes(kind: &str) -> Option<&'static [Mode]> {
    match kind {
        "sqlite" | "postgres" => Some(&[Mode::Insert, Mode::Update, Mode::Upsert, Mode::Mirror]),
        "files" => Some(&[Mode::Insert, Mode::Upsert, Mode::Mirror]),
        "singer" => Some(&[Mode::Insert, Mode::Upsert]),
        _ => None,
    }
}

/// The options of a type that is no connector.
fn native_options(kind: &str) -> IndexMap<String, Parameter> {
    let word = |words: &[&str]| Parameter {
        values: Some(words.iter().map(|word| json!(word)).collect()),
        ..Parameter::default()
    };
    let options = match kind {
        "files" => vec![("format", word(&["csv", "jsonl", "parquet"])), ("content", word(&["all", "diff"]))],
        _ => vec![("create", Parameter { kind: ParameterType::Boolean, ..Parameter::default() })],
    };
    options.into_iter().map(|(name, parameter)| (name.to_owned(), parameter)).collect()
}

/// The modes that a destination's requests make possible.
pub(super) fn request_modes(requests: &Requests) -> Vec<Mode> {
    let added = requests.send.is_some() || requests.added.is_some();
    let changed = requests.send.is_some() || requests.changed.is_some();
    let mut modes = Vec::new();
    if added {
        modes.push(Mode::Insert);
    }
    // Without a look-up, only a request for changed rows alone can be taken for one that creates nothing.
    if requests.changed.is_some() || (requests.lookup.is_some() && requests.send.is_some()) {
        modes.push(Mode::Update);
    }
    if added && changed {
        modes.push(Mode::Upsert);
        if requests.removed.is_some() {
            modes.push(Mode::Mirror);
        }
    }
    // Members of something are added and removed.
    modes.extend(added.then_some(Mode::Add));
    modes.extend(requests.removed.is_some().then_some(Mode::Remove));
    modes
}

/// Most records of one request in a mode: of the largest, where row states differ, for the smaller ones limit themselves.
fn request_limit(requests: &Requests, mode: Option<&str>) -> Option<u32> {
    let (send, added, changed) = (requests.send.as_ref(), requests.added.as_ref(), requests.changed.as_ref());
    let used = match mode {
        Some("insert" | "add") => [added.or(send), None],
        Some("update") => [changed.or(send), None],
        Some("remove") => [requests.removed.as_ref(), None],
        _ => [added.or(send), changed.or(send)],
    };
    used.into_iter().flatten().map(|operation| operation.batch.records.unwrap_or(1)).max()
}

fn mode(sync: &File, whose: &str, modes: &[Mode], out: &mut Vec<Diagnostic>) {
    const KNOWN: [Mode; 6] = [Mode::Insert, Mode::Update, Mode::Upsert, Mode::Mirror, Mode::Add, Mode::Remove];
    let Some(mode) = sync.text("/mode") else { return };
    // A word that is no mode at all is said by the schema.
    if modes.iter().any(|offered| offered.word() == mode) || !KNOWN.iter().any(|known| known.word() == mode) {
        return;
    }
    let message = format!("{whose} has no mode `{mode}`");
    let label = match modes {
        [] => "it has no modes".to_owned(),
        modes => format!("expected one of {}", quoted(modes.iter().map(|mode| mode.word()))),
    };
    out.push(Diagnostic::error("mode-not-offered", message, sync.place("/mode")).with_label(label));
}

fn on_removed(sync: &File, whose: &str, clear: bool, delete: bool, out: &mut Vec<Diagnostic>) {
    let (wanted, at) = match (sync.text("/on_removed"), sync.text("/mode")) {
        (Some(wanted), _) => (wanted, "/on_removed"),
        (None, Some("mirror")) => ("delete", "/mode"),
        _ => return,
    };
    let offered = match wanted {
        "clear" => clear,
        "delete" => delete,
        _ => true,
    };
    if offered {
        return;
    }
    let mode = sync.text("/mode").unwrap_or_default();
    // That it does not go with memberships has been said.
    if wanted == "delete" && ["add", "remove"].contains(&mode) {
        return;
    }
    // Memberships end by `mode: mirror`.
    let delete = delete && !["add", "remove"].contains(&mode);
    let words: Vec<&str> = [("keep", true), ("clear", clear), ("delete", delete)]
        .into_iter()
        .filter(|(_, is)| *is)
        .map(|(w, _)| w)
        .collect();
    let message = format!("{whose} cannot {wanted} records in mode `{mode}`");
    out.push(
        Diagnostic::error("on-removed-not-offered", message, sync.place(at))
            .with_label(format!("`on_removed` can be {}", quoted(words))),
    );
}

fn matching(sync: &File, whose: &str, object: &Object, out: &mut Vec<Diagnostic>) {
    let Some(given) = sync.value.get("match").and_then(Value::as_object) else { return };
    let names = || object.identifiers.keys().map(String::as_str);
    let mut misspelt = Vec::new();
    for name in given.keys().filter(|name| !object.open_identifiers && !object.identifiers.contains_key(*name)) {
        let guess = closest(name, names());
        misspelt.extend(guess);
        let help = match guess {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => format!("identifiers here: {}", quoted(names())),
        };
        let place = sync.key_place(&format!("/match/{}", escape(name)));
        let message = format!("{whose} is not matched by `{name}`");
        out.push(Diagnostic::error("unknown-identifier", message, place).with_help(help));
    }
    let mode = sync.text("/mode").unwrap_or_default();
    for (name, identifier) in object.identifiers.iter().filter(|(name, _)| given.contains_key(*name)) {
        let offered = |mode: &str| identifier.modes.is_empty() || identifier.modes.iter().any(|m| m.word() == mode);
        // A mode the object does not have at all has been said.
        if !offered(mode) && object.modes.keys().any(|known| known.word() == mode) {
            let place = sync.key_place(&format!("/match/{}", escape(name)));
            let message = format!("{whose} cannot be matched by `{name}` in mode `{mode}`");
            let words = quoted(identifier.modes.iter().map(|mode| mode.word()));
            let help = format!("match by another identifier, or use the mode {words}");
            out.push(Diagnostic::error("identifier-not-offered", message, place).with_help(help));
        }
    }
    match object.matching {
        Matching::One => {
            for name in given.keys().skip(1) {
                let message = format!("{whose} is matched by one identifier, and `{name}` is one more");
                let place = sync.key_place(&format!("/match/{}", escape(name)));
                out.push(
                    Diagnostic::error("too-many-identifiers", message, place)
                        .with_help("keep one of them; the others can be fields"),
                );
            }
        }
        Matching::All => {
            for name in names().filter(|name| !given.contains_key(*name) && !misspelt.contains(name)) {
                let message = format!("{whose} is matched by {} together, and `{name}` is missing", quoted(names()));
                let place = sync.key_place("/match");
                let label = format!("needs `{name}`");
                out.push(Diagnostic::error("missing-identifier", message, place).with_label(label));
            }
        }
    }
}

fn fields(sync: &File, whose: &str, object: &Object, out: &mut Vec<Diagnostic>) {
    let none = serde_json::Map::new();
    let given = sync.value.get("fields").and_then(Value::as_object).unwrap_or(&none);
    // What there is may have to be asked for: a plan knows it.
    let open = object.open_fields || object.discover.is_some();
    let names = || object.fields.keys().map(String::as_str);
    let mut misspelt = Vec::new();
    for (name, field) in given {
        let pointer = format!("/fields/{}", escape(name));
        let known = object.fields.get(name);
        let below = name.split_once('.').is_some_and(|(top, _)| object.fields.contains_key(top));
        if let Some(known) = known {
            out.extend(constant(sync, name, known.kind, field, &pointer));
        } else if !open && !below {
            let guess = closest(name, names());
            misspelt.extend(guess);
            let help = match guess {
                Some(guess) => format!("did you mean `{guess}`?"),
                None if object.fields.is_empty() => "it takes no fields: remove it".to_owned(),
                None => format!("fields here: {}", quoted(names())),
            };
            let message = format!("{whose} has no field `{name}`");
            out.push(Diagnostic::error("unknown-field", message, sync.key_place(&pointer)).with_help(help));
        }
    }
    for (name, known) in object.fields.iter().filter(|(_, known)| known.required) {
        let below = format!("{name}.");
        let is_given = given.keys().any(|given| given == name || given.starts_with(&below));
        let identifies = sync.value.get("match").and_then(|given| given.get(name)).is_some();
        if is_given || identifies || misspelt.contains(&name.as_str()) {
            continue;
        }
        let place = if sync.value.get("fields").is_some() { sync.key_place("/fields") } else { sync.place("/object") };
        let message = format!("{whose} needs the field `{name}`");
        let diagnostic = Diagnostic::error("missing-field", message, place).with_label(format!("needs `{name}`"));
        let about = known.description.as_deref().map(|text| format!("it is: {}", text.trim().trim_end_matches('.')));
        out.push(Diagnostic { help: about, ..diagnostic });
    }
}

/// A constant that is not what the field takes.
fn constant(sync: &File, name: &str, kind: FieldType, field: &Value, pointer: &str) -> Option<Diagnostic> {
    let field = field.as_object()?;
    let pointer = format!("{pointer}/value");
    // A transform may make it what it must be.
    let transformed = field.get("transform").is_some_and(|t| t.as_array().is_none_or(|list| !list.is_empty()));
    let value = field.get("value").filter(|value| !value.is_null())?;
    if transformed || sync.unknown.contains(&pointer) {
        return None;
    }
    let (fits, words) = match kind {
        FieldType::Any => (true, "anything"),
        FieldType::String => (value.is_string(), "text"),
        FieldType::Integer => (value.is_i64() || value.is_u64(), "a whole number"),
        FieldType::Number => (value.is_number(), "a number"),
        FieldType::Boolean => (value.is_boolean(), "`true` or `false`"),
        FieldType::Date => (value.is_string(), "a date"),
        FieldType::Timestamp => (value.is_string() || value.is_number(), "a date and time"),
        FieldType::List => (value.is_array(), "a list"),
        FieldType::Object => (value.is_object(), "a block of keys"),
    };
    if fits {
        return None;
    }
    let message = format!("the field `{name}` takes {words}, and this is something else");
    Some(Diagnostic::error("wrong-type", message, sync.place(&pointer)).with_label(format!("expected {words}")))
}

fn options(sync: &File, whose: String, parameters: &IndexMap<String, Parameter>, out: &mut Vec<Diagnostic>) {
    Settings { file: sync, at: "/options", or_at: "/object", parameters, whose, word: "option" }.check(out);
}

/// Says of these words that they change nothing, where an operation whose answer was lost is never left in doubt.
fn on_doubt(sync: &File, class: LostClass, words: &[&str], out: &mut Vec<Diagnostic>) {
    let Some(word) = sync.text("/delivery/on_doubt").filter(|word| words.contains(word)) else { return };
    let why = match class {
        LostClass::A => "done twice, it is the same as done once, so it is sent again",
        LostClass::B => "it is sent again with the same id, which the destination knows",
        LostClass::C => "it is looked up",
        LostClass::D => return,
    };
    let message = format!("`on_doubt: {word}` has no effect here: what lost its answer is not left in doubt; {why}");
    let help =
        "leave it out; where a record sent twice does harm, give `class: D` beside the requests of the destination";
    let help = if words.contains(&"hold") { help } else { "leave it out" };
    out.push(Diagnostic::warning("on-doubt-unused", message, sync.place("/delivery/on_doubt")).with_help(help));
}

fn batch_size(sync: &File, limit: Option<u32>, out: &mut Vec<Diagnostic>) {
    let wanted = sync.value.pointer("/delivery/batch_size").and_then(Value::as_u64);
    let (Some(wanted), Some(limit)) = (wanted, limit) else { return };
    if wanted > u64::from(limit) {
        let records = if limit == 1 { "1 record".to_owned() } else { format!("{limit} records") };
        let message = format!("a request takes at most {records} here, and `batch_size` is {wanted}");
        out.push(
            Diagnostic::error("out-of-range", message, sync.place("/delivery/batch_size"))
                .with_label(format!("at most {limit}"))
                .with_help("leave it out to have the largest batches there can be"),
        );
    }
}
