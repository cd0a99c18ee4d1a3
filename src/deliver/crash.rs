//! Random faults and random crash points, then recovery and delivery again: nothing lost, nothing doubled.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::fake::Fault;
use super::stage::{Rows, Stage, changes};
use crate::destinations::{Action, Class};
use crate::state::journal::Policy;

#[derive(Debug, Clone)]
struct Round {
    /// Changed keys and removed keys.
    touched: BTreeSet<i64>,
    removed: BTreeSet<i64>,
    faults: Vec<Fault>,
    crash: i64,
    after: bool,
    /// Most records of a request.
    fits: Option<usize>,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        8 => Just(Fault::None),
        2 => Just(Fault::Transient),
        1 => Just(Fault::RetryAfter(3)),
        2 => Just(Fault::LostBefore),
        2 => Just(Fault::LostAfter),
        1 => Just(Fault::Fatal),
        1 => Just(Fault::Deferred),
        1 => Just(Fault::Job),
        1 => Just(Fault::Slow(20)),
        1 => Just(Fault::Unreachable),
        3 => any::<u8>().prop_map(Fault::Partly),
        1 => any::<u8>().prop_map(|mask| Fault::PartlyAfter(mask, 2)),
    ]
}

fn round() -> impl Strategy<Value = Round> {
    let keys = |n| proptest::collection::btree_set(1..20i64, 0..n);
    let fits = proptest::option::of(1..4usize);
    (keys(15), keys(5), proptest::collection::vec(fault(), 0..12), -1..40i64, any::<bool>(), fits).prop_map(
        |(touched, removed, faults, crash, after, fits)| Round { touched, removed, faults, crash, after, fits },
    )
}

fn rejected(version: i64) -> bool {
    version % 13 == 0 || version % 17 == 0 || version % 19 == 0
}

/// Plays the rounds, then lets everything come right. Returns the stage and the last desired rows.
fn play(class: Class, on_doubt: Policy, rounds: &[Round]) -> (Stage, Rows) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let mut stage = Stage::new(class);
    stage.on_doubt = on_doubt;
    {
        let mut world = stage.world.lock().unwrap();
        world.poison = (1..500).filter(|v| v % 13 == 0).collect();
        world.rejected = (1..500).filter(|v| v % 17 == 0).collect();
        world.huge = (1..500).filter(|v| v % 19 == 0).collect();
        // Two rows of one person, a batch never of more than one state.
        world.identity = Some(|key| key as u64 / 2);
        (world.by_state, stage.by_state) = (true, true);
        // Records of others, which no sync of ours may touch.
        world.records.extend([(-1, 1), (-2, 2)]);
    }
    let mut desired = Rows::new();
    let mut version = 0;
    for round in rounds {
        for key in &round.touched {
            version += 1;
            desired.insert(*key, version);
        }
        desired.retain(|key, _| !round.removed.contains(key));
        stage.world.lock().unwrap().restart(&round.faults);
        stage.world.lock().unwrap().fits = round.fits;
        // A crash is an error, and so is nothing else.
        if let Err(e) = runtime.block_on(stage.apply(&desired, round.crash, round.after)) {
            assert!(e.to_string().contains("crashed"), "{e}");
        }
    }
    stage.world.lock().unwrap().restart(&[]);
    for _ in 0..3 {
        runtime.block_on(stage.apply(&desired, -1, false)).unwrap();
    }
    (stage, desired)
}

fn check_common(stage: &Stage) {
    let world = stage.world.lock().unwrap();
    for deed in &world.deeds {
        assert!(stage.planned.contains(deed), "{deed:?} was in no plan");
        if deed.2 == Action::Delete {
            // Sent, or in doubt: then nobody knows, and what may be there is ours.
            let sent = stage.planned.iter().any(|(key, _, action)| *key == deed.0 && *action == Action::Send);
            assert!(sent, "{deed:?}: only what was sent may be deleted");
        }
    }
    assert_eq!((world.records.get(&-1), world.records.get(&-2)), (Some(&1), Some(&2)));
}

fn check_exact(stage: &Stage, desired: &Rows) {
    check_common(stage);
    let (state, _) = stage.open(-1, false).unwrap();
    assert_eq!(changes(&state.read().unwrap(), desired), vec![], "a plan after a full apply is empty");
    let world = stage.world.lock().unwrap();
    for (key, version) in desired {
        if rejected(*version) {
            assert_ne!(world.records.get(key), Some(version));
        } else {
            assert_eq!(world.records.get(key), Some(version), "key {key} is lost");
        }
    }
    for key in world.records.keys().filter(|key| **key > 0) {
        assert!(desired.contains_key(key), "key {key} should be deleted");
    }
}

