//! A unique canary in every place that can hold a personal value: none comes out of what leaves the machine.

use serde_json::json;

use crate::plan::{Notice, Plan};
use crate::report::fixtures::{plan, sync};
use crate::report::html::plan_html;
use crate::report::json::pretty;
use crate::report::markdown::plan_markdown;
use crate::report::mask::{Masked, MaskedRun};
use crate::report::run::{Run, run_html, run_markdown};

/// Every canary holds this word and is not otherwise the same.
const CANARY: &str = "kanari";

fn with_canaries() -> Plan {
    let text = |n: u32| format!("q{CANARY}{n}");
    let mail = |n: u32| format!("q{CANARY}{n}@x{CANARY}{n}.example");
    let mut plan = plan(vec![
        sync("users")
            .added(5)
            .changed(5)
            .removed(5)
            .sample("added", &mail(1), &[("a", json!(null), json!(text(2))), ("b", json!(null), json!(mail(3)))])
            .sample(
                "changed",
                &text(4),
                &[("a", json!(text(5)), json!([text(6)])), ("b", json!({ "k": text(7) }), json!(mail(8)))],
            )
            .sample("removed", &format!("{}, {}", mail(9), text(10)), &[("a", json!(text(11)), json!(null))])
            .sensitive()
            .invalid("unmappable", 2, &[&text(12), &mail(13)]),
    ]);
    plan.syncs[0].invalid[0].message = Some(format!("cannot read {} as a number", mail(14)));
    let notice = Notice {
        message: format!("about {}", mail(15)),
        help: Some(format!("ask <{}>", mail(16))),
        ..Notice::default()
    };
    plan.warnings.push(notice.clone());
    plan.refusals.push(notice);
    plan
}

#[test]
fn no_canary_leaves_in_a_plan() {
    let masked = Masked::new(&with_canaries());
    let whole = pretty(&with_canaries()).unwrap();
    assert!(whole.matches(CANARY).count() > 20, "the canaries are not in the plan");
    for (face, text) in [
        ("markdown", plan_markdown(&masked, usize::MAX)),
        ("html", plan_html(&masked).unwrap()),
        ("json", pretty(masked.plan()).unwrap()),
    ] {
        assert!(!text.contains(CANARY), "{face}: {text}");
    }
}

#[test]
fn values_asked_for_are_shown() {
    let shown = Masked::shown_on_request(&with_canaries());
    assert!(plan_markdown(&shown, usize::MAX).contains(CANARY));
    assert!(plan_html(&shown).unwrap().contains(CANARY));
}

/// Where nobody knows the key of a removed row, a word stands in its place, which is nobody's and not masked as a value.
#[test]
fn a_key_that_is_not_known_is_said_to_be_unknown_in_every_face() {
    let mut plan = plan(vec![sync("users").removed(2).sample("removed", "unknown", &[]).sample(
        "removed",
        "unknown",
        &[("a", json!(format!("q{CANARY}")), json!(null))],
    )]);
    // The other one has a key that happens to be the same word.
    plan.syncs[0].samples[0].key_unknown = true;
    let masked = Masked::new(&plan);
    let keys: Vec<&str> = masked.plan().syncs[0].samples.iter().map(|sample| sample.key.as_str()).collect();
    assert_eq!(keys, ["unknown", "‹7 characters›"]);
    for (face, text) in [
        ("markdown", plan_markdown(&masked, usize::MAX)),
        ("html", plan_html(&masked).unwrap()),
        ("json", pretty(masked.plan()).unwrap()),
        ("text", crate::report::plan_text(masked.plan(), &crate::report::Style::default())),
    ] {
        assert!(text.contains("unknown") && text.contains("‹7 characters›"), "{face}: {text}");
    }
}

#[test]
fn values_of_columns_declared_harmless_stay_and_keys_may() {
    let mut plan = with_canaries();
    plan.syncs[0].samples[0].fields[0].sensitive = false;
    plan.syncs.iter_mut().for_each(|sync| sync.key_open = true);
    let masked = Masked::new(&plan);
    let sample = &masked.plan().syncs[0].samples[0];
    assert_eq!(sample.fields[0].after, Some(json!(format!("q{CANARY}2"))));
    assert_eq!(sample.fields[1].after, Some(json!("q…@x….…")));
    assert_eq!(sample.key, format!("q{CANARY}1@x{CANARY}1.example"));
}

#[test]
fn two_values_that_mask_alike_are_still_seen_to_differ() {
    let plan = plan(vec![
        sync("users")
            .changed(1)
            .sample(
                "changed",
                "1",
                &[
                    ("text", json!("Ada"), json!("Bob")),
                    ("number", json!(1), json!(2)),
                    ("mail", json!("ada@example.com"), json!("amy@example.com")),
                ],
            )
            .sensitive(),
    ]);
    let masked = Masked::new(&plan);
    let pairs: Vec<_> =
        masked.plan().syncs[0].samples[0].fields.iter().map(|f| (f.before.clone(), f.after.clone())).collect();
    let some = |a: &str, b: &str| (Some(json!(a)), Some(json!(b)));
    assert_eq!(
        pairs,
        [
            some("‹3 characters›", "‹3 other characters›"),
            some("‹number›", "‹other number›"),
            some("a…@e….com", "‹other a…@e….com›")
        ]
    );
}

#[test]
fn no_canary_leaves_in_a_run() {
    let key = format!("q{CANARY}1@x{CANARY}2.example");
    let json = json!({ "status": "partial", "error": format!("about {key}"), "syncs": [
        { "sync": "users", "status": "partial", "error": format!("about {key}"), "rejected": 2, "rejections": [
            { "key": key, "code": "1004", "message": format!("no record with email:{key}, sorry"), "count": 1 },
            { "key": format!("q{CANARY}3, 17"), "code": "x", "message": format!("user q{CANARY}3 is +49123456789"), "count": 1 } ] } ] });
    let masked = MaskedRun::new(&Run::read(&json).unwrap());
    for text in [run_markdown(&masked, usize::MAX), run_html(&masked).unwrap()] {
        assert!(!text.contains(CANARY) && !text.contains("49123456789"), "{text}");
        assert!(text.contains("1004"), "{text}");
    }
}
