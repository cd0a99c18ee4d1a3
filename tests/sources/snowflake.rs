//! Snowflake's protocol: the emulator `fakesnow`, spoken to by Snowflake's real driver.

use super::*;
use crate::fakesnow::server;

#[test]
fn types_and_values() {
    let Some(server) = server() else { return };
    let schema = server.schema("");
    let source = open(SourceType::Snowflake, server.connection(&schema));
    let cases = [
        ("true", "Boolean", "true"),
        ("9007199254740993", "Decimal128(38, 0)", "9007199254740993"),
        ("1.5::float", "Float64", "1.5"),
        ("12.5::number(12, 2)", "Decimal128(12, 2)", "12.50"),
        ("'ünï'", "Utf8", "ünï"),
        ("parse_json('{\"a\": [1, 2]}')", "Utf8 json", "{\"a\":[1,2]}"),
        ("to_binary('00ff', 'HEX')", "Binary", "00ff"),
        ("'2026-11-22'::date", "Date32", "2026-11-22"),
        ("'10:30:00.5'::time", "Time64(ns)", "10:30:00.500"),
        ("'9999-12-31 10:00:00'::timestamp_ntz", "Timestamp(µs)", "9999-12-31T10:00:00"),
        ("'2026-11-22 10:00:00 +0100'::timestamp_tz", "Timestamp(µs, \"UTC\")", "2026-11-22T09:00:00Z"),
        ("null::varchar", "Utf8", "∅"),
    ];
    expressions(&*source, &cases);
}

#[test]
fn names_are_as_people_write_them() {
    let Some(server) = server() else { return };
    let schema = server.schema(
        "create table people (id int, email varchar, \"Plan\" varchar);\n\
        insert into people values (1, 'ann@x.io', 'free'), (2, 'bob@x.io', null)",
    );
    let source = open(SourceType::Snowflake, server.connection(&schema));
    let some = |columns: Option<Vec<&str>>, filter: Option<&str>| Query::Table {
        name: format!("{}.people", schema.to_lowercase()),
        columns: columns.map(|names| names.into_iter().map(str::to_owned).collect()),
        filter: filter.map(str::to_owned),
    };
    assert_eq!(types(&*source, &some(None, None)), ["id Decimal128(38, 0)", "email Utf8", "Plan Utf8"]);
    assert_eq!(rows(&*source, &some(Some(vec!["email", "Plan"]), Some("id = 1"))), ["ann@x.io|free"]);
    assert_eq!(
        rows(&*source, &sql("select email, count(*) as n from people group by email order by email")),
        ["ann@x.io|1", "bob@x.io|1",]
    );
    let streams = source.read(&some(None, None), Some(&["email".to_owned()])).unwrap();
    let batches: Vec<RecordBatch> = streams.into_iter().flatten().map(|b| b.unwrap().rows).collect();
    assert_eq!((batches[0].num_columns(), count(&batches)), (1, 2));
}

#[test]
fn what_is_refused_says_why() {
    let Some(server) = server() else { return };
    let schema = server.schema("create table t (id int)");
    let source = open(SourceType::Snowflake, server.connection(&schema));
    for (statement, message, help) in [
        ("select nope from t", "nope", ""),
        ("select * from nowhere", "does not exist", "check the names"),
        ("drop table t", "the SQL is not a `select`", "one `select`"),
    ] {
        let got = error(&*source, &sql(statement));
        assert!(got.0.starts_with("snowflake account `fakesnow`: "), "{statement}: {got:?}");
        assert!(got.0.to_lowercase().contains(&message.to_lowercase()) && got.1.contains(help), "{statement}: {got:?}");
        assert!(!got.0.contains("snow-password"), "{statement}: {got:?}");
    }
    let mut nobody = server.connection(&schema);
    nobody["port"] = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().into();
    nobody["options"] = json!({ "adbc.snowflake.sql.client_option.login_timeout": "2s" });
    let got = error(&*open(SourceType::Snowflake, nobody), &table("t"));
    assert!(got.0.contains("cannot connect"), "{got:?}");
}

#[test]
fn a_browser_needs_a_person_and_there_is_none_in_ci() {
    let project = crate::project::Project::new(&[
        ("syncline.yaml", "name: test\n"),
        (
            "sources/s.yaml",
            "name: s\ntype: snowflake\nconnection: { account: acme-eu, user: ANN, authenticator: external_browser, \
             driver: /nowhere/driver.so }\n",
        ),
        ("models/m.yaml", "name: m\nsource: s\nsql: select 1 as id\nprimary_key: [id]\n"),
    ]);
    let refusal = "`authenticator: external_browser` needs a person at a browser, and `CI` is set";
    for (ci, refused) in
        [(Some("true"), true), (Some("1"), true), (Some("false"), false), (Some(""), false), (None, false)]
    {
        let mut command = project.command(&["doctor"]);
        command.envs(ci.map(|ci| ("CI", ci)));
        let ran = crate::project::Ran::new(command.output().unwrap()).code(1);
        let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said.contains(refusal), refused, "CI={ci:?}: {said}");
        assert_eq!(said.contains("use a key pair in CI"), refused, "CI={ci:?}: {said}");
        // A person's machine goes on to look for the driver.
        assert_eq!(said.contains("/nowhere/driver.so"), !refused, "CI={ci:?}: {said}");
    }
}
