//! Jobs and pages: what comes is whole, or the read has failed.

use super::super::*;
use super::stand_in::{Answer, StandIn, looked_at};

fn columns() -> Value {
    json!([{ "name": "id", "type": "INTEGER", "mode": "NULLABLE" }])
}

/// A page of whole numbers.
fn page(ids: &[i64], total: u64, token: Option<&str>) -> Value {
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "f": [{ "v": id.to_string() }] })).collect();
    let mut page = json!({
        "jobReference": { "projectId": "acme", "jobId": "j", "location": "EU" }, "jobComplete": true,
        "schema": { "fields": columns() }, "totalRows": total.to_string(), "rows": rows,
    });
    if let Some(token) = token {
        page["pageToken"] = token.into();
    }
    page
}

fn with(mut page: Value, key: &str, value: Value) -> Value {
    page[key] = value;
    page
}

fn running() -> Value {
    json!({ "jobReference": { "projectId": "acme", "jobId": "j", "location": "EU" }, "jobComplete": false })
}

/// What the job itself says.
fn job(error: Option<&str>) -> Value {
    let mut status = json!({ "state": "DONE" });
    if let Some(reason) = error {
        status["errorResult"] = json!({ "reason": reason, "message": format!("{reason} it is") });
    }
    json!({ "jobReference": { "projectId": "acme", "jobId": "j" }, "status": status })
}

fn source(stand_in: &StandIn) -> Box<dyn Source> {
    open(SourceType::Bigquery, json!({ "project": "acme", "endpoint": stand_in.base }))
}

