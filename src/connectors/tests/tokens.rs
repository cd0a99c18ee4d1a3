//! Access tokens of a login server that is elsewhere, gives another refresh token with each, and may refuse.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::json;

use super::compile;
use super::laws::{operation, target};
use crate::connectors::{Http, Setup};
use crate::destinations::{Batch, Destination as _, SendError};
use crate::manifest::sync::Mode;
use crate::secret::{Connection, Secret};

/// Login server and API; they have the same memory, and each an address of its own.
#[derive(Default)]
struct World {
    /// Forms that came to the login server.
    logins: Vec<String>,
    /// Headers and bodies that came to the API.
    requests: Vec<String>,
    /// Logins that are answered; later ones are refused.
    answered: usize,
    /// Requests each access token is good for.
    uses: usize,
    used: usize,
}

type Shared = Arc<Mutex<World>>;

async fn login(State(world): State<Shared>, uri: Uri, body: String) -> (StatusCode, String) {
    let mut world = world.lock().unwrap();
    world.logins.push(format!("{uri} {body}"));
    let n = world.logins.len();
    let expected = format!("refresh_token=refresh-{n}");
    if n > world.answered || !body.contains(&expected) {
        return (StatusCode::BAD_REQUEST, json!({ "error": "invalid_grant" }).to_string());
    }
    world.used = 0;
    let token = json!({ "access_token": format!("access-{n}"), "refresh_token": format!("refresh-{}", n + 1) });
    (StatusCode::OK, token.to_string())
}

async fn api(State(world): State<Shared>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let mut world = world.lock().unwrap();
    world.requests.push(format!("{headers:?} {body}"));
    world.used += 1;
    let token = format!("Bearer access-{}", world.logins.len());
    let valid = world.used <= world.uses && headers.get("authorization").is_some_and(|value| *value == *token);
    (if valid { StatusCode::OK } else { StatusCode::UNAUTHORIZED }, "{}".into())
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

const CONNECTOR: &str = r#"
name: crm
connection:
  refresh: { required: true, secret: true }
  login: { default: "https://login.example.com/" }
api:
  auth:
    value: "Bearer {{ token }}"
    token:
      base_url: "{{ connection.login }}"
      request:
        method: POST
        path: /oauth/token
        form: { grant_type: refresh_token, refresh_token: "{{ rotated | default(connection.refresh) }}" }
      rotates: body.refresh_token
objects:
  person:
    identifiers: { id: { type: string } }
    operations: { put: { request: { method: POST, path: /people, json: { people: "{{ records }}" } }, batch: { records: 2 } } }
    modes: { upsert: { send: put } }
"#;

async fn world(answered: usize, uses: usize) -> (Shared, impl Fn() -> Http) {
    let world = Arc::new(Mutex::new(World { answered, uses, ..World::default() }));
    let login = serve(axum::Router::new().fallback(login).with_state(Arc::clone(&world))).await;
    let base = serve(axum::Router::new().fallback(api).with_state(Arc::clone(&world))).await;
    let values = json!({ "base_url": base, "login": format!("{login}/"), "refresh": "refresh-1" });
    let connection = Connection::new(values.as_object().unwrap().clone(), vec![Secret::new("refresh-1")]);
    (world, move || Http::new(compile("crm", CONNECTOR), &connection, &Setup::default()).unwrap())
}

fn batch(id: u64) -> Batch {
    Batch { id, operations: vec![operation(id, &format!("p{id}"), vec![])] }
}

#[tokio::test]
async fn a_login_server_elsewhere_gets_the_refresh_token_and_the_api_only_the_access_token() {
    let (world, open) = world(10, 2).await;
    let writer = open().open(&target("person", Mode::Upsert, &[])).await.unwrap();
    for id in 0..3 {
        writer.send(&batch(id)).await.unwrap();
    }
    // An apply after its plan opens the destination anew, and must not begin with what is used up.
    let writer = open().open(&target("person", Mode::Upsert, &[])).await.unwrap();
    writer.send(&batch(3)).await.unwrap();
    let world = world.lock().unwrap();
    // Each access token is good for two requests, and every refresh token for one login.
    let logins: Vec<&str> = world.logins.iter().map(String::as_str).collect();
    let form = "/oauth/token grant_type=refresh_token&refresh_token=refresh";
    assert_eq!(logins, [format!("{form}-1"), format!("{form}-2"), format!("{form}-3")]);
    assert!(!world.requests.iter().any(|request| request.contains("refresh-")), "{:#?}", world.requests);
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_tried_again_by_all_that_are_on_their_way() {
    let (world, open) = world(1, 2).await;
    let writer = open().open(&target("person", Mode::Upsert, &[])).await.unwrap();
    writer.send(&batch(0)).await.unwrap();
    writer.send(&batch(1)).await.unwrap();
    let batches: Vec<Batch> = (2..8).map(batch).collect();
    let sent = futures_util::future::join_all(batches.iter().map(|batch| writer.send(batch))).await;
    for sent in sent {
        let Err(SendError::Fatal { message, help: Some(_) }) = sent else { panic!("{sent:?}") };
        assert_eq!(message, "no access token was given: invalid_grant");
    }
    assert_eq!(world.lock().unwrap().logins.len(), 2, "one that was answered, one that was refused");
}

#[tokio::test]
async fn where_tokens_come_from_must_be_an_address_that_requests_may_go_to() {
    for (login, expected) in [
        ("", "there is no address access tokens are fetched from"),
        ("http://169.254.169.254", "no request may go to `169.254.169.254`"),
        ("http://login.example.com.", ""),
    ] {
        let values = json!({ "base_url": "https://api.example.com", "login": login, "refresh": "r" });
        let connection = Connection::new(values.as_object().unwrap().clone(), vec![]);
        let text = CONNECTOR.replace("https://login.example.com/", "");
        let error = Http::new(compile("crm", &text), &connection, &Setup::default()).err();
        let told = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{login}: {told}");
    }
}
