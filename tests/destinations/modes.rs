//! What each mode does with one record, the same words for every destination.

use syncline::destinations::{Action, Outcome};
use syncline::manifest::sync::Mode;

use super::place::{Kind, Place, Rows};
use super::records::{ANN, batch, operation, record, send};

/// One line, one case. `there` and `after`: what the destination holds for the record, `plan seats` or `-`.
/// `sent`: `_` is a field that is not sent. `many` is a poison: it is no number, so it runs only where columns have types.
/// `doubt`: an earlier attempt may have arrived.
const CASES: &str = "
    mode   | action | doubt | there  | sent       | outcome        | after
    insert | send   |       | -      | free 3     | succeeded      | free 3
    insert | send   |       | free 3 | free 3     | already_exists | free 3
    insert | send   |       | free 3 | gold 5     | already_exists | free 3
    insert | send   | doubt | -      | free 3     | succeeded      | free 3
    insert | send   | doubt | free 3 | free 3     | succeeded      | free 3
    insert | send   | doubt | free 3 | free _     | succeeded      | free 3
    insert | send   | doubt | free 3 | gold 5     | already_exists | free 3
    insert | send   |       | -      | null null  | succeeded      | null null
    insert | send   |       | -      | _ 3        | succeeded      | null 3
    insert | send   |       | -      | free many  | rejected       | -
    insert | delete |       | free 3 | free 3     | succeeded      | -

    update | send   |       | -      | free 3     | no_match       | -
    update | send   |       | free 3 | free 3     | succeeded      | free 3
    update | send   |       | free 3 | gold 5     | succeeded      | gold 5
    update | send   | doubt | gold 5 | gold 5     | succeeded      | gold 5
    update | send   |       | free 3 | null 3     | succeeded      | null 3
    update | send   |       | free 3 | _ 5        | succeeded      | free 5
    update | send   |       | free 3 | _ _        | succeeded      | free 3
    update | send   |       | free 3 | gold many  | rejected       | free 3

    upsert | send   |       | -      | free 3     | succeeded      | free 3
    upsert | send   |       | -      | _ _        | succeeded      | null null
    upsert | send   |       | free 3 | free 3     | succeeded      | free 3
    upsert | send   |       | free 3 | gold 5     | succeeded      | gold 5
    upsert | send   | doubt | free 3 | gold 5     | succeeded      | gold 5
    upsert | send   |       | null 3 | gold 3     | succeeded      | gold 3
    upsert | send   |       | free 3 | null null  | succeeded      | null null
    upsert | send   |       | free 3 | gold _     | succeeded      | gold 3
    upsert | send   |       | free 3 | gold many  | rejected       | free 3
    upsert | clear  |       | free 3 | free 3     | succeeded      | null null
    upsert | clear  |       | -      | free 3     | succeeded      | -

    mirror | send   |       | -      | free 3     | succeeded      | free 3
    mirror | send   |       | free 3 | gold 5     | succeeded      | gold 5
    mirror | delete |       | free 3 | free 3     | succeeded      | -
    mirror | delete |       | gold 5 | free 3     | succeeded      | -
    mirror | delete | doubt | -      | free 3     | succeeded      | -
    mirror | clear  |       | free 3 | free 3     | succeeded      | null null
    mirror | delete |       | free 3 | free many  | succeeded      | -
";

fn mode(word: &str) -> Mode {
    match word {
        "insert" => Mode::Insert,
        "update" => Mode::Update,
        "upsert" => Mode::Upsert,
        "mirror" => Mode::Mirror,
        other => panic!("no mode `{other}`"),
    }
}

fn word(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::NoMatch => "no_match",
        Outcome::Unverified => "unverified",
        Outcome::Rejected { code, .. } if code == "already_exists" || code == "multiple_match" => code,
        Outcome::Rejected { .. } => "rejected",
    }
}

async fn check(kind: Kind) {
    let mut ran = 0;
    for line in CASES.lines().map(str::trim).filter(|l| !l.is_empty()).skip(1) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [mode_word, action, doubt, there, sent, outcome, after] = cells[..] else { panic!("seven cells: {line}") };
        let mode = mode(mode_word);
        let typed = !matches!(kind, Kind::Csv | Kind::Jsonl);
        if (sent.contains("many") && !typed && action == "send") || (kind.is_file() && mode == Mode::Update) {
            continue;
        }
        let Some(place) = Place::new(kind).await else { return };
        // A bystander that nothing may touch.
        let mut rows = Rows::from([("bob@example.com".to_owned(), "gold 1".to_owned())]);
        if there != "-" {
            rows.insert(ANN.into(), there.into());
        }
        place.put(&rows).await;
        let action = match action {
            "send" => Action::Send,
            "clear" => Action::Clear,
            "delete" => Action::Delete,
            other => panic!("no action `{other}`"),
        };
        let mut sent = operation(action, record(ANN, sent));
        sent.in_doubt = doubt == "doubt";
        let answer = place.run(mode, &[batch(7, vec![sent])]).await.unwrap_or_else(|e| panic!("{kind:?}: {line}: {e}"));
        assert_eq!(word(&answer[0][0]), outcome, "{kind:?}: {line}: {answer:?}");
        match after {
            "-" => rows.remove(ANN),
            after => rows.insert(ANN.into(), after.into()),
        };
        assert_eq!(place.rows().await, rows, "{kind:?}: {line}");
        ran += 1;
    }
    assert!(ran > 20, "only {ran} cases ran against {kind:?}");
}

