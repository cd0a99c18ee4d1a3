//! One list of promises, kept by a folder and by a store elsewhere.

use std::fs;
use std::time::Duration;

use object_store::memory::InMemory;
use tempfile::TempDir;

use super::cloud::Cloud;
use super::*;
use crate::state::local::Local;

const LEASE: Duration = Duration::from_secs(60);

/// A bucket in memory, and any number of commands that use it.
struct Bucket {
    store: Arc<InMemory>,
    folder: TempDir,
}

impl Bucket {
    fn new() -> Self {
        Self { store: Arc::default(), folder: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Remote {
        let cloud = Cloud::over(self.store.clone(), "team", "s3://bucket/team".into(), StateType::S3);
        Remote::new(Arc::new(cloud), &self.folder.path().join(".syncline"), "prod").unwrap()
    }
}

fn document(serial: u64, token: u64) -> Vec<u8> {
    format!("{{\"serial\": {serial}, \"token\": {token}}}").into_bytes()
}

fn token(acquired: Acquired) -> (u64, bool) {
    match acquired {
        Acquired::Taken { holder, from } => (holder.token, from.is_some()),
        Acquired::Busy(holder) => panic!("busy: {holder:?}"),
    }
}

fn both(test: impl Fn(&dyn Fn() -> Box<dyn Backend>)) {
    let folder = tempfile::tempdir().unwrap();
    test(&|| Box::new(Local::open(folder.path().join("prod")).unwrap()));
    let bucket = Bucket::new();
    test(&|| Box::new(bucket.open()));
}

#[test]
fn the_document_is_swapped_by_whoever_holds_the_lock_and_knows_it() {
    both(|open| {
        let (one, other) = (open(), open());
        assert!(one.load().unwrap().is_none());
        one.create(&document(0, 0)).unwrap();
        other.create(&document(7, 7)).unwrap();
        assert_eq!(other.load().unwrap().unwrap().version, 0, "who comes first wins");
        assert!(matches!(one.swap(&document(1, 1), 0, 1), Err(Error::Locked { .. })), "nobody holds the lock");
        let (mine, _) = token(one.acquire("apply", LEASE, 0).unwrap());
        assert!(matches!(other.acquire("apply", LEASE, 0).unwrap(), Acquired::Busy(holder) if holder.token == mine));
        one.swap(&document(1, mine), 0, mine).unwrap();
        assert!(matches!(one.swap(&document(2, mine), 0, mine), Err(Error::Stale { .. })), "it is at 1");
        assert_eq!(other.load().unwrap().unwrap().version, 1);
        assert!(one.renew(mine, LEASE).unwrap());
        one.release(mine).unwrap();
        assert!(one.holder().unwrap().is_none() && !one.renew(mine, LEASE).unwrap());
        let (next, from_dead) = token(other.acquire("apply", LEASE, mine).unwrap());
        assert!(next > mine && !from_dead, "{next} after {mine}");
        other.break_lock().unwrap().unwrap();
        assert!(matches!(other.swap(&document(2, next), 1, next), Err(Error::Locked { .. })));
    });
}

#[test]
fn files_and_journals_are_what_was_put() {
    both(|open| {
        let (one, other) = (open(), open());
        let file = |text: &str| {
            let path = one.scratch().unwrap().join("new");
            fs::write(&path, text).unwrap();
            path
        };
        let read = |backend: &dyn Backend, name: &str| {
            backend.get(name).unwrap().map(|path| fs::read_to_string(path).unwrap())
        };
        one.put("runs/1/plan/operations/people/0.parquet", &file("rows")).unwrap();
        one.put("runs/1/run.json", &file("running")).unwrap();
        assert_eq!(read(&*other, "runs/1/run.json").unwrap(), "running");
        one.put("runs/1/run.json", &file("done")).unwrap();
        for backend in [&*one, &*other] {
            assert_eq!(read(backend, "runs/1/run.json").unwrap(), "done");
            let folder = backend.get_folder("runs/1/plan").unwrap().unwrap();
            assert_eq!(fs::read_to_string(folder.join("operations/people/0.parquet")).unwrap(), "rows");
            assert_eq!(backend.list("runs/1").unwrap(), ["plan", "run.json"]);
            assert_eq!(backend.list("nothing").unwrap(), [""; 0]);
            assert!(backend.get("runs/2").unwrap().is_none() && backend.get_folder("runs/2").unwrap().is_none());
        }
        let mut journal = one.journal("runs/1/journal").unwrap();
        for n in 0..12 {
            journal.append(format!("{n};").as_bytes()).unwrap();
        }
        let written = other.read_journal("runs/1/journal").unwrap().unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "0;1;2;3;4;5;6;7;8;9;10;11;");
        assert!(other.read_journal("runs/2/journal").unwrap().is_none());
        other.remove("runs/1/run.json").unwrap();
        other.remove("runs/1/run.json").unwrap();
        assert!(read(&*other, "runs/1/run.json").is_none() && read(&*one, "runs/1/run.json").is_none());
        one.remove_folder("runs/1").unwrap();
        assert!(other.list("runs").unwrap().is_empty() && other.get_folder("runs/1/plan").unwrap().is_none());
    });
}

#[test]
fn a_journal_has_one_writer() {
    let bucket = Bucket::new();
    let (one, other) = (bucket.open(), bucket.open());
    let (mut one, mut other) = (one.journal("runs/1/journal").unwrap(), other.journal("runs/1/journal").unwrap());
    one.append(b"mine").unwrap();
    assert!(other.append(b"yours").is_err_and(|e| e.to_string().contains("another run")));
    one.append(b"more").unwrap();
}

#[test]
fn large_files_go_in_parts() {
    let bucket = Bucket::new();
    let bytes: Vec<u8> = (0..20_000_003_u32).map(|n| (n % 251) as u8).collect();
    let path = bucket.folder.path().join("large");
    fs::write(&path, &bytes).unwrap();
    bucket.open().put("snapshots/people.parquet", &path).unwrap();
    let other = bucket.open();
    let found = other.get("snapshots/people.parquet").unwrap().unwrap();
    assert!(fs::read(found).unwrap() == bytes);
}

#[test]
fn a_silent_holder_is_taken_over_and_can_write_nothing_more() {
    let bucket = Bucket::new();
    let (dead, next) = (bucket.open(), bucket.open());
    dead.create(&document(4, 0)).unwrap();
    let (old, _) = token(dead.acquire("apply", Duration::from_secs(1), 0).unwrap());
    // It has read what it is about to swap.
    let seen = dead.read(DOCUMENT).unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(2200));
    let (new, from_dead) = token(next.acquire("apply", LEASE, 0).unwrap());
    assert!(new > old && from_dead);
    assert!(matches!(dead.swap(&document(5, old), 4, old), Err(Error::Locked { .. })));
    assert!(!dead.swap_object(DOCUMENT, document(5, old), When::Is(seen.tag)).unwrap(), "past the look at the lock");
    assert!(!dead.renew(old, LEASE).unwrap());
    dead.release(old).unwrap();
    assert_eq!(next.holder().unwrap().unwrap().token, new);
    assert_eq!(next.load().unwrap().unwrap().version, 4, "a change of hands is no new serial");
    next.swap(&document(5, new), 4, new).unwrap();
}

