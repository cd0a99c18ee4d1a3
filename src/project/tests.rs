use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::render::Outside;

const PROJECT: &str = "name: shop
vars: { min: 1, zone: eu, unused: 1 }
environments:
  sandbox: { default: true }
  prod: { vars: { min: 9 }, destinations: { crm: crm_prod }, guards: { max_added: 7 } }
guards: { max_removed: 10% }
";

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn shop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "syncline.yaml", PROJECT);
    write(root, "sources/files.yaml", "name: files\ntype: files\nconnection: { path: data }\n");
    write(root, "destinations/crm.yaml", "name: crm\ntype: sqlite\nconnection: { path: out/crm.db }\n");
    let postgres = "name: crm_prod\ntype: postgres\nconnection:\n  host: db\n  port: \"{{ env.PORT }}\"\n  password: \"{{ env.PASS }}\"\n";
    write(root, "destinations/crm_prod.yaml", postgres);
    write(root, "models/base.yaml", "name: base\nsource: files\ntable: { name: contacts }\nprimary_key: [id]\n");
    write(
        root,
        "models/top.yaml",
        "name: top\nsource: files\nsql: |\n  select * from {{ ref('base') }} where n > {{ vars.min }};\nprimary_key: [id]\n",
    );
    write(
        root,
        "models/over.yaml",
        "name: over\nsource: files\nsql: select id from {{ ref('top') }} where at < '{{ run.started_at }}'\nprimary_key: [id]\n",
    );
    let sync = |name: &str, model: &str, more: &str| {
        let text = format!("name: {name}\nmodel: {model}\ndestination: crm\nobject: t\nmatch: {{ id: id }}\n{more}");
        write(root, &format!("syncs/{name}.yaml"), &text);
    };
    sync("alpha", "top", "mode: mirror\nschedule: { after: [zulu] }\ntags: [daily]\n");
    sync(
        "mike",
        "base",
        "mode: upsert\nfields:\n  x: { template: \"{{ row.id }} {{ vars.zone }} {{ row.n | trim }}\" }\n",
    );
    sync("zulu", "base", "mode: insert\ntags: [daily, hot]\nguards: { min_rows: 0 }\n");
    dir
}

fn loaded(root: &Path, environment: Option<&str>) -> Project {
    let loaded = load(root, environment);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    loaded.project.unwrap()
}

#[test]
fn models_are_made_of_each_other() {
    let dir = shop();
    let project = loaded(dir.path(), None);
    assert_eq!(project.models["base"].query, Query::Table { name: "contacts".into(), columns: None, filter: None });
    assert_eq!(project.models["top"].query, Query::Sql("select * from contacts where n > 1".into()));
    let Query::Sql(over) = &project.models["over"].query else { panic!("no sql") };
    assert!(over.starts_with("select id from (\nselect * from contacts where n > 1\n) where at < '20"), "{over}");
    assert_eq!(
        loaded(dir.path(), Some("prod")).models["top"].query,
        Query::Sql("select * from contacts where n > 9".into())
    );
}

#[test]
fn environments_swap_and_guards_are_merged() {
    let dir = shop();
    let project = loaded(dir.path(), Some("prod"));
    assert_eq!(project.environment.name, "prod");
    let sync = &project.syncs["alpha"];
    assert_eq!((sync.destination.as_str(), sync.on_removed), ("crm_prod", OnRemoved::Delete));
    let shown = |guards: &Guards| {
        let limit = |limit: Option<crate::manifest::sync::Limit>| limit.map(|limit| limit.to_string());
        (limit(guards.max_added), limit(guards.max_removed), guards.min_rows)
    };
    assert_eq!(shown(&sync.guards), (Some("7".into()), Some("10%".into()), Some(1)));
    assert_eq!(shown(&project.syncs["zulu"].guards), (Some("7".into()), Some("10%".into()), Some(0)));
    assert_eq!(project.syncs["mike"].on_removed, OnRemoved::Keep);
    assert_eq!(project.syncs["mike"].mapping.scope, *json!({ "vars": { "zone": "eu" } }).as_object().unwrap());
    assert!(project.syncs["zulu"].mapping.scope.is_empty());
}

