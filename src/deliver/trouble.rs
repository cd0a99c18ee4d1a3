//! What remote APIs do besides answering: half answers, requests that are too large, many rows of one person, and hosts
//! that do not work at all.

use std::time::Duration;

use tokio::time::Instant;

use super::fake::Fault;
use super::stage::{Rows, SYNC, Stage, changes, key_hash};
use super::stop;
use crate::destinations::{Action, Class};
use crate::state::runs::{Run, Status, SyncRun};

fn rows(keys: std::ops::RangeInclusive<i64>) -> Rows {
    keys.map(|key| (key, key)).collect()
}

fn stage(class: Class, batch_size: u32, concurrency: u32, script: Vec<Fault>) -> Stage {
    let mut stage = Stage::new(class);
    (stage.batch_size, stage.concurrency) = (batch_size, concurrency);
    stage.world.lock().unwrap().script = script.into();
    stage
}

async fn apply(stage: &mut Stage, rows: &Rows) -> (Run, SyncRun) {
    let run = stage.apply(rows, -1, false).await.unwrap().expect("something to do");
    let sync = run.syncs[0].clone();
    (run, sync)
}

fn said(sync: &SyncRun) -> &str {
    sync.error.as_deref().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn records_without_an_answer_are_sent_again_after_a_pause() {
    // Append-only: whoever is sent again although it was executed is there twice.
    let mut stage = stage(Class::D, 8, 1, vec![Fault::Partly(0b0101_0101), Fault::PartlyAfter(0b0000_0011, 30)]);
    let begun = Instant::now();
    let (run, sync) = apply(&mut stage, &rows(1..=8)).await;
    assert_eq!((run.status, sync.succeeded.added, sync.requests, sync.retries), (Status::Succeeded, 8, 3, 2));
    assert!(begun.elapsed() >= Duration::from_secs(30), "the pause the destination asked for");
    let mut keys: Vec<i64> = stage.world.lock().unwrap().deeds.iter().map(|deed| deed.0).collect();
    assert_eq!(keys, [1, 3, 5, 7, 2, 4, 6, 8]);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_never_gets_an_answer_stays_pending_and_nothing_is_in_doubt() {
    let mut script = vec![Fault::Partly(0b0000_0111)];
    script.extend(vec![Fault::Partly(0); 500]);
    let mut stage = stage(Class::D, 4, 1, script);
    let begun = Instant::now();
    let (run, sync) = apply(&mut stage, &rows(1..=12)).await;
    assert_eq!(run.status, Status::Partial);
    assert_eq!((sync.succeeded.added, sync.in_doubt, sync.pending), (3, 0, 9));
    assert!(said(&sync).contains("not now"), "{}", said(&sync));
    assert!(sync.requests < 25 && begun.elapsed() < Duration::from_secs(185));
    stage.world.lock().unwrap().restart(&[]);
    assert_eq!(apply(&mut stage, &rows(1..=12)).await.1.succeeded.added, 9, "the next run does the rest");
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_partly_is_known_after_a_crash_in_the_pause() {
    for writes in 5..9 {
        let mut stage = stage(Class::D, 8, 1, vec![Fault::PartlyAfter(0b0101_0101, 30)]);
        assert!(stage.apply(&rows(1..=8), writes, true).await.is_err(), "crashed at write {writes}");
        stage.world.lock().unwrap().restart(&[]);
        stage.apply(&rows(1..=8), -1, false).await.unwrap();
        let world = stage.world.lock().unwrap();
        let mut keys: Vec<i64> = world.deeds.iter().map(|deed| deed.0).collect();
        keys.sort_unstable();
        let sent = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), sent, "write {writes}: a record came twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_too_large_for_a_request_is_cut_anew_and_that_is_no_request() {
    let mut stage = stage(Class::A, 10, 2, Vec::new());
    {
        let mut world = stage.world.lock().unwrap();
        world.fits = Some(3);
        world.huge = [7].into();
    }
    let (run, sync) = apply(&mut stage, &rows(1..=20)).await;
    assert_eq!((run.status, sync.succeeded.added, sync.rejected, sync.retries), (Status::Partial, 19, 1, 0));
    assert_eq!(sync.requests, stage.world.lock().unwrap().requests);
    assert!(sync.requests <= 8, "{} requests", sync.requests);
    assert_eq!((sync.rejections[0].key.as_str(), sync.rejections[0].code.as_str()), ("7", "too_large"));
    assert!(stage.apply(&rows(1..=20), -1, false).await.unwrap().is_none(), "final for its payload");
}

#[tokio::test(start_paused = true)]
async fn many_rows_of_one_person_neither_meet_nor_break_the_batch_short() {
    // 400 events of 80 people, those of a person next to each other.
    for (concurrency, most) in [(1, 30), (4, 60)] {
        let mut stage = stage(Class::B, 20, concurrency, Vec::new());
        stage.world.lock().unwrap().identity = Some(|key| (key as u64 - 1) / 5);
        let (_, sync) = apply(&mut stage, &rows(1..=400)).await;
        assert_eq!(sync.succeeded.added, 400);
        assert!(sync.requests <= most, "{} requests with concurrency {concurrency}", sync.requests);
    }
    // All of one person: one after the other.
    let mut stage = stage(Class::B, 20, 4, Vec::new());
    stage.world.lock().unwrap().identity = Some(|_| 1);
    let (_, sync) = apply(&mut stage, &rows(1..=50)).await;
    assert_eq!((sync.succeeded.added, sync.requests), (50, 50));
    assert_eq!(stage.world.lock().unwrap().most_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn rows_wait_for_a_deferred_batch_with_the_same_identity() {
    let mut stage = stage(Class::A, 10, 3, vec![Fault::Deferred]);
    stage.world.lock().unwrap().identity = Some(|key| key as u64 % 10);
    let (run, sync) = apply(&mut stage, &rows(1..=20)).await;
    assert_eq!((run.status, sync.succeeded.added, sync.in_doubt), (Status::Succeeded, 20, 0));
    assert_eq!(stage.world.lock().unwrap().settled, 2, "before the rows that waited, and at the end");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_handed_over_is_asked_for_before_anything_is_sent() {
    for class in [Class::A, Class::B, Class::C, Class::D] {
        let mut stage = stage(class, 4, 1, vec![Fault::Job, Fault::Deferred, Fault::Job]);
        stage.world.lock().unwrap().silent = true;
        let (run, sync) = apply(&mut stage, &rows(1..=12)).await;
        assert_eq!((run.status, sync.in_doubt, sync.pending), (Status::Partial, 12, 0));
        stage.world.lock().unwrap().restart(&[]);
        // An append-only destination's rows wait for a human; the answer is found all the same.
        stage.retry = class == Class::D;
        let mut desired = rows(1..=13);
        desired.insert(12, 120);
        let (run, sync) = apply(&mut stage, &desired).await;
        assert_eq!((run.status, sync.succeeded.total(), sync.in_doubt), (Status::Succeeded, 13, 0), "{class:?}");
        let (sent, requests) = {
            let world = stage.world.lock().unwrap();
            (world.deeds.iter().map(|deed| deed.1).collect::<Vec<i64>>(), world.requests)
        };
        assert_eq!(requests, 1, "{class:?}: only what is new");
        assert_eq!(sent.iter().filter(|version| **version <= 11).count(), 11, "{class:?}: each once");
        assert_eq!(sent[sent.len() - 2..], [120, 13], "{class:?}");
        stage.retry = false;
        assert!(stage.apply(&desired, -1, false).await.unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_outlives_a_crash() {
    for writes in 4..20 {
        let mut stage = stage(Class::B, 4, 1, vec![Fault::Job; 3]);
        let crashed = stage.apply(&rows(1..=12), writes, true).await.is_err();
        let handed_over = stage.world.lock().unwrap().jobs.len();
        stage.world.lock().unwrap().restart(&[]);
        stage.apply(&rows(1..=12), -1, false).await.unwrap();
        assert!(stage.apply(&rows(1..=12), -1, false).await.unwrap().is_none());
        let world = stage.world.lock().unwrap();
        assert_eq!(world.deeds.len(), 12, "write {writes}");
        // At most the handle that was being written when it crashed is not known.
        assert!(world.jobs.len() <= usize::from(crashed && handed_over > 0), "write {writes}: {}", world.jobs.len());
    }
}

#[tokio::test(start_paused = true)]
async fn removals_wait_until_what_was_handed_over_is_settled() {
    let mut stage = stage(Class::A, 10, 2, Vec::new());
    apply(&mut stage, &rows(1..=4)).await;
    stage.world.lock().unwrap().restart(&[Fault::Deferred]);
    let (_, sync) = apply(&mut stage, &rows(3..=12)).await;
    assert_eq!((sync.succeeded.added, sync.succeeded.removed), (8, 2));
    let world = stage.world.lock().unwrap();
    let removed = world.deeds.iter().skip(4).position(|deed| deed.2 == Action::Delete);
    assert_eq!((removed, world.settled), (Some(8), 2));
}

#[tokio::test(start_paused = true)]
async fn added_and_changed_rows_go_in_batches_of_their_own() {
    let mut stage = stage(Class::A, 10, 2, Vec::new());
    stage.by_state = true;
    let even: Rows = (1..=100).filter(|key| key % 2 == 0).map(|key| (key, key)).collect();
    apply(&mut stage, &even).await;
    stage.world.lock().unwrap().restart(&[]);
    stage.world.lock().unwrap().by_state = true;
    let all: Rows = (1..=100).map(|key| (key, key + 100)).collect();
    let (_, sync) = apply(&mut stage, &all).await;
    assert_eq!((sync.succeeded.added, sync.succeeded.changed), (50, 50));
    assert_eq!(sync.requests, 10, "every batch is full");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_cannot_be_reached_is_given_up_after_ten_seconds() {
    for concurrency in [1, 8] {
        let mut stage = stage(Class::D, 4, concurrency, vec![Fault::Unreachable; 5000]);
        let begun = Instant::now();
        let (run, sync) = apply(&mut stage, &rows(1..=1000)).await;
        assert_eq!((run.status, sync.pending, sync.in_doubt), (Status::Failed, 1000, 0));
        assert!(said(&sync).contains("could not be reached") && said(&sync).contains("connection refused"));
        let took = begun.elapsed();
        assert!((Duration::from_secs(9)..Duration::from_secs(12)).contains(&took), "{took:?}");
        assert!(sync.requests < 120, "{} tries", sync.requests);
    }
    let mut stage = stage(Class::D, 4, 1, vec![Fault::Unreachable; 3]);
    assert_eq!(apply(&mut stage, &rows(1..=10)).await.1.succeeded.added, 10, "back after a moment");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_goes_through_the_sync_stops_early_and_keeps_what_succeeded() {
    for (fault, class) in [(Fault::Transient, Class::D), (Fault::LostBefore, Class::A), (Fault::Partly(0), Class::D)] {
        for concurrency in [1, 8] {
            let mut script = vec![Fault::None; 5];
            script.extend(vec![fault; 5000]);
            let mut stage = stage(class, 4, concurrency, script);
            let begun = Instant::now();
            let (run, sync) = apply(&mut stage, &rows(1..=1000)).await;
            let took = begun.elapsed();
            assert_eq!((run.status, sync.succeeded.added), (Status::Partial, 20), "{fault:?}");
            assert_eq!(sync.pending + sync.in_doubt, 980);
            assert!(class == Class::A || sync.in_doubt == 0);
            assert!(said(&sync).contains("times in a row"), "{}", said(&sync));
            assert!((Duration::from_secs(20)..Duration::from_secs(90)).contains(&took), "{fault:?}: {took:?}");
            stage.world.lock().unwrap().restart(&[]);
            assert_eq!(apply(&mut stage, &rows(1..=1000)).await.1.succeeded.added, 980);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_batch_that_never_recovers_does_not_stop_the_others() {
    let mut stage = stage(Class::A, 4, 3, Vec::new());
    stage.world.lock().unwrap().stuck = [6].into();
    // The others take long enough to be there while it is tried.
    stage.world.lock().unwrap().script = vec![Fault::Slow(2_000); 500].into();
    let (run, sync) = apply(&mut stage, &rows(1..=400)).await;
    assert_eq!((run.status, sync.succeeded.added, sync.pending), (Status::Partial, 396, 4));
    assert!(said(&sync).contains("500"), "{}", said(&sync));
}

#[tokio::test(start_paused = true)]
async fn answers_lost_by_an_append_only_destination_do_not_come_in_thousands() {
    let mut stage = stage(Class::D, 4, 3, vec![Fault::LostAfter; 5000]);
    let (_, sync) = apply(&mut stage, &rows(1..=4000)).await;
    assert!((30..=100).contains(&sync.in_doubt), "{} in doubt", sync.in_doubt);
    assert_eq!(sync.in_doubt + sync.pending, 4000);
    assert!(said(&sync).contains("the connection broke"), "{}", said(&sync));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_hits_every_record_stops_the_sync_and_is_quoted() {
    for tells_alone in [false, true] {
        let mut stage = stage(Class::A, 100, 2, Vec::new());
        stage.world.lock().unwrap().poison = (1..=5000).collect();
        stage.world.lock().unwrap().tells_alone = tells_alone;
        let (run, sync) = apply(&mut stage, &rows(1..=5000)).await;
        assert_eq!(run.status, Status::Failed);
        assert!((200..=220).contains(&sync.rejected), "{} rejected", sync.rejected);
        assert!(said(&sync).contains("poison: one of these"), "{}", said(&sync));
        assert!(sync.requests < 500, "{} requests", sync.requests);
    }
    // Where one record is taken, it is the records and not the sync.
    let mut stage = stage(Class::A, 100, 1, Vec::new());
    stage.world.lock().unwrap().poison = (2..=500).collect();
    let (_, sync) = apply(&mut stage, &rows(1..=500)).await;
    assert_eq!((sync.succeeded.added, sync.rejected, sync.pending), (1, 499, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_rejected_or_not_found_is_sent_again_only_when_it_changes_or_on_retry() {
    let mut stage = stage(Class::A, 10, 1, Vec::new());
    stage.world.lock().unwrap().rejected = [3].into();
    stage.world.lock().unwrap().missing = [4].into();
    let mut desired = rows(1..=6);
    let (_, sync) = apply(&mut stage, &desired).await;
    assert_eq!((sync.succeeded.added, sync.rejected, sync.no_match), (4, 1, 1));
    for version in [50, 51, 52] {
        // Another row changes, run after run: the held ones stay where they are.
        desired.insert(6, version);
        stage.world.lock().unwrap().batches.clear();
        let (_, sync) = apply(&mut stage, &desired).await;
        assert_eq!((sync.succeeded.changed, sync.requests), (1, 1));
        assert_eq!(stage.world.lock().unwrap().batches.iter().map(|batch| batch.1).sum::<usize>(), 1);
    }
    assert!(stage.apply(&desired, -1, false).await.unwrap().is_none());
    stage.retry = true;
    let (_, sync) = apply(&mut stage, &desired).await;
    assert_eq!((sync.planned.total(), sync.rejected, sync.no_match), (2, 1, 1));
    stage.retry = false;
    assert!(stage.apply(&desired, -1, false).await.unwrap().is_none());
    // Other payloads are tried by themselves.
    desired.extend([(3, 30), (4, 40)]);
    stage.world.lock().unwrap().missing.clear();
    let (_, sync) = apply(&mut stage, &desired).await;
    assert_eq!((sync.succeeded.total(), sync.rejected, sync.no_match), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn slow_requests_at_a_signal_are_in_doubt_by_class() {
    // Class → planned again, held
    for (class, again, held) in [(Class::A, 8, 0), (Class::B, 8, 0), (Class::C, 8, 0), (Class::D, 0, 8)] {
        let mut stage = stage(class, 4, 2, vec![Fault::Slow(60_000); 10]);
        let (raise, stop) = stop::channel();
        stage.stop = stop;
        let begun = Instant::now();
        let desired = rows(1..=8);
        let signal = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            raise.raise();
        };
        let ((_, sync), ()) = tokio::join!(apply(&mut stage, &desired), signal);
        assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
        assert_eq!((sync.in_doubt, sync.pending), (8, 0), "{class:?}");
        let (state, _) = stage.open(-1, false).unwrap();
        let reading = state.read().unwrap();
        assert_eq!(changes(&reading, &desired).len(), again, "{class:?}");
        let view = reading.view(SYNC, None).unwrap();
        assert_eq!(view.held.len(), held, "{class:?}");
        assert_eq!(view.held.contains_key(&key_hash(1)), held > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_every_pause_at_once() {
    for fault in [Fault::RetryAfter(100), Fault::PartlyAfter(1, 100), Fault::Unreachable] {
        let mut stage = stage(Class::D, 4, 1, vec![fault; 100]);
        let (raise, stop) = stop::channel();
        stage.stop = stop;
        let begun = Instant::now();
        let desired = rows(1..=8);
        let signal = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            raise.raise();
        };
        let ((_, sync), ()) = tokio::join!(apply(&mut stage, &desired), signal);
        assert!(begun.elapsed() <= Duration::from_millis(1_100), "{fault:?}: {:?}", begun.elapsed());
        assert_eq!(sync.in_doubt, 0, "{fault:?}");
        assert_eq!(sync.succeeded.added + sync.pending, 8);
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_counts_its_requests_is_believed() {
    let mut stage = stage(Class::A, 5, 1, vec![Fault::Transient]);
    stage.world.lock().unwrap().counts = Some(3);
    let (_, sync) = apply(&mut stage, &rows(1..=10)).await;
    assert_eq!((sync.succeeded.added, sync.requests, sync.retries), (10, 9, 1));
}
