//! GitHub, after <https://docs.github.com/en/rest/issues/comments>.

use serde_json::{Value, json};

use super::server::{Answer, Fault, Request, Server, World};
use super::{BASE, TOKEN, bodies, comment, many, planned};
use crate::project::Project;

/// What is said of the pull request `acme/syncs#7`.
const COMMENTS: &str = "/repos/acme/syncs/issues/7/comments";
const BOT: &str = "github-actions[bot]";

fn start() -> Server {
    Server::start(BASE, handle)
}

fn handle(world: &mut World, request: &Request, url: &str) -> Answer {
    if request.header("authorization") != format!("Bearer {TOKEN}") {
        return Answer::new(401, &json!({ "message": "Bad credentials" }));
    }
    let well_formed = request.header("accept").starts_with("application/vnd.github+json")
        && request.header("user-agent").starts_with("syncline/")
        && request.header("x-github-api-version") == "2022-11-28";
    if !well_formed {
        return Answer::new(403, &json!({ "message": "Request forbidden by administrative rules" }));
    }
    let one = request.path.strip_prefix("/repos/acme/syncs/issues/comments/").and_then(|id| id.parse::<u64>().ok());
    match (request.method.as_str(), request.path.as_str(), one) {
        ("GET", "/user", _) if world.known => Answer::new(200, &json!({ "login": BOT })),
        ("GET", "/user", _) => Answer::new(403, &json!({ "message": "Resource not accessible by integration" })),
        ("POST", "/graphql", _) => Answer::new(200, &json!({ "data": { "viewer": { "login": BOT } } })),
        ("GET", COMMENTS, _) => list(world, request, url),
        ("POST", COMMENTS, _) => match checked(&request.body) {
            Err(answer) => answer,
            Ok(body) => {
                let comment = self::comment_of(world, BOT, "Bot", body);
                Answer::new(201, &comment)
            }
        },
        ("PATCH", _, Some(id)) => match (checked(&request.body), world.comments.iter_mut().find(|c| c["id"] == id)) {
            (Err(answer), _) => answer,
            (Ok(_), None) => Answer::new(404, &json!({ "message": "Not Found" })),
            (Ok(body), Some(comment)) => {
                comment["body"] = body.into();
                Answer::new(200, comment)
            }
        },
        ("DELETE", _, Some(id)) => {
            world.comments.retain(|comment| comment["id"] != id);
            Answer(204, vec![], String::new())
        }
        _ => Answer::new(404, &json!({ "message": "Not Found" })),
    }
}

fn checked(body: &Value) -> Result<&str, Answer> {
    let refused = |why: &str| {
        let errors = json!([{ "resource": "IssueComment", "field": "body", "code": "unprocessable", "message": why }]);
        Answer::new(422, &json!({ "message": "Validation Failed", "errors": errors }))
    };
    match body["body"].as_str() {
        None | Some("") => Err(refused("body can't be blank")),
        Some(text) if text.chars().count() > 65_536 => Err(refused("body is too long (maximum is 65536 characters)")),
        Some(text) => Ok(text),
    }
}

fn list(world: &World, request: &Request, url: &str) -> Answer {
    let (page, size) = (request.number("page").unwrap_or(1), request.number("per_page").unwrap_or(30).min(100));
    let shown: Vec<_> = world.comments.iter().skip((page - 1) * size).take(size).collect();
    let answer = Answer::new(200, &json!(shown));
    if world.bare || world.comments.len() <= page * size {
        return answer;
    }
    // Behind a proxy GitHub names the address it has there, which is not ours.
    let next = format!("<{}{COMMENTS}?page={}>; rel=\"next\"", url.replace("127.0.0.1", "ghe.example.com"), page + 1);
    answer.with("Link", &next)
}

/// Puts a comment there.
fn comment_of(world: &mut World, login: &str, kind: &str, body: &str) -> Value {
    let id = world.next_id;
    world.next_id += 1;
    let comment = json!({
        "id": id, "body": body, "user": { "login": login, "type": kind },
        "html_url": format!("https://github.example/acme/syncs/pull/7#issuecomment-{id}"),
    });
    world.comments.push(comment.clone());
    comment
}

/// Comments from within a workflow on `acme/syncs#7`.
#[track_caller]
fn post(project: &Project, server: &Server, file: &str) -> crate::project::Ran {
    comment(project, &[file], &variables(server))
}

fn variables(server: &Server) -> Vec<(&'static str, &str)> {
    vec![
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_API_URL", server.url.as_str()),
        ("GITHUB_REPOSITORY", "acme/syncs"),
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_SERVER_URL", "https://github.example"),
        ("GITHUB_RUN_ID", "99"),
        ("GITHUB_TOKEN", TOKEN),
    ]
}

