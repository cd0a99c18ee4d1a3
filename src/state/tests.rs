//! Lock, journal, document, and what changes the state by hand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::backend::{Acquired, Backend};
use super::document::Document;
use super::held::{HeldOutcome, HeldRow, HeldRows};
use super::journal::{self, Journal, Policy, Record, SyncRecord, ranges_of, runs_of};
use super::local::Local;
use super::marks::{Mark, replay};
use super::{LockRequest, PlanUse, State};
use crate::deliver::stage::{change_batch, spec};
use crate::destinations::{Action, Class, Outcome};
use crate::diagnostic::Error;
use crate::diff::{HashKey, RowState};
use crate::manifest::project::StateBackend;
use crate::plan::operations;

fn open(folder: &Path) -> State {
    let backend = Arc::new(Local::open(folder.join("state")).unwrap());
    State::with_backend(backend, "", HashKey([7; 16])).unwrap()
}

fn request() -> LockRequest {
    LockRequest::new("apply")
}

fn record() -> SyncRecord {
    SyncRecord {
        number: 0,
        sync: "people".into(),
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

#[test]
fn of_many_threads_one_holds_the_lock_and_the_others_are_told_who() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, done, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    open(folder.path());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..15 {
                    match open(folder.path()).lock(&request()) {
                        Ok(locked) => {
                            assert!(!inside.swap(true, Ordering::SeqCst), "two at a time");
                            locked.commit(|_| Ok(())).unwrap();
                            inside.store(false, Ordering::SeqCst);
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(Error::Locked { message, .. }) => {
                            assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
                            assert!(message.contains("apply, since 20"), "{message}");
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(e) => panic!("{e}"),
                    }
                }
            });
        }
    });
    let done = done.into_inner();
    assert!(done >= 1 && refused.into_inner() + done == 90);
    assert_eq!(open(folder.path()).document().unwrap().serial, done, "no commit is lost");
    assert!(!folder.path().join("state/lock.json").exists(), "no lock is left behind");
}

#[test]
fn waiting_for_the_lock_gets_it_when_it_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let held = open(folder.path()).lock(&request()).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let patient = LockRequest { wait: Duration::from_secs(20), ..request() };
            open(folder.path()).lock(&patient).map(|_| ())
        });
        std::thread::sleep(Duration::from_millis(120));
        drop(held);
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn a_dead_holder_on_this_machine_is_taken_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path());
    // Killed: the lock file stays with an hour to go, the system's lock is gone with the process.
    let dead = Local::open(folder.path().join("state")).unwrap();
    let Acquired::Taken { holder, .. } = dead.acquire("apply", Duration::from_secs(3600), 0).unwrap() else { panic!() };
    drop(dead);
    let locked = open(folder.path()).lock(&request()).unwrap();
    assert!(locked.token() > holder.token, "the fencing token grows");
}

#[test]
fn a_holder_elsewhere_is_waited_for_until_its_lease_ends() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    let write = |expires: &str| {
        let holder = serde_json::json!({ "token": 5, "pid": 1, "host": "far-away", "operation": "apply",
            "started": "2026-01-01T00:00:00Z", "expires": expires });
        std::fs::write(folder.path().join("state/lock.json"), holder.to_string()).unwrap();
    };
    write("2999-01-01T00:00:00Z");
    let Err(Error::Locked { message, .. }) = state.lock(&request()) else { panic!("not refused") };
    assert!(message.contains("process 1 on host `far-away` (apply, since 2026-01-01T00:00:00Z)"), "{message}");
    write("2026-01-01T00:01:00Z");
    assert_eq!(state.lock(&request()).unwrap().token(), 6);
    write("2999-01-01T00:00:00Z");
    assert!(state.unlock().unwrap().unwrap().contains("far-away"));
    assert!(state.lock(&request()).is_ok());
}

