//! A destination in memory with every class and every fault, and a state store that crashes on demand.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::destinations::{Action, Batch, Class, Operation, Outcome, SendError, Sent, Writer};
use crate::diagnostic::{Error, Result};
use crate::mapping::Value;
use crate::state::backend::{Acquired, Append, Backend, Holder, Stored, Version};
use crate::state::local::Local;

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    Transient,
    RetryAfter(u64),
    LostBefore,
    LostAfter,
    Fatal,
    /// Taken, and executed when it is settled.
    Deferred,
    /// Taken, and executed at once; the answer comes later.
    Job,
    Unreachable,
    /// Answers for the records whose place modulo 8 is set; the others are not executed.
    Partly(u8),
    /// The same, and asks for so many seconds.
    PartlyAfter(u8, u64),
    /// Takes so many milliseconds.
    Slow(u64),
}

/// What was done to one record.
pub type Deed = (i64, i64, Action);

/// The destination.
#[derive(Default)]
pub struct World {
    /// Records by key.
    pub records: BTreeMap<i64, i64>,
    /// Everything that was executed, in order.
    pub deeds: Vec<Deed>,
    pub dedupe_ids: HashSet<String>,
    pub script: VecDeque<Fault>,
    /// Versions with which a whole batch is refused.
    pub poison: BTreeSet<i64>,
    /// What is refused alone is told as the outcome of a record.
    pub tells_alone: bool,
    /// Versions that are rejected one by one.
    pub rejected: BTreeSet<i64>,
    /// Keys that are not there (update-only).
    pub missing: BTreeSet<i64>,
    pub deferred: HashMap<String, Vec<Operation>>,
    /// Answers of jobs.
    pub jobs: HashMap<String, Vec<Outcome>>,
    handles: u64,
    /// The destination does not say what became of what it has taken.
    pub silent: bool,
    pub requests: u64,
    pub in_flight: u64,
    pub most_in_flight: u64,
    pub settled: u64,
    /// Keys in flight, to see that no key is there twice.
    pub keys: HashSet<i64>,
    pub batches: Vec<(Action, usize)>,
    /// Most records of a request.
    pub fits: Option<usize>,
    /// Versions that are larger than any request.
    pub huge: BTreeSet<i64>,
    /// Versions with which every request fails.
    pub stuck: BTreeSet<i64>,
    /// What must not be twice in flight, by key.
    pub identity: Option<fn(i64) -> u64>,
    identities: HashSet<u64>,
    /// Position last executed by identity.
    order: HashMap<u64, u64>,
    /// True when added and changed rows must not be mixed.
    pub by_state: bool,
    /// Requests each batch takes, if the destination counts them itself.
    pub counts: Option<u64>,
}

/// Keys and versions are what the tests make of a record.
pub fn deed(operation: &Operation) -> Deed {
    let key = match operation.record.matching.first() {
        Some(Value::Int(key)) => *key,
        other => panic!("no key: {other:?}"),
    };
    let version = match operation.record.fields.first() {
        Some(Some(Value::Int(version))) => *version,
        other => panic!("no version: {other:?}"),
    };
    (key, version, operation.action)
}

impl World {
    fn execute(&mut self, class: Class, operation: &Operation) -> Outcome {
        let (key, version, action) = deed(operation);
        if let Some(identity) = self.identity {
            let last = self.order.insert(identity(key), operation.ordinal).unwrap_or(0);
            assert!(operation.ordinal >= last, "key {key} overtook one with the same identity");
        }
        if self.rejected.contains(&version) && action == Action::Send {
            return Outcome::Rejected { code: "bad".into(), message: format!("bad version {version}") };
        }
        if self.missing.contains(&key) {
            return Outcome::NoMatch;
        }
        let known = match class {
            Class::A | Class::D => false,
            Class::B => !self.dedupe_ids.insert(operation.dedupe_id.text()),
            Class::C => {
                let there = self.records.get(&key);
                let done = if action == Action::Send { there == Some(&version) } else { there.is_none() };
                operation.in_doubt && done
            }
        };
        if !known {
            self.deeds.push((key, version, action));
            match action {
                Action::Send => self.records.insert(key, version),
                Action::Clear | Action::Delete => self.records.remove(&key),
            };
        }
        Outcome::Succeeded
    }
}

/// A connection to the world.
pub struct FakeWriter {
    pub world: Arc<Mutex<World>>,
    pub class: Class,
    /// Set once the process is "dead": nothing is executed any more.
    pub dead: Arc<AtomicBool>,
}

fn lost() -> SendError {
    SendError::Lost { message: "the connection broke".into() }
}