#[test]
fn posting_twice_leaves_one_comment() {
    for known in [true, false] {
        let (project, server) = (planned(), start());
        server.world().known = known;
        let first = post(&project, &server, "p.json").code(0);
        assert!(first.stdout.starts_with("New comment for the plan"), "{}", first.stdout);
        assert!(first.stdout.contains("https://github.example/acme/syncs/pull/7#issuecomment-1"), "{}", first.stdout);
        let [body] = bodies(&server).try_into().expect("one comment");
        assert!(body.starts_with("<!-- syncline:plan::test -->\n### Plan: 40 added"), "{body}");
        assert!(body.contains("[The job that made this](https://github.example/acme/syncs/actions/runs/99)"), "{body}");
        assert!(!body.contains("p1@example.com"), "values are masked");
        project.write("data/people.csv", &crate::project::people_csv(41));
        project.run(&["plan", "--out", "p.slplan"]).code(0);
        let second = post(&project, &server, "p.slplan").code(0);
        assert!(second.stdout.starts_with("Comment brought up to date"), "{}", second.stdout);
        let [body] = bodies(&server).try_into().expect("still one comment");
        assert!(body.contains("### Plan: 41 added"), "{body}");
    }
}

#[test]
fn each_environment_has_its_own() {
    let (project, server) = (Project::new(&[]), start());
    for (file, environment) in [("a.json", "prod"), ("b.json", "sandbox"), ("c.json", "prod")] {
        project.write(file, &many(1, environment));
    }
    comment(&project, &["a.json", "b.json"], &variables(&server)).code(0);
    post(&project, &server, "c.json").code(0);
    let bodies = bodies(&server);
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].starts_with("<!-- syncline:plan:prod:acme -->"));
    assert!(bodies[1].starts_with("<!-- syncline:plan:sandbox:acme -->"));
}

#[test]
fn what_others_wrote_stays_as_it_is() {
    let project = Project::new(&[("p.json", &many(1, "prod"))]);
    let marker = "<!-- syncline:plan:prod:acme -->";
    for known in [true, false] {
        let server = start();
        let others: &[(&str, &str, String)] = &[
            ("ada", "User", format!("{marker}\nI copied the comment of the bot")),
            ("renovate[bot]", "Bot", format!("{marker}\nso did I")),
            ("github-actions", "User", format!("{marker}\nmy name is nearly that of the bot")),
            (BOT, "Bot", format!("> {marker}\nquoted")),
            (BOT, "Bot", "<!-- syncline:plan:prod:acme2 -->\nanother project".into()),
            (BOT, "Bot", "coverage: 80 %".into()),
        ];
        {
            let mut world = server.world();
            world.known = known;
            for (login, kind, body) in others {
                comment_of(&mut world, login, kind, body);
            }
            world.comments.push(json!({ "id": 900, "body": marker, "user": null }));
        }
        for _ in 0..2 {
            post(&project, &server, "p.json").code(0);
        }
        let bodies = bodies(&server);
        assert_eq!(bodies.len(), others.len() + 2, "{bodies:#?}");
        for (at, (.., body)) in others.iter().enumerate() {
            assert_eq!(&bodies[at], body);
        }
        let edits: Vec<_> = server.world().writes().into_iter().filter(|line| line.starts_with("PATCH")).collect();
        assert_eq!(edits, ["PATCH /repos/acme/syncs/issues/comments/7"]);
    }
}