#[test]
fn names_are_quoted_as_the_source_quotes_them() {
    for (source, quoted) in [
        ("type: sqlite\nconnection: { path: shop.db }", "\"id\", \"Plan\""),
        ("type: snowflake\nconnection: { account: a }", "\"ID\", \"PLAN\""),
        ("type: bigquery\nconnection: { project: p }", "`id`, `Plan`"),
        ("type: spark\nconnection: { host: h }", "`id`, `Plan`"),
        ("type: mysql\nconnection: { host: h, user: u }", "`id`, `Plan`"),
        ("type: adbc\nconnection: { driver: d, quotes: backticks }", "`id`, `Plan`"),
        ("type: adbc\nconnection: { driver: d }", "\"id\", \"Plan\""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "syncline.yaml", "name: shop\n");
        write(dir.path(), "sources/s.yaml", &format!("name: s\n{source}\n"));
        let base = "name: base\nsource: s\ntable: { name: t, columns: [id, Plan] }\nprimary_key: [id]\n";
        write(dir.path(), "models/base.yaml", base);
        let top = "name: top\nsource: s\nsql: select id from {{ ref('base') }} as b\nprimary_key: [id]\n";
        write(dir.path(), "models/top.yaml", top);
        let expected = format!("select id from (\nselect {quoted} from t\n) as b");
        assert_eq!(loaded(dir.path(), None).models["top"].query, Query::Sql(expected), "{source}");
    }
}

#[test]
fn what_is_a_path_depends_on_the_type() {
    let dir = shop();
    let lake = "name: lake\ntype: databricks\nconnection: { host: h, http_path: /sql/1, catalog: main, driver: own }\n";
    write(dir.path(), "sources/lake.yaml", lake);
    write(dir.path(), "sources/duck.yaml", "name: duck\ntype: duckdb\nconnection: { driver: lib/libduckdb.so }\n");
    let project = loaded(dir.path(), None);
    let lake: crate::manifest::connection::DatabricksConnection =
        project.source_connection("lake").unwrap().1.typed().unwrap();
    assert_eq!((lake.catalog.as_deref(), lake.driver.as_deref()), (Some("main"), Some("own")));
    let duck: crate::manifest::connection::DuckdbConnection =
        project.source_connection("duck").unwrap().1.typed().unwrap();
    let expected = dir.path().canonicalize().unwrap().join("lib/libduckdb.so");
    assert_eq!(duck.driver.map(std::path::PathBuf::from), Some(expected));
}

