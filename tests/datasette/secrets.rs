//! The token is nowhere: not in the wire log, not in what is printed, not in the state, not in a report.

use std::path::Path;

use super::wire::{Plan, Wire};
use super::{BATCHES, Scene, TOKEN, people, requests};

/// Fails when a file of the project holds the text, as it is or in Base64.
#[track_caller]
fn nowhere(folder: &Path, secret: &str) {
    use base64::Engine;
    // A prefix of whole groups is spelt the same whatever follows.
    let encoded = base64::prelude::BASE64_STANDARD.encode(&secret.as_bytes()[..secret.len() / 3 * 3]);
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            nowhere(&path, secret);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for word in [secret.as_bytes(), encoded.as_bytes()] {
            assert!(!bytes.windows(word.len()).any(|window| window == word), "the token is in {}", path.display());
        }
    }
}

/// Everything that writes something down.
fn everything(scene: &Scene) {
    scene.run(&["plan", "--out", "p.slplan"]).code(0);
    scene.project.write("plan.html", &scene.run(&["plan", "--format", "html", "--show-values"]).code(0).stdout);
    scene.run(&["apply", "p.slplan", "--wire-log", "wire.jsonl", "--format", "json"]).code(4);
    let ran =
        scene.command(&["apply", "--auto-approve", "--retry"]).env("SYNCLINE_LOG", "trace").output().expect("it runs");
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(!told.contains(&scene.token), "the token is in the log of the program");
    scene.project.write("run.html", &scene.run(&["runs", "show", "last", "--format", "html"]).code(0).stdout);
    scene.run(&["runs", "rejected", "--show-values"]).code(0);
}

#[test]
fn a_token_from_the_environment_is_written_down_nowhere() {
    let Some(scene) = Scene::new(BATCHES, "upsert", "") else { return };
    let mut all = people(120);
    all[5].1.clear();
    scene.source(&all);
    everything(&scene);
    let sent = requests(&scene.project.path("wire.jsonl"));
    assert!(sent.len() > 2, "{sent:?}");
    // The log says that there was one.
    assert!(sent.iter().all(|request| request["headers"]["Authorization"] == "[secret]"), "{sent:?}");
    nowhere(scene.project.root(), &scene.token);
}

#[test]
fn a_token_learned_on_the_way_is_written_down_nowhere_either() {
    let Some(mut scene) = Scene::new(TOKEN, "upsert", "") else { return };
    let learned = scene.server.token.clone();
    let grant = format!("{{\"granted\": {{\"it\": \"{learned}\", \"seconds\": 600}}}}");
    let wire = Wire::to(&scene.server.url, Plan { grant: Some(grant), ..Plan::default() });
    scene.url.clone_from(&wire.url);
    scene.token = "canary-client-secret".into();
    let mut all = people(120);
    // A column that happens to hold the token shows that it is found anywhere, and not only where it is expected.
    all[7].1.clone_from(&learned);
    all[5].1.clear();
    scene.source(&all);
    let log = scene.project.path("wire.jsonl");
    scene.run(&["apply", "--auto-approve", "--wire-log", "wire.jsonl"]).code(4);
    assert_eq!(scene.held().len(), 119);
    let sent = requests(&log);
    let granted = sent.iter().filter(|request| request["url"].as_str().unwrap_or_default().ends_with("/grant"));
    assert_eq!(granted.count(), 1, "{sent:?}");
    assert_eq!(wire.requests(), sent.len());
    let text = std::fs::read_to_string(&log).expect("a log");
    assert!(!text.contains(&learned), "the token that was learned is in the wire log");
    assert!(!text.contains(&scene.token), "the secret it was asked for with is in the wire log");
    let row = sent.iter().flat_map(|request| request["body"]["rows"].as_array().into_iter().flatten());
    assert!(row.into_iter().any(|row| row["name"] == "[secret]"), "{text}");
}
