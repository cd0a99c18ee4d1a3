//! What an answer of a forge says beside its body: limits, pages, words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::http::{Reply, retry_after};

/// The most characters of an answer in a message.
const WORDS: usize = 300;
/// How long GitHub wants to be left alone where it does not say:
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>.
const SECONDARY: Duration = Duration::from_secs(60);

/// A header by its name in lower case.
pub(super) fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// `Some` when the answer is that there were too many requests, with the time it asks to wait. GitHub says so by 403, too.
pub(super) fn limited(reply: &Reply) -> Option<Option<Duration>> {
    let used_up = ["x-ratelimit-remaining", "ratelimit-remaining"].iter().any(|name| header(reply, name) == Some("0"));
    match reply.status {
        429 => Some(retry_after(reply).or_else(|| reset(reply))),
        403 if header(reply, "retry-after").is_some() => Some(retry_after(reply)),
        403 if used_up => Some(reset(reply).or(Some(SECONDARY))),
        403 if words(reply).to_ascii_lowercase().contains("rate limit") => Some(Some(SECONDARY)),
        _ => None,
    }
}

/// The time until the limit is a new one: the header has seconds since 1970.
fn reset(reply: &Reply) -> Option<Duration> {
    let at = ["x-ratelimit-reset", "ratelimit-reset"].iter().find_map(|name| header(reply, name))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Duration::from_secs(at.parse().ok()?).saturating_sub(now))
}

/// The number of the next page, by `Link`, by `X-Next-Page`, or, where a proxy has taken both away, because this one is
/// full. The address in `Link` is not followed: it may be that of another host.
pub(super) fn next_page(reply: &Reply, page: u32, items: usize, full: usize) -> Option<u32> {
    if let Some(links) = header(reply, "link") {
        return links.contains("rel=\"next\"").then_some(page + 1);
    }
    match header(reply, "x-next-page") {
        Some(next) => next.trim().parse().ok(),
        None => (items >= full).then_some(page + 1),
    }
}

/// Status and words of an answer: `403: Resource not accessible by integration`.
pub(super) fn quote(reply: &Reply) -> String {
    let words = words(reply);
    if words.is_empty() { reply.status.to_string() } else { format!("{}: {words}", reply.status) }
}

/// What the answer says is the matter, in one line; empty when it is not JSON, as a proxy's page is not.
fn words(reply: &Reply) -> String {
    let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let mut parts = Vec::new();
    for key in ["message", "error", "error_description", "errors"] {
        collect(value.get(key).unwrap_or(&Value::Null), &mut parts);
    }
    parts.dedup();
    let all = parts.join("; ");
    let line = all.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WORDS { line } else { line.chars().take(WORDS).chain(['…']).collect() }
}

/// The texts in a value: GitLab nests them by field, GitHub lists them as objects.
fn collect(value: &Value, parts: &mut Vec<String>) {
    match value {
        Value::String(text) => parts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, parts)),
        Value::Object(fields) => match fields.get("message") {
            Some(message) => collect(message, parts),
            None => fields.values().for_each(|value| collect(value, parts)),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Reply { status, headers, body: body.into() }
    }

    #[test]
    fn limits_are_told_from_refusals() {
        let seconds = |n| Some(Some(Duration::from_secs(n)));
        let secondary = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        /// Status, headers, body; whether it is a limit and what it asks for.
        type Case<'c> = (u16, &'c [(&'c str, &'c str)], &'c str, Option<Option<Duration>>);
        let cases: &[Case] = &[
            (429, &[("retry-after", "7")], "", seconds(7)),
            (429, &[], "", Some(None)),
            (403, &[("retry-after", "30")], secondary, seconds(30)),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")], "{}", seconds(0)),
            (403, &[("x-ratelimit-remaining", "0")], "{}", seconds(60)),
            (403, &[("x-ratelimit-remaining", "4999")], secondary, seconds(60)),
            (403, &[("x-ratelimit-remaining", "4999")], r#"{"message":"Resource not accessible"}"#, None),
            (401, &[], "{}", None),
            (200, &[("x-ratelimit-remaining", "0")], "[]", None),
        ];
        for (status, headers, body, expected) in cases {
            assert_eq!(limited(&reply(*status, headers, body)), *expected, "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn pages_are_counted_however_they_are_told() {
        let next = "<https://elsewhere.example/x?page=9>; rel=\"next\", <https://a.example/x?page=30>; rel=\"last\"";
        let last = "<https://a.example/x?page=1>; rel=\"first\"";
        /// Headers, items on the page; the next page.
        type Case<'c> = (&'c [(&'c str, &'c str)], usize, Option<u32>);
        let cases: &[Case] = &[
            (&[("link", next)], 100, Some(4)),
            (&[("link", next)], 1, Some(4)),
            (&[("link", last)], 100, None),
            (&[("x-next-page", "4")], 100, Some(4)),
            (&[("x-next-page", "")], 100, None),
            (&[], 100, Some(4)),
            (&[], 99, None),
        ];
        for (headers, items, expected) in cases {
            assert_eq!(next_page(&reply(200, headers, ""), 3, *items, 100), *expected, "{headers:?} {items}");
        }
    }

    #[test]
    fn words_of_both_forges_become_one_line() {
        for (body, line) in [
            (r#"{"message":"Not Found","documentation_url":"https://x"}"#, "404: Not Found"),
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"IssueComment","message":"body is too long"}]}"#,
                "404: Validation Failed; body is too long",
            ),
            (r#"{"message":{"note":["can't be blank","is\nodd"]}}"#, "404: can't be blank; is odd"),
            (
                r#"{"error":"insufficient_scope","error_description":"needs more"}"#,
                "404: insufficient_scope; needs more",
            ),
            ("<html>gone</html>", "404"),
            ("", "404"),
        ] {
            assert_eq!(quote(&reply(404, &[], body)), line);
        }
        let long = quote(&reply(400, &[], &serde_json::json!({ "message": "ü".repeat(999) }).to_string()));
        assert_eq!(long.chars().count(), "400: ".len() + WORDS + 1);
    }
}