#[test]
fn connections_are_rendered_when_used() {
    #[derive(serde::Deserialize)]
    struct Path {
        path: String,
    }
    let dir = shop();
    let project = loaded(dir.path(), None);
    let (kind, connection) = project.source_connection("files").unwrap();
    assert_eq!(kind, SourceType::Files);
    let path = connection.typed::<Path>().unwrap().path;
    assert_eq!(path, dir.path().canonicalize().unwrap().join("data").to_string_lossy());

    let document = &project.destinations["crm_prod"].document;
    let connect = |set: &'static [(&str, &str)]| {
        let lookup = move |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let outside = Outside::Real { root: project.root.clone(), lookup: std::sync::Arc::new(lookup) };
        connect::connect(document, &project.scope, &project.root, outside)
    };
    let connection = connect(&[("PORT", "6543"), ("PASS", "p4ssw0rd")]).unwrap();
    let typed: crate::manifest::connection::ServerConnection = connection.typed().unwrap();
    assert_eq!(typed.port, Some(6543));
    assert_eq!(typed.password.unwrap().expose(), "p4ssw0rd");
    assert_eq!(connection.redactor().redact("cannot log in with p4ssw0rd"), "cannot log in with [secret]");
    let error = connect(&[]).unwrap_err();
    let expected = "destinations/crm_prod.yaml:5:13: the environment variable `PORT` is not set; \
                    destinations/crm_prod.yaml:6:17: the environment variable `PASS` is not set";
    assert_eq!(error.to_string(), expected);
    let error = connect(&[("PORT", "s3cretport"), ("PASS", "p4ssw0rd")]).unwrap();
    let error = error.typed::<crate::manifest::connection::ServerConnection>().unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn selectors() {
    let dir = shop();
    let project = loaded(dir.path(), None);
    assert_eq!(project.order(), ["mike", "zulu", "alpha"]);
    let cases: [(&[&str], &[&str]); 11] = [
        (&[], &["mike", "zulu", "alpha"]),
        (&["alpha"], &["alpha"]),
        (&["alpha,mike"], &["mike", "alpha"]),
        (&["alpha", "mike"], &["mike", "alpha"]),
        (&["?ike"], &["mike"]),
        (&["tag:daily"], &["zulu", "alpha"]),
        (&["tag:daily,!tag:hot"], &["alpha"]),
        (&["!alpha"], &["mike", "zulu"]),
        (&["model:base"], &["mike", "zulu"]),
        (&["destination:crm", "!*l*"], &["mike"]),
        (&["*u*"], &["zulu"]),
    ];
    for (selectors, expected) in cases {
        let selectors: Vec<String> = selectors.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(project.select(&selectors, &Sets::default()).unwrap(), expected, "{selectors:?}");
    }
    for (selector, help) in [
        ("alhpa", "did you mean `alpha`?"),
        ("tag:dayly", "did you mean `daily`?"),
        ("model:nothing", "there are:"),
        ("changed", "--against REF"),
        ("due", "know what is due"),
        ("colour:red", "selectors:"),
        ("!alhpa", "did you mean `alpha`?"),
    ] {
        let error = project.select(&[selector.to_owned()], &Sets::default()).unwrap_err();
        assert!(error.help().unwrap().contains(help), "{selector}: {error} {:?}", error.help());
    }
}

