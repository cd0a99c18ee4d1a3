use crate::report::escape::is_hidden;
use crate::report::fixtures::{self, EVIL};
use crate::report::html::plan_html;
use crate::report::markdown::plan_markdown;
use crate::report::mask::{Masked, MaskedRun};
use crate::report::run::{Run, run_html, run_markdown};

/// Markdown with code taken out: what is left is what a forge reads as markup.
fn outside_code(markdown: &str) -> String {
    let mut out = String::new();
    let mut fence: Option<&str> = None;
    for line in markdown.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 && line.ends_with("diff") => fence = Some(ticks),
            None => {
                out.push_str(&spans(line));
                out.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "a fence is not closed");
    out
}

/// One line without its code spans, by the rule of CommonMark: a span ends at a run of as many back-ticks as it began
/// with. A line that begins with a tag is HTML, where `<code>` is what takes the meaning away.
fn spans(line: &str) -> String {
    let mut out = String::new();
    if line.starts_with("<details>") {
        return elements(line.to_owned());
    }
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        out.push_str(&rest[..start]);
        let from = &rest[start..];
        let ticks = from.len() - from.trim_start_matches('`').len();
        let body = &from[ticks..];
        let mut at = 0;
        let end = loop {
            let Some(next) = body[at..].find('`') else { panic!("a code span is not closed: {line}") };
            let run = body[at + next..].len() - body[at + next..].trim_start_matches('`').len();
            if run == ticks {
                break at + next;
            }
            at += next + run;
        };
        out.push('C');
        rest = &body[end + ticks..];
    }
    out.push_str(rest);
    out
}

fn elements(mut out: String) -> String {
    while let (Some(start), Some(end)) = (out.find("<code>"), out.find("</code>")) {
        assert!(!out[start + 6..end].contains(['<', '>']), "{out}");
        out.replace_range(start..end + 7, "C");
    }
    out
}

fn assert_harmless(markdown: &str) {
    assert!(!markdown.chars().any(|c| c != '\n' && is_hidden(c)), "hidden characters");
    // The first line is our marker; what it may hold is tested below.
    let outside = outside_code(markdown.split_once('\n').map_or("", |(_, rest)| rest));
    let ours = ["<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>", "<br>"];
    let mut bare = ours.iter().fold(outside.clone(), |text, tag| text.replace(tag, ""));
    bare = bare.replace("\n> ", "\n").replace("[!CAUTION]", "").replace("[!WARNING]", "");
    for evil in ["<", "@", "#123", "https:", "www.", "[a]", "-->", "onerror=alert(1)>"] {
        assert!(!bare.contains(evil), "{evil} in {bare}");
    }
    for line in outside.lines().filter(|l| l.starts_with("| ")) {
        assert!(line.ends_with(" |"), "a row is broken: {line}");
    }
}

#[test]
fn markdown_of_a_plan() {
    for masked in [Masked::new(&fixtures::evil()), Masked::shown_on_request(&fixtures::evil())] {
        let markdown = plan_markdown(&masked, 60_000);
        assert_harmless(&markdown);
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let rows: Vec<usize> = markdown.lines().filter(|l| l.starts_with('|')).map(cells).collect();
        // Head, rule and rows of a table agree: an unescaped border would add a cell.
        assert!(rows.iter().all(|n| [3, 4, 8].contains(n)), "{rows:?}\n{markdown}");
        assert!(markdown.starts_with("<!-- syncline:plan:script-img-src-x-onerror-alert-1-"), "{markdown}");
    }
}

#[test]
fn html_of_a_plan() {
    for masked in [Masked::new(&fixtures::evil()), Masked::shown_on_request(&fixtures::evil())] {
        let html = plan_html(&masked).unwrap();
        assert!(!html.contains("<img"), "a tag came out of data");
        assert_eq!(html.matches("</script>").count(), 1);
        assert!(!html.chars().any(|c| c != '\n' && is_hidden(c)), "hidden characters");
        let data = html.split("id=\"plan\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
        let plan: crate::plan::Plan = serde_json::from_str(data).unwrap();
        assert_eq!(&plan, masked.plan());
    }
}

#[test]
fn faces_of_a_run() {
    let json = serde_json::json!({ "run_id": EVIL, "environment": EVIL, "status": EVIL, "error": EVIL, "syncs": [
        { "sync": EVIL, "status": EVIL, "error": EVIL, "rejected": 1, "planned": { "added": 1 },
          "rejections": [{ "key": EVIL, "code": EVIL, "message": EVIL, "count": 1 }] } ] });
    let run = Run::read(&json).unwrap();
    for masked in [MaskedRun::new(&run), MaskedRun::shown_on_request(&run)] {
        assert_harmless(&run_markdown(&masked, 60_000));
        let html = run_html(&masked).unwrap();
        assert!(!html.contains("<img") && html.matches("</script>").count() == 1);
    }
    let text = crate::report::run_text(&json, &crate::report::Style::default()).unwrap();
    assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text:?}");
}