#[async_trait]
impl Writer for FakeWriter {
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        let keys: Vec<i64> = batch.operations.iter().map(|o| deed(o).0).collect();
        let identities: Vec<u64>;
        let fault = {
            let mut world = self.world.lock().unwrap();
            let fits = world.fits.unwrap_or(usize::MAX);
            let huge = batch.operations.iter().position(|o| world.huge.contains(&deed(o).1)).unwrap_or(usize::MAX);
            if fits.min(huge) < batch.operations.len() {
                return Err(SendError::Oversize { fits: fits.min(huge) });
            }
            identities = world.identity.map_or(Vec::new(), |f| keys.iter().map(|key| f(*key)).collect());
            for identity in &identities {
                assert!(world.identities.insert(*identity), "identity {identity} is in flight twice");
            }
            let added = batch.operations[0].added;
            assert!(!world.by_state || batch.operations.iter().all(|o| o.added == added), "added and changed mixed");
            world.requests += 1;
            world.in_flight += 1;
            world.most_in_flight = world.most_in_flight.max(world.in_flight);
            for key in &keys {
                assert!(world.keys.insert(*key), "key {key} is in flight twice");
            }
            assert!(batch.operations.iter().all(|o| o.action == batch.operations[0].action));
            world.batches.push((batch.operations[0].action, batch.operations.len()));
            world.script.pop_front().unwrap_or(Fault::None)
        };
        let pause = if let Fault::Slow(ms) = fault { ms } else { 1 };
        // Dropped in mid-air, the request has left the keys in flight: nobody sends after that.
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let mut world = self.world.lock().unwrap();
        world.in_flight -= 1;
        keys.iter().for_each(|key| {
            world.keys.remove(key);
        });
        identities.iter().for_each(|identity| {
            world.identities.remove(identity);
        });
        if self.dead.load(Ordering::SeqCst) {
            return Err(SendError::Fatal { message: "dead".into(), help: None });
        }
        match fault {
            Fault::Transient => return Err(SendError::Transient { message: "503".into(), retry_after: None }),
            Fault::RetryAfter(seconds) => {
                let retry_after = Some(Duration::from_secs(seconds));
                return Err(SendError::Transient { message: "429".into(), retry_after });
            }
            Fault::Fatal => return Err(SendError::Fatal { message: "401".into(), help: None }),
            Fault::LostBefore => return Err(lost()),
            Fault::Unreachable => {
                return Err(SendError::Unreachable { message: "connection refused".into() });
            }
            Fault::None
            | Fault::LostAfter
            | Fault::Deferred
            | Fault::Job
            | Fault::Slow(_)
            | Fault::Partly(_)
            | Fault::PartlyAfter(..) => {}
        }
        if batch.operations.iter().any(|o| world.stuck.contains(&deed(o).1)) {
            return Err(SendError::Transient { message: "500".into(), retry_after: None });
        }
        if batch.operations.iter().any(|o| world.poison.contains(&deed(o).1)) {
            let (code, message) = ("poison".into(), "one of these".into());
            return if world.tells_alone && batch.operations.len() == 1 {
                Ok(Sent::Outcomes(vec![Outcome::Rejected { code, message }]))
            } else {
                Err(SendError::Refused { code, message })
            };
        }
        if fault == Fault::Deferred {
            let handle = world.handle();
            world.deferred.insert(handle.clone(), batch.operations.clone());
            return Ok(Sent::Deferred { handle });
        }
        if let Fault::Partly(mask) | Fault::PartlyAfter(mask, _) = fault {
            let answer = |(i, operation)| (mask >> (i % 8) & 1 == 1).then(|| world.execute(self.class, operation));
            let outcomes = batch.operations.iter().enumerate().map(answer).collect();
            let retry_after = if let Fault::PartlyAfter(_, s) = fault { Some(Duration::from_secs(s)) } else { None };
            return Ok(Sent::Partly { outcomes, message: "not now".into(), retry_after });
        }
        let outcomes = batch.operations.iter().map(|o| world.execute(self.class, o)).collect();
        if fault == Fault::Job {
            let handle = world.handle();
            world.jobs.insert(handle.clone(), outcomes);
            return Ok(Sent::Deferred { handle });
        }
        if fault == Fault::LostAfter {
            return Err(lost());
        }
        Ok(Sent::Outcomes(outcomes))
    }

    async fn settle(&self, deferred: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        let mut world = self.world.lock().unwrap();
        world.settled += 1;
        if self.dead.load(Ordering::SeqCst) {
            return Err(SendError::Fatal { message: "dead".into(), help: None });
        }
        if world.silent {
            return Err(SendError::Fatal { message: "no answer".into(), help: None });
        }
        let mut answers = Vec::new();
        for (batch, handle) in deferred {
            if let Some(outcomes) = world.jobs.remove(handle) {
                answers.push((*batch, outcomes));
            } else if let Some(operations) = world.deferred.remove(handle) {
                answers.push((*batch, operations.iter().map(|o| world.execute(self.class, o)).collect()));
            }
        }
        // What an earlier run handed over counted its rows in another plan.
        world.order.clear();
        Ok(answers)
    }

    fn identity(&self, operation: &Operation) -> Option<u64> {
        let identity = self.world.lock().unwrap().identity?;
        Some(identity(deed(operation).0))
    }

    fn requests(&self) -> Option<u64> {
        let world = self.world.lock().unwrap();
        Some(world.counts? * world.requests)
    }
}

