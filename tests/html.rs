//! The HTML pages, opened in a real browser: they say what they should, without network and without script.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use syncline::plan::Plan;
use syncline::report::run::Run;
use syncline::report::{Masked, MaskedRun, plan_html, run_html};

/// A browser, if there is one. On a build server there has to be one: a check that is skipped there is no check.
pub(crate) fn browser() -> Option<PathBuf> {
    let found = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "no Chromium on this build server: install `chromium`");
        eprintln!("SKIPPED: the HTML pages were not opened in a browser, as there is no /usr/bin/chromium");
    }
    found
}

/// The page as the browser understood it, and what it logged.
fn open(browser: &Path, html: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, html).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--v=0", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "the browser failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn assert_self_contained(html: &str) {
    for outside in ["http:", "https:", "url(", "@import", " src=", " href=", "<link"] {
        assert!(!html.contains(outside), "the page asks for something from outside: {outside}");
    }
}

/// What the browser logs of a page goes to `CONSOLE`; a policy violation or a script error would be there.
fn assert_quiet(log: &str) {
    let loud: Vec<&str> =
        log.lines().filter(|l| l.contains("CONSOLE") || l.contains("Content Security Policy")).collect();
    assert!(loud.is_empty(), "{loud:#?}");
}

/// Numbers are held together by narrow and no-break spaces, the latter written as an entity by the browser.
fn plain_spaces(dom: &str) -> String {
    dom.replace('\u{202f}', " ").replace("&nbsp;", " ").replace('\u{a0}', " ")
}

fn data(dom: &str, id: &str) -> serde_json::Value {
    let start = format!("<script type=\"application/json\" id=\"{id}\">");
    let rest = dom.split_once(&start).expect("the page holds its data").1;
    serde_json::from_str(rest.split_once("</script>").expect("the data ends").0).unwrap()
}

fn plan() -> Plan {
    serde_json::from_value(json!({
        "format_version": "1.0", "plan_id": "0193-plan", "digest": "sha256:7d0e", "created_at": "2026-11-22T06:00:00Z",
        "environment": "prod", "project": { "name": "acme-marketing", "commit": null, "against": "main" }, "complete": true,
        "configuration": [ { "kind": "model", "name": "contacts", "change": "changed", "file": "models/contacts.sql",
            "diff": "@@ -1 +1 @@\n-select 1\n+select 2\n", "affects": ["users"] } ],
        "syncs": [ { "sync": "users", "model": "contacts", "destination": "iterable", "object": "user", "mode": "mirror",
            "counts": { "rows": 50006, "added": 1204, "changed": 8117, "removed": 2310, "unchanged": 38889, "invalid": 14 },
            "held": { "rejected": 12, "no_match": 2, "in_doubt": 0 },
            "operations": { "send": 9321, "delete": 2310, "clear": 0, "none": 0 },
            "causes": { "data": 1521, "configuration": 7800, "first_run": 0, "retry": 0 },
            "fields": { "country": 8117, "firstName": 311 }, "unknown_before": 0,
            "samples": [ { "state": "changed", "key": "ada@example.com", "fields": [
                { "name": "country", "after": "GB" },
                { "name": "bio", "before": "</script><script>alert(1)</script>", "after": "<img src=x onerror=alert(1)>" },
                { "name": "firstName", "before": "ada lovelace", "after": "Ada Lovelace", "sensitive": true } ] } ],
            "invalid": [ { "reason": "null_key", "count": 14, "keys": [] } ],
            "guards": [ { "name": "max_removed", "limit": "5%", "actual": 2310, "ok": false } ],
            "estimate": { "requests": 10, "seconds": 200, "queried_records": 48227 } } ],
        "totals": { "added": 1204, "changed": 8117, "removed": 2310, "invalid": 14 }, "warnings": [], "refusals": []
    }))
    .unwrap()
}

