//! A tap's catalog: one stream of it is selected.

use serde_json::{Value, json};

use crate::diagnostic::closest;

/// The catalog a tap is run with.
#[derive(Debug, PartialEq)]
pub(super) struct Selected {
    /// Everything the tap said, with one stream selected.
    pub catalog: Value,
    /// The name its messages carry.
    pub stream: String,
}

/// Why there is nothing to select.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub message: String,
    pub help: String,
}

/// Selects a stream by its name or id, with all its properties or those that are named. Both ways of saying so are
/// written: metadata, and the `selected` of older taps.
pub(super) fn select(found: &Value, wanted: &str, columns: Option<&[String]>) -> Result<Selected, Fault> {
    let mut catalog = found.clone();
    let Some(streams) = catalog.get_mut("streams").and_then(Value::as_array_mut) else {
        let help = "see what the tap prints with `--discover`: it is to be `{\"streams\": […]}`".to_owned();
        return Err(Fault { message: "its catalog has no `streams`".into(), help });
    };
    let is = |stream: &Value| {
        ["tap_stream_id", "stream"].iter().any(|key| stream.get(key).and_then(Value::as_str) == Some(wanted))
    };
    if !streams.iter().any(is) {
        let names: Vec<&str> = streams.iter().filter_map(name).collect();
        let help = match closest(wanted, names.iter().copied()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => {
                let listed: Vec<_> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
                let more = if names.len() > listed.len() { ", …" } else { "" };
                format!("its streams: {}{more}", listed.join(", "))
            }
        };
        return Err(Fault { message: format!("it has no stream `{wanted}`"), help });
    }
    let mut chosen = String::new();
    for stream in streams.iter_mut() {
        let selected = is(stream);
        if selected {
            chosen = stream.get("stream").and_then(Value::as_str).unwrap_or(wanted).to_owned();
        }
        mark(stream, selected, columns);
    }
    Ok(Selected { catalog, stream: chosen })
}

fn name(stream: &Value) -> Option<&str> {
    stream.get("tap_stream_id").or_else(|| stream.get("stream"))?.as_str()
}

fn mark(stream: &mut Value, selected: bool, columns: Option<&[String]>) {
    let Some(stream) = stream.as_object_mut() else { return };
    stream.insert("selected".into(), selected.into());
    if let Some(schema) = stream.get_mut("schema").and_then(Value::as_object_mut) {
        schema.insert("selected".into(), selected.into());
    }
    let properties = stream.get("schema").and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let properties: Vec<String> = properties.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let metadata = stream.entry("metadata").or_insert_with(|| json!([]));
    if !metadata.is_array() {
        *metadata = json!([]);
    }
    let Some(entries) = metadata.as_array_mut() else { return };
    put(entries, json!([]), selected);
    for property in properties.iter().filter(|_| selected) {
        let wanted = columns.is_none_or(|columns| columns.contains(property));
        put(entries, json!(["properties", property]), wanted);
    }
}

/// Writes `selected` at a breadcrumb. What the tap says is always or never there it decides itself.
fn put(entries: &mut Vec<Value>, breadcrumb: Value, selected: bool) {
    if let Some(entry) = entries.iter_mut().find(|entry| entry.get("breadcrumb") == Some(&breadcrumb)) {
        match entry.get_mut("metadata").and_then(Value::as_object_mut) {
            Some(metadata) => drop(metadata.insert("selected".into(), selected.into())),
            None => entry["metadata"] = json!({ "selected": selected }),
        }
        return;
    }
    entries.push(json!({ "breadcrumb": breadcrumb, "metadata": { "selected": selected } }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Value {
        json!({ "streams": [
            { "tap_stream_id": "public-users", "stream": "users", "schema": { "properties": { "id": {}, "email": {} } },
              "metadata": [{ "breadcrumb": [], "metadata": { "inclusion": "available" } },
                           { "breadcrumb": ["properties", "id"], "metadata": { "inclusion": "automatic" } }] },
            { "tap_stream_id": "orders", "schema": { "properties": {} } },
        ] })
    }

    #[test]
    fn one_stream_is_selected_in_both_ways_of_saying_so() {
        for wanted in ["users", "public-users"] {
            let made = select(&catalog(), wanted, Some(&["id".to_owned()])).unwrap();
            assert_eq!(made.stream, "users");
            let expected = json!({ "streams": [
                { "tap_stream_id": "public-users", "stream": "users",
                  "schema": { "properties": { "id": {}, "email": {} }, "selected": true },
                  "metadata": [{ "breadcrumb": [], "metadata": { "inclusion": "available", "selected": true } },
                               { "breadcrumb": ["properties", "id"], "metadata": { "inclusion": "automatic", "selected": true } },
                               { "breadcrumb": ["properties", "email"], "metadata": { "selected": false } }],
                  "selected": true },
                { "tap_stream_id": "orders", "schema": { "properties": {}, "selected": false }, "selected": false,
                  "metadata": [{ "breadcrumb": [], "metadata": { "selected": false } }] },
            ] });
            assert_eq!(made.catalog, expected);
        }
    }

    #[test]
    fn what_is_not_there_is_named_and_nothing_breaks_it() {
        let help = |found: &Value, wanted: &str| select(found, wanted, None).unwrap_err().help;
        assert_eq!(help(&catalog(), "public-user"), "did you mean `public-users`?");
        assert_eq!(help(&catalog(), "zzz"), "its streams: `public-users`, `orders`");
        for odd in [json!(null), json!([]), json!({ "streams": 1 }), json!({ "streams": [1, null, { "metadata": 3 }] })]
        {
            assert!(select(&odd, "users", None).is_err());
        }
        let odd = json!({ "streams": [{ "stream": "a", "schema": 7, "metadata": "x" }, 3] });
        assert_eq!(select(&odd, "a", None).unwrap().stream, "a");
    }
}