#[tokio::test]
async fn every_mode_against_sqlite() {
    check(Kind::Sqlite).await;
}

#[tokio::test]
async fn every_mode_against_postgres() {
    check(Kind::Postgres).await;
}

#[tokio::test]
async fn every_mode_against_mysql() {
    check(Kind::Mysql).await;
}

#[tokio::test]
async fn every_mode_against_csv() {
    check(Kind::Csv).await;
}

#[tokio::test]
async fn every_mode_against_json_lines() {
    check(Kind::Jsonl).await;
}

#[tokio::test]
async fn every_mode_against_parquet() {
    check(Kind::Parquet).await;
}

#[tokio::test]
async fn a_null_identifier_is_rejected_and_the_others_go() {
    for kind in Kind::ALL {
        let Some(place) = Place::new(kind).await else { continue };
        let sends = vec![send("a@x", "free 1"), send("null", "free 2"), send("b@x", "free 3")];
        let answer = place.run(Mode::Upsert, &[batch(1, sends)]).await.unwrap();
        assert!(matches!(&answer[0][1], Outcome::Rejected { code, .. } if code == "null_identifier"), "{kind:?}");
        assert_eq!((&answer[0][0], &answer[0][2]), (&Outcome::Succeeded, &Outcome::Succeeded), "{kind:?}");
        assert_eq!(place.rows().await.len(), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn records_with_the_same_identifiers_go_in_their_order() {
    for kind in Kind::ALL {
        let Some(place) = Place::new(kind).await else { continue };
        place.put(&Rows::from([("old@x".into(), "free 1".into())])).await;
        let sends = ["new@x", "old@x", "new@x", "old@x", "new@x"];
        let sends: Vec<_> = sends.iter().enumerate().map(|(i, email)| send(email, &format!("p{i} {i}"))).collect();
        let answer = place.run(Mode::Upsert, &[batch(1, sends.clone())]).await.unwrap();
        assert!(answer[0].iter().all(|o| *o == Outcome::Succeeded), "{kind:?}: {answer:?}");
        let rows = Rows::from([("new@x".into(), "p4 4".into()), ("old@x".into(), "p3 3".into())]);
        assert_eq!(place.rows().await, rows, "{kind:?}");

        let more = vec![send("fresh@x", "free 1"), send("fresh@x", "gold 2")];
        let answer = place.run(Mode::Insert, &[batch(2, more)]).await.unwrap();
        assert_eq!(answer[0].iter().map(word).collect::<Vec<_>>(), ["succeeded", "already_exists"], "{kind:?}");
        assert_eq!(place.rows().await["fresh@x"], "free 1", "{kind:?}");
    }
}

#[tokio::test]
async fn if_added_fields_are_written_only_with_new_records() {
    for kind in Kind::ALL {
        let Some(place) = Place::new(kind).await else { continue };
        place.put(&Rows::from([("old@x".into(), "null 1".into())])).await;
        let mut target = place.target(Mode::Upsert);
        target.fields[0].write = syncline::manifest::sync::Write::IfAdded;
        let sends = vec![send("new@x", "free 2"), send("old@x", "free 3"), send("other@x", "_ 4")];
        super::place::run(&*place.destination, &target, &[batch(1, sends)]).await.unwrap();
        let rows = [("new@x", "free 2"), ("old@x", "null 3"), ("other@x", "null 4")];
        assert_eq!(place.rows().await, rows.map(|(e, r)| (e.into(), r.into())).into(), "{kind:?}");
    }
}

#[tokio::test]
async fn modes_that_do_not_work_name_those_that_do() {
    for kind in Kind::ALL {
        let Some(place) = Place::new(kind).await else { continue };
        for (mode, works) in [(Mode::Upsert, true), (Mode::Update, !kind.is_file()), (Mode::Add, false)] {
            match place.destination.capabilities("users", mode, &Default::default()) {
                Ok(capabilities) => assert!(works && capabilities.modes.contains(&mode), "{kind:?} {mode:?}"),
                Err(error) => assert!(!works && error.help().unwrap().contains("`mirror`"), "{kind:?} {mode:?}"),
            }
        }
    }
}
