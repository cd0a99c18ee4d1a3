//! What a template gives here is what LiquidJS gives. The second column was printed by LiquidJS 10 for the row below.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use serde_json::json;

use super::*;
use crate::mapping::{Mapping, MappingSpec};

/// Template, text.
const SAME: &[(&str, &str)] = &[
    ("{{ row['name'] }}", "Ada Lovelace"),
    ("Hi {{ row.name }}!", "Hi Ada Lovelace!"),
    ("{{ row['first name'] }}", "Ada"),
    ("[{{ row['nothing'] }}]", "[]"),
    ("{{ row['seats'] }}", "12"),
    ("{{ row['name'] | upcase }}", "ADA LOVELACE"),
    ("{{ row['name'] | downcase | append: '@x' }}", "ada lovelace@x"),
    ("[{{ row['nothing'] | upcase }}]", "[]"),
    ("{{ row['nothing'] | append: 'x' }}", "x"),
    ("{{ row['seats'] | append: ' seats' }}", "12 seats"),
    ("{{ row['name'] | prepend: 'Dr ' }}", "Dr Ada Lovelace"),
    ("[{{ row['note'] | strip }}]", "[two\nlines]"),
    ("{{ row['shout'] | capitalize }}", "Hello you"),
    ("[{{ row['nothing'] | capitalize }}]", "[]"),
    ("{{ row['mail'] | replace: '@', ' at ' }}", "ada at example.org"),
    ("{{ row['mail'] | remove: 'a' }}", "d@exmple.org"),
    ("{{ row['note'] | strip_newlines }}|", " twolines|"),
    ("{{ row['nothing'] | default: 'none' }}", "none"),
    ("{{ row['empty'] | default: 'none' }}", "none"),
    ("{{ row['zero'] | default: 'none' }}", "0"),
    ("{{ row['gone'] | default: 'none' }}", "none"),
    ("{{ row['nothing'] | default: row['name'] | upcase }}", "ADA LOVELACE"),
    ("{{ row['name'] | size }} {{ row['nothing'] | size }}", "12 0"),
    ("{{ row['name'] | slice: 0 }}{{ row['name'] | slice: 4, 3 }}", "ALov"),
    ("{{ row['name'] | truncate: 8 }}", "Ada L..."),
    ("{{ row['name'] | truncate: 40 }}", "Ada Lovelace"),
    ("{{ row['name'] | truncate: 6, '-' }}", "Ada L-"),
    ("{{ row['mail'] | split: '@' | last }}", "example.org"),
    ("{{ row['mail'] | split: '@' | first | upcase }}", "ADA"),
    ("{{ row['mail'] | split: '.' | join: '/' }}", "ada@example/org"),
    (r#"{{ 'it is' | append: " '" }}"#, "it is '"),
    ("{% if row['name'] %}yes{% else %}no{% endif %}", "yes"),
    ("{% if row['empty'] %}yes{% else %}no{% endif %}", "yes"),
    ("{% if row['zero'] %}yes{% else %}no{% endif %}", "yes"),
    ("{% if row['nothing'] %}yes{% else %}no{% endif %}", "no"),
    ("{% if row['gone'] %}yes{% else %}no{% endif %}", "no"),
    ("{% if row['plan'] == 'premium' %}P{% elsif row['plan'] == 'free' %}F{% endif %}", "P"),
    ("{% if row['plan'] != 'free' and row['seats'] > 10 %}big{% endif %}", "big"),
    ("{% if row['nothing'] > 1 %}a{% else %}b{% endif %}", "b"),
    ("{% if row['seats'] >= 12 %}a{% endif %}{% if row['seats'] < 12 %}b{% endif %}", "a"),
    ("{% if row['gone'] and row['gone'] or row['active'] %}a{% else %}b{% endif %}", "b"),
    ("{% if row['active'] or row['active'] and row['gone'] %}a{% else %}b{% endif %}", "a"),
    ("{% if row['nothing'] == nil %}a{% endif %}{% if row['name'] != nil %}b{% endif %}", "ab"),
    (
        "{% if row['empty'] == blank %}a{% endif %}{% if row['nothing'] == blank %}b{% endif %}{% if row['zero'] == blank %}c{% endif %}{% if row['space'] == blank %}d{% endif %}{% if row['gone'] == blank %}e{% endif %}",
        "abde",
    ),
    (
        "{% if row['empty'] == empty %}a{% endif %}{% if row['nothing'] == empty %}b{% endif %}{% if row['name'] != empty %}c{% endif %}",
        "ac",
    ),
    ("{% if row['mail'] contains 'example' %}a{% endif %}{% if row['nothing'] contains 'x' %}b{% endif %}", "a"),
    ("{% if row['seats'] == '12' %}a{% else %}b{% endif %}", "b"),
    ("{% if row['active'] == true %}a{% endif %}", "a"),
    ("{% unless row['active'] %}a{% else %}b{% endunless %}", "b"),
    ("{% unless row['gone'] %}a{% endunless %}", "a"),
    ("{% case row['plan'] %} {% when 'free' %}F{% when 'premium', 'ultimate' %}P{% else %}?{% endcase %}", "P"),
    ("{% case row['seats'] %}{% when 1 or 12 %}a{% endcase %}", "a"),
    ("{% assign n = row['name'] | upcase %}{{ n }}/{{ n | downcase }}", "ADA LOVELACE/ada lovelace"),
    ("{% if row['gone'] %}{% assign n = 1 %}{% endif %}[{{ n }}]", "[]"),
    ("{% capture c %}<{{ row['name'] }}>{% endcapture %}{{ c | size }}{{ c }}", "14<Ada Lovelace>"),
    ("a {%- if true -%} b {%- endif -%} c", "abc"),
    ("a {{- row['plan'] -}} b", "apremiumb"),
    ("{% comment %}{{ what | ever }}{% endcomment %}x", "x"),
    ("a {%- comment -%} x {%- endcomment %} b", "a b"),
    ("{% raw %}{{ row }}{% endraw %}", "{{ row }}"),
    (r#"{"a": "{{ row['name'] }}", "b": {"c": 1}}"#, r#"{"a": "Ada Lovelace", "b": {"c": 1}}"#),
    ("{# {{ row['seats'] }} #}", "{# 12 #}"),
    ("line\n", "line\n"),
    ("line\r\n", "line\r\n"),
    ("line\r", "line\r"),
    ("{{ row['name'] }}\n\n", "Ada Lovelace\n\n"),
    ("{%- assign x = 1 -%}  {{ x }}", "1"),
    ("{% echo row['plan'] %}", "premium"),
    ("{% if 'a' %}t{% endif %}{% if nil %}f{% endif %}", "t"),
];

/// Template, what is refused in it.
const REFUSED: &[(&str, &str)] = &[
    ("{{ row['seats'] | plus: 1 }}", "the filter `plus`"),
    ("{{ row['at'] | date: '%B %Y' }}", "the filter `date` within more than one column, or with this format"),
    ("on {{ row['at'] | date: '%Y-%m-%d' }}", "the filter `date` within more than one column, or with this format"),
    ("{{ row['name'] | sha256 }}", "the filter `sha256`"),
    ("{{ row['list'] | first }}", "the filter `first`"),
    ("{{ row['name'] | replace: row['plan'], 'x' }}", "`replace` with something else than two texts in quotes"),
    ("{{ row['name'] | default: 'x', allow_false: true }}", "a named argument of the filter `default`"),
    ("{% for item in row['list'] %}{{ item }}{% endfor %}", "the tag `for`"),
    ("{{ row['a']['b'] }}", "a part of the column `a`, which may be text here"),
    ("{{ row[name] }}", "`row` otherwise than as `row['NAME']`"),
    ("{{ context['sync_id'] }}", "`sync_id`, which is Hightouch's number of the sync"),
    ("{{ context['other'] }}", "`context['other']`"),
    ("{{ name }}", "`name`, which is not known here"),
    ("{{ n }}{% assign n = 1 %}", "`n`, which is not known here"),
    ("{% assign row = 1 %}", "a variable called `row`"),
    ("{% if row['a'] | upcase == 'A' %}x{% endif %}", "a filter in a condition"),
    ("{% if row['a'] %}x", "a block that is never closed: `endif` is missing"),
    ("{{ row['a'] ", "`{{` that is never closed"),
    ("{{ row['a }}", "`{{` that is never closed"),
    ("{{ row['a'] | }}", "a filter without a name"),
    ("{{ (1..3) }}", "a range"),
    ("{{ row['a'] & 1 }}", "`&`, which means nothing here"),
    ("{% endif %}", "the tag `endif`"),
    ("{% case row['a'] %}{% else %}x{% endcase %}", "a `case` without `when`"),
    ("{% comment %}x", "`comment` that is never closed"),
    ("{{ }}", "a place where a value is missing"),
];

fn row() -> RecordBatch {
    let text = |value: Option<&str>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let number = |value| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let truth = |value| Arc::new(BooleanArray::from(vec![value])) as ArrayRef;
    let columns = [
        ("name", text(Some("Ada Lovelace"))),
        ("first name", text(Some("Ada"))),
        ("empty", text(Some(""))),
        ("space", text(Some("  "))),
        ("nothing", text(None)),
        ("seats", number(12)),
        ("zero", number(0)),
        ("active", truth(true)),
        ("gone", truth(false)),
        ("mail", text(Some("ada@example.org"))),
        ("note", text(Some(" two\nlines\n"))),
        ("plan", text(Some("premium"))),
        ("shout", text(Some("hELLO you"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// What the field of a record is for the row above.
fn made(template: &str) -> String {
    let translated = translate(template).unwrap_or_else(|refused| panic!("{template}: uses {}", refused.0));
    let Made::Template(text) = translated.origin else { panic!("{template} became a column") };
    let spec: MappingSpec = serde_json::from_value(json!({
        "primary_key": ["name"], "matching": { "id": "name" }, "fields": { "made": { "template": text } }
    }))
    .unwrap();
    let rows = row();
    let faults = spec.check(&rows.schema(), &Default::default());
    assert!(faults.is_empty(), "{template} became {text}: {faults:?}");
    let mapping = Mapping::new(&spec, &rows.schema(), "2026-01-31T08:30:00Z").unwrap();
    match mapping.bind(&rows).unwrap().record(0, true) {
        Ok(record) => {
            let named = crate::mapping::named(record.clone(), &mapping);
            let made = named.iter().find(|(name, _)| name.as_str() == "made").unwrap_or_else(|| panic!("{template}"));
            made.1.text().into_owned()
        }
        Err(unmappable) => panic!("{template} became {text}: {}", unmappable.message),
    }
}

#[test]
fn templates_give_what_liquid_gives() {
    for (template, expected) in SAME {
        assert_eq!(made(template), *expected, "{template}\nbecame {:?}", translate(template));
    }
}

/// What `IMPORT.md` says of truths: the engine shows them as Python does.
#[test]
fn truths_are_shown_with_a_capital() {
    assert_eq!(made("{{ row['active'] }} {{ row['gone'] }}"), "True False");
}

#[test]
fn what_has_no_counterpart_is_refused_by_name() {
    for (template, expected) in REFUSED {
        assert_eq!(translate(template).unwrap_err().0, *expected, "{template}");
    }
}

#[test]
fn the_last_filter_can_make_a_transform() {
    let column = |name: &str| Made::Column(name.into());
    for (template, origin, transform) in [
        ("{{ row['a b'] | parse }}", column("a b"), vec![Transform::Json]),
        ("{{ row.at | date: '%Y-%m-%d' }}", column("at"), vec![Transform::Date, Transform::String]),
        ("{{ row['at'] | date: \"%s\" }}", column("at"), vec![Transform::EpochS, Transform::String]),
        ("{{ row['a'] | downcase | parse }}", Made::Template("{{ row.a | lower }}".into()), vec![Transform::Json]),
    ] {
        let translated = translate(template).unwrap();
        assert_eq!((translated.origin, translated.transform), (origin, transform), "{template}");
        assert_eq!(translated.remarks.len(), 1, "{template}");
    }
}

#[test]
fn what_may_differ_is_said() {
    for (template, part) in [
        ("{{ context['sync_run_id'] }}", "known here by when it began"),
        ("{% if row['a'] > 1 %}x{% endif %}", "compare numbers with numbers"),
        ("{{ row['a'] | size }}", "counts characters"),
    ] {
        let remarks = translate(template).unwrap().remarks;
        assert!(remarks.len() == 1 && remarks[0].contains(part), "{template}: {remarks:?}");
    }
    assert_eq!(translate("{{ row['a'] | upcase }}").unwrap().remarks, Vec::<String>::new());
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(template in "[{}%| .'a-c\\[\\]:=,-]{0,40}", words in "(\\{\\{|\\}\\}|\\{%|%\\}|if|endif|else|case|when|row|\\.|a| |'|\\|){0,20}") {
        let _ = translate(&template);
        let _ = translate(&words);
    }
}
