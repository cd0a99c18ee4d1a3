use serde_json::json;

use crate::report::mask::MaskedRun;
use crate::report::run::{Run, run_html, run_markdown, run_text};
use crate::report::{Style, fixtures};

#[test]
fn a_partial_run() {
    let json = fixtures::partial_run();
    insta::assert_snapshot!("run_terminal", run_text(&json, &Style::default()).unwrap());
    insta::assert_snapshot!("run_markdown", run_markdown(&MaskedRun::new(&Run::read(&json).unwrap()), 60_000));
}

#[test]
fn verdicts() {
    for (status, planned, succeeded, rejected, verdict) in [
        ("succeeded", 5, 5, 0, "Applied to `prod`: 5 succeeded"),
        ("succeeded", 0, 0, 0, "Nothing to apply to `prod`: every row is as last acknowledged"),
        ("partial", 5, 4, 1, "Applied to `prod` in part: 4 succeeded, 1 rejected"),
        ("failed", 1_500, 1_000, 0, "Apply to `prod` failed: 1 000 succeeded of 1 500 rows"),
        ("refused", 5, 0, 0, "Apply to `prod` was refused: nothing was sent"),
        ("running", 5, 2, 0, "Apply to `prod` is under way: 2 succeeded of 5 rows"),
        ("aborted", 5, 4, 1, "Applied to `prod`: 4 succeeded, 1 rejected"),
    ] {
        let json = json!({ "environment": "prod", "status": status, "syncs": [
            { "sync": "users", "status": status, "planned": { "added": planned }, "succeeded": { "added": succeeded }, "rejected": rejected }] });
        let text = run_text(&json, &Style::default()).unwrap();
        assert_eq!(text.lines().next(), Some(verdict));
    }
}

/// Without line breaks.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_held_or_invalid_is_not_acknowledged() {
    for (status, sync, verdict) in [
        ("succeeded", json!({ "unchanged": 7 }), "Nothing to apply: every row is as last acknowledged"),
        (
            "succeeded",
            json!({ "held": { "rejected": 50, "no_match": 0, "in_doubt": 0 } }),
            "Nothing to apply: 0 rows are as last acknowledged; 50 are held (50 rejected)",
        ),
        (
            "succeeded",
            json!({ "unchanged": 1, "invalid": 2, "held": { "rejected": 0, "no_match": 1, "in_doubt": 600 } }),
            "Nothing to apply: 1 row is as last acknowledged, 2 are invalid; 601 are held (1 no match, 600 in doubt)",
        ),
        (
            "succeeded",
            json!({ "planned": { "added": 2, "removed": 3 }, "succeeded": { "added": 2, "removed": 3 }, "nothing_to_do": 3,
                    "held": { "rejected": 4, "no_match": 0, "in_doubt": 0 }, "invalid": 1 }),
            "Applied: 2 succeeded, 3 with nothing to do, 4 held since earlier runs (4 rejected), 1 invalid",
        ),
    ] {
        let mut sync = sync;
        (sync["sync"], sync["status"]) = ("users".into(), status.into());
        let json = json!({ "status": status, "syncs": [sync] });
        let text = flat(&run_text(&json, &Style::default()).unwrap());
        assert!(
            text.starts_with(&format!("{verdict} users ")) || text.starts_with(&format!("{verdict} = nothing to do")),
            "{text}"
        );
        let markdown = run_markdown(&MaskedRun::new(&Run::read(&json).unwrap()), 60_000);
        assert!(markdown.contains(&format!("### {verdict}\n")), "{markdown}");
        assert!(run_html(&MaskedRun::new(&Run::read(&json).unwrap())).is_ok());
    }
}

#[test]
fn what_comes_again_only_on_request_is_not_promised() {
    let goes_on = "goes on where this one stopped";
    for (pending, on_request, said, not_said) in [
        (3, json!({}), goes_on, "again, or"),
        (
            3,
            json!({ "full_refresh": 3 }),
            "3 rows were not sent, and no later plan has them by itself: give `--full-refresh`",
            goes_on,
        ),
        (
            3,
            json!({ "retry": 1 }),
            "1 row was not sent, and no later plan has it by itself: give `--retry`",
            "--full-refresh",
        ),
        (3, json!({ "refresh": 1, "retry": 1 }), goes_on, "--full-refresh"),
    ] {
        let sync = json!({ "sync": "users", "status": "partial", "planned": { "changed": 5 }, "succeeded": { "changed": 2 },
                           "pending": pending, "pending_on_request": on_request });
        let text = flat(&run_text(&json!({ "status": "partial", "syncs": [sync] }), &Style::default()).unwrap());
        assert!(text.contains(said) && !text.contains(not_said), "{text}");
    }
}

#[test]
fn rows_that_were_not_reached_are_said_to_be_safe() {
    let json = json!({ "status": "partial", "syncs": [
        { "sync": "users", "status": "partial", "planned": { "added": 5 }, "succeeded": { "added": 2 }, "pending": 3 }] });
    let text = run_text(&json, &Style::default()).unwrap();
    assert!(text.starts_with("Applied in part: 2 succeeded, 3 not sent\n"), "{text}");
    assert!(text.contains("the next `syncline apply` goes on where this one stopped"), "{text}");
}

#[test]
fn a_comment_stays_within_its_budget() {
    let syncs: Vec<_> = (0..300)
        .map(|n| {
            json!({ "sync": format!("sync_{n}"), "status": "partial", "planned": { "added": 9 }, "rejected": 9, "rejections":
                (0..9).map(|r| json!({ "key": format!("k{r}@example.com"), "code": format!("c{r}"), "message": "ü".repeat(80), "count": 1 })).collect::<Vec<_>>() })
        })
        .collect();
    let masked = MaskedRun::new(&Run::read(&json!({ "status": "partial", "syncs": syncs })).unwrap());
    let whole = run_markdown(&masked, usize::MAX);
    assert!(!whole.contains("Left out"));
    for budget in [whole.len() - 1, 200_000, 100_000, 65_536, 20_000, 5_000, 1_500] {
        let text = run_markdown(&masked, budget);
        assert!(text.len() <= budget, "{} > {budget}", text.len());
        assert!(text.contains("Left out") && text.contains("Applied in part: 0 succeeded, 2 700 rejected"));
    }
}

#[test]
fn what_is_no_run_is_said_to_be_none() {
    let error = run_text(&json!({ "syncs": [{ "rejected": "many" }] }), &Style::default()).unwrap_err();
    assert!(error.to_string().contains("syncs[0].rejected"), "{error}");
}