#[test]
fn a_holder_that_lost_the_lock_cannot_commit_and_notices_at_the_next_heartbeat() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    // It sleeps through its lease: no heartbeat comes in time.
    let slow = LockRequest { lease: Duration::from_millis(20), heartbeat: Duration::from_millis(300), ..request() };
    let old = state.lock(&slow).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    let new = open(folder.path()).lock(&request()).unwrap();
    new.commit(|_| Ok(())).unwrap();
    assert!(matches!(old.commit(|_| Ok(())), Err(Error::Locked { .. })));
    let begun = std::time::Instant::now();
    while !old.lost().load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(old.lost().load(Ordering::SeqCst));
    drop(old);
    assert!(folder.path().join("state/lock.json").exists(), "the lock of another is not given back");
    assert_eq!(state.document().unwrap().serial, 1);
}

fn sample_records() -> Vec<Record> {
    let intent = |batch, from, to| Record::Intent { sync: 0, batch, action: Action::Send, rows: vec![(from, to)] };
    let refused = Outcome::Rejected { code: "bad".into(), message: "zu groß".into() };
    vec![
        Record::Run { format_version: "1.0".into(), run_id: "r".into(), plan_id: "p".into(), token: 1 },
        Record::Sync(Box::new(record())),
        intent(0, 0, 3),
        intent(1, 4, 7),
        Record::Ack { batch: 0, outcomes: vec![(3, Outcome::Succeeded), (1, refused)] },
        intent(2, 8, 9),
        Record::Void { batch: 2 },
        Record::Deferred { batch: 1, handle: "job".into() },
    ]
}

struct Memory(Arc<std::sync::Mutex<Vec<u8>>>, Arc<AtomicU64>);

impl super::backend::Append for Memory {
    fn append(&mut self, bytes: &[u8]) -> crate::diagnostic::Result<()> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn a_journal_cut_at_any_byte_is_a_prefix_of_its_records() {
    let bytes = Arc::default();
    let journal = Journal::new(Box::new(Memory(Arc::clone(&bytes), Arc::default())), Arc::default());
    let records = sample_records();
    for record in &records {
        journal.write(record).await.unwrap();
    }
    let bytes = bytes.lock().unwrap().clone();
    let mut seen = 0;
    for cut in 0..=bytes.len() {
        let (read, whole) = journal::decode(&bytes[..cut]);
        assert_eq!(read[..], records[..read.len()], "cut at {cut}");
        assert!(whole <= cut && read.len() >= seen);
        seen = read.len();
    }
    assert_eq!(seen, records.len());
    // A flipped bit ends the journal at or before it; nothing that is read is wrong.
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let (read, _) = journal::decode(&flipped);
        assert!(read.len() < records.len() && read[..] == records[..read.len()], "flipped at {at}");
    }
}

#[test]
fn a_journal_proves_what_was_answered_and_doubts_the_rest() {
    let proofs = replay(&sample_records());
    let marks: Vec<Mark> = (0..10).map(|i| proofs[0].marks.get(i)).collect();
    let (good, doubt) = (Mark::Succeeded, Mark::InDoubt);
    assert_eq!(marks, [good, good, good, Mark::Rejected, doubt, doubt, doubt, doubt, Mark::Pending, Mark::Pending]);
    assert_eq!(proofs[0].marks.reason(3), Some(&("bad".into(), "zu groß".into())));
}

#[tokio::test]
async fn many_intents_in_flight_share_a_write() {
    let writes = Arc::new(AtomicU64::new(0));
    let journal = Journal::new(Box::new(Memory(Arc::default(), writes.clone())), Arc::default());
    let record = Record::Void { batch: 1 };
    futures_util::future::join_all((0..64).map(|_| journal.write(&record))).await.into_iter().for_each(|r| r.unwrap());
    assert!(writes.load(Ordering::SeqCst) <= 3, "{} writes for 64 records", writes.load(Ordering::SeqCst));
}

#[tokio::test]
async fn nothing_is_written_once_the_lock_is_lost() {
    let lost = Arc::new(AtomicBool::new(false));
    let journal = Journal::new(Box::new(Memory(Arc::default(), Arc::default())), lost.clone());
    journal.write(&Record::Void { batch: 1 }).await.unwrap();
    lost.store(true, Ordering::SeqCst);
    assert!(matches!(journal.write(&Record::Void { batch: 2 }).await, Err(Error::Locked { .. })));
}

