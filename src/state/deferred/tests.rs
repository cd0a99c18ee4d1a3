use std::path::Path;
use std::sync::Arc;

use crate::deliver::stage::{SYNC, change_batch, key_hash, row_hash, spec};
use crate::destinations::{Action, Class, Outcome};
use crate::diff::{HashKey, RowState};
use crate::plan::operations::{self, Frozen};
use crate::state::journal::{Policy, Record, SyncRecord};
use crate::state::local::Local;
use crate::state::marks::Marks;
use crate::state::{Effort, LockRequest, Locked, State};

fn lock(folder: &Path) -> Locked {
    let backend = Arc::new(Local::open(folder.join("state")).unwrap());
    let state = State::with_backend(backend, "", HashKey([7; 16])).unwrap();
    state.lock(&LockRequest::new("apply")).unwrap()
}

fn record() -> SyncRecord {
    SyncRecord {
        number: 0,
        sync: SYNC.into(),
        model: "people".into(),
        destination: "crm".into(),
        sent_to: None,
        class: Class::A,
        on_doubt: Policy::Hold,
        values: true,
        key: vec![("key".into(), "integer".into())],
        key_open: false,
        mapping: spec(),
        queried_records: 0,
        model_rows: None,
        way: None,
        unchanged: 0,
        invalid: 0,
    }
}

/// A plan of these rows, all to be sent.
fn plan(folder: &Path, name: &str, rows: &[(i64, i64, RowState)]) -> std::path::PathBuf {
    let plan = folder.join(name);
    let mut writer = operations::Writer::create(&plan.join("operations").join(SYNC)).unwrap();
    let keys: Vec<String> = rows.iter().map(|row| row.0.to_string()).collect();
    writer.write(&change_batch(rows), &vec![Some(Action::Send); rows.len()], &keys).unwrap();
    writer.finish().unwrap();
    plan
}

fn intent(batch: u64, from: u64, to: u64) -> Record {
    Record::Intent { sync: 0, batch, action: Action::Send, rows: vec![(from, to)] }
}

/// Hands three rows over as one batch, whose answer never comes; then the process is killed, or not.
async fn hand_over(folder: &Path, killed: bool) {
    let locked = lock(folder);
    let rows: Vec<_> = (1..=4).map(|key| (key, 10 * key, RowState::Added)).collect();
    let run = locked.begin("first", &plan(folder, "first", &rows)).unwrap();
    let sync = run.begin_sync(record()).unwrap();
    assert!(sync.leftover.is_empty());
    let mut marks = Marks::default();
    run.journal().write(&intent(0, 0, 0)).await.unwrap();
    run.journal().queue(&Record::Ack { batch: 0, outcomes: vec![(1, Outcome::Succeeded)] }).unwrap();
    marks.answer(0, &Outcome::Succeeded);
    run.journal().write(&intent(1, 1, 3)).await.unwrap();
    run.journal().queue(&Record::Deferred { batch: 1, handle: "job-7".into() }).unwrap();
    run.journal().sync().await.unwrap();
    if !killed {
        (1..=3).for_each(|ordinal| marks.set(ordinal, crate::state::marks::Mark::InDoubt));
        run.finish_sync(&sync, &marks, Effort::default()).unwrap();
        run.finish(Vec::new(), None).unwrap();
    }
}

#[tokio::test]
async fn a_batch_that_was_never_settled_is_offered_to_the_next_run() {
    for killed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        hand_over(folder.path(), killed).await;
        let locked = lock(folder.path());
        locked.recover().unwrap();
        let entry = |locked: &Locked| locked.read().unwrap().document().syncs[SYNC].clone();
        assert_eq!((entry(&locked).rows, entry(&locked).rows_in_doubt), (1, 3), "killed: {killed}");

        // Row 2 is planned as it was sent, row 3 has changed since, row 4 waits.
        let rows = [(2, 20, RowState::Added), (3, 31, RowState::Added)];
        let run = locked.begin("second", &plan(folder.path(), "second", &rows)).unwrap();
        let mut sync = run.begin_sync(record()).unwrap();
        assert_eq!(sync.in_doubt.len(), 3);
        let [batch] = &sync.leftover[..] else { panic!("{:?}", sync.leftover) };
        let (id, rows) = (batch.id, batch.rows.clone());
        let hashes: Vec<_> = rows.iter().map(|row| (row.key_hash, row.row_hash)).collect();
        assert_eq!(hashes, [2, 3, 4].map(|key| (key_hash(key), row_hash(key, 10 * key))));
        assert_eq!(sync.asked(), [(id, "job-7".to_owned())]);

        assert!(!sync.resolve(id + 1, &[]), "there is no such batch");
        assert!(!sync.resolve(id, &[Outcome::Succeeded]), "an outcome is missing");
        let parts: Vec<Frozen> = run.operations(SYNC).unwrap().map(Result::unwrap).collect();
        assert!(parts[0].heads.iter().all(|head| sync.answered(head).is_none()));
        assert!(sync.resolve(id, &[Outcome::Succeeded, Outcome::Succeeded, Outcome::Succeeded]));
        let answered: Vec<_> = parts[0].heads.iter().map(|head| sync.answered(head)).collect();
        assert_eq!(answered, [Some(&Outcome::Succeeded), None], "another payload is sent");
        assert!(sync.in_doubt.is_empty());

        let mut marks = Marks::default();
        (0..=1).for_each(|ordinal| marks.answer(ordinal, &Outcome::Succeeded));
        run.finish_sync(&sync, &marks, Effort::default()).unwrap();
        run.finish(Vec::new(), None).unwrap();
        let entry = entry(&locked);
        assert_eq!((entry.rows, entry.rows_in_doubt), (3, 1));
        assert!(entry.deferred.is_some(), "row 4 is still in doubt, and its batch can still be asked for");
    }
}

#[tokio::test]
async fn a_batch_is_forgotten_once_none_of_its_rows_is_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    hand_over(folder.path(), true).await;
    let locked = lock(folder.path());
    let rows: Vec<_> = (2..=4).map(|key| (key, 10 * key, RowState::Added)).collect();
    let run = locked.begin("second", &plan(folder.path(), "second", &rows)).unwrap();
    let sync = run.begin_sync(record()).unwrap();
    assert_eq!(sync.leftover.len(), 1);
    // Nobody asked; the rows were sent again.
    let mut marks = Marks::default();
    (0..=2).for_each(|ordinal| marks.answer(ordinal, &Outcome::Succeeded));
    run.finish_sync(&sync, &marks, Effort::default()).unwrap();
    run.finish(Vec::new(), None).unwrap();
    let document = locked.read().unwrap().document().clone();
    assert_eq!((document.syncs[SYNC].rows, &document.syncs[SYNC].deferred), (4, &None));
}

#[tokio::test]
async fn another_mapping_makes_another_payload() {
    let folder = tempfile::tempdir().unwrap();
    hand_over(folder.path(), true).await;
    let locked = lock(folder.path());
    let run = locked.begin("second", &plan(folder.path(), "second", &[(2, 20, RowState::Added)])).unwrap();
    let mut other = record();
    other.mapping.fields = indexmap::IndexMap::new();
    let mut sync = run.begin_sync(other).unwrap();
    let id = sync.leftover[0].id;
    assert!(sync.resolve(id, &[Outcome::Succeeded, Outcome::Succeeded, Outcome::Succeeded]));
    let parts: Vec<Frozen> = run.operations(SYNC).unwrap().map(Result::unwrap).collect();
    assert!(sync.answered(&parts[0].heads[0]).is_none());
}