#[test]
fn the_key_is_made_once_and_an_unreadable_lock_can_be_broken() {
    let bucket = Bucket::new();
    let (one, other) = (bucket.open(), bucket.open());
    assert_eq!(one.key().unwrap().0, other.key().unwrap().0);
    one.create(&document(0, 9)).unwrap();
    assert!(one.swap_object("lock.json", b"no lock".to_vec(), When::Absent).unwrap());
    assert!(one.acquire("apply", LEASE, 0).is_err_and(|e| e.to_string().contains("cannot be read")));
    one.break_lock().unwrap();
    assert!(token(other.acquire("apply", LEASE, 0).unwrap()).0 > 9);
}

/// Many commands want the lock at once: each round one has it, and nothing that was committed is lost.
#[test]
fn of_many_one_has_the_lock() {
    let bucket = Bucket::new();
    bucket.open().create(&document(0, 0)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let backend = bucket.open();
                let mut done = 0;
                while done < 10 {
                    let Acquired::Taken { holder, .. } = backend.acquire("apply", LEASE, 0).unwrap() else { continue };
                    let at = backend.load().unwrap().unwrap().version;
                    backend.swap(&document(at + 1, holder.token), at, holder.token).unwrap();
                    backend.release(holder.token).unwrap();
                    done += 1;
                }
            });
        }
    });
    assert_eq!(bucket.open().load().unwrap().unwrap().version, 40);
}
