//! What each mode does to a table, with `requests` and with `objects`.

use super::{BATCHES, OBJECTS, STATES, Scene, people, requests, times};
use crate::project::number;

#[test]
fn an_upsert_goes_in_batches_and_then_only_what_changes() {
    for (name, destination) in [("objects", OBJECTS), ("requests", BATCHES)] {
        let Some(scene) = Scene::new(destination, "upsert", "") else { return };
        let mut all = people(250);
        scene.source(&all);
        let run = scene.apply(&[], 0);
        assert_eq!((Scene::told(&run), number(&run, "/requests")), ([250, 0, 0, 0, 0], 3), "{name}");
        scene.holds(&all, name);
        assert_eq!(scene.log(0), times(3, "upsert 200"), "{name}");

        scene.plan(0);
        let run = scene.apply(&[], 0);
        assert_eq!(number(&run, "/requests"), 0, "{name}: nothing has changed, and something was sent");
        assert_eq!(scene.log(3), times(0, ""), "{name}");

        for at in [7, 123] {
            all[at].1 = "Somebody Else".into();
        }
        scene.source(&all);
        let log = scene.project.path("wire.jsonl");
        let run = scene.apply(&["--wire-log", log.to_str().expect("text")], 0);
        assert_eq!((Scene::told(&run), number(&run, "/requests")), ([0, 2, 0, 0, 0], 1), "{name}");
        let sent = requests(&log);
        let emails = sent[0]["body"]["rows"].as_array().expect("rows").iter().map(|row| row["email"].clone());
        assert_eq!(emails.collect::<Vec<_>>(), ["p8@example.com", "p124@example.com"], "{name}: {sent:?}");
        assert_eq!((sent.len(), scene.log(3)), (1, times(1, "upsert 200")), "{name}");
        scene.holds(&all, name);
    }
}

#[test]
fn an_insert_that_is_there_already_is_rejected_in_the_words_of_the_api() {
    for (name, destination) in [("objects", OBJECTS), ("requests", STATES)] {
        let Some(scene) = Scene::new(destination, "insert", "") else { return };
        let (table, all) = (&scene.table, people(150));
        scene.source(&all);
        scene.server.sql(&format!("insert into {table} values ('p42@example.com', 'Not Ours', null, null)"));
        let run = scene.apply(&[], 4);
        assert_eq!(Scene::told(&run), [149, 0, 0, 1, 0], "{name}");
        let words = format!("p42@example.com rejected UNIQUE constraint failed: {table}.email");
        assert_eq!(scene.refused(), [words], "{name}");
        assert_eq!(scene.held().len(), 150, "{name}");
        assert!(scene.held().contains(&"p42@example.com|Not Ours|null|null".into()), "{name}: it was overwritten");
        // The batch of 50 went through at once, that of 100 was halved until one was left.
        let log = scene.log(0);
        assert!(log.len() <= 16, "{name}: {log:?}");

        let run = scene.apply(&[], 0);
        assert_eq!(number(&run, "/requests"), 0, "{name}: what was refused is not sent again");
        assert_eq!(scene.log(log.len()), times(0, ""), "{name}");
    }
}

#[test]
fn an_update_makes_nobody_and_counts_whom_it_did_not_find() {
    for (name, destination) in [("objects", OBJECTS), ("requests", STATES)] {
        let Some(scene) = Scene::new(destination, "update", "") else { return };
        let (table, all) = (&scene.table, people(6));
        for id in [1, 2, 4, 5] {
            scene.server.sql(&format!("insert into {table} values ('p{id}@example.com', 'Old', null, null)"));
        }
        scene.source(&all);
        let run = scene.apply(&[], 0);
        assert_eq!(Scene::told(&run), [4, 0, 0, 0, 2], "{name}");
        let refused = scene.refused();
        assert_eq!(refused.len(), 2, "{name}: {refused:?}");
        for (line, email) in refused.iter().zip(["p3@example.com", "p6@example.com"]) {
            assert!(line.starts_with(&format!("{email} no_match")), "{name}: {line}");
        }
        let found: Vec<_> = [0, 1, 3, 4].map(|at| all[at].clone()).into();
        scene.holds(&found, name);

        // Nothing is sent for them again, and every plan says how many they are.
        let plan = scene.plan(0);
        assert_eq!(number(&plan, "/held/no_match"), 2, "{name}: {plan:#}");
        let text = scene.run(&["plan"]).code(0).stdout;
        assert!(text.contains("2 no match"), "{name}: {text}");
        let before = scene.log(0).len();
        scene.apply(&[], 0);
        assert_eq!(scene.log(before), times(0, ""), "{name}");

        // One of them has come to be.
        scene.server.sql(&format!("insert into {table} values ('p3@example.com', 'New', null, null)"));
        let run = scene.apply(&["--retry"], 0);
        assert_eq!((Scene::told(&run)[0], number(&run, "/no_match")), (1, 1), "{name}: {run:#}");
        let found: Vec<_> = [0, 1, 2, 3, 4].map(|at| all[at].clone()).into();
        scene.holds(&found, name);
    }
}

