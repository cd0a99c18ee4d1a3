use crate::report::escape::width;
use crate::report::terminal::{Style, plan_text};
use crate::report::{fixtures, mask};

fn shown(plan: &crate::plan::Plan) -> String {
    plan_text(plan, &Style::default())
}

#[test]
fn plans() {
    for (name, plan) in fixtures::plans().into_iter().chain([("many", fixtures::many(200))]) {
        // One sample is enough to see what two hundred syncs look like.
        let samples = if name == "many" { 1 } else { 6 };
        insta::assert_snapshot!(format!("terminal_{name}"), plan_text(&plan, &Style { samples, ..Style::default() }));
    }
}

#[test]
fn verdict_is_first_and_last() {
    let plan = fixtures::typical();
    let text = shown(&plan);
    let verdict = "Plan for `sandbox`: 1 204 added, 8 117 changed, 3 removed, 14 invalid, 14 held";
    assert!(text.starts_with(verdict), "{text}");
    assert!(text.ends_with(&format!("{verdict}. Nothing was sent.\n")), "{text}");
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    for plan in [fixtures::typical(), fixtures::refused(), fixtures::many(200), fixtures::evil(), fixtures::invalid()] {
        for columns in [40, 80, 100, 300] {
            let text = plan_text(&plan, &Style { width: columns, ..Style::default() });
            for line in text.lines() {
                assert!(width(line) <= columns.min(100), "{columns}: {} {line}", width(line));
            }
        }
    }
}

#[test]
fn colour_only_doubles_the_words() {
    for plan in [fixtures::typical(), fixtures::refused(), fixtures::first_run()] {
        let coloured = plan_text(&plan, &Style { color: true, ..Style::default() });
        assert!(coloured.contains("\u{1b}["));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), shown(&plan));
    }
}

#[test]
fn no_value_can_steer_the_terminal() {
    let text = shown(&fixtures::evil());
    assert!(!text.chars().any(|c| c != '\n' && crate::report::escape::is_hidden(c)), "{text:?}");
}

#[test]
fn values_are_masked_when_they_are_not_to_be_shown() {
    let plan = fixtures::plan(vec![
        fixtures::sync("users")
            .added(1)
            .sample("added", "ada@example.com", &[("n", ().into(), "Ada".into())])
            .sensitive(),
    ]);
    let hidden = plan_text(&plan, &Style { show_values: false, ..Style::default() });
    assert!(hidden.contains("a…@e….com") && hidden.contains("‹3 characters›") && !hidden.contains("Ada"), "{hidden}");
    assert_eq!(hidden, shown(mask::Masked::new(&plan).plan()));
    assert!(shown(&plan).contains("ada@example.com"));
}

#[test]
fn few_samples_still_show_every_kind() {
    let plan = fixtures::typical();
    for (samples, kinds) in
        [(0, vec![]), (1, vec!["ada@"]), (2, vec!["ada@", "grace@"]), (3, vec!["ada@", "grace@", "alan@"])]
    {
        let text = plan_text(&plan, &Style { samples, ..Style::default() });
        for key in ["ada@", "grace@", "alan@"] {
            assert_eq!(text.contains(key), kinds.contains(&key), "{samples} {key}");
        }
    }
}

#[test]
fn every_refusal_says_how_to_go_ahead() {
    let text = shown(&fixtures::refused());
    assert!(text.contains("--allow users:max_removed=2310"), "{text}");
    assert!(text.contains("--allow users:min_rows=1000"), "{text}");
    assert!(text.contains("Apply refuses this plan: 2 limits are exceeded."), "{text}");
}
