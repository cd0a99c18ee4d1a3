use serde_json::{Value, json};

use super::*;

/// A manifest: nodes as `unique id → more keys`; what their ids say is filled in.
fn manifest(nodes: &[(&str, Value)], disabled: &[&str]) -> Manifest {
    let node = |id: &str, more: &Value| {
        let parts: Vec<&str> = id.split('.').collect();
        let mut node = json!({
            "unique_id": id, "resource_type": parts[0], "package_name": parts[1],
            "relation_name": format!("\"db\".\"marts\".\"{}\"", parts.last().unwrap()),
            "checksum": { "name": "sha256", "checksum": id },
        });
        match parts[0] {
            "source" => (node["source_name"], node["name"]) = (parts[2].into(), parts[3].into()),
            _ => node["name"] = parts[2].into(),
        }
        for (key, value) in more.as_object().into_iter().flatten() {
            node[key] = value.clone();
        }
        node
    };
    let of = |kind: fn(&str) -> bool| -> Value {
        let nodes = nodes.iter().filter(|(id, _)| kind(id));
        Value::Object(nodes.map(|(id, more)| ((*id).to_owned(), node(id, more))).collect())
    };
    let disabled = disabled.iter().map(|id| ((*id).to_owned(), json!([node(id, &Value::Null)])));
    let text = json!({
        "metadata": { "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "adapter_type": "postgres", "project_name": "shop" },
        "nodes": of(|id| !id.starts_with("source.")),
        "sources": of(|id| id.starts_with("source.")),
        "disabled": Value::Object(disabled.collect()),
        "macros": {
            "macro.shop.cents": { "package_name": "shop", "macro_sql": "x * 100", "depends_on": { "macros": ["macro.shop.deep"] } },
            "macro.shop.deep": { "package_name": "shop", "macro_sql": "deep" },
            "macro.dbt.run": { "package_name": "dbt", "macro_sql": "run", "depends_on": { "macros": ["macro.shop.deep"] } },
        },
    });
    Manifest::parse(text.to_string().as_bytes()).unwrap()
}

#[test]
fn a_name_means_one_thing_or_is_refused() {
    let none = || Value::Null;
    let version = |version: u32| json!({ "version": version, "latest_version": 2 });
    let known = manifest(
        &[
            ("model.shop.contacts", none()),
            ("source.shop.crm.contacts", none()),
            ("source.shop.crm.accounts", none()),
            ("model.shop.plans.v1", version(1)),
            ("model.shop.plans.v2", version(2)),
            ("model.shop.events", none()),
            ("model.tracking.events", none()),
            ("seed.shop.countries", none()),
            ("snapshot.shop.history", none()),
            ("model.shop.cte", json!({ "config": { "materialized": "ephemeral" }, "relation_name": null })),
            ("model.shop.unborn", json!({ "relation_name": null })),
            ("test.shop.not_null", none()),
        ],
        &["model.shop.retired"],
    );
    for (wanted, expected) in [
        ("contacts", "model.shop.contacts"),
        ("shop.contacts", "model.shop.contacts"),
        ("model.shop.contacts", "model.shop.contacts"),
        ("crm.contacts", "source.shop.crm.contacts"),
        ("shop.crm.contacts", "source.shop.crm.contacts"),
        ("accounts", "source.shop.crm.accounts"),
        ("plans", "model.shop.plans.v2"),
        ("plans.v1", "model.shop.plans.v1"),
        ("shop.plans.v1", "model.shop.plans.v1"),
        ("tracking.events", "model.tracking.events"),
        ("countries", "seed.shop.countries"),
        ("history", "snapshot.shop.history"),
        ("events", "dbt-ambiguous: write the one that is meant: `model.shop.events`, `model.tracking.events`"),
        ("contcats", "dbt-unknown: did you mean `contacts`?"),
        ("model.shop.contact", "dbt-unknown: did you mean `model.shop.contacts`?"),
        (
            "plans.v3",
            "dbt-unknown: dbt knows `model.shop.contacts`, `model.shop.cte`, `model.shop.events`, \
             `model.shop.plans.v1`, `model.shop.plans.v2`, `model.shop.unborn`, …; if it is new, run `dbt parse` so \
             that the manifest has it",
        ),
        ("retired", "dbt-disabled: enable it in dbt (`enabled: true`), or read another model"),
        ("model.shop.retired", "dbt-disabled: enable it in dbt (`enabled: true`), or read another model"),
        ("cte", "dbt-no-rows: set `materialized: view` (or `table`) in dbt, or read a model that is made of it"),
        ("unborn", "dbt-no-rows: run `dbt compile` in the dbt project, so that `relation_name` is filled in"),
        ("test.shop.not_null", "dbt-no-rows: name a model, seed, snapshot or source table"),
    ] {
        let found = match known.find(wanted) {
            Ok(node) => node.unique_id.clone(),
            Err(fault) => format!("{}: {}", fault.code, fault.help),
        };
        assert_eq!(found, expected, "{wanted}");
    }
}

#[test]
fn a_change_upstream_changes_the_lineage() {
    let change = |at: &str, key: &str, value: Value| {
        let base = [
            ("source.shop.crm.raw", Value::Null),
            (
                "model.shop.stage",
                json!({ "depends_on": { "nodes": ["source.shop.crm.raw"], "macros": ["macro.shop.cents"] } }),
            ),
            ("model.shop.mart", json!({ "depends_on": { "nodes": ["model.shop.stage", "model.shop.gone"] } })),
            ("model.shop.other", Value::Null),
        ];
        let nodes = base.map(|(id, mut more)| {
            if id == at {
                more[key] = value.clone();
            }
            (id, more)
        });
        let known = manifest(&nodes, &[]);
        known.lineage(known.find("mart").unwrap())
    };
    let before = change("", "", Value::Null);
    let ids: Vec<&str> = before.keys().map(String::as_str).collect();
    assert_eq!(ids, ["model.shop.gone", "model.shop.mart", "model.shop.stage", "source.shop.crm.raw"]);
    let sum = |text: &str| json!({ "name": "sha256", "checksum": text });
    for (at, key, value, same) in [
        ("model.shop.mart", "checksum", sum("new"), false),
        ("model.shop.stage", "checksum", sum("new"), false),
        ("model.shop.stage", "config", json!({ "materialized": "view" }), false),
        ("model.shop.stage", "depends_on", json!({ "nodes": ["source.shop.crm.raw"] }), false),
        ("source.shop.crm.raw", "identifier", json!("raw_2"), false),
        ("model.shop.other", "checksum", sum("new"), true),
        ("model.shop.stage", "compiled_code", json!("select now()"), true),
        ("model.shop.stage", "description", json!("words"), true),
        ("model.shop.mart", "relation_name", json!("\"dev\".\"x\""), true),
    ] {
        assert_eq!(change(at, key, value) == before, same, "{key} of {at}");
    }
}

#[test]
fn circles_end() {
    let on = |id: &str| json!({ "depends_on": { "nodes": [id] } });
    let known = manifest(&[("model.shop.a", on("model.shop.b")), ("model.shop.b", on("model.shop.a"))], &[]);
    assert_eq!(known.lineage(known.find("a").unwrap()).len(), 2);
}

#[test]
fn what_is_no_manifest_or_too_old_is_refused() {
    let version = |path: &str| {
        json!({ "metadata": { "dbt_schema_version": format!("https://schemas.getdbt.com/dbt/{path}.json"), "dbt_version": "1.4.6" } })
            .to_string()
    };
    for (text, expected) in [
        ("", "it is not dbt's manifest: EOF while parsing a value at line 1 column 0"),
        ("{}", "it is not dbt's manifest: missing field `metadata` at line 1 column 2"),
        (r#"{"metadata":{}}"#, "it is not dbt's manifest: it has no `metadata.dbt_schema_version`"),
        (version("catalog/v1").as_str(), "it is not dbt's manifest: its `metadata.dbt_schema_version` says `catalog`"),
        (version("manifest/v8").as_str(), "it is of version v8, written by dbt 1.4.6"),
        (version("manifest/v12").as_str(), "it is not dbt's manifest: missing field `nodes`"),
    ] {
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let deep = format!("{{\"metadata\":{}", "[".repeat(100_000));
    assert!(matches!(Manifest::parse(deep.as_bytes()), Err(Unreadable::Not(_))));
}

#[test]
fn references_are_as_dbt_writes_them() {
    let known = manifest(
        &[
            ("model.shop.contacts", Value::Null),
            ("model.tracking.events", Value::Null),
            ("model.shop.plans.v2", json!({ "version": 2, "latest_version": 2 })),
            ("source.shop.crm.accounts", Value::Null),
        ],
        &[],
    );
    let reference = |name: &str| known.find(name).unwrap().reference(&known.project);
    assert_eq!(reference("contacts"), "ref('contacts')");
    assert_eq!(reference("events"), "ref('tracking', 'events')");
    assert_eq!(reference("plans"), "ref('plans', v=2)");
    assert_eq!(reference("accounts"), "source('crm', 'accounts')");
}

#[test]
fn words_for_types() {
    for (word, expected) in [
        ("VARCHAR(255)", "Utf8"),
        ("timestamp(6) with time zone", "Timestamp(µs, \"UTC\")"),
        ("bigint", "Int64"),
        ("numeric(10, 2)", "Null"),
        ("timestamp", "Null"),
        ("jsonb", "Null"),
        (")(", "Null"),
    ] {
        assert_eq!(data_type(word).to_string(), expected, "{word}");
    }
}
