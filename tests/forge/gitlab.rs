//! GitLab, after <https://docs.gitlab.com/api/notes/#merge-requests>.

use serde_json::{Value, json};

use super::server::{Answer, Fault, Request, Server, World};
use super::{BASE, TOKEN, bodies, comment, many};
use crate::project::Project;

/// Notes of `acme/data/syncs!5`.
const NOTES: &str = "/projects/acme%2Fdata%2Fsyncs/merge_requests/5/notes";
const BOT: &str = "project_12_bot_1";

fn start() -> Server {
    Server::start(BASE, handle)
}

fn handle(world: &mut World, request: &Request, _: &str) -> Answer {
    if request.header("private-token") != TOKEN {
        return Answer::new(401, &json!({ "message": "401 Unauthorized" }));
    }
    let one = request.path.strip_prefix(NOTES).and_then(|rest| rest.strip_prefix('/')?.parse::<u64>().ok());
    match (request.method.as_str(), request.path.as_str(), one) {
        ("GET", "/user", _) if world.known => Answer::new(200, &json!({ "id": 3, "username": BOT })),
        ("GET", "/user", _) => Answer::new(403, &json!({ "error": "insufficient_scope" })),
        ("GET", NOTES, _) => list(world, request),
        ("POST", NOTES, _) => match checked(&request.body) {
            Err(answer) => answer,
            Ok(body) => {
                let note = note(world, BOT, body);
                Answer::new(201, &note)
            }
        },
        ("PUT", _, Some(id)) => match (checked(&request.body), world.comments.iter_mut().find(|note| note["id"] == id))
        {
            (Err(answer), _) => answer,
            (Ok(_), None) => Answer::new(404, &json!({ "message": "404 Not found" })),
            (Ok(_), Some(note)) if note["author"]["username"] != BOT => {
                Answer::new(403, &json!({ "message": "403 Forbidden" }))
            }
            (Ok(body), Some(note)) => {
                note["body"] = body.into();
                Answer::new(200, note)
            }
        },
        ("DELETE", _, Some(id)) => {
            world.comments.retain(|note| note["id"] != id);
            Answer(204, vec![], String::new())
        }
        _ => Answer::new(404, &json!({ "message": "404 Project Not Found" })),
    }
}

fn checked(body: &Value) -> Result<&str, Answer> {
    match body["body"].as_str() {
        None | Some("") => Err(Answer::new(400, &json!({ "message": { "note": ["can't be blank"] } }))),
        Some(text) if text.chars().count() > 1_000_000 => {
            Err(Answer::new(400, &json!({ "message": { "note": ["is too long (maximum is 1000000 characters)"] } })))
        }
        Some(text) => Ok(text),
    }
}

fn list(world: &World, request: &Request) -> Answer {
    let (page, size) = (request.number("page").unwrap_or(1), request.number("per_page").unwrap_or(20).min(100));
    let shown: Vec<_> = world.comments.iter().skip((page - 1) * size).take(size).collect();
    let next = if world.comments.len() > page * size { (page + 1).to_string() } else { String::new() };
    let answer = Answer::new(200, &json!(shown));
    if world.bare { answer } else { answer.with("X-Next-Page", &next) }
}

/// Puts a note there.
fn note(world: &mut World, username: &str, body: &str) -> Value {
    let id = world.next_id;
    world.next_id += 1;
    let note = json!({ "id": id, "body": body, "system": false, "author": { "username": username } });
    world.comments.push(note.clone());
    note
}

fn variables(server: &Server) -> Vec<(&'static str, &str)> {
    vec![
        ("GITLAB_CI", "true"),
        ("CI_API_V4_URL", server.url.as_str()),
        ("CI_MERGE_REQUEST_PROJECT_ID", "acme/data/syncs"),
        ("CI_MERGE_REQUEST_IID", "5"),
        ("CI_MERGE_REQUEST_PROJECT_URL", "https://git.example/acme/data/syncs"),
        ("CI_JOB_URL", "https://git.example/acme/data/syncs/-/jobs/8"),
        ("CI_JOB_TOKEN", "job-token"),
        ("GITLAB_TOKEN", TOKEN),
    ]
}

#[test]
fn posting_twice_leaves_one_note_and_those_of_others() {
    let project = Project::new(&[("p.json", &many(1, "prod"))]);
    let marker = "<!-- syncline:plan:prod:acme -->";
    for (known, bare) in [(true, false), (true, true), (false, false)] {
        let server = start();
        {
            let mut world = server.world();
            (world.known, world.bare) = (known, bare);
            for n in 0..70 {
                note(&mut world, "ada", &format!("talk {n}"));
            }
            note(&mut world, "renovate", &format!("{marker}\ncopied"));
            let system = json!({ "id": 990, "body": marker, "system": true, "author": { "username": BOT } });
            world.comments.push(system);
        }
        let first = comment(&project, &["p.json"], &variables(&server)).code(0);
        let url = "https://git.example/acme/data/syncs/-/merge_requests/5#note_72";
        assert_eq!(first.stdout, format!("New comment for the plan of `prod`: {url}\n"));
        let second = comment(&project, &["p.json"], &variables(&server)).code(0);
        assert_eq!(second.stdout, format!("Comment brought up to date for the plan of `prod`: {url}\n"));
        let bodies = bodies(&server);
        assert_eq!(bodies.len(), 73, "known {known}, bare {bare}");
        assert_eq!((bodies[70].as_str(), bodies[71].as_str()), (&*format!("{marker}\ncopied"), marker));
        assert!(bodies[72].contains("[The job that made this](https://git.example/acme/data/syncs/-/jobs/8)"));
    }
}

#[test]
fn two_hundred_syncs_are_shown_whole_and_two_thousand_are_not() {
    for (syncs, whole) in [(200, true), (2_000, false)] {
        let project = Project::new(&[("p.json", &many(syncs, "prod"))]);
        let server = start();
        comment(&project, &["p.json"], &variables(&server)).code(0);
        let [body] = bodies(&server).try_into().expect("one note");
        assert!(body.len() <= 1_000_000, "{}", body.len());
        assert_eq!(body.contains("Left out to stay within the size"), !whole, "{} bytes", body.len());
    }
}

#[test]
fn refusals_and_limits() {
    let project = Project::new(&[("p.json", &many(1, "prod"))]);
    let answer = |status: u16, message: &str| Answer::new(status, &json!({ "message": message }));
    /// Method and answer, exit code, words on stderr.
    type Case<'c> = (&'static str, Answer, i32, &'c [&'c str]);
    let cases: Vec<Case> = vec![
        ("POST", answer(403, "403 Forbidden"), 1, &["may not comment on merge request !5", "scope `api`", "Reporter"]),
        ("GET", answer(401, "401 Unauthorized"), 1, &["does not accept the token in `GITLAB_TOKEN`", "expired"]),
        ("GET", answer(404, "404 Project Not Found"), 1, &["no merge request !5 of `acme/data/syncs`"]),
        ("GET", answer(302, "").with("Location", "/users/sign_in"), 1, &["redirects to another address (302)"]),
        ("POST", answer(429, "Too many").with("Retry-After", "0"), 0, &[]),
        ("POST", answer(500, "500 Internal").with("Retry-After", "0"), 0, &[]),
    ];
    for (method, fault, code, words) in cases {
        let server = start();
        server.world().faults.push_back((method, Fault::Answer(fault)));
        let ran = comment(&project, &["p.json"], &variables(&server)).code(code);
        for word in words {
            assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
        }
        assert_eq!(bodies(&server).len(), usize::from(code == 0));
    }
}
