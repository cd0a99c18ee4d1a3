//! One delivery at a time: what each fault leads to.

use std::time::Duration;

use super::fake::Fault;
use super::stage::{Rows, SYNC, Stage, changes, key_hash, row_hash, write_plan};
use super::stop;
use crate::destinations::{Action, Class};
use crate::diagnostic::Error;
use crate::diff::RowState;
use crate::manifest::sync::Limit;
use crate::plan::operations;
use crate::state::journal::Policy;
use crate::state::runs::{Run, Status, SyncRun};
use crate::state::{LockRequest, PlanUse};

fn rows(keys: std::ops::RangeInclusive<i64>) -> Rows {
    keys.map(|key| (key, key)).collect()
}

fn only(run: &Run) -> &SyncRun {
    assert_eq!(run.syncs.len(), 1);
    &run.syncs[0]
}

async fn apply(stage: &mut Stage, rows: &Rows) -> Run {
    stage.apply(rows, -1, false).await.unwrap().expect("something to do")
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_and_a_second_plan_is_empty() {
    let mut stage = Stage::new(Class::A);
    let run = apply(&mut stage, &rows(1..=10)).await;
    let sync = only(&run);
    assert_eq!(
        (run.status, sync.status, sync.succeeded.added, sync.requests, sync.retries),
        (Status::Succeeded, Status::Succeeded, 10, 3, 0)
    );
    assert_eq!(stage.world.lock().unwrap().records, rows(1..=10));
    assert_eq!(stage.world.lock().unwrap().most_in_flight, 3);
    assert_eq!(stage.world.lock().unwrap().settled, 1, "settled once, although nothing was deferred");
    assert!(stage.apply(&rows(1..=10), -1, false).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn transient_faults_are_tried_again_and_retry_after_is_kept_to() {
    let mut stage = Stage::new(Class::D);
    stage.world.lock().unwrap().script = [Fault::RetryAfter(42), Fault::None, Fault::None, Fault::Transient].into();
    let begun = tokio::time::Instant::now();
    let run = apply(&mut stage, &rows(1..=10)).await;
    assert_eq!((only(&run).succeeded.added, only(&run).retries), (10, 2));
    assert!(begun.elapsed() >= Duration::from_secs(42));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_does_not_recover_ends_the_sync_and_nothing_is_in_doubt() {
    let mut stage = Stage::new(Class::D);
    stage.world.lock().unwrap().script = vec![Fault::Transient; 200].into();
    let run = apply(&mut stage, &rows(1..=10)).await;
    let sync = only(&run);
    assert_eq!((run.status, sync.pending, sync.in_doubt), (Status::Failed, 10, 0));
    assert!(sync.error.as_deref().unwrap_or_default().contains("503"), "{:?}", sync.error);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_batch_is_halved_until_the_bad_record_stands_alone() {
    let mut stage = Stage::new(Class::A);
    (stage.batch_size, stage.concurrency) = (64, 1);
    stage.world.lock().unwrap().poison = [17, 40].into();
    let run = apply(&mut stage, &rows(1..=64)).await;
    let sync = only(&run);
    assert_eq!((run.status, sync.succeeded.added, sync.rejected, sync.pending), (Status::Partial, 62, 2, 0));
    assert_eq!(sync.rejections.iter().map(|r| (r.code.as_str(), r.count)).collect::<Vec<_>>(), [("poison", 2)]);
    assert!(sync.requests <= 1 + 2 * 6 * 2, "{} requests", sync.requests);
    // Final for this payload: not planned again, but counted when it is sent again with another.
    assert!(stage.apply(&rows(1..=64), -1, false).await.unwrap().is_none());
    let mut changed = rows(1..=64);
    changed.insert(17, 400);
    assert_eq!(only(&apply(&mut stage, &changed).await).succeeded.added, 1);
    let (state, _) = stage.open(-1, false).unwrap();
    let (rejected, count) = state.rejected(&state.run(&run.run_id).unwrap(), 1).unwrap();
    assert_eq!((rejected[0].key.as_str(), rejected[0].code.as_deref(), count), ("17", Some("poison"), 2));
    assert_eq!(rejected[0].fields.as_deref(), Some(r#"{"key":17,"version":17}"#));
}

#[tokio::test(start_paused = true)]
async fn bad_credentials_end_the_sync_after_what_is_in_flight() {
    let mut stage = Stage::new(Class::A);
    stage.world.lock().unwrap().script = vec![Fault::Fatal; 100].into();
    let run = apply(&mut stage, &rows(1..=100)).await;
    assert_eq!((run.status, only(&run).pending), (Status::Failed, 100));
    assert!(only(&run).requests <= 3, "as many as were in flight");
    assert_eq!(stage.world.lock().unwrap().settled, 1);
}

#[tokio::test(start_paused = true)]
async fn too_many_rejections_stop_the_sync_and_its_deletes() {
    let mut stage = Stage::new(Class::A);
    (stage.batch_size, stage.concurrency) = (10, 1);
    apply(&mut stage, &rows(1..=5)).await;
    stage.max_rejected = Some(Limit::Percent(5.0));
    stage.world.lock().unwrap().rejected = (100..200).collect();
    let bad: Rows = (6..=45).map(|key| (key, 100 + key)).collect();
    let run = apply(&mut stage, &bad).await;
    let sync = only(&run);
    assert_eq!((sync.rejected, sync.pending), (10, 35), "5 % of 45 are exceeded by the first batch");
    assert!(sync.error.as_deref().unwrap_or_default().contains("max_rejected"));
    assert_eq!(stage.world.lock().unwrap().records, rows(1..=5), "nothing was deleted");
}

#[tokio::test(start_paused = true)]
async fn deletes_go_last_and_only_when_all_else_has_landed() {
    let mut stage = Stage::new(Class::A);
    apply(&mut stage, &rows(1..=8)).await;
    stage.world.lock().unwrap().batches.clear();
    stage.world.lock().unwrap().script = [Fault::Slow(5000)].into();
    let run = apply(&mut stage, &rows(5..=20)).await;
    assert_eq!((only(&run).succeeded.added, only(&run).succeeded.removed), (12, 4));
    let batches: Vec<Action> = stage.world.lock().unwrap().batches.iter().map(|(action, _)| *action).collect();
    assert_eq!(batches, [Action::Send, Action::Send, Action::Send, Action::Delete]);
    assert_eq!(stage.world.lock().unwrap().records, rows(5..=20));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_resolved_by_the_class() {
    // Class, policy, was it executed → times executed, succeeded, unverified, in doubt, planned again
    let cases = [
        (Class::A, Policy::Hold, true, 2, 1, 0, 0, 0),
        (Class::B, Policy::Hold, true, 1, 1, 0, 0, 0),
        (Class::C, Policy::Hold, true, 1, 1, 0, 0, 0),
        (Class::C, Policy::Hold, false, 1, 1, 0, 0, 0),
        (Class::D, Policy::Hold, true, 1, 0, 0, 1, 0),
        (Class::D, Policy::Hold, false, 0, 0, 0, 1, 0),
        (Class::D, Policy::Resend, true, 2, 1, 0, 0, 0),
        (Class::D, Policy::Skip, true, 1, 0, 1, 0, 0),
        (Class::D, Policy::Skip, false, 0, 0, 1, 0, 0),
    ];
    for (class, on_doubt, executed, times, succeeded, unverified, in_doubt, again) in cases {
        let mut stage = Stage::new(class);
        stage.on_doubt = on_doubt;
        stage.world.lock().unwrap().script = [if executed { Fault::LostAfter } else { Fault::LostBefore }].into();
        let run = apply(&mut stage, &rows(1..=1)).await;
        let sync = only(&run);
        let told = (sync.succeeded.added, sync.unverified, sync.in_doubt);
        assert_eq!(told, (succeeded, unverified, in_doubt), "{class:?} {on_doubt:?} {executed}");
        assert_eq!(stage.world.lock().unwrap().deeds.len(), times, "{class:?} {on_doubt:?} {executed}");
        let (state, _) = stage.open(-1, false).unwrap();
        assert_eq!(changes(&state.read().unwrap(), &rows(1..=1)).len(), again);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_held_and_leaves_the_snapshot() {
    let mut stage = Stage::new(Class::A);
    apply(&mut stage, &rows(1..=3)).await;
    stage.world.lock().unwrap().missing = [2].into();
    let mut changed = rows(1..=3);
    changed.insert(2, 200);
    let run = apply(&mut stage, &changed).await;
    assert_eq!((run.status, only(&run).no_match), (Status::Succeeded, 1));
    let (state, _) = stage.open(-1, false).unwrap();
    let view = state.read().unwrap().view(SYNC, None).unwrap();
    assert_eq!(view.entry.unwrap().rows, 2);
    assert!(view.held.contains_key(&key_hash(2)));
    assert!(stage.apply(&changed, -1, false).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn deferred_batches_are_settled_at_the_end() {
    let mut stage = Stage::new(Class::A);
    stage.world.lock().unwrap().script = vec![Fault::Deferred; 10].into();
    stage.world.lock().unwrap().rejected = [3].into();
    let run = apply(&mut stage, &rows(1..=10)).await;
    assert_eq!((only(&run).succeeded.added, only(&run).rejected, only(&run).in_doubt), (9, 1, 0));
    assert_eq!(stage.world.lock().unwrap().settled, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_record_does_not_quote_it_however_late_it_is_said() {
    const VERSION: i64 = 98_765_432;
    // An answer at once, a job of this run, a job that an earlier run handed over.
    for (fault, later) in [(Fault::None, false), (Fault::Deferred, false), (Fault::Job, false), (Fault::Job, true)] {
        let mut stage = Stage::new(Class::A);
        let mut desired = rows(1..=10);
        desired.insert(3, VERSION);
        {
            let world = &mut *stage.world.lock().unwrap();
            (world.script, world.rejected, world.silent) = (vec![fault; 10].into(), [VERSION].into(), later);
        }
        let mut run = apply(&mut stage, &desired).await;
        if later {
            assert_eq!(only(&run).in_doubt, 10);
            stage.world.lock().unwrap().restart(&[]);
            run = apply(&mut stage, &desired).await;
            assert_eq!(stage.world.lock().unwrap().requests, 0, "it was only asked");
        }
        let said: Vec<_> = only(&run).rejections.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(said, ["bad version ‹value›"], "{fault:?}, {later}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_starts_nothing_new_and_drains_in_five_seconds() {
    for (slow, landed) in [(3_000, 12), (60_000, 0)] {
        let mut stage = Stage::new(Class::A);
        let (raise, stop) = stop::channel();
        stage.stop = stop;
        stage.world.lock().unwrap().script = vec![Fault::Slow(slow); 100].into();
        let begun = tokio::time::Instant::now();
        let desired = rows(1..=100);
        let signal = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            raise.raise();
        };
        let (run, ()) = tokio::join!(apply(&mut stage, &desired), signal);
        assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
        let sync = only(&run);
        assert_eq!((sync.succeeded.added, sync.in_doubt, sync.pending), (landed, 12 - landed, 88), "{slow}");
        assert_eq!(stage.world.lock().unwrap().requests, 3);
        // The lock is free, and the next run does the rest.
        stage.stop = stop::Stop::never();
        stage.world.lock().unwrap().script.clear();
        stage.world.lock().unwrap().keys.clear();
        let run = apply(&mut stage, &desired).await;
        assert_eq!(only(&run).succeeded.added, 100 - landed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_goes_on_after_its_interrupted_run_and_is_used_once() {
    let mut stage = Stage::new(Class::B);
    stage.concurrency = 1;
    let changes: Vec<_> = (1..=12).map(|key| (key, key, RowState::Added)).collect();
    let plan = tempfile::tempdir().unwrap();
    write_plan(plan.path(), &changes, Some(Action::Delete));
    let mut bound = None;
    // Dies with the second answer not written, then goes on with the same plan.
    for (round, left) in [(0, 7), (1, -1), (2, -1)] {
        let (state, dead) = stage.open(left, false).unwrap();
        let locked = state.lock(&LockRequest::new("apply")).unwrap();
        let reading = locked.read().unwrap();
        let (lineage, serial) = bound.get_or_insert((reading.lineage().to_owned(), reading.serial())).clone();
        let result = stage.carry_out(&locked, &dead, "the-plan", (&lineage, serial), plan.path(), &changes).await;
        match (round, result) {
            (0, Err(e)) => assert!(e.to_string().contains("crashed"), "{e}"),
            (1, Ok(run)) => {
                let sync = only(&run);
                assert_eq!(run.status, Status::Succeeded);
                assert!((1..12).contains(&sync.succeeded.added), "only the rest: {}", sync.succeeded.added);
                assert_eq!(sync.planned, sync.succeeded);
            }
            (2, Err(Error::Stale { message, .. })) => assert!(message.contains("already applied"), "{message}"),
            (round, other) => panic!("round {round}: {other:?}"),
        }
    }
    let world = stage.world.lock().unwrap();
    assert_eq!(world.deeds.len(), 12, "every event once");
    drop(world);
    let (state, _) = stage.open(-1, false).unwrap();
    let runs = state.runs().unwrap();
    assert_eq!(runs.iter().map(|r| r.status).collect::<Vec<_>>(), [Status::Succeeded, Status::Partial]);
    assert!(runs[1].error.as_deref().unwrap_or_default().contains("interrupted"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_made_after_a_crash_without_a_lock_fits_the_state_after_its_recovery() {
    let mut stage = Stage::new(Class::C);
    stage.concurrency = 1;
    assert!(stage.apply(&rows(1..=12), 8, true).await.is_err());
    let (state, _) = stage.open(-1, false).unwrap();
    let before = state.document().unwrap();
    let reading = state.read().unwrap();
    let todo = changes(&reading, &rows(1..=12));
    assert!(!todo.is_empty() && todo.len() < 12, "{} rows left", todo.len());
    assert_eq!(state.document().unwrap(), before, "reading commits nothing");
    let locked = state.lock(&LockRequest::new("apply")).unwrap();
    locked.recover().unwrap();
    assert_eq!(locked.check_plan("p", reading.lineage(), reading.serial()).unwrap(), PlanUse::Fresh);
    assert_eq!(changes(&locked.read().unwrap(), &rows(1..=12)), todo);
}

#[test]
fn what_is_left_of_narrowed_operations_keeps_its_order_and_is_counted_anew() {
    let folder = tempfile::tempdir().unwrap();
    let state = |key| if key > 7 { RowState::Removed } else { RowState::Added };
    let rows: Vec<_> = (1..=9).map(|key| (key, key, state(key))).collect();
    write_plan(folder.path(), &rows, Some(Action::Delete));
    let folder = folder.path().join("operations").join(SYNC);
    let mut asked = Vec::new();
    operations::narrow(&folder, &mut |head| {
        asked.push(head.ordinal);
        ["3", "5", "8"].contains(&head.key.as_str())
    })
    .unwrap();
    assert_eq!(asked, (0..9).collect::<Vec<_>>());
    let left: Vec<_> = operations::read(&folder).unwrap().flat_map(|part| part.unwrap().heads).collect();
    let told: Vec<_> = left.iter().map(|h| (h.ordinal, h.key.as_str(), h.action)).collect();
    let (send, delete) = (Some(Action::Send), Some(Action::Delete));
    assert_eq!(told, [(0, "3", send), (1, "5", send), (2, "8", delete)]);
    assert_eq!(left[0].row_hash, row_hash(3, 3));
}
