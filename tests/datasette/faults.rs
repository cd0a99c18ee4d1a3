//! Answers that are lost and processes that are killed: Datasette ends up with what the source holds, once.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::wire::{Plan, Wire};
use super::{BATCHES, OBJECTS, STATES, Scene, people};
use crate::project::number;

#[test]
fn an_insert_whose_answer_was_lost_is_done_and_not_refused() {
    for (name, destination) in [("objects", OBJECTS), ("requests", STATES)] {
        let Some(mut scene) = Scene::new(destination, "insert", "delivery: { concurrency: 1, batch_size: 8 }") else {
            return;
        };
        let wire = Wire::to(&scene.server.url, Plan { lost: 1, ..Plan::default() });
        scene.url.clone_from(&wire.url);
        let all = people(40);
        scene.source(&all);
        // Of the others, one is there already and not ours: that is still a refusal.
        scene.server.sql(&format!("insert into {} values ('p40@example.com', 'Not Ours', null, null)", scene.table));
        let run = scene.apply(&[], 4);
        assert_eq!(Scene::told(&run), [39, 0, 0, 1, 0], "{name}: {:?}", scene.refused());
        assert_eq!(number(&run, "/in_doubt"), 0, "{name}");
        assert!(scene.refused()[0].starts_with("p40@example.com rejected UNIQUE"), "{name}: {:?}", scene.refused());
        assert_eq!(scene.held().len(), 40, "{name}");
        assert_eq!(wire.requests(), scene.log(0).len(), "{name}: each request arrived once");
    }
}

fn start(scene: &Scene) -> Child {
    let mut command = scene.command(&["apply", "--auto-approve"]);
    let told = std::fs::File::create(scene.project.path("told.txt")).expect("a file");
    command.stdout(Stdio::null()).stderr(told).spawn().expect("the binary runs")
}

/// Kills the run when Datasette holds so many people.
#[track_caller]
fn killed_at(scene: &Scene, held: usize) {
    let mut child = start(scene);
    let deadline = Instant::now() + Duration::from_secs(60);
    while scene.held().len() < held {
        let ended = child.try_wait().expect("a state");
        let going = ended.is_none() && Instant::now() < deadline;
        assert!(going, "{ended:?} with {}: {}", scene.held().len(), scene.project.read("told.txt"));
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("a kill");
    child.wait().expect("an end");
}

#[test]
fn killed_in_the_middle_and_run_again_it_holds_what_the_source_holds() {
    for (name, destination, mode) in [
        ("objects", OBJECTS, "mirror"),
        ("requests", BATCHES, "upsert"),
        ("objects", OBJECTS, "insert"),
        ("requests", STATES, "mirror"),
    ] {
        let what = format!("{mode} with {name}");
        let more = "delivery: { batch_size: 10 }\nguards: { max_removed: 50% }";
        let Some(mut scene) = Scene::new(destination, mode, more) else { return };
        // Slow enough to be killed in the middle.
        let delay = Duration::from_millis(15);
        scene.url = Wire::to(&scene.server.url, Plan { delay, ..Plan::default() }).url;
        let mut all = people(600);
        scene.source(&all);
        killed_at(&scene, 80);
        killed_at(&scene, 300);
        assert!(scene.held().len() < 600, "{what}: it was killed too late");
        let run = scene.apply(&[], 0);
        assert_eq!((number(&run, "/rejected"), number(&run, "/in_doubt")), (0, 0), "{what}: {:?}", scene.refused());
        scene.holds(&all, &what);
        scene.plan(0);
        if mode == "mirror" {
            all.drain(..100);
            scene.source(&all);
            let mut child = start(&scene);
            let deadline = Instant::now() + Duration::from_secs(60);
            while scene.held().len() > 570 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            child.kill().expect("a kill");
            child.wait().expect("an end");
            scene.apply(&[], 0);
            scene.holds(&all, &what);
            scene.plan(0);
        }
    }
}
