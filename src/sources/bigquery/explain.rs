//! What BigQuery refuses, as messages that say what to do. Reasons:
//! <https://cloud.google.com/bigquery/docs/error-messages>.

use super::answer::{Problem, Refused};
use crate::diagnostic::Error;

/// A request or a job that did not succeed.
#[derive(Debug)]
pub(super) struct Refusal {
    /// BigQuery's word for it; empty where there was no answer.
    pub reason: String,
    /// True when the same request may succeed a little later.
    pub passing: bool,
    /// What to tell.
    pub error: Error,
}

impl Refusal {
    /// One that has no reason of BigQuery's.
    pub(super) fn other(error: Error) -> Self {
        Self { reason: String::new(), passing: false, error }
    }

    /// True when the job failed by no fault of the statement: a new job may succeed.
    pub(super) fn wants_new_job(&self) -> bool {
        ["jobBackendError", "jobInternalError", "jobRateLimitExceeded"].contains(&self.reason.as_str())
    }
}

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The statement is looked at, and no row read: what is said of it quotes the statement at most.
    Describe,
    /// It runs: what is said may quote values.
    Run,
}

/// Reasons, and what to do about them.
const REASONS: [(&[&str], &str); 11] = [
    (
        &["accessDenied", "forbidden"],
        "give the account of the connection the roles `roles/bigquery.jobUser` on the project of the connection and \
         `roles/bigquery.dataViewer` on the data",
    ),
    (&["authError", "required", "unauthorized"], "check the credentials of the connection: they are not accepted"),
    (
        &["accessNotConfigured", "SERVICE_DISABLED"],
        "somebody who administers the project enables the BigQuery API in it",
    ),
    (&["billingNotEnabled"], "somebody who administers the project gives it a billing account"),
    (
        &["bytesBilledLimitExceeded"],
        "read fewer columns or partitions, or raise `maximum_bytes_billed` of the connection",
    ),
    (
        &["notFound"],
        "check the names, `dataset` and `project` of the connection; if the message names another place than where the \
         data are, set `location`",
    ),
    (&["quotaExceeded"], "a quota of the project is used up: wait until it is renewed, or have it raised"),
    (
        &["resourcesExceeded", "responseTooLarge", "stopped", "timeout"],
        "make the statement smaller, or have its result kept as a table and read that",
    ),
    (
        &[
            "rateLimitExceeded",
            "jobRateLimitExceeded",
            "backendError",
            "jobBackendError",
            "internalError",
            "jobInternalError",
            "tableUnavailable",
            "blocked",
        ],
        "it was tried again and did not pass: run again later",
    ),
    (&["invalidUser"], "check the account of the connection"),
    (&["invalidQuery", "invalid", "invalidArgument"], "correct the SQL of the model"),
];

/// Reasons that pass, whatever the status.
const PASSING: [&str; 6] = [
    "rateLimitExceeded",
    "backendError",
    "internalError",
    "tableUnavailable",
    "jobRateLimitExceeded",
    "jobBackendError",
];

/// A refused request.
pub(super) fn request(status: u16, body: &[u8], stage: Stage) -> Refusal {
    let refused: Refused = serde_json::from_slice(body).unwrap_or_default();
    let first = refused.error.errors.into_iter().next().unwrap_or_default();
    let message = if refused.error.message.is_empty() { first.message } else { refused.error.message };
    let reason = if first.reason.is_empty() { refused.error.status } else { first.reason };
    let passing = matches!(status, 408 | 429 | 500 | 502 | 503 | 504) || PASSING.contains(&reason.as_str());
    let message = if message.is_empty() { format!("it answered with status {status}") } else { message };
    let mut refusal = problem(&Problem { reason, message }, stage);
    refusal.passing = passing && !refusal.wants_new_job();
    if refusal.error.help().is_none_or(|help| help == OTHER) {
        let help = match status {
            401 => Some("check the credentials of the connection: they are not accepted"),
            403 => Some("give the account of the connection the right to read"),
            404 => Some("check `endpoint` and `project` of the connection"),
            _ if refusal.passing => Some("it was tried again and did not pass: run again later"),
            _ => None,
        };
        if let Some(help) = help {
            refusal.error = Error::failed_help(refusal.error.to_string(), help);
        }
    }
    refusal
}

/// What to do where nothing better is known.
const OTHER: &str = "see BigQuery's list of error messages for the reason";