impl World {
    fn handle(&mut self) -> String {
        self.handles += 1;
        format!("job-{}", self.handles)
    }

    /// The same destination, as a new process finds it: no request is in flight.
    pub fn restart(&mut self, faults: &[Fault]) {
        let old = std::mem::take(self);
        *self = World {
            records: old.records,
            deeds: old.deeds,
            dedupe_ids: old.dedupe_ids,
            deferred: old.deferred,
            jobs: old.jobs,
            handles: old.handles,
            poison: old.poison,
            rejected: old.rejected,
            fits: old.fits,
            huge: old.huge,
            identity: old.identity,
            by_state: old.by_state,
            script: faults.iter().copied().collect(),
            ..World::default()
        };
    }
}

/// A local state that dies at a chosen write, before it, after it, or (journal) in the middle of it.
pub struct Mortal {
    inner: Local,
    left: Arc<AtomicI64>,
    after: bool,
    dead: Arc<AtomicBool>,
}

impl Mortal {
    /// Dies at write number `left` (never, if negative); `after` says whether that write still happens.
    pub fn new(folder: PathBuf, left: i64, after: bool, dead: Arc<AtomicBool>) -> Self {
        Self { inner: Local::open(folder).unwrap(), left: Arc::new(AtomicI64::new(left)), after, dead }
    }

    fn alive(&self) -> Result<()> {
        if self.dead.load(Ordering::SeqCst) { Err(Error::failed("crashed")) } else { Ok(()) }
    }

    fn write<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.alive()?;
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return work();
        }
        self.dead.store(true, Ordering::SeqCst);
        if self.after {
            work()?;
        }
        Err(Error::failed("crashed"))
    }
}

struct MortalJournal {
    inner: Box<dyn Append>,
    left: Arc<AtomicI64>,
    after: bool,
    dead: Arc<AtomicBool>,
}

impl Append for MortalJournal {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(Error::failed("crashed"));
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return self.inner.append(bytes);
        }
        self.dead.store(true, Ordering::SeqCst);
        let torn = if self.after { bytes.len() } else { bytes.len() * 2 / 3 };
        self.inner.append(&bytes[..torn])?;
        Err(Error::failed("crashed"))
    }
}

impl Backend for Mortal {
    fn place(&self) -> String {
        self.inner.place()
    }
    fn load(&self) -> Result<Option<Stored>> {
        self.alive()?;
        self.inner.load()
    }
    fn create(&self, bytes: &[u8]) -> Result<()> {
        self.write(|| self.inner.create(bytes))
    }
    fn swap(&self, bytes: &[u8], expected: Version, token: u64) -> Result<()> {
        self.write(|| self.inner.swap(bytes, expected, token))
    }
    fn acquire(&self, operation: &str, lease: Duration, least: u64) -> Result<Acquired> {
        self.write(|| self.inner.acquire(operation, lease, least))
    }
    fn renew(&self, token: u64, lease: Duration) -> Result<bool> {
        self.alive()?;
        self.inner.renew(token, lease)
    }
    fn release(&self, token: u64) -> Result<()> {
        self.alive()?;
        self.inner.release(token)
    }
    fn holder(&self) -> Result<Option<Holder>> {
        self.inner.holder()
    }
    fn is_held(&self) -> Result<bool> {
        self.inner.is_held()
    }
    fn break_lock(&self) -> Result<Option<Holder>> {
        self.write(|| self.inner.break_lock())
    }
    fn put(&self, name: &str, file: &Path) -> Result<()> {
        self.write(|| self.inner.put(name, file))
    }
    fn get(&self, name: &str) -> Result<Option<PathBuf>> {
        self.alive()?;
        self.inner.get(name)
    }
    fn get_folder(&self, name: &str) -> Result<Option<PathBuf>> {
        self.alive()?;
        self.inner.get_folder(name)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.write(|| self.inner.remove(name))
    }
    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.alive()?;
        self.inner.list(folder)
    }
    fn journal(&self, name: &str) -> Result<Box<dyn Append>> {
        let inner = self.write(|| self.inner.journal(name))?;
        let (left, after, dead) = (self.left.clone(), self.after, self.dead.clone());
        Ok(Box::new(MortalJournal { inner, left, after, dead }))
    }
    fn read_journal(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.alive()?;
        self.inner.read_journal(name)
    }
    fn scratch(&self) -> Result<PathBuf> {
        self.alive()?;
        self.inner.scratch()
    }
}
