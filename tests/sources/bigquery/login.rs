//! Credentials: what is sent where, and what never is.

use std::process::Command;
use std::sync::Mutex;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::super::*;
use super::stand_in::{Answer, Request, StandIn, looked_at};
use crate::project::{Project, Ran};

/// The API and the token endpoint of one stand-in: it grants the tokens named, one after the other, and takes the last.
fn google(tokens: &'static [&'static str]) -> StandIn {
    let granted = Mutex::new(0_usize);
    StandIn::new(Box::new(move |request| {
        let mut granted = granted.lock().unwrap();
        match request.line().as_str() {
            "POST /token" | "GET /computeMetadata/v1/instance/service-accounts/default/token" => {
                let token = tokens[(*granted).min(tokens.len() - 1)];
                *granted += 1;
                let answer = json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" });
                Answer::With(200, vec![("Metadata-Flavor", "Google".to_owned())], answer.to_string())
            }
            "POST jobs" if request.header("authorization") == format!("Bearer {}", tokens[tokens.len() - 1]) => {
                Answer::ok(looked_at("SELECT", &json!([{ "name": "id", "type": "INTEGER" }])))
            }
            _ => Answer::refused(401, "authError"),
        }
    }))
}

/// A key of a service account, made now; `None`, loudly, where there is no openssl.
fn key(token_uri: &str) -> Option<(tempfile::TempDir, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let make = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem && \
                openssl pkey -in key.pem -pubout -out public.pem";
    let made = Command::new("sh").args(["-c", make]).current_dir(&folder).output().unwrap();
    if !made.status.success() {
        eprintln!("SKIPPED: openssl is not installed");
        return None;
    }
    let pem = std::fs::read_to_string(folder.path().join("key.pem")).unwrap();
    let key = json!({
        "type": "service_account", "project_id": "acme", "private_key_id": "key-17", "private_key": pem,
        "client_email": "sync@acme.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_uri,
    });
    Some((folder, key))
}

/// Opens the source as the project would, with what is secret known as such.
fn source_of(connection: Value, secret: &str, hosts: Option<&[String]>) -> Box<dyn Source> {
    let Value::Object(values) = connection else { panic!("not an object") };
    let connection = Connection::new(values, vec![Secret::new(secret)]).only_to(hosts);
    sources::open(SourceType::Bigquery, &connection).unwrap()
}

fn exchanges(stand_in: &StandIn) -> Vec<Request> {
    stand_in.requests().into_iter().filter(|request| request.line() == "POST /token").collect()
}

