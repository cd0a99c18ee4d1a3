use crate::report::fixtures;
use crate::report::html::plan_html;
use crate::report::mask::Masked;

#[test]
fn a_page_needs_nothing_but_itself() {
    for plan in
        [fixtures::empty(), fixtures::plan(vec![]), fixtures::typical(), fixtures::refused(), fixtures::many(200)]
    {
        let html = plan_html(&Masked::new(&plan)).unwrap();
        assert!(html.starts_with("<!doctype html>"), "{}", &html[..80]);
        for outside in ["http:", "https:", "url(", "@import", " src=", " href=", "<link", "<script>"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'"));
    }
}

#[test]
fn the_page_says_what_the_terminal_says() {
    let html = plan_html(&Masked::new(&fixtures::refused())).unwrap().replace('\u{202f}', " ");
    for words in [
        "Plan for <code>sandbox</code>: 0 added, 0 changed, 2 310 removed",
        "Apply refuses this plan: 2 limits are exceeded.",
        "syncline apply --allow users:max_removed=2310",
        "syncs&#x2f;users.yaml:21:11",
        "Nothing was sent.",
    ] {
        assert!(html.contains(words), "{words}");
    }
}

#[test]
fn zz_dump() {
    let mut t = fixtures::typical();
    let r = fixtures::refused();
    t.syncs.extend(r.syncs);
    t.refusals.extend(r.refusals);
    t.totals.removed += 2310;
    for s in &mut t.syncs {
        for x in &mut s.samples {
            for f in &mut x.fields {
                f.sensitive = f.name == "firstName";
            }
        }
    }
    std::fs::write("/tmp/plan.html", plan_html(&Masked::new(&t)).unwrap()).unwrap();
    std::fs::write("/tmp/empty.html", plan_html(&Masked::new(&fixtures::empty())).unwrap()).unwrap();
    let run = crate::report::run::Run::read(&fixtures::partial_run()).unwrap();
    std::fs::write("/tmp/run.html", crate::report::run::run_html(&crate::report::MaskedRun::new(&run)).unwrap())
        .unwrap();
}