/// What a read comes to: the numbers, or the message.
fn outcome(stand_in: &StandIn) -> String {
    match read(&*source(stand_in), &sql("select id from t")) {
        Ok(batches) => {
            let ids = batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec());
            format!("{:?}", ids.collect::<Vec<_>>())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_result_is_whole_or_the_read_has_failed() {
    let ok = Answer::ok;
    let text = |body: &str| Answer::With(200, vec![], body.to_owned());
    let first = || ok(page(&[1, 2], 3, Some("a")));
    let failing = json!([{ "reason": "invalidQuery", "message": "it quotes ann@x.io" }]);
    let nothing = || page(&[], 0, None);
    let short = |what: &str| format!("bigquery project `acme`: not all rows were read: {what}");
    let after = |what: &str| format!("bigquery project `acme`: not all rows were read, 2 came: {what}");
    let cases: Vec<(&str, Vec<Answer>, String)> = vec![
        ("one page", vec![ok(page(&[7], 1, None))], "[7]".into()),
        ("two pages", vec![first(), ok(page(&[3], 3, None))], "[1, 2, 3]".into()),
        ("no row", vec![ok(nothing())], "[]".into()),
        ("an empty token is none", vec![ok(page(&[7], 1, Some("")))], "[7]".into()),
        (
            "an empty page between",
            vec![first(), ok(page(&[], 3, Some("b"))), ok(page(&[3], 3, None))],
            "[1, 2, 3]".into(),
        ),
        ("a job that takes long", vec![ok(running()), ok(running()), ok(page(&[7], 1, None))], "[7]".into()),
        ("busy", vec![Answer::refused(503, "backendError"), ok(page(&[7], 1, None))], "[7]".into()),
        ("too often", vec![Answer::refused(403, "rateLimitExceeded"), ok(page(&[7], 1, None))], "[7]".into()),
        ("busy between pages", vec![first(), Answer::refused(429, "x"), ok(page(&[3], 3, None))], "[1, 2, 3]".into()),
        ("a page that is lost", vec![first(), Answer::Cut, ok(page(&[3], 3, None))], "[1, 2, 3]".into()),
        ("warnings", vec![ok(with(page(&[7], 1, None), "errors", failing.clone())), ok(job(None))], "[7]".into()),
        // The job has failed, though its answer looks like an empty table.
        (
            "a failed job",
            vec![ok(with(nothing(), "errors", failing.clone())), ok(job(Some("invalidQuery")))],
            "bigquery project `acme`: invalidQuery it is".into(),
        ),
        (
            "a job that fails after a while",
            vec![ok(running()), Answer::refused(400, "resourcesExceeded")],
            "bigquery project `acme`: resourcesExceeded it is".into(),
        ),
        (
            "a quota used up is not asked again",
            vec![Answer::refused(403, "quotaExceeded"), ok(page(&[7], 1, None))],
            "bigquery project `acme`: quotaExceeded it is".into(),
        ),
        (
            "the same page again",
            vec![first(), ok(page(&[3], 3, Some("a")))],
            short("the same page was to be read twice"),
        ),
        ("too few rows", vec![ok(page(&[1, 2], 3, None))], short("there are 3 rows, and 2 came")),
        ("too many rows", vec![ok(page(&[1, 2], 1, None))], short("more rows came than there are")),
        (
            "a page of another number",
            vec![first(), ok(page(&[3], 4, None))],
            short("the number of rows changed while they were read"),
        ),
        (
            "no number",
            vec![ok(with(page(&[1], 1, None), "totalRows", Value::Null))],
            short("it does not say how many rows there are"),
        ),
        ("done, and then not", vec![first(), ok(running())], short("the job was done, and then it was not")),
        ("a page that fails", vec![first(), Answer::refused(404, "notFound")], after("notFound it is")),
        (
            "a page that always fails",
            [vec![first()], vec![Answer::refused(503, "backendError"); 6]].concat(),
            after("backendError it is"),
        ),
        (
            "other columns",
            vec![
                first(),
                ok(with(page(&[3], 3, None), "schema", json!({ "fields": [{ "name": "id", "type": "STRING" }] }))),
            ],
            short("the columns are not those the statement was said to have"),
        ),
        (
            "a row without a value",
            vec![ok(with(page(&[1], 1, None), "rows", json!([{ "f": [] }])))],
            short("row 1 does not have a value for each column"),
        ),
        (
            "a value of another type",
            vec![ok(with(page(&[1], 1, None), "rows", json!([{ "f": [{ "v": "ann@x.io" }] }])))],
            "bigquery project `acme`: column `id`, row 1 of the result: not a whole number of 64 bits".into(),
        ),
        (
            "half a page",
            vec![text("{\"rows\":[{\"f\":[{\"v\":\"ann@x.io\"}")],
            "bigquery project `acme`: a page of the result cannot be read: unexpected JSON at line 1, column 31".into(),
        ),
        (
            "no JSON",
            vec![text("<html>ann@x.io")],
            "bigquery project `acme`: a page of the result cannot be read: unexpected JSON at line 1, column 1".into(),
        ),
        (
            "no end",
            [vec![first()], (0..40).map(|n| ok(page(&[], 3, Some(&n.to_string())))).collect()].concat(),
            short("page after page had no row"),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, answers, expected) in cases {
        let stand_in = StandIn::scripted(columns(), answers);
        let got = outcome(&stand_in);
        if got != expected {
            wrong.push(format!("{name}: {got}\n   is not {expected}\n   asked: {:?}", stand_in.lines()));
        }
        assert!(!got.contains("ann@x.io"), "{name}: {got}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn requests_are_those_of_the_documents() {
    let stand_in = StandIn::scripted(
        columns(),
        vec![
            Answer::Cut,
            Answer::ok(running()),
            Answer::ok(page(&[1], 2, Some("to/ken=+"))),
            Answer::ok(page(&[2], 2, None)),
        ],
    );
    let connection = json!({
        "project": "acme", "dataset": "lake.marts", "location": "EU", "maximum_bytes_billed": "1000000",
        "endpoint": format!("{}/", stand_in.base),
    });
    let source = open(SourceType::Bigquery, connection);
    assert_eq!(rows(&*source, &sql("select id from t")), ["1", "2"]);
    let requests = stand_in.requests();
    assert_eq!(
        stand_in.lines(),
        ["POST jobs", "POST queries", "POST queries", "GET queries/j", "GET queries/j"],
        "looked at, run twice, waited for, read on"
    );
    let looked = requests[0].json();
    assert_eq!(looked["configuration"]["dryRun"], true);
    assert_eq!(
        looked["configuration"]["query"]["defaultDataset"],
        json!({ "projectId": "lake", "datasetId": "marts" })
    );
    assert_eq!(looked["jobReference"]["location"], "EU");
    let run = requests[1].json();
    assert_eq!(run["query"], "select id from t");
    assert_eq!((&run["useLegacySql"], &run["location"]), (&json!(false), &json!("EU")));
    assert_eq!(run["formatOptions"], json!({ "useInt64Timestamp": true }));
    assert_eq!(run["maximumBytesBilled"], "1000000");
    // An answer that was lost must not make BigQuery run the statement a second time.
    assert!(run["requestId"].as_str().is_some_and(|id| id.len() == 36));
    assert_eq!(run["requestId"], requests[2].json()["requestId"]);
    let parts: Vec<String> = requests[4].target.split(['?', '&']).map(str::to_owned).collect();
    for part in ["pageToken=to%2Fken%3D%2B", "location=EU", "formatOptions.useInt64Timestamp=true"] {
        assert!(parts.iter().any(|p| p == part), "{part} in {parts:?}");
    }
    assert!(!requests[3].target.contains("pageToken"), "{}", requests[3].target);
}

#[test]
fn a_job_that_breaks_by_itself_is_begun_anew() {
    let broken = with(page(&[], 0, None), "errors", json!([{ "reason": "jobBackendError", "message": "oh" }]));
    let stand_in = StandIn::scripted(
        columns(),
        vec![Answer::ok(broken), Answer::ok(job(Some("jobBackendError"))), Answer::ok(page(&[7], 1, None))],
    );
    assert_eq!(outcome(&stand_in), "[7]");
    let run: Vec<Value> = stand_in.requests().iter().filter(|r| r.line() == "POST queries").map(|r| r.json()).collect();
    assert_eq!(run.len(), 2);
    assert_ne!(run[0]["requestId"], run[1]["requestId"]);
}

#[test]
fn what_is_no_select_is_never_run() {
    for statement in ["SCRIPT", "INSERT", "DROP_TABLE", "CREATE_TABLE_AS_SELECT", "EXPORT_DATA"] {
        let answer = looked_at(statement, &columns());
        let stand_in = StandIn::new(Box::new(move |_| Answer::ok(answer.clone())));
        let got = outcome(&stand_in);
        assert!(got.contains(&format!("the SQL is not a `select` but `{}`", statement.to_lowercase())), "{got}");
        assert_eq!(stand_in.lines(), ["POST jobs"]);
    }
    let stand_in = StandIn::new(Box::new(|_| Answer::ok(json!({ "statistics": { "query": {} } }))));
    assert!(outcome(&stand_in).contains("it does not say that the SQL is a `select`"));
    let stand_in = StandIn::new(Box::new(|_| Answer::ok(json!({}))));
    assert!(outcome(&stand_in).contains("it says nothing of the statement"));
    // Not even asked about.
    let stand_in = StandIn::scripted(columns(), vec![]);
    let source = source(&stand_in);
    let (message, _) = error(&*source, &sql("-- select\ndelete from t where true"));
    assert!(message.contains("the SQL is not a `select`"), "{message}");
    assert_eq!(stand_in.lines(), [""; 0]);
}