/// Whether openssl takes the signature of a statement.
fn verified(folder: &Path, statement: &str) -> bool {
    let (signed, signature) = statement.rsplit_once('.').unwrap();
    std::fs::write(folder.join("signed"), signed).unwrap();
    std::fs::write(folder.join("signature"), BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let arguments = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"];
    Command::new("openssl").args(arguments).current_dir(folder).output().unwrap().status.success()
}

#[test]
fn a_key_signs_a_statement_that_is_exchanged_for_a_token() {
    let stand_in = google(&["token-one"]);
    let token_uri = format!("{}/token", stand_in.base);
    let Some((folder, key)) = key(&token_uri) else { return };
    let connection = json!({ "project": "acme", "endpoint": stand_in.base, "key": key.to_string() });
    let source = source_of(connection, &key.to_string(), None);
    assert_eq!(types(&*source, &sql("select id from t")), ["id Int64"]);
    assert_eq!(types(&*source, &sql("select id from u")), ["id Int64"]);
    assert_eq!(source.facts(), ["it is asked as the service account `sync@acme.iam.gserviceaccount.com`"]);
    // One token is good for both.
    let exchanged = exchanges(&stand_in);
    assert_eq!(exchanged.len(), 1, "{:?}", stand_in.lines());
    assert_eq!(exchanged[0].field("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let statement = exchanged[0].field("assertion");
    let parts: Vec<Value> = statement
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(parts[0], json!({ "alg": "RS256", "typ": "JWT", "kid": "key-17" }));
    let (begins, ends) = (parts[1]["iat"].as_i64().unwrap(), parts[1]["exp"].as_i64().unwrap());
    let now = jiff::Timestamp::now().as_second();
    assert!((now - 60..=now).contains(&begins) && ends - begins <= 3600, "{begins} to {ends}, at {now}");
    assert_eq!(
        (&parts[1]["iss"], &parts[1]["aud"], &parts[1]["scope"]),
        (
            &json!("sync@acme.iam.gserviceaccount.com"),
            &json!(token_uri),
            &json!("https://www.googleapis.com/auth/bigquery")
        )
    );
    assert!(verified(folder.path(), &statement));
    assert!(!verified(folder.path(), &statement.replacen("ey", "ez", 1)), "openssl takes anything");
}

#[test]
fn a_token_that_is_refused_is_replaced_once() {
    let stand_in = google(&["old", "new"]);
    let Some((_folder, key)) = key(&format!("{}/token", stand_in.base)) else { return };
    let connection = json!({ "project": "acme", "endpoint": stand_in.base, "key": key.to_string() });
    let source = source_of(connection, &key.to_string(), None);
    assert_eq!(types(&*source, &sql("select id from t")), ["id Int64"]);
    assert_eq!(stand_in.lines(), ["POST /token", "POST jobs", "POST /token", "POST jobs"]);
    // One that was given cannot be.
    let connection = json!({ "project": "acme", "endpoint": stand_in.base, "token": "given-token" });
    let (message, help) = error(&*source_of(connection, "given-token", None), &sql("select id from t"));
    assert!(message.contains("authError it is") && help.contains("credentials"), "{message}; {help}");
    assert_eq!(stand_in.lines().len(), 5);
}

#[test]
fn a_refused_key_says_what_to_do_and_nothing_of_the_key() {
    let refuse = |description: &'static str| {
        StandIn::new(Box::new(move |request| {
            // An endpoint that repeats what it was sent.
            let echo = format!("{description} {}", request.field("assertion"));
            Answer::With(400, vec![], json!({ "error": "invalid_grant", "error_description": echo }).to_string())
        }))
    };
    for (description, help) in
        [("Invalid JWT Signature.", "make a new one"), ("Token must be a short-lived token (60 minutes)", "clock")]
    {
        let stand_in = refuse(description);
        let Some((_folder, key)) = key(&format!("{}/token", stand_in.base)) else { return };
        let connection = json!({ "project": "acme", "endpoint": stand_in.base, "key": key.to_string() });
        let source = source_of(connection, &key.to_string(), None);
        let got = error(&*source, &sql("select id from t"));
        let who = "bigquery project `acme`: service account `sync@acme.iam.gserviceaccount.com`: no access token: ";
        assert!(got.0.starts_with(&format!("{who}invalid_grant: {description}")), "{got:?}");
        assert!(got.1.contains(help), "{got:?}");
        let statement = exchanges(&stand_in)[0].field("assertion");
        assert!(!got.0.contains(&statement[statement.len() - 40..]), "{got:?}");
        assert_eq!(stand_in.lines(), ["POST /token"]);
    }
}

#[test]
fn tokens_come_from_hosts_the_project_allows() {
    let stand_in = google(&["token-one"]);
    let port = stand_in.base.rsplit(':').next().unwrap().to_owned();
    let Some((_folder, key)) = key(&format!("http://localhost:{port}/token")) else { return };
    let connection = json!({ "project": "acme", "endpoint": stand_in.base, "key": key.to_string() });
    let held = ["127.0.0.1".to_owned()];
    let got = error(&*source_of(connection.clone(), &key.to_string(), Some(&held)), &sql("select 1 as id"));
    assert!(got.0.contains("the connection leads to `localhost`, which the project does not allow"), "{got:?}");
    assert_eq!(stand_in.lines(), [""; 0], "nothing left this machine");
    let both = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    assert_eq!(types(&*source_of(connection, &key.to_string(), Some(&both)), &sql("select 1 as id")), ["id Int64"]);
    // The API's own host is held to them, too.
    let elsewhere = connection_of(json!({ "project": "acme" })).only_to(Some(&held));
    let refused = sources::open(SourceType::Bigquery, &elsewhere).err().expect("a refusal").to_string();
    assert!(refused.contains("leads to `bigquery.googleapis.com`"), "{refused}");
}

#[test]
fn connections_that_cannot_work_say_so_at_once() {
    let cases = [
        (json!({}), "project"),
        (json!({ "project": "acme", "keys": "x" }), "keys"),
        (json!({ "project": "acme", "key": "hunter2" }), "connection.key: this is not JSON"),
        (json!({ "project": "acme", "key": "k", "token": "t" }), "several ways to log in"),
        (json!({ "project": "acme", "authenticator": "key" }), "connection.key is missing"),
        (json!({ "project": "acme", "authenticator": "token" }), "connection.token is missing"),
        (json!({ "project": "acme", "authenticator": "none" }), "is for emulators on this machine"),
        (
            json!({ "project": "acme", "endpoint": "http://bigquery.example.com:1", "authenticator": "none" }),
            "for emulators",
        ),
        (json!({ "project": "acme", "endpoint": "http://8.8.8.8" }), "in clear text"),
        (json!({ "project": "acme", "endpoint": "http://169.254.169.254" }), "no request may go to"),
        (json!({ "project": "acme", "endpoint": "bigquery.googleapis.com" }), "connection.endpoint"),
        (json!({ "project": "acme", "endpoint": "http://127.0.0.1:1?a=b" }), "no address of an API"),
        (json!({ "project": "acme", "maximum_bytes_billed": "much" }), "maximum_bytes_billed"),
    ];
    for (connection, said) in cases {
        let shown = connection.to_string();
        let Err(error) = sources::open(SourceType::Bigquery, &connection_of(connection)) else { panic!("{shown}") };
        let all = format!("{error} {:?}", error.help());
        assert!(all.contains(said) && !all.contains("hunter2"), "{shown}: {all}");
    }
}

/// A project that reads one model of the stand-in, and what `doctor` says of it.
fn doctor(stand_in: &StandIn, more: &str, environment: &[(&str, &str)]) -> Ran {
    let source =
        format!("name: s\ntype: bigquery\nconnection: {{ project: acme, endpoint: \"{}\"{more} }}\n", stand_in.base);
    let project = Project::new(&[
        ("syncline.yaml", "name: test\n"),
        ("sources/s.yaml", &source),
        ("models/m.yaml", "name: m\nsource: s\nsql: select id from t\nprimary_key: [id]\n"),
    ]);
    let mut command = project.command(&["doctor"]);
    for name in ["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GCE_METADATA_HOST", "APPDATA"] {
        command.env_remove(name);
    }
    command.env("HOME", project.root()).envs(environment.iter().copied());
    Ran::new(command.output().unwrap())
}

#[test]
fn application_default_credentials_are_found_where_gcloud_leaves_them() {
    let stand_in = google(&["token-one"]);
    let folder = tempfile::tempdir().unwrap();
    let login = json!({
        "type": "authorized_user", "client_id": "client-7", "client_secret": "client-secret", "account": "",
        "refresh_token": "refresh-token", "quota_project_id": "pays", "token_uri": format!("{}/token", stand_in.base),
    });
    let file = folder.path().join("application_default_credentials.json");
    std::fs::write(&file, login.to_string()).unwrap();
    let (folder, file) = (folder.path().to_str().unwrap(), file.to_str().unwrap());
    for environment in [[("CLOUDSDK_CONFIG", folder)], [("GOOGLE_APPLICATION_CREDENTIALS", file)]] {
        let ran = doctor(&stand_in, ", authenticator: application_default", &environment).code(0);
        assert!(ran.stdout.contains("1 model can be read"), "{}", ran.stdout);
        assert!(ran.stdout.contains("with the credentials in `"), "{}", ran.stdout);
        assert!(ran.stdout.contains("application_default_credentials.json"), "{}", ran.stdout);
    }
    let exchanged = exchanges(&stand_in);
    let fields = ["grant_type", "client_id", "client_secret", "refresh_token"].map(|name| exchanged[0].field(name));
    assert_eq!(fields, ["refresh_token", "client-7", "client-secret", "refresh-token"]);
    let asked = stand_in.requests().into_iter().find(|request| request.line() == "POST jobs").unwrap();
    assert_eq!(asked.header("x-goog-user-project"), "pays");

    // None there, and of a kind that is not read here.
    let ran = doctor(&stand_in, ", authenticator: application_default", &[]).code(1);
    assert!(ran.stdout.contains("there are no application default credentials"), "{}", ran.stdout);
    assert!(ran.stdout.contains("gcloud auth application-default login"), "{}", ran.stdout);
    std::fs::write(file, r#"{"type":"external_account","audience":"//iam"}"#).unwrap();
    let ran = doctor(&stand_in, ", authenticator: application_default", &[("GOOGLE_APPLICATION_CREDENTIALS", file)]);
    let said = ran.code(1).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("credentials of type `external_account` are not read here"), "{said}");
}

#[test]
fn the_machine_is_asked_only_where_it_is_said() {
    let stand_in = google(&["machine-token"]);
    let host = stand_in.base.strip_prefix("http://").unwrap().to_owned();
    let environment = [("GCE_METADATA_HOST", host.as_str())];
    doctor(&stand_in, ", authenticator: application_default", &environment).code(1);
    assert_eq!(stand_in.lines(), [""; 0]);
    let ran = doctor(&stand_in, ", authenticator: metadata", &environment).code(0);
    assert!(ran.stdout.contains("1 model can be read"), "{}", ran.stdout);
    let asked = stand_in.requests().remove(0);
    assert_eq!(asked.header("metadata-flavor"), "Google");
    assert!(asked.target.ends_with("?scopes=https://www.googleapis.com/auth/bigquery"), "{}", asked.target);

    // Who does not say that it is the service is not it.
    let other = StandIn::new(Box::new(|_| Answer::ok(json!({ "access_token": "t" }))));
    let ran = doctor(&other, ", authenticator: metadata", &[("GCE_METADATA_HOST", &other.base["http://".len()..])]);
    let said = ran.code(1).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("is not Google's metadata service"), "{said}");
    let asked = other.lines();
    assert!(asked.iter().all(|line| line.starts_with("GET /computeMetadata/v1/")), "the API was asked: {asked:?}");
}
