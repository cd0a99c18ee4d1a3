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
    let html = plan_html(&Masked::new(&fixtures::refused())).unwrap().replace(['\u{202f}', '\u{a0}'], " ");
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
