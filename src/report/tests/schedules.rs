use crate::plan::{Plan, Scheduled};
use crate::report::terminal::{Style, plan_text};
use crate::report::{Masked, fixtures, markdown, plan_html, plan_markdown};

const WORDS: &str = "at 06:00, Europe/Berlin (`0 6 * * *`); next Mon 30 Nov 2026, 06:00 CET (in 19 h)";

fn plan() -> Plan {
    let mut plan =
        fixtures::plan(vec![fixtures::sync("users").added(1), fixtures::sync("quiet"), fixtures::sync("by_hand")]);
    for sync in plan.syncs.iter_mut().take(2) {
        let due = sync.sync == "users";
        sync.schedule = Some(Scheduled { text: WORDS.into(), next: Some("2026-11-30T05:00:00Z".into()), due });
    }
    plan
}

#[test]
fn every_face_says_when_syncs_run() {
    let text = plan_text(&plan(), &Style::default());
    assert!(text.contains(&format!("\nSchedule\n  users  {WORDS}\n  quiet  {WORDS}\n")), "{text}");
    let narrow = plan_text(&plan(), &Style { width: 40, ..Style::default() });
    assert!(narrow.lines().all(|line| crate::report::escape::width(line) <= 40), "{narrow}");

    let text = plan_markdown(&Masked::new(&plan()), markdown::DEFAULT_BUDGET);
    assert!(text.contains("Schedule: 2 syncs, 1 due now</summary>"), "{text}");
    assert!(text.contains(&format!("| `users` | {WORDS} |\n| `quiet` | {WORDS} |\n")), "{text}");
    let short = plan_markdown(&Masked::new(&plan()), 600);
    assert!(!short.contains("06:00") && short.contains("schedules"), "{short}");

    let page = plan_html(&Masked::new(&plan())).unwrap();
    assert!(
        page.contains("<dt>quiet</dt><dd>at 06:00, Europe&#x2f;Berlin (<code>0 6 * * *</code>); next Mon"),
        "{page}"
    );
}

#[test]
fn a_plan_without_schedules_does_not_speak_of_them() {
    let plan = fixtures::typical();
    let texts = [
        plan_text(&plan, &Style::default()),
        plan_markdown(&Masked::new(&plan), markdown::DEFAULT_BUDGET),
        plan_html(&Masked::new(&plan)).unwrap(),
    ];
    assert!(texts.iter().all(|text| !text.contains(">Schedule") && !text.contains("\nSchedule")), "{texts:?}");
}