/// A job that has failed.
pub(super) fn problem(problem: &Problem, stage: Stage) -> Refusal {
    let known = REASONS.iter().find(|(reasons, _)| reasons.iter().any(|reason| *reason == problem.reason));
    let message = match stage {
        Stage::Describe => line(&problem.message),
        Stage::Run => without_values(&line(&problem.message)),
    };
    let message = match (known, problem.reason.as_str()) {
        (Some(_), _) | (None, "") => message,
        (None, reason) => format!("{message} (`{reason}`)"),
    };
    let help = known.map_or(OTHER, |(_, help)| *help);
    Refusal { reason: problem.reason.clone(), passing: false, error: Error::failed_help(message, help) }
}

/// On one line, and not longer than anybody reads.
fn line(message: &str) -> String {
    let text = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(600) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Words behind which a message repeats a value of the data, `Bad int64 value: …`, `Division by zero: 1 / 0`.
const BEFORE_A_VALUE: [&str; 7] =
    [" value: ", " value ", "invalid date: ", "invalid timestamp: ", "invalid datetime: ", "input string", "by zero: "];

/// The message of a statement that ran, without what it may repeat of the data. The names in it are in backticks.
fn without_values(message: &str) -> String {
    let lower = message.to_ascii_lowercase();
    let cut = BEFORE_A_VALUE.iter().filter_map(|word| Some(lower.find(word)? + word.len())).min();
    let (kept, tail) = message.split_at_checked(cut.unwrap_or(message.len())).unwrap_or((message, ""));
    let mut text = String::with_capacity(kept.len());
    let mut quote = None;
    for c in kept.chars() {
        match quote {
            None => {
                text.push(c);
                if matches!(c, '\'' | '"') {
                    quote = Some(c);
                    text.push('…');
                }
            }
            Some(open) if open == c => {
                text.push(c);
                quote = None;
            }
            Some(_) => {}
        }
    }
    if !tail.is_empty() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_are_refused() {
        let body = |reason: &str, message: &str| {
            serde_json::json!({"error": {"code": 1, "message": message, "errors": [{"reason": reason, "message": message}]}})
                .to_string()
        };
        for (status, body, passing, message, help) in [
            (403, body("accessDenied", "Access Denied: Table a:b.c"), false, "Access Denied: Table a:b.c", "jobUser"),
            (403, body("rateLimitExceeded", "Exceeded rate limits"), true, "Exceeded rate limits", "run again"),
            (403, body("quotaExceeded", "Quota exceeded"), false, "Quota exceeded", "used up"),
            (400, body("invalidQuery", "Syntax error at [1:1]"), false, "Syntax error at [1:1]", "correct the SQL"),
            (400, body("jobBackendError", "x"), false, "x", "run again"),
            (
                404,
                body("notFound", "Not found: Dataset a:b was not found in location US"),
                false,
                "Not found",
                "location",
            ),
            (
                400,
                body("bytesBilledLimitExceeded", "Query exceeded limit"),
                false,
                "Query exceeded limit",
                "maximum_bytes_billed",
            ),
            (503, String::new(), true, "it answered with status 503", "run again"),
            (401, "<html>".to_owned(), false, "it answered with status 401", "credentials"),
            (404, "<html>".to_owned(), false, "it answered with status 404", "endpoint"),
            (418, body("teapot", "short and stout"), false, "short and stout (`teapot`)", "list of error messages"),
        ] {
            let refusal = request(status, body.as_bytes(), Stage::Describe);
            let error = &refusal.error;
            assert_eq!(refusal.passing, passing, "{status} {body}");
            assert!(error.to_string().starts_with(message), "{error}");
            assert!(error.help().unwrap_or_default().contains(help), "{status} {body}: {:?}", error.help());
        }
    }

    #[test]
    fn values_are_not_repeated() {
        for (said, expected) in [
            ("Bad int64 value: ann@x.io", "Bad int64 value: …"),
            ("Could not cast literal \"ann@x.io\" to type DATE", "Could not cast literal \"…\" to type DATE"),
            ("Failed to parse input string 'ann@x.io'", "Failed to parse input string…"),
            ("Division by zero: 17 / 0", "Division by zero: …"),
            ("Resources exceeded during query execution", "Resources exceeded during query execution"),
            ("Access Denied: Table `a.b`", "Access Denied: Table `a.b`"),
            ("an open quote \"ann@x.io", "an open quote \"…"),
        ] {
            assert_eq!(without_values(said), expected);
        }
    }
}