proptest! {
    #[test]
    fn ranges_and_runs_say_the_same_as_what_they_are_made_of(
        ordinals in proptest::collection::btree_set(0..60u64, 0..40),
        good in proptest::collection::vec(any::<bool>(), 0..40),
    ) {
        let back: Vec<u64> = ranges_of(ordinals.iter().copied()).iter().flat_map(|(a, b)| *a..=*b).collect();
        prop_assert_eq!(back, ordinals.into_iter().collect::<Vec<_>>());
        let outcomes: Vec<Outcome> =
            good.iter().map(|g| if *g { Outcome::Succeeded } else { Outcome::NoMatch }).collect();
        let runs = runs_of(&outcomes);
        let back: Vec<Outcome> = runs.iter().flat_map(|(n, a)| vec![a.clone(); *n as usize]).collect();
        prop_assert_eq!(back, outcomes);
        prop_assert!(runs.windows(2).all(|w| w[0].1 != w[1].1));
    }
}

#[test]
fn a_damaged_or_newer_document_is_refused_with_a_way_out() {
    let good = String::from_utf8(Document::new("l".into(), "k".into()).to_bytes().unwrap()).unwrap();
    let cases = [
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        (&good[..good.len() / 2], "is damaged"),
        (&good.replace("\"1.0\"", "\"2.0\""), "has format 2.0, this program reads 1.x"),
    ];
    for (text, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path());
        std::fs::write(folder.path().join("state/state.json"), text).unwrap();
        let backend = Arc::new(Local::open(folder.path().join("state")).unwrap());
        let Err(e) = State::with_backend(backend, "", HashKey([7; 16])) else { panic!("{text:?} was read") };
        assert!(e.to_string().contains(words) && e.help().is_some(), "{e}");
    }
    let newer = good.replace("\"1.0\"", "\"1.7\"").replacen('{', "{ \"later\": [1],", 1);
    let read = Document::parse(newer.as_bytes(), "x").unwrap();
    assert!(String::from_utf8(read.to_bytes().unwrap()).unwrap().contains("later"), "unknown keys are kept");
}

#[test]
fn the_hash_key_is_made_once_kept_private_and_missed_when_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let config = StateBackend::default();
    let first = State::open(&config, folder.path(), "prod", None).unwrap();
    let again = State::open(&config, folder.path(), "sandbox", None).unwrap();
    assert_eq!(first.hash_key().0, again.hash_key().0);
    let path = folder.path().join(".syncline/state.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    std::fs::remove_file(&path).unwrap();
    let Err(e) = State::open(&config, folder.path(), "prod", None) else { panic!("a new key was taken") };
    assert!(e.to_string().contains("hash key does not fit"), "{e}");
    assert!(State::open(&config, folder.path(), "prod", Some(first.hash_key().clone())).is_ok());
}

fn adopt(state: &State, keys: std::ops::Range<i64>) -> super::Adoption {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = keys.map(|key| (key, key, RowState::Added)).collect();
    let mut writer = operations::Writer::create(folder.path()).unwrap();
    let texts: Vec<String> = rows.iter().map(|r| r.0.to_string()).collect();
    writer.write(&change_batch(&rows), &vec![None; rows.len()], &texts).unwrap();
    writer.finish().unwrap();
    let locked = state.lock(&request()).unwrap();
    locked.adopt(record(), operations::read(folder.path()).unwrap()).unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let backend = Local::open(folder.join("state")).unwrap();
    ["snapshots", "held"].iter().flat_map(|f| backend.list(f).unwrap()).collect()
}

#[test]
fn rows_are_adopted_renamed_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    assert!(state.read().unwrap().view("people", None).unwrap().first_run);
    assert_eq!(adopt(&state, 0..5).adopted.added, 5);
    assert_eq!(adopt(&state, 5..7).rows, 7);
    let view = state.read().unwrap().view("people", None).unwrap();
    assert!(!view.first_run);
    assert_eq!(view.snapshot.unwrap().rows(), 7);
    // The old snapshot is kept for a plan that may be reading it; after two commits it is gone.
    assert_eq!(files(folder.path()).len(), 2);
    adopt(&state, 7..8);
    assert_eq!(files(folder.path()).len(), 2);

    let locked = state.lock(&request()).unwrap();
    assert_eq!(locked.read().unwrap().view("humans", Some("people")).unwrap().snapshot.unwrap().rows(), 8);
    locked.rename("people", "humans").unwrap();
    assert_eq!(locked.read().unwrap().view("humans", None).unwrap().snapshot.unwrap().rows(), 8);
    let e = locked.rename("peoples", "x").unwrap_err();
    assert!(e.to_string().contains("holds no sync `peoples`"), "{e}");
    assert_eq!(locked.forget("human").unwrap_err().help(), Some("did you mean `humans`?"));
    assert_eq!(locked.forget("humans").unwrap(), 8);
    assert_eq!(files(folder.path()), Vec::<String>::new(), "nothing of it is left on disk");
}

