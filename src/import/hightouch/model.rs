//! `models/SLUG.yaml` of Git Sync → a model.
//!
//! `type` is `raw_sql` (with `rawSql`; some files say `sql`), `dbt_model` (with `modelId`), or one of the API's other
//! words: `table`, `custom`, `visual`, `dbt`, `dbt_cloud`.

use serde_json::json;

use super::draft::Draft;
use super::reader::Reader;
use crate::import::NoteKind;
use crate::manifest::Kind;
use crate::render;

/// A model, as far as it can be made.
pub(super) fn model(reader: &Reader<'_>, name: &str, from: &str, sources: &[String], slugs: &super::Slugs) -> Draft {
    let mut draft = Draft::new(Kind::Model, name, from);
    if let Some(display) = reader.text("/name") {
        draft.comment(&format!("Called `{display}` in Hightouch."));
    }
    if let Some(slug) = reader.text("/model-slug")
        && slug != name
    {
        draft.comment(&format!("`model-slug` in Hightouch: {slug}"));
    }
    match (reader.text("/source"), sources) {
        (Some(source), _) => draft.reference(Kind::Source, &slugs.source(&source)),
        (None, [only]) => {
            draft.reference(Kind::Source, only);
            draft.differs(reader, "", format!("the model names no source; `{only}` is the only one there is"), None);
        }
        (None, _) => {
            draft.blocks(reader.note(NoteKind::Blocks, "", "the model names no source", Some("add `source`".into())))
        }
    }
    if let Some(description) = reader.text("/description").filter(|text| !text.trim().is_empty()) {
        draft.entry("description", description.trim());
    }
    rows(reader, &mut draft);
    match reader.get("/primaryKey") {
        Some(serde_json::Value::String(key)) => draft.entry("primary_key", json!([key])),
        Some(keys @ serde_json::Value::Array(items)) if !items.is_empty() && items.iter().all(|i| i.is_string()) => {
            draft.entry("primary_key", keys.clone());
        }
        _ => draft.blocks(reader.note(
            NoteKind::Blocks,
            "/primaryKey",
            "the model has no primary key",
            Some("add `primary_key` with the column that identifies a row".into()),
        )),
    }
    draft.left_over(reader);
    draft
}

/// Where the rows come from.
fn rows(reader: &Reader<'_>, draft: &mut Draft) {
    let kind = reader.text("/type").unwrap_or_default();
    let sql = reader.text("/rawSql").or_else(|| reader.text("/sql"));
    let dbt = reader.text("/modelId").or_else(|| reader.text("/dbt/modelId"));
    let table = reader.text("/table/name").or_else(|| reader.text("/table")).or_else(|| reader.text("/tableName"));
    match (kind.as_str(), sql, dbt, table) {
        ("raw_sql" | "custom" | "", Some(sql), ..) => statement(reader, draft, &sql),
        ("dbt_model" | "dbt" | "dbt_cloud" | "", _, Some(id), _) => {
            draft.entry("dbt", id.as_str());
            draft.carried(format!("dbt model `{id}`"));
        }
        ("table" | "", _, _, Some(table)) => {
            draft.carried(format!("table `{table}`"));
            draft.entry("table", json!({ "name": table }));
        }
        ("visual", ..) => draft.blocks(reader.note(
            NoteKind::Blocks,
            "/type",
            "what a visual model selects is not in its file",
            Some("copy its SQL from Hightouch (Preview, SQL) into `sql`".into()),
        )),
        (kind, ..) => {
            let message = match kind {
                "" => "the file does not say where the rows come from".to_owned(),
                kind => format!("a model of type `{kind}` without its SQL, table or dbt model"),
            };
            let help = Some("add `sql`, `table` or `dbt`".into());
            draft.blocks(reader.note(NoteKind::Blocks, "/type", message, help));
        }
    }
}

fn statement(reader: &Reader<'_>, draft: &mut Draft, sql: &str) {
    if sql.trim().is_empty() {
        let help = Some("add the statement".into());
        draft.blocks(reader.note(NoteKind::Blocks, "/rawSql", "the SQL is empty", help));
        return;
    }
    draft.carried("SQL, as it is");
    if !render::is_template(sql) {
        draft.entry("sql", sql);
        return;
    }
    if sql.contains("endraw") {
        draft.entry("sql", sql);
        let message = "the SQL holds marks of templates (`{{`, `{%` or `{#`) that cannot be told from syncline's own";
        let help = Some("write what they stand for; syncline fills in `{{ vars.NAME }}`".into());
        draft.blocks(reader.note(NoteKind::Blocks, "/rawSql", message, help));
        return;
    }
    draft.differs(
        reader,
        if reader.look("/rawSql").is_some() { "/rawSql" } else { "/sql" },
        "the SQL holds `{{`, `{%` or `{#`; between `raw` and `endraw` they are sent to the warehouse as they are",
        Some("where they were meant as templates, write `{{ vars.NAME }}` and take `raw` away"),
    );
    draft.entry("sql", format!("{{% raw %}}{sql}{{% endraw %}}"));
}
