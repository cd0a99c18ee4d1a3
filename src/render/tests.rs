use std::sync::Arc;

use serde_json::json;

use super::*;

fn scope(block: Block) -> Scope {
    Scope {
        block,
        vars: json!({ "min_seats": 3, "region": "eu", "list": ["a", "b"], "deep": { "er": true } })
            .as_object()
            .cloned()
            .unwrap(),
        elsewhere: ["only_prod".to_owned()].into(),
        environment: "sandbox".into(),
        sources: json!({ "warehouse": { "name": "warehouse", "type": "files" } }).as_object().cloned().unwrap(),
        started_at: "2026-01-02T03:04:05Z".into(),
        refs: Arc::new([("base".to_owned(), "(\nselect 1\n)".to_owned())].into()),
        outside: Outside::Real {
            root: std::env::temp_dir(),
            lookup: Arc::new(|name| {
                let values = [("TOKEN", "s3cret-token"), ("EMPTY", ""), ("BROKEN", "s3cret-line\r\n")];
                values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            }),
        },
    }
}

#[test]
fn one_expression_keeps_its_type_and_text_around_it_makes_text() {
    let cases = [
        ("{{ vars.min_seats }}", json!(3)),
        ("  {{- vars.min_seats -}}  ", json!(3)),
        ("{{ vars.list }}", json!(["a", "b"])),
        ("{{ {'a': vars.min_seats} }}", json!({ "a": 3 })),
        ("{{ '}}' }}", json!("}}")),
        ("x{{ vars.min_seats }}", json!("x3")),
        ("{{ vars.region }}{{ vars.region }}", json!("eueu")),
        ("{% if vars.deep.er %}yes{% endif %}\n", json!("yes\n")),
        ("{{ source.warehouse.type }}", json!("files")),
        ("{{ vars.absent | default('x') }}", json!("x")),
        ("{% raw %}{{ vars.nothing }}{% endraw %}", json!("{{ vars.nothing }}")),
        ("{{ environment }}", json!("sandbox")),
    ];
    for (text, expected) in cases {
        assert_eq!(render(text, &scope(Block::Plain)).unwrap().value, expected, "{text}");
        assert_eq!(check(text, &scope(Block::Plain)), [], "{text}");
    }
    let sql = render("select * from {{ ref('base') }}", &scope(Block::Sql)).unwrap();
    assert_eq!(sql.value, json!("select * from (\nselect 1\n)"));
    let sql = render("select '{{ run.started_at }}'", &scope(Block::Sql)).unwrap();
    assert_eq!(sql.value, json!("select '2026-01-02T03:04:05Z'"));
}

/// Text, block, what is underlined, part of the message, part of the help.
#[test]
fn faults_are_found_without_rendering_and_underline_the_exact_bytes() {
    let cases = [
        ("a {{ vars.min_seat }}", Block::Plain, "vars.min_seat", "not defined", "`vars.min_seats`"),
        ("a {{ vars['min_seat'] }}", Block::Plain, "vars['min_seat']", "not defined", "`vars.min_seats`"),
        ("{{ min_seats }}", Block::Plain, "min_seats", "not defined", "`vars.min_seats`"),
        ("{{ vras.region }}", Block::Plain, "vras.region", "not defined", "`vars`"),
        ("{{ vars.deep.err }}", Block::Plain, "vars.deep.err", "not defined", "`vars.deep.er`"),
        ("{{ env.X }}", Block::Plain, "env.X", "only in `connection`", ""),
        ("{{ file('x') }}", Block::Sql, "file", "only in `connection`", ""),
        ("{{ ref('x') }}", Block::Plain, "ref", "only in the SQL", ""),
        ("{{ row.x }}", Block::Plain, "row.x", "only in the `template`", ""),
        ("{{ source.warehouse.type }}", Block::Row, "source.warehouse.type", "per row", ""),
        ("{{ row.x }} {{ run.started_at }} {{ run.id }}", Block::Row, "run.id", "not defined", ""),
        ("{{ run.started_at }}", Block::Plain, "run.started_at", "with every run", "`template`"),
        ("{{ run.start }}", Block::Row, "run.start", "not defined", ""),
        ("{{ source.warehous.type }}", Block::Plain, "source.warehous.type", "not defined", "`source.warehouse`"),
        ("ä {{ vars.region | }}", Block::Plain, "}}", "cannot be read", ""),
        ("{{ debug() }}", Block::Plain, "debug", "not defined", ""),
    ];
    for (text, block, underlined, message, help) in cases {
        let faults = check(text, &scope(block));
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        let fault = &faults[0];
        let shown = &text[fault.range.clone()];
        assert!(shown == underlined || underlined.starts_with(shown), "{text}: {shown}");
        assert!(fault.message.contains(message), "{text}: {fault:?}");
        assert!(fault.help.as_deref().unwrap_or_default().contains(help), "{text}: {fault:?}");
    }
}

#[test]
fn what_only_another_environment_defines_is_undefined_only_when_rendered() {
    let text = "{% if environment == 'prod' %}{{ vars.only_prod }}{% endif %}";
    assert_eq!(check(text, &scope(Block::Plain)), []);
    assert!(render(text, &scope(Block::Plain)).is_ok());
    assert!(render("{{ vars.only_prod }}", &scope(Block::Plain)).is_err());
}

#[test]
fn secrets_are_collected_and_missing_ones_named() {
    let rendered = render("Bearer {{ env.TOKEN }}", &scope(Block::Outside)).unwrap();
    assert_eq!(rendered.value, json!("Bearer s3cret-token"));
    assert!(rendered.outside);
    assert_eq!(rendered.secrets.len(), 1);
    let faults = render("{{ env.TOKEN }} {{ env.ABSENT }}", &scope(Block::Outside)).unwrap_err();
    assert_eq!(faults[0].message, "the environment variable `ABSENT` is not set");
    assert_eq!(&"{{ env.TOKEN }} {{ env.ABSENT }}"[faults[0].range.clone()], "env.ABSENT");
    assert_eq!(render("{{ env.ABSENT | default('d') }}", &scope(Block::Outside)).unwrap().value, json!("d"));
    let faults = render("{{ env.EMPTY }}", &scope(Block::Outside)).unwrap_err();
    assert_eq!(faults[0].message, "the environment variable `EMPTY` is set to nothing");
    assert_eq!(render("{{ env.EMPTY | default('d', true) }}", &scope(Block::Outside)).unwrap().value, json!("d"));
    assert_eq!(render("a{{ env.EMPTY }}", &scope(Block::Outside)).unwrap().value, json!("a"));
    assert_eq!(render("{{ env.BROKEN }}", &scope(Block::Outside)).unwrap().value, json!("s3cret-line"));
    let faults = render("{{ env.TOKEN + 1 }}", &scope(Block::Outside)).unwrap_err();
    assert!(!faults[0].message.contains("s3cret"), "{faults:?}");
}

#[test]
fn work_and_output_are_limited() {
    let bombs = [
        "{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}",
        "{% for i in range(5000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}",
        "x{{ 'a' * 10000000 }}",
        "{{ 'a' * 10000000 }}",
    ];
    for bomb in bombs {
        let faults = render(bomb, &scope(Block::Plain)).unwrap_err();
        assert_eq!(faults[0].code, "template-failed", "{faults:?}");
    }
}