#[test]
fn a_state_is_pulled_and_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    adopt(&state, 0..5);
    let copy = folder.path().join("copy.zip");
    state.pull(&copy).unwrap();
    adopt(&state, 5..9);
    let locked = state.lock(&request()).unwrap();
    let copy = super::transfer::Pulled::open(&copy).unwrap();
    let older = locked.push(&copy, false).unwrap_err();
    assert!(older.to_string().contains("older than"), "{older}");
    assert!(older.help().unwrap().contains("`--force`"), "{older:?}");
    let before = state.document().unwrap().serial;
    locked.push(&copy, true).unwrap();
    assert!(state.document().unwrap().serial > before, "plans made before are stale");
    assert_eq!(state.read().unwrap().view("people", None).unwrap().snapshot.unwrap().rows(), 5);
    drop(locked);
    // Into an empty state it goes without force, into another one only with it.
    let other = tempfile::tempdir().unwrap();
    open(other.path()).lock(&request()).unwrap().push(&copy, false).unwrap();
    assert_eq!(open(other.path()).read().unwrap().view("people", None).unwrap().snapshot.unwrap().rows(), 5);
    let third = tempfile::tempdir().unwrap();
    adopt(&open(third.path()), 0..1);
    let e = open(third.path()).lock(&request()).unwrap().push(&copy, false).unwrap_err();
    assert!(e.to_string().contains("another state"), "{e}");
}

#[test]
fn a_plan_whose_run_died_before_anything_was_sent_can_still_be_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let plan = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    let serial = state.document().unwrap().serial;
    {
        let locked = state.lock(&request()).unwrap();
        assert_eq!(locked.check_plan("plan", &locked.lineage(), serial).unwrap(), PlanUse::Fresh);
        // Dropped without an end, as by a kill; its journal was never made durable.
        drop(locked.begin("plan", plan.path()).unwrap());
    }
    let locked = state.lock(&request()).unwrap();
    assert!(locked.recover().unwrap().is_empty());
    assert_eq!(locked.check_plan("plan", &locked.lineage(), serial).unwrap(), PlanUse::Resume);
    assert_eq!(state.runs().unwrap(), vec![], "a run that did nothing is none");
}

#[test]
fn a_holder_whose_lock_was_taken_away_does_not_make_its_successor_look_dead() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).lock(&request()).unwrap();
    assert!(open(folder.path()).unlock().unwrap().is_some());
    let second = open(folder.path()).lock(&request()).unwrap();
    assert_ne!(first.token(), second.token(), "a token of its own, although the first one never committed");
    drop(first);
    assert!(matches!(open(folder.path()).lock(&request()), Err(Error::Locked { .. })), "the second one lives");
    drop(second);
    assert!(open(folder.path()).lock(&request()).is_ok());
}

#[test]
fn what_was_refused_in_another_way_is_marked_and_what_nobody_knows_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for (then, now, other) in
        [(Some(1), Some(1), false), (Some(1), Some(2), true), (None, Some(2), false), (Some(1), None, false)]
    {
        let row = HeldRow {
            row_hash: 1,
            key: "1".into(),
            outcome: HeldOutcome::Rejected,
            code: "".into(),
            message: "".into(),
            count: 1,
            run_id: "run".into(),
            mapping: None,
            way: then,
        };
        let file = folder.path().join("held.parquet");
        HeldRows([(7, row)].into()).write(&file).unwrap();
        let held = HeldRows::read(&file).unwrap().for_diff(now);
        assert_eq!(held[&7].other_way, other, "{then:?} {now:?}");
    }
}