#[test]
fn the_digest_follows_the_meaning_alone() {
    let dir = shop();
    let root = dir.path();
    let digest = || loaded(root, None).digest;
    let first = digest();
    assert!(first.starts_with("sha256:") && first.len() == 71);
    assert_eq!(first, digest(), "the same twice, although time goes on");
    assert_ne!(first, loaded(root, Some("prod")).digest);
    let text = fs::read_to_string(root.join("syncs/zulu.yaml")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.reverse();
    write(root, "syncs/zulu.yaml", &format!("# a comment\ndescription: new words\n{}\n", lines.join("\n\n")));
    assert_eq!(first, digest(), "comments, descriptions and order do not count");
    let syncs = |name: &str| loaded(root, None).syncs[name].digest.clone();
    let (zulu, alpha) = (syncs("zulu"), syncs("alpha"));
    write(root, "models/base.yaml", "name: base\nsource: files\ntable: { name: people }\nprimary_key: [id]\n");
    assert_ne!(first, digest());
    assert_ne!(zulu, syncs("zulu"), "its model");
    assert_ne!(alpha, syncs("alpha"), "what its model is made of");
}

#[test]
fn a_row_template_may_say_when_the_run_began() {
    let dir = shop();
    let sync = "name: mike\nmodel: base\ndestination: crm\nobject: t\nmatch: { id: id }\nmode: upsert\nfields:\n  \
                seen: { template: \"{{ row.id }} at {{ run.started_at }}\" }\n";
    write(dir.path(), "syncs/mike.yaml", sync);
    let (first, second) = (loaded(dir.path(), None), loaded(dir.path(), None));
    assert_eq!(first.syncs["mike"].mapping.columns().unwrap(), mapping::Used::Columns(["id".to_owned()].into()));
    assert_eq!(first.syncs["mike"].digest, second.syncs["mike"].digest, "time is no part of the configuration");
}

#[test]
fn mapping_faults_have_exact_places() {
    let dir = shop();
    let project = loaded(dir.path(), None);
    let sync = &project.syncs["mike"];
    let template = "{{ row.id }} {{ vars.zone }} {{ row.n | trim }}";
    let start = template.find("trim").unwrap();
    let fault = |pointer: &str, range| mapping::Fault {
        pointer: pointer.into(),
        code: "unknown-function",
        message: "x".into(),
        help: None,
        range,
    };
    let faults = [fault("/fields/x/template", Some(start..start + 4)), fault("/match/id/column", None)];
    let diagnostics = project.mapping_faults(sync, &faults);
    let shown: Vec<_> = diagnostics
        .iter()
        .map(|d| d.place.as_ref().map(|p| p.source.text[p.span.clone()].to_owned()).unwrap())
        .collect();
    assert_eq!(shown, ["trim", "id"]);
    assert_eq!(sync.place("/mode").unwrap().line_column(), (6, 7));
    assert_eq!(project.models["base"].place("/primary_key/0").unwrap().line_column(), (4, 15));
}

#[test]
fn the_root_is_found_upwards() {
    let dir = shop();
    let below = dir.path().join("syncs");
    assert_eq!(find_root(&below).unwrap(), dir.path());
    assert!(find_root(tempfile::tempdir().unwrap().path()).is_err());
}

const CONNECTOR: &str = "name: iterable
connection:
  key: { secret: true, required: true }
  region: { enum: [us, eu], required: true }
  page: { type: integer, default: 50 }
  strict: { type: boolean }
api: { base_url: 'https://{{ connection.region }}.example' }
objects:
  user:
    identifiers: { id: {} }
    open_fields: true
    options: { merge: { type: boolean, default: true }, list: { type: id } }
    operations: { put: { request: { method: PUT, path: /users, json: '{{ records }}' } } }
    modes: { upsert: { send: put } }
";

/// The shop, with a destination that a connector of its own speaks to.
fn shop_with_a_connector() -> tempfile::TempDir {
    let dir = shop();
    let root = dir.path();
    write(root, "connectors/iterable.yaml", CONNECTOR);
    let destination = "type: iterable\nconnection: { key: '{{ env.SYNCLINE_TEST_UNSET }}', region: '{{ env.SYNCLINE_TEST_UNSET }}', strict: true }\n";
    write(root, "destinations/api.yaml", &format!("name: api\n{destination}"));
    write(root, "destinations/api_prod.yaml", &format!("name: api_prod\n{destination}"));
    let sync = "name: people\nmodel: base\ndestination: api\nobject: user\nmode: upsert\nmatch: { id: id }\noptions: { list: 7 }\n";
    write(root, "syncs/people.yaml", sync);
    dir
}

#[test]
fn defaults_of_options_are_filled_in() {
    let dir = shop_with_a_connector();
    let project = loaded(dir.path(), None);
    assert!(matches!(project.destinations["api"].kind, DestinationKind::Connector(_)));
    let options = &project.syncs["people"].sync.options;
    assert_eq!(serde_json::Value::Object(options.clone()), json!({ "list": 7, "merge": true }));
}

#[test]
fn connections_of_connectors_are_typed_when_used() {
    let dir = shop_with_a_connector();
    let project = loaded(dir.path(), None);
    let destination = &project.destinations["api"];
    let connect = |value: &'static str| {
        let lookup = move |_: &str| Some(value.to_owned());
        let outside = Outside::Real { root: project.root.clone(), lookup: std::sync::Arc::new(lookup) };
        let settings = destination.settings.as_ref();
        connect::connect_api(&destination.document, settings, &project.scope, &project.root, outside)
    };
    let values: serde_json::Value = connect("eu").unwrap().typed().unwrap();
    assert_eq!(values, json!({ "key": "eu", "region": "eu", "strict": true, "page": 50 }));
    let error = connect("s3cret").unwrap_err().to_string();
    assert!(error.ends_with("`region` must be one of `us`, `eu`") && !error.contains("s3cret"), "{error}");
    let error = project.destination_connection("api").unwrap_err().to_string();
    assert!(error.contains("`SYNCLINE_TEST_UNSET` is not set"), "{error}");
}

