//! Over real HTTP, against a small API with access tokens that expire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value as Json, json};

use super::compile;
use super::laws::{operation, target};
use crate::connectors::{Http, Setup};
use crate::destinations::{Batch, Destination as _, Outcome, SendError, Sent};
use crate::manifest::sync::Mode;
use crate::mapping::Value;
use crate::secret::{Connection, Secret};

#[derive(Default)]
struct World {
    people: BTreeMap<String, Json>,
    tokens: u32,
    requests: u32,
}

type Shared = Arc<Mutex<World>>;

fn allowed(world: &mut World, headers: &HeaderMap) -> bool {
    world.requests += 1;
    // The first token is no longer valid after one request.
    let token = if world.requests > 1 { world.tokens.max(2) } else { 1 };
    headers.get("authorization").is_some_and(|value| *value == *format!("Bearer secret-token-{token}"))
}

async fn handle(
    State(world): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let mut world = world.lock().unwrap();
    let (status, answer) = match (method.as_str(), uri.path()) {
        ("POST", "/token") => {
            world.tokens += 1;
            (200, json!({"access_token": format!("secret-token-{}", world.tokens), "expires_in": 3600}))
        }
        _ if !allowed(&mut world, &headers) => (401, json!({"message": "secret-token-1 is not valid"})),
        ("POST", "/people") => {
            let body: Json = serde_json::from_str(&body).unwrap();
            let people = body["people"].as_array().unwrap();
            if people.iter().any(|person| person["plan"] == "bad") {
                (422, json!({"code": "bad_plan", "message": "no"}))
            } else {
                for person in people {
                    world.people.insert(person["id"].as_str().unwrap().into(), person.clone());
                }
                (200, json!({"ok": true}))
            }
        }
        ("GET", "/people/b%2F%C3%BC") => (200, world.people["b/ü"].clone()),
        _ => (404, json!({"message": "not here"})),
    };
    (StatusCode::from_u16(status).unwrap(), answer.to_string())
}

async fn serve(world: Shared) -> String {
    let app = axum::Router::new().fallback(handle).with_state(world);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}/")
}

const CONNECTOR: &str = r#"
name: people
connection: { secret: { required: true, secret: true } }
api:
  auth:
    value: "Bearer {{ token }}"
    token: { request: { method: POST, path: /token, json: { secret: "{{ connection.secret }}" } } }
objects:
  person:
    identifiers: { id: { type: string }, email: { ignore_case: true } }
    open_fields: true
    lookups: { person: { request: { path: "/people/{{ match.id }}" }, items: "[body]" } }
    operations:
      put: { request: { method: POST, path: /people, json: { people: "{{ records }}" } }, batch: { records: 2, bytes: 200 } }
    modes:
      upsert: { send: put }
      update: { send: { find: person, use: put } }
"#;