#[test]
fn a_plan_opens_in_a_browser() {
    let html = plan_html(&Masked::new(&plan())).unwrap();
    // Values may hold anything that looks like an address; this plan has a tag with ` src=`, but only as text.
    assert_self_contained(&html.replace("img src=x", ""));
    let Some(browser) = browser() else { return };
    let (dom, log) = open(&browser, &html);
    assert_quiet(&log);
    let dom = plain_spaces(&dom);
    let verdict = "Plan for <code>prod</code>: 1 204 added, 8 117 changed, 2 310 removed, 14 invalid, 14 held";
    assert!(dom.contains(&format!("<h1 id=\"verdict\">{verdict}</h1>")), "{dom}");
    assert!(dom.contains("Apply refuses this plan: 1 limit is exceeded."));
    // What changed in a manifest, to the word; and how much of the plan that is the cause of.
    assert!(
        dom.contains("<span class=\"removed\">- select <b>1</b></span><span class=\"added\">+ select <b>2</b></span>")
    );
    assert!(dom.contains("<span class=\"state added\">+1</span> <span class=\"state removed\">−1</span>"), "{dom}");
    assert!(dom.contains("<b>1 521</b> the data") && dom.contains("<b>7 800</b> the configuration"), "{dom}");
    assert!(dom.contains("class=\"cause-configuration\" style=\"width:83"), "{dom}");
    assert!(dom.contains("2026-11-22 06:00 UTC"), "{dom}");
    assert!(!dom.contains("<img"), "a value became an element");
    let plan = data(&dom, "plan");
    assert_eq!(plan["syncs"][0]["samples"][0]["fields"][1]["after"], "<img src=x onerror=alert(1)>");
    assert_eq!(plan["syncs"][0]["samples"][0]["fields"][2]["after"], "‹12 other characters›");
    assert!(!dom.contains("Lovelace") && !dom.contains("ada@example.com"));
}

/// On paper nothing stays folded.
#[test]
fn pages_print_in_full() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (page, paper) = (folder.path().join("page.html"), folder.path().join("page.pdf"));
    let mut plan = plan();
    // With more than four syncs they begin folded on the screen; on paper nobody can unfold them.
    let sync = plan.syncs[0].clone();
    plan.syncs.extend((0..5).map(|n| syncline::plan::SyncPlan { sync: format!("more_{n}"), ..sync.clone() }));
    let print = |html: &str| {
        std::fs::write(&page, html).unwrap();
        let output = Command::new(&browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(format!("--print-to-pdf={}", paper.display()))
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(&paper).unwrap();
        // Each sheet is an object of its own in the file.
        String::from_utf8_lossy(&bytes).matches("/Type /Page\n").count()
    };
    let html = plan_html(&Masked::new(&plan)).unwrap();
    assert!(html.contains("<details>"), "they begin folded");
    let folded = print(&html.replace("details::details-content { content-visibility: visible; display: block; }", ""));
    let whole = print(&html);
    assert!(whole > folded, "{whole} sheets, and {folded} with everything folded");
}

#[test]
fn a_run_opens_in_a_browser() {
    let run = json!({ "format_version": "1.0", "run_id": "0193-run", "environment": "prod", "status": "partial",
        "started_at": "2026-11-22T06:00:00Z", "finished_at": "2026-11-22T06:03:20Z",
        "syncs": [ { "sync": "users", "status": "partial", "planned": { "added": 5, "changed": 0, "removed": 0 },
            "succeeded": { "added": 4, "changed": 0, "removed": 0 }, "rejected": 1, "requests": 2, "retries": 1,
            "rejections": [ { "key": "ada@example.com", "code": "1004", "message": "no <b>such</b> user ada@example.com", "count": 1 } ] } ] });
    let html = run_html(&MaskedRun::new(&Run::read(&run).unwrap())).unwrap();
    assert_self_contained(&html);
    let Some(browser) = browser() else { return };
    let (dom, log) = open(&browser, &html);
    assert_quiet(&log);
    let dom = plain_spaces(&dom);
    assert!(dom.contains("Applied to <code>prod</code> in part: 4 succeeded, 1 rejected</h1>"), "{dom}");
    assert!(dom.contains("<span class=\"tag warn\">partial</span>"), "{dom}");
    assert!(dom.contains("no &lt;b&gt;such&lt;/b&gt; user a…@e….com"), "{dom}");
    assert_eq!(data(&dom, "run")["syncs"][0]["rejections"][0]["key"], "a…@e….com");
    assert!(!dom.contains("ada@example.com"));
}