fn counted(stage: &Stage) -> HashMap<(i64, i64), usize> {
    let mut counts = HashMap::new();
    for (key, version, action) in &stage.world.lock().unwrap().deeds {
        if *action == Action::Send {
            *counts.entry((*key, *version)).or_default() += 1;
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn class_a_ends_as_desired(rounds in proptest::collection::vec(round(), 1..6)) {
        let (stage, desired) = play(Class::A, Policy::Hold, &rounds);
        check_exact(&stage, &desired);
    }

    #[test]
    fn class_b_ends_as_desired_with_every_event_once(rounds in proptest::collection::vec(round(), 1..6)) {
        let (stage, desired) = play(Class::B, Policy::Hold, &rounds);
        check_common(&stage);
        let counts = counted(&stage);
        assert!(counts.values().all(|n| *n == 1), "an event came twice: {counts:?}");
        for (key, version) in desired.iter().filter(|(_, v)| !rejected(**v)) {
            assert!(counts.contains_key(&(*key, *version)), "event {key} is lost");
        }
    }

    #[test]
    fn class_c_ends_as_desired_with_every_record_once(rounds in proptest::collection::vec(round(), 1..6)) {
        let (stage, desired) = play(Class::C, Policy::Hold, &rounds);
        check_exact(&stage, &desired);
        assert!(counted(&stage).values().all(|n| *n == 1), "a record came twice");
    }

    #[test]
    fn class_d_on_hold_never_comes_twice_and_every_row_is_accounted_for(rounds in proptest::collection::vec(round(), 1..6)) {
        let (stage, desired) = play(Class::D, Policy::Hold, &rounds);
        check_common(&stage);
        let counts = counted(&stage);
        assert!(counts.values().all(|n| *n == 1), "an activity came twice");
        let (state, _) = stage.open(-1, false).unwrap();
        let reading = state.read().unwrap();
        assert_eq!(changes(&reading, &desired), vec![]);
        let held = reading.view(super::stage::SYNC, None).unwrap().held;
        for (key, version) in &desired {
            let waits = held.contains_key(&super::stage::key_hash(*key));
            assert!(waits || counts.contains_key(&(*key, *version)), "activity {key} is lost");
        }
    }

    #[test]
    fn class_d_on_resend_is_never_lost(rounds in proptest::collection::vec(round(), 1..6)) {
        let (stage, desired) = play(Class::D, Policy::Resend, &rounds);
        check_common(&stage);
        let counts = counted(&stage);
        for (key, version) in desired.iter().filter(|(_, v)| !rejected(**v)) {
            assert!(counts.contains_key(&(*key, *version)), "activity {key} is lost");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn class_d_on_skip_never_comes_twice(rounds in proptest::collection::vec(round(), 1..6)) {
        let (stage, desired) = play(Class::D, Policy::Skip, &rounds);
        check_common(&stage);
        prop_assert!(counted(&stage).values().all(|n| *n == 1), "an activity came twice");
        let (state, _) = stage.open(-1, false).unwrap();
        prop_assert_eq!(changes(&state.read().unwrap(), &desired), vec![]);
    }
}

/// Every write of a whole apply, one after the other, and every write of the recovery after it.
#[test]
fn a_crash_at_any_write_and_again_at_any_write_of_the_recovery() {
    let rows: Rows = (1..=10).map(|key| (key, key)).collect();
    let round = |crash, after| Round {
        touched: BTreeSet::new(),
        removed: BTreeSet::new(),
        faults: vec![Fault::None, Fault::LostAfter, Fault::None, Fault::Deferred],
        crash,
        after,
        fits: None,
    };
    for crash in 0..45 {
        let mut rounds = vec![round(crash, crash % 2 == 0), round(crash / 3, crash % 3 == 0)];
        rounds[0].touched = rows.keys().copied().collect();
        let (stage, desired) = play(Class::C, Policy::Hold, &rounds);
        assert_eq!(desired, rows);
        check_exact(&stage, &desired);
        assert!(counted(&stage).values().all(|n| *n == 1));
    }
}