#[test]
fn a_sandbox_never_gets_the_real_address_nor_credentials() {
    let dir = shop_with_a_connector();
    let root = dir.path();
    let environment = |destinations: &str| {
        write(
            root,
            "syncline.yaml",
            &format!(
                "name: shop\nvars: {{ min: 1, zone: eu }}\nenvironments:\n  here: {{ default: true, destinations: {destinations} }}\n"
            ),
        );
        loaded(root, None)
    };
    let real = environment("{ api: api_prod }");
    assert!(!real.destinations["api_prod"].sandbox);
    assert_eq!(real.syncs["people"].destination, "api_prod");
    let kept = environment("{ api: { sandbox: true } }");
    assert_eq!((kept.syncs["people"].destination.as_str(), kept.destinations["api"].sandbox), ("api", true));
    assert!(!kept.destinations["api_prod"].sandbox);
    let swapped = environment("{ api: { use: api_prod, sandbox: true } }");
    assert_eq!(swapped.syncs["people"].destination, "api_prod");
    assert!(swapped.destinations["api_prod"].sandbox);
    assert_ne!(swapped.syncs["people"].digest, real.syncs["people"].digest);

    let (_, connection) = swapped.destination_connection_at("api_prod", "http://127.0.0.1:8080/iterable").unwrap();
    let values: serde_json::Value = connection.typed().unwrap();
    let expected = json!({
        "key": SANDBOX_CREDENTIAL, "region": "us", "strict": true, "page": 50,
        "base_url": "http://127.0.0.1:8080/iterable",
    });
    assert_eq!(values, expected);
    // Asked as if it were the real one, it still does not lead there.
    let (_, connection) = swapped.destination_connection("api_prod").unwrap();
    let values: serde_json::Value = connection.typed().unwrap();
    assert_eq!(values["base_url"], NOWHERE);
    assert!(swapped.destination_connection_at("crm", "http://127.0.0.1:1").is_err(), "a database is no API");
}

#[test]
fn a_connector_is_part_of_the_configuration_of_its_syncs_alone() {
    let dir = shop_with_a_connector();
    let digests = || {
        let project = loaded(dir.path(), None);
        (project.syncs["people"].digest.clone(), project.syncs["mike"].digest.clone())
    };
    let before = digests();
    write(dir.path(), "connectors/iterable.yaml", &format!("{CONNECTOR}cases: []\ndescription: People.\n"));
    assert_eq!(before, digests(), "cases and descriptions do not count");
    write(dir.path(), "connectors/iterable.yaml", &CONNECTOR.replace("/users", "/people"));
    let after = digests();
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1);
}

#[test]
fn built_in_connectors_fit_their_schema_and_can_be_opened() {
    let (known, diagnostics) = known_connectors(None);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    for (name, text) in crate::connectors::builtin() {
        let source = crate::diagnostic::SourceText { path: name.into(), text: text.into() };
        let document = Document::parse(source).unwrap();
        let faults = crate::manifest::schema::faults(
            crate::manifest::Kind::Connector,
            &document,
            &document.to_json(),
            &Default::default(),
        );
        assert!(faults.is_empty(), "{name}: {faults:#?}");
        assert!(known[name].compiled.is_some(), "{name}");
        assert_eq!((known[name].connector.name.as_str(), known[name].origin), (name, Origin::BuiltIn));
    }
    assert_eq!(known.len(), crate::connectors::builtin().count());
}

#[test]
fn a_project_s_connector_takes_the_place_of_a_built_in_one() {
    let dir = shop();
    let Some((name, text)) = crate::connectors::builtin().next() else { panic!("no built-in connector") };
    let path = format!("connectors/{name}.yaml");
    let origin = || known_connectors(Some(dir.path())).0[name].origin;
    write(dir.path(), &path, text);
    assert_eq!(origin(), Origin::BuiltIn, "a copy is nothing of its own");
    write(dir.path(), &path, &format!("{text}# and more\n"));
    assert_eq!(origin(), Origin::Replaces);
}
