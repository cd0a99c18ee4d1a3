use crate::plan::{ConfigurationChange, Notice, Plan};
use crate::report::fixtures;
use crate::report::markdown::{DEFAULT_BUDGET, plan_markdown};
use crate::report::mask::Masked;

fn shown(plan: &Plan, budget: usize) -> String {
    plan_markdown(&Masked::new(plan), budget)
}

#[test]
fn plans() {
    for (name, plan) in fixtures::plans() {
        insta::assert_snapshot!(format!("markdown_{name}"), shown(&plan, DEFAULT_BUDGET));
    }
}

#[test]
fn two_hundred_syncs_in_little_room() {
    insta::assert_snapshot!("markdown_many", shown(&fixtures::many(200), 3_000));
}

/// A plan whose parts are all large enough to be left out one after the other.
fn large(syncs: usize) -> Plan {
    let mut plan = fixtures::many(syncs);
    for n in 0..20 {
        plan.configuration.push(ConfigurationChange {
            kind: "model".into(),
            name: format!("model_{n}"),
            change: "changed".into(),
            file: format!("models/model_{n}.sql"),
            diff: "@@ -1 +1 @@\n-alter Größenvergleich\n+neuer Größenvergleich\n".repeat(20),
            affects: vec!["sync_000".into()],
        });
    }
    plan.warnings.push(Notice { code: "budget".into(), message: "the WARNING".into(), ..Notice::default() });
    plan.refusals.push(Notice { code: "max_changed".into(), message: "the REFUSAL".into(), ..Notice::default() });
    plan
}

#[test]
fn things_go_in_a_fixed_order_and_never_silently() {
    let plan = large(200);
    let whole = shown(&plan, usize::MAX).len();
    let mut last = usize::MAX;
    let mut seen: Vec<String> = Vec::new();
    for budget in (1_500..whole + 1_000).rev().step_by(997) {
        let text = shown(&plan, budget);
        assert!(text.len() <= budget, "{} bytes for a budget of {budget}", text.len());
        assert!(text.len() <= last, "less budget, more text");
        last = text.len();
        for kept in
            ["<!-- syncline:plan:sandbox:acme-marketing -->", "### Plan for `sandbox`:", "the WARNING", "the REFUSAL"]
        {
            assert!(text.contains(kept), "{budget}: no {kept}");
        }
        let left_out = text.lines().last().filter(|l| l.starts_with("<sub>Left out")).unwrap_or("nothing").to_owned();
        assert!(text.contains("<sub>Left out") || text.len() == whole);
        let kind = left_out.split(|c: char| c.is_ascii_digit()).next().unwrap_or("").to_owned();
        if seen.last() != Some(&kind) {
            seen.push(kind);
        }
    }
    let start = "<sub>Left out to stay within the size of a comment: ";
    let expected = [
        "nothing".to_owned(),
        format!("{start}samples beyond "),
        format!("{start}samples. The whole plan: `syncline plan --format html`.</sub>"),
        format!("{start}samples; configuration differences. The whole plan: `syncline plan --format html`.</sub>"),
        format!(
            "{start}samples; configuration differences; details of each sync. The whole plan: `syncline plan --format html`.</sub>"
        ),
        format!("{start}samples; configuration differences; details of each sync; "),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn changed_syncs_outlive_everything_but_the_limit_itself() {
    let plan = large(200);
    let text = shown(&plan, 14_000);
    for n in (0..200).step_by(2) {
        assert!(text.contains(&format!("| `sync_{n:03}` |")), "sync_{n:03} is gone");
    }
    assert!(!text.contains("`sync_001`"));
    let cut = shown(&plan, 6_000);
    let rows = cut.lines().filter(|l| l.starts_with("| `sync_")).count();
    assert!(rows > 10 && rows < 100, "{rows} rows");
    assert!(cut.contains(&format!("and {} more syncs with", 100 - rows)), "{cut}");
}

#[test]
fn the_limits_of_the_forges_are_kept_to_the_byte() {
    // Grown one byte at a time in a part that is never left out, around the limit of a comment, with multi-byte text.
    let with = |filler: usize| {
        let mut plan = fixtures::plan(vec![fixtures::sync("users").changed(1).field("größe", 1)]);
        for n in 0..180 {
            let message = format!("{n} {}", "größe ".repeat(40));
            plan.warnings.push(Notice { code: "w".into(), message, ..Notice::default() });
        }
        plan.project.name = "x".repeat(filler);
        plan
    };
    let base = shown(&with(0), usize::MAX).len();
    assert!(base < 65_000, "{base}");
    // An empty name is not shown at all: its code span and line break take four bytes, and the marker has up to 100 of it.
    for size in [65_535, 65_536, 65_537] {
        let plan = with(size - base - 104);
        assert_eq!(shown(&plan, usize::MAX).len(), size);
        for budget in [65_535, 65_536, 65_537] {
            let text = shown(&plan, budget);
            assert!(text.len() <= budget, "{} > {budget}", text.len());
            assert_eq!(text.len() == size, size <= budget, "kept whole exactly when it fits");
            assert_eq!(text.contains("<sub>Left out"), size > budget);
        }
    }
}

#[test]
fn many_long_warnings_are_counted_when_they_do_not_fit() {
    let mut plan = fixtures::many(4);
    for n in 0..5_000 {
        plan.warnings.push(Notice { code: "w".into(), message: format!("warning {n}"), ..Notice::default() });
    }
    let text = shown(&plan, 10_000);
    assert!(text.len() <= 10_000);
    let shown = text.lines().filter(|l| l.starts_with("> - warning")).count();
    assert!(shown > 100);
    assert!(text.contains(&format!("and {} more warnings", 5_000 - shown)), "{text}");
}