#[tokio::test]
async fn batches_go_over_the_wire() {
    let world = Shared::default();
    let base = serve(Arc::clone(&world)).await;
    let values = serde_json::Map::from_iter([("base_url".into(), json!(base)), ("secret".into(), json!("s3cret"))]);
    let connection = Connection::new(values, vec![Secret::new("s3cret")]);
    let http = Http::new(compile("people", CONNECTOR), &connection, &Setup::default()).unwrap();
    let people = |ids: &[(&str, &str)]| {
        let one = |(i, (id, plan)): (usize, &(&str, &str))| {
            operation(i as u64, id, vec![Value::Text((*plan).into()), Value::Decimal("1.50000000000000000001".into())])
        };
        Batch { id: 1, operations: ids.iter().enumerate().map(one).collect() }
    };
    let writer = http.open(&target("person", Mode::Upsert, &["plan", "price"])).await.unwrap();
    let sent = writer.send(&people(&[("a", "free"), ("b/ü", "x")])).await.unwrap();
    assert!(matches!(&sent, Sent::Outcomes(o) if *o == [Outcome::Succeeded, Outcome::Succeeded]), "{sent:?}");
    // More than a request takes.
    let error = writer.send(&people(&[("c", "x"), ("d", "x"), ("e", "x")])).await.unwrap_err();
    assert!(matches!(error, SendError::Oversize { fits: 2 }), "{error:?}");
    let long = "x".repeat(150);
    let error = writer.send(&people(&[("c", "x"), ("d", &long)])).await.unwrap_err();
    assert!(matches!(error, SendError::Oversize { fits: 1 }), "{error:?}");
    let error = writer.send(&people(&[("c", &"x".repeat(300))])).await.unwrap_err();
    assert!(matches!(error, SendError::Oversize { fits: 0 }), "{error:?}");
    // The first token was refused after one request and renewed; nobody is told of it.
    let error = writer.send(&people(&[("c", "x"), ("d", "bad")])).await.unwrap_err();
    assert!(matches!(&error, SendError::Refused { code, .. } if code == "bad_plan"), "{error:?}");
    let sent = writer.send(&people(&[("d", "bad")])).await.unwrap();
    assert!(
        matches!(&sent, Sent::Outcomes(o) if matches!(&o[0], Outcome::Rejected { code, .. } if code == "bad_plan"))
    );
    assert_eq!(world.lock().unwrap().tokens, 2);
    // 1 + (refused + repeated) + 1, and two for tokens.
    assert_eq!(writer.requests(), Some(6));

    let writer = http.open(&target("person", Mode::Update, &["plan", "price"])).await.unwrap();
    let sent = writer.send(&people(&[("nobody", "x"), ("b/ü", "pro")])).await.unwrap();
    assert!(matches!(&sent, Sent::Outcomes(o) if *o == [Outcome::NoMatch, Outcome::Succeeded]), "{sent:?}");
    let world = world.lock().unwrap();
    assert_eq!(world.people.keys().collect::<Vec<_>>(), ["a", "b/ü"]);
    assert_eq!(world.people["b/ü"]["plan"], "pro");
}

#[tokio::test]
async fn who_is_not_there_is_not_lost() {
    let values =
        serde_json::Map::from_iter([("base_url".into(), json!("http://127.0.0.1:9")), ("secret".into(), json!("s"))]);
    let connection = Connection::new(values, vec![]);
    let http = Http::new(compile("people", CONNECTOR), &connection, &Setup::default()).unwrap();
    let writer = http.open(&target("person", Mode::Upsert, &[])).await.unwrap();
    let batch = Batch { id: 1, operations: vec![operation(0, "a", vec![])] };
    assert!(matches!(writer.send(&batch).await, Err(SendError::Unreachable { .. })));
}

#[test]
fn what_does_not_fit_is_said_with_what_would() {
    let open = |values: Json| {
        let connection = Connection::new(values.as_object().unwrap().clone(), vec![]);
        Http::new(compile("people", CONNECTOR), &connection, &Setup::default())
    };
    let told =
        |result: crate::diagnostic::Result<Http>| result.err().map(|e| format!("{e} ({})", e.help().unwrap_or("")));
    assert_eq!(
        told(open(json!({"secret": "s"}))).unwrap(),
        "connector `people`: there is no address (give `connection.base_url`, e.g. `https://api.example.com`)"
    );
    assert!(
        told(open(json!({"base_url": "https://x"})))
            .unwrap()
            .starts_with("connector `people`: `connection.secret` is missing")
    );
    let typo = told(open(json!({"base_url": "https://x", "secrt": "hush"}))).unwrap();
    assert_eq!(typo, "connector `people`: there is no `connection.secrt` (did you mean `secret`?)");
    let http = open(json!({"base_url": "https://x", "secret": "s"})).unwrap();
    let options = serde_json::Map::new();
    let capabilities = |object: &str, mode| {
        http.capabilities(object, mode, &options).map_err(|e| format!("{e} ({})", e.help().unwrap_or("")))
    };
    assert_eq!(
        capabilities("persn", Mode::Upsert).unwrap_err(),
        "`people` has no object `persn` (did you mean `person`?)"
    );
    assert_eq!(
        capabilities("person", Mode::Mirror).unwrap_err(),
        "object `person` of `people` has no mode `mirror` (use one of `upsert`, `update`)"
    );
    let mut id = Value::Int(7);
    http.normalise("person", "id", &mut id);
    assert_eq!(id, Value::Text("7".into()));
    let mut address = Value::Text("Ann@Example.com".into());
    http.normalise("person", "email", &mut address);
    assert_eq!(address, Value::Text("ann@example.com".into()));
    let found = capabilities("person", Mode::Update).unwrap();
    assert_eq!((found.batch_size, found.concurrency, found.matched, found.by_state), (2, 4, true, false));
}