#[test]
fn its_own_comment_is_found_on_a_late_page_and_a_second_one_goes() {
    let project = Project::new(&[("p.json", &many(1, "prod"))]);
    for bare in [false, true] {
        let server = start();
        {
            let mut world = server.world();
            world.bare = bare;
            for n in 0..230 {
                comment_of(&mut world, "ada", "User", &format!("talk {n}"));
            }
            for _ in 0..2 {
                comment_of(&mut world, BOT, "Bot", "<!-- syncline:plan:prod:acme -->\nold");
            }
        }
        post(&project, &server, "p.json").code(0);
        let world = server.world();
        assert_eq!(world.comments.len(), 231);
        assert!(world.comments[230]["body"].as_str().expect("a text").contains("### Plan for `prod`"));
        let pages = world.requests.iter().filter(|request| request.line() == format!("GET {COMMENTS}"));
        assert_eq!(pages.map(|request| request.number("page").expect("a page")).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[test]
fn two_hundred_syncs_stay_within_the_limits() {
    let project = Project::new(&[("p.json", &many(200, "prod")), ("q.json", &many(200, "sandbox"))]);
    let server = start();
    project.write("summary.md", &format!("{}\n", "x".repeat(700_000)));
    comment(&project, &["p.json", "q.json", "--summary", "summary.md"], &variables(&server)).code(0);
    for body in bodies(&server) {
        assert!(body.len() > 10_000 && body.len() <= 65_536, "{}", body.len());
        assert!(body.contains("Left out to stay within the size of a comment: samples"), "{body}");
        assert_eq!(body.lines().filter(|line| line.starts_with("| `sync_")).count(), 200);
    }
    let summary = project.read("summary.md");
    assert!(summary.len() > 800_000 && summary.len() <= 1 << 20, "{}", summary.len());
    assert_eq!(summary.matches("### Plan for `").count(), 2);
}

#[test]
fn a_full_summary_is_said() {
    let project = Project::new(&[("p.json", &many(1, "prod"))]);
    let server = start();
    project.write("summary.md", &"x".repeat((1 << 20) - 100));
    let ran = comment(&project, &["p.json", "--summary", "summary.md"], &variables(&server)).code(0);
    assert!(ran.stderr.contains("not in the summary, which is full"), "{}", ran.stderr);
    assert_eq!(project.read("summary.md").len(), (1 << 20) - 100);
    assert_eq!(bodies(&server).len(), 1);
}

#[test]
fn limits_and_faults_are_waited_for_and_nothing_is_posted_twice() {
    let project = Project::new(&[("p.json", &many(1, "prod"))]);
    let limit =
        |status: u16, message: &str| Answer::new(status, &json!({ "message": message })).with("Retry-After", "0");
    let secondary = "You have exceeded a secondary rate limit";
    /// What goes wrong, and how many comments are made in all, also those that are made and not answered for.
    type Case = (&'static str, Vec<(&'static str, Fault)>);
    let cases: Vec<Case> = vec![
        (
            "429",
            vec![("GET", Fault::Answer(limit(429, "slow down"))), ("POST", Fault::Answer(limit(429, "slow down")))],
        ),
        ("secondary", vec![("POST", Fault::Answer(limit(403, secondary)))]),
        ("502", vec![("GET", Fault::Answer(limit(502, "Bad Gateway"))), ("GET", Fault::Answer(limit(503, "")))]),
        ("lost", vec![("POST", Fault::Lost)]),
        ("lost list", vec![("GET", Fault::Lost)]),
    ];
    for (name, faults) in cases {
        let server = start();
        server.world().faults = faults.into();
        post(&project, &server, "p.json").code(0);
        assert_eq!(bodies(&server).len(), 1, "{name}");
        assert!(server.world().faults.is_empty(), "{name}: not all faults came to pass");
    }
    // More patience than a job has is asked for.
    let server = start();
    let later = Answer::new(429, &json!({ "message": "slow down" })).with("Retry-After", "3000");
    server.world().faults.push_back(("GET", Fault::Answer(later)));
    let ran = post(&project, &server, "p.json").code(1);
    assert!(ran.stderr.contains("slow down") && ran.stderr.contains("3000 s"), "{}", ran.stderr);
    assert!(bodies(&server).is_empty());
}

#[test]
fn refusals_say_what_to_do() {
    let project = Project::new(&[("p.json", &many(1, "prod"))]);
    project.write(
        "fork.json",
        r#"{"pull_request":{"number":7,"head":{"repo":{"full_name":"eve/syncs"}},"base":{"repo":{"full_name":"acme/syncs"}}}}"#,
    );
    let answer = |status: u16, message: &str| Answer::new(status, &json!({ "message": message }));
    let moved =
        || answer(301, "Moved Permanently").with("Location", "https://elsewhere.example/repositories/1?x=ghp_canary");
    let quoting = || answer(422, &format!("Validation failed for {TOKEN}"));
    /// Method and answer, whether it is a fork, words on stderr.
    type Case<'c> = (&'static str, Answer, bool, &'c [&'c str]);
    let cases: Vec<Case> = vec![
        (
            "POST",
            answer(403, "Resource not accessible by integration"),
            false,
            &[
                "may not comment on pull request #7 of `acme/syncs`",
                "Resource not accessible",
                "pull-requests: write",
                "job summary",
            ],
        ),
        ("POST", answer(403, "Resource not accessible by integration"), true, &["it comes from a fork", "job summary"]),
        (
            "GET",
            answer(401, "Bad credentials"),
            false,
            &["does not accept the token in `GITHUB_TOKEN`", "github.token"],
        ),
        ("GET", answer(404, "Not Found"), false, &["no pull request #7 of `acme/syncs`", "--repo"]),
        ("GET", moved(), false, &["redirects to `https://elsewhere.example` (301)", "not followed", "--api-url"]),
        ("POST", quoting(), false, &["is refused (422: Validation failed for [secret])"]),
        ("GET", answer(200, "this is no list"), false, &["is no list", "--api-url"]),
    ];
    for (method, fault, fork, words) in cases {
        let server = start();
        server.world().faults.push_back((method, Fault::Answer(fault)));
        let mut variables = variables(&server);
        let event = project.path("fork.json").display().to_string();
        if fork {
            variables.push(("GITHUB_EVENT_PATH", &event));
        }
        let ran = comment(&project, &["p.json", "--summary", "summary.md"], &variables).code(1);
        for word in words {
            assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
        }
        assert!(bodies(&server).is_empty());
        assert!(project.read("summary.md").contains("### Plan for `prod`"), "the summary has it all the same");
    }
}

#[test]
fn a_run_has_a_comment_too() {
    let (project, server) = (planned(), start());
    project.apply(&["--report", "run.json"]).code(0);
    for _ in 0..2 {
        post(&project, &server, "run.json").code(0);
    }
    post(&project, &server, "p.json").code(0);
    let [run, plan] = bodies(&server).try_into().expect("two comments");
    assert!(run.starts_with("<!-- syncline:run: -->\n### Applied: 40 succeeded"), "{run}");
    assert!(plan.starts_with("<!-- syncline:plan::test -->"), "{plan}");
}