#[test]
fn a_mirror_deletes_and_what_is_gone_already_is_no_fault() {
    // A record is deleted alike whatever made it.
    let modes = [("mirror", ""), ("upsert", "on_removed: delete")];
    let all = [("objects", OBJECTS), ("requests", BATCHES)].map(|of| modes.map(|mode| (of, mode)));
    for ((name, destination), (mode, rest)) in all.into_iter().flatten() {
        let Some(scene) = Scene::new(destination, mode, rest) else { return };
        let (table, all) = (&scene.table, people(120));
        scene.server.sql(&format!("insert into {table} values ('other@example.com', 'Not Ours', null, null)"));
        scene.source(&all);
        scene.apply(&[], 0);
        let before = scene.log(0).len();
        scene.server.sql(&format!("delete from {table} where email = 'p120@example.com'"));
        scene.source(&all[..115]);
        let run = scene.apply(&[], 0);
        assert_eq!(Scene::told(&run), [0, 0, 5, 0, 0], "{name}");
        let mut log = scene.log(before);
        log.sort();
        assert_eq!(log, [times(4, "delete 200"), times(1, "delete 404")].concat(), "{name}");
        scene.server.sql(&format!("delete from {table} where email = 'other@example.com' and name = 'Not Ours'"));
        scene.holds(&all[..115], name);
        scene.plan(0);
    }
}

#[test]
fn each_row_state_can_have_a_request_of_its_own() {
    let objects = OBJECTS.replace(
        "mirror: { send: upsert, delete: delete }",
        "mirror: { class: C, added: insert, changed: update, delete: delete }",
    );
    for (name, destination) in [("objects", objects.as_str()), ("requests", STATES)] {
        let Some(scene) = Scene::new(destination, "mirror", "guards: { max_removed: 90% }") else { return };
        let all = people(5);
        scene.source(&all[..3]);
        scene.apply(&[], 0);
        assert_eq!(scene.log(0), ["insert 201"], "{name}");
        let mut now = all[1..].to_vec();
        now[0].2 = "vip";
        scene.source(&now);
        let run = scene.apply(&[], 0);
        assert_eq!(Scene::told(&run), [2, 1, 1, 0, 0], "{name}");
        let mut log = scene.log(1);
        log.sort();
        assert_eq!(log, ["delete 200", "insert 201", "update 200"], "{name}");
        scene.holds(&now, name);
        scene.plan(0);
    }
}

#[test]
fn keys_go_into_the_path_as_servers_look_them_up() {
    let names = ["o'brien@example.com", "a=b=c@example.com", "(x)!$&*@example.com", "a-b_c~7Ed:e@example.com"];
    // Datasette reads `~` as an escape and `,` as the end of one of several keys.
    let rows = names.map(|name| name.replace("~7E", "~"));
    let escaping = OBJECTS.replace("{{ match.email }}", "{{ match.email | replace('~', '~7E') }}");
    // What no segment can hold is a matter of the server's own spelling.
    let spelt = OBJECTS.replace(
        "{{ match.email }}",
        "{{ match.email | replace('~', '~7E') | replace('%', '~25') | replace('+', '~2B') | replace('/', '~2F') \
         | replace(';', '~3B') }}",
    );
    for (destination, emails) in [
        (&escaping, rows.to_vec()),
        (&spelt, ["a+b@example.com", "50%/x@example.com", "a;b@example.com"].map(String::from).to_vec()),
    ] {
        let Some(scene) = Scene::new(destination, "update", "") else { return };
        let mut all = people(emails.len());
        for (person, email) in all.iter_mut().zip(&emails) {
            person.0.clone_from(email);
            let email = email.replace('\'', "''");
            scene.server.sql(&format!("insert into {} values ('{email}', 'Old', null, null)", scene.table));
        }
        scene.source(&all);
        let run = scene.apply(&[], 0);
        assert_eq!(Scene::told(&run)[0], emails.len() as u64, "{run:#}\n{:?}", scene.refused());
        scene.holds(&all, "keys in the path");
    }
}
