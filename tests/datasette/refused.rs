//! What Datasette refuses: records, batches, requests that are too large, and us.

use super::{BATCHES, OBJECTS, STATES, Scene, people, times};
use crate::project::number;

#[test]
fn a_batch_refused_as_a_whole_is_halved_until_the_bad_rows_stand_alone() {
    for (name, destination) in [("objects", OBJECTS), ("requests", BATCHES)] {
        let Some(scene) = Scene::new(destination, "upsert", "") else { return };
        let mut all = people(300);
        for at in [76, 199] {
            all[at].1.clear();
        }
        scene.source(&all);
        let run = scene.apply(&[], 4);
        assert_eq!(Scene::told(&run), [298, 0, 0, 2, 0], "{name}");
        let words = format!("NOT NULL constraint failed: {}.name", scene.table);
        let expected = [199 + 1, 76 + 1].map(|id| format!("p{id}@example.com rejected {words}"));
        assert_eq!(scene.refused(), expected, "{name}");
        let good: Vec<_> = all.iter().filter(|person| !person.1.is_empty()).cloned().collect();
        scene.holds(&good, name);
        // To find one of a hundred takes some 15 requests, not a hundred.
        let before = scene.log(0).len();
        assert!((3..=2 * 15 + 1).contains(&before), "{name}: {before} requests");

        // The bad rows wait until they change.
        let run = scene.apply(&[], 0);
        assert_eq!((number(&run, "/requests"), scene.log(before)), (0, times(0, "")), "{name}");
        all[76].1 = "Better".into();
        scene.source(&all);
        assert_eq!(Scene::told(&scene.apply(&[], 0))[..4], [1, 0, 0, 0], "{name}");
        assert_eq!(scene.log(before), times(1, "upsert 200"), "{name}");
    }
}

#[test]
fn a_field_the_table_does_not_have_is_said_in_its_words() {
    let Some(scene) = Scene::new(BATCHES, "upsert", "") else { return };
    scene.project.edit("syncs/people.yaml", "plan: plan,", "plan: plan, nope: plan,");
    scene.source(&people(3));
    let run = scene.apply(&[], 4);
    assert_eq!(Scene::told(&run), [0, 0, 0, 3, 0]);
    assert!(scene.refused()[0].contains("invalid columns: nope"), "{:?}", scene.refused());
}

#[test]
fn a_batch_above_the_declared_limit_is_an_error_before_anything_is_sent() {
    for (name, destination) in [("objects", OBJECTS), ("requests", BATCHES)] {
        let Some(scene) = Scene::new(destination, "upsert", "delivery: { batch_size: 101 }") else { return };
        scene.source(&people(250));
        for command in [&["validate"][..], &["apply", "--auto-approve"]] {
            let ran = scene.run(command).code(1);
            let text = ran.stdout + &ran.stderr;
            assert!(
                text.contains("a request takes at most 100 records here, and `batch_size` is 101"),
                "{name}: {text}"
            );
            assert!(text.contains("syncs/people.yaml:"), "{name}: {text}");
        }
        assert_eq!(scene.log(0), times(0, ""), "{name}");
    }
}

#[test]
fn where_row_states_differ_the_largest_request_is_the_limit() {
    for (size, code) in [(100, 0), (101, 1)] {
        let Some(scene) = Scene::new(STATES, "upsert", &format!("delivery: {{ batch_size: {size} }}")) else { return };
        let mut all = people(120);
        scene.source(&all);
        let ran = scene.run(&["apply", "--auto-approve"]).code(code);
        if code == 1 {
            assert!(ran.stderr.contains("at most 100 records"), "{}", ran.stderr);
            continue;
        }
        assert_eq!(scene.log(0), times(2, "insert 201"));
        all[..3].iter_mut().for_each(|person| person.2 = "vip");
        scene.source(&all);
        assert_eq!(Scene::told(&scene.apply(&[], 0)), [0, 3, 0, 0, 0]);
        assert_eq!(scene.log(2), times(3, "update 200"));
        scene.holds(&all, "row states with requests of different sizes");
    }
}

#[test]
fn a_limit_nobody_declared_is_found_by_halving() {
    for (name, destination) in [("objects", OBJECTS), ("requests", BATCHES)] {
        let undeclared = destination.replace("records: 100 }", "records: 1000 }");
        let Some(scene) = Scene::new(&undeclared, "upsert", "") else { return };
        let all = people(350);
        scene.source(&all);
        let run = scene.apply(&[], 0);
        assert_eq!(Scene::told(&run), [350, 0, 0, 0, 0], "{name}");
        scene.holds(&all, name);
        let mut log = scene.log(0);
        log.sort();
        assert_eq!(log, [times(4, "upsert 200"), times(3, "upsert 400")].concat(), "{name}");
    }
}

#[test]
fn who_may_not_write_is_told_at_once() {
    for (name, destination) in [("objects", OBJECTS), ("requests", BATCHES)] {
        for (token, words) in [("dstok_wrong-and-secret", "Invalid token"), ("", "Permission denied")] {
            let Some(mut scene) = Scene::new(destination, "upsert", "") else { return };
            let all = people(1500);
            scene.source(&all);
            scene.token = if token.is_empty() { scene.server.stranger.clone() } else { token.into() };
            let ran = scene.run(&["apply", "--auto-approve"]).code(1);
            let text = ran.stdout + &ran.stderr;
            assert!(text.contains(words) && text.contains("check the credentials"), "{name}: {text}");
            // As many as were in flight.
            let log = scene.log(0);
            assert!((1..=4).contains(&log.len()), "{name}: {log:?}");
            assert_eq!(scene.held(), times(0, ""), "{name}");
            // Nothing is held against the records.
            scene.token = scene.server.token.clone();
            assert_eq!(Scene::told(&scene.apply(&[], 0)), [1500, 0, 0, 0, 0], "{name}");
            scene.holds(&all, name);
        }
    }
}

#[test]
fn a_table_that_is_not_there_is_not_taken_for_records_that_are_not_there() {
    for mode in ["upsert", "update"] {
        let Some(scene) = Scene::new(OBJECTS, mode, "") else { return };
        scene.source(&people(20));
        scene.server.sql(&format!("drop table {}", scene.table));
        let ran = scene.run(&["apply", "--auto-approve"]).code(1);
        let text = ran.stdout + &ran.stderr;
        assert!(text.contains("Table not found") && text.contains("the `options` of the sync"), "{mode}: {text}");
    }
}
