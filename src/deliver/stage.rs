//! A whole apply in small: desired rows against the state, frozen, delivered to the fake world.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use indexmap::IndexMap;
use tempfile::TempDir;

use super::fake::{Deed, FakeWriter, Mortal, World};
use super::{Job, Mapper, RetryPolicy, Stop, deliver};
use crate::destinations::{Action, Class};
use crate::diagnostic::Result;
use crate::diff::{Before, Cause, Change, ChangeBatch, Hash, HashKey, RowState};
use crate::manifest::sync::Limit;
use crate::mapping::{MappingSpec, Payload, Record, Value};
use crate::plan::operations::{Frozen, Writer};
use crate::state::journal::{Policy, SyncRecord};
use crate::state::runs::Run;
use crate::state::{LockRequest, PlanUse, Reading, State};

pub const SYNC: &str = "people";

/// Desired rows: key → version.
pub type Rows = BTreeMap<i64, i64>;

pub struct Stage {
    pub folder: TempDir,
    pub world: Arc<Mutex<World>>,
    pub class: Class,
    pub on_doubt: Policy,
    pub batch_size: u32,
    pub concurrency: u32,
    pub by_state: bool,
    pub max_rejected: Option<Limit>,
    pub stop: Stop,
    /// Held rows are sent again.
    pub retry: bool,
    /// Everything any plan has held.
    pub planned: Vec<Deed>,
    plans: u32,
}

pub struct IntMapper;

impl Mapper for IntMapper {
    fn records(&mut self, frozen: &Frozen) -> Result<Vec<Option<Result<Payload, String>>>> {
        let column = |i: usize| frozen.rows.column(i).as_primitive::<Int64Type>();
        let record = |i: usize| {
            Payload::from(Record {
                matching: vec![Value::Int(column(0).value(i))],
                fields: vec![Some(Value::Int(column(1).value(i)))],
            })
        };
        Ok((0..frozen.heads.len()).map(|i| frozen.heads[i].action.map(|_| Ok(record(i)))).collect())
    }
}

pub fn key_hash(key: i64) -> Hash {
    (key as Hash) << 32 | 1
}

pub fn row_hash(key: i64, version: i64) -> Hash {
    (key as Hash) << 32 | (version as Hash) << 8 | 2
}

fn unhash(key: Hash) -> i64 {
    (key >> 32) as i64
}

pub fn spec() -> MappingSpec {
    let field = serde_json::from_value(serde_json::json!("version")).unwrap();
    MappingSpec {
        primary_key: vec!["key".into()],
        matching: IndexMap::from([("id".into(), "key".into())]),
        fields: IndexMap::from([("version".into(), field)]),
        scope: serde_json::Map::new(),
    }
}

pub fn change_batch(rows: &[(i64, i64, RowState)]) -> ChangeBatch {
    let schema =
        Schema::new(vec![Field::new("key", DataType::Int64, false), Field::new("version", DataType::Int64, false)]);
    let column = |f: fn(&(i64, i64, RowState)) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(f)));
    let changes = rows.iter().map(|(key, version, state)| Change {
        state: *state,
        cause: Cause::Data,
        key_hash: key_hash(*key),
        row_hash: if *state == RowState::Removed { 0 } else { row_hash(*key, *version) },
        before: Before::Nothing,
        record: Some(Record { matching: vec![Value::Int(*key)], fields: vec![Some(Value::Int(*version))] }),
    });
    ChangeBatch {
        rows: RecordBatch::try_new(Arc::new(schema), vec![column(|r| r.0), column(|r| r.1)]).unwrap(),
        changes: changes.collect(),
    }
}

/// What is to be done for the state to be as desired: what `diff` does, for two integer columns.
pub fn changes(reading: &Reading, desired: &Rows) -> Vec<(i64, i64, RowState)> {
    try_changes(reading, desired, false).unwrap()
}

fn try_changes(reading: &Reading, desired: &Rows, retry: bool) -> Result<Vec<(i64, i64, RowState)>> {
    let view = reading.view(SYNC, None)?;
    let rows = |snapshot: &Option<_>| -> HashMap<Hash, Hash> {
        snapshot.as_ref().map(crate::state::hashes).transpose().unwrap().unwrap_or_default().into_iter().collect()
    };
    let (known, doubt) = (rows(&view.snapshot), rows(&view.doubt));
    let mut changes = Vec::new();
    for (key, version) in desired {
        let (hash, row) = (key_hash(*key), row_hash(*key, *version));
        let same = known.get(&hash) == Some(&row) && !doubt.contains_key(&hash);
        if same || !retry && view.held.get(&hash).is_some_and(|held| held.row_hash == row) {
            continue;
        }
        let state = if known.contains_key(&hash) { RowState::Changed } else { RowState::Added };
        changes.push((*key, *version, state));
    }
    let mut gone: Vec<i64> = known.keys().chain(doubt.keys()).map(|key| unhash(*key)).collect();
    gone.sort_unstable();
    gone.dedup();
    gone.retain(|key| !desired.contains_key(key));
    gone.retain(|key| view.held.get(&key_hash(*key)).is_none_or(|held| held.row_hash != 0));
    changes.extend(gone.into_iter().map(|key| (key, 0, RowState::Removed)));
    Ok(changes)
}

pub fn write_plan(folder: &Path, changes: &[(i64, i64, RowState)], delete: Option<Action>) {
    let mut writer = Writer::create(&folder.join("operations").join(SYNC)).unwrap();
    let sends = changes.partition_point(|(_, _, state)| *state != RowState::Removed);
    for (rows, action) in [(&changes[..sends], Some(Action::Send)), (&changes[sends..], delete)] {
        let keys: Vec<String> = rows.iter().map(|r| r.0.to_string()).collect();
        writer.write(&change_batch(rows), &vec![action; rows.len()], &keys).unwrap();
    }
    writer.finish().unwrap();
}

impl Stage {
    pub fn new(class: Class) -> Self {
        Self {
            // In memory where there is such a place: thousands of syncs to disk are no part of what is tested.
            folder: tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap(),
            world: Arc::default(),
            class,
            on_doubt: Policy::Hold,
            batch_size: 4,
            concurrency: 3,
            by_state: false,
            max_rejected: None,
            stop: Stop::never(),
            retry: false,
            planned: Vec::new(),
            plans: 0,
        }
    }

    /// A process's view of the state, which dies at write `left`.
    pub fn open(&self, left: i64, after: bool) -> Result<(State, Arc<AtomicBool>)> {
        let dead = Arc::new(AtomicBool::new(false));
        let backend = Mortal::new(self.folder.path().join("state"), left, after, dead.clone());
        Ok((State::with_backend(Arc::new(backend), "", HashKey([7; 16]))?, dead))
    }

    pub fn record(&self) -> SyncRecord {
        SyncRecord {
            number: 0,
            sync: SYNC.into(),
            model: "people".into(),
            destination: "crm".into(),
            sent_to: None,
            class: self.class,
            on_doubt: self.on_doubt,
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

    /// Plans and applies, dying at write `left`. `None` when the plan is empty.
    pub async fn apply(&mut self, desired: &Rows, left: i64, after: bool) -> Result<Option<Run>> {
        let (state, dead) = self.open(left, after)?;
        let locked = state.lock(&LockRequest::new("apply"))?;
        locked.recover()?;
        let reading = locked.read()?;
        let changes = try_changes(&reading, desired, self.retry)?;
        if changes.is_empty() {
            return Ok(None);
        }
        self.plans += 1;
        let plan = tempfile::tempdir().unwrap();
        let delete = if self.class == Class::D { None } else { Some(Action::Delete) };
        write_plan(plan.path(), &changes, delete);
        let plan_id = format!("plan-{}", self.plans);
        let (lineage, serial) = (reading.lineage().to_owned(), reading.serial());
        self.carry_out(&locked, &dead, &plan_id, (&lineage, serial), plan.path(), &changes).await.map(Some)
    }

    pub async fn carry_out(
        &mut self,
        locked: &crate::state::Locked,
        dead: &Arc<AtomicBool>,
        plan_id: &str,
        (lineage, serial): (&str, u64),
        plan: &Path,
        changes: &[(i64, i64, RowState)],
    ) -> Result<Run> {
        self.planned.extend(changes.iter().map(|(key, version, state)| {
            (*key, *version, if *state == RowState::Removed { Action::Delete } else { Action::Send })
        }));
        locked.recover()?;
        let _: PlanUse = locked.check_plan(plan_id, lineage, serial)?;
        let run = locked.begin(plan_id, plan)?;
        let writer = FakeWriter { world: self.world.clone(), class: self.class, dead: dead.clone() };
        let job = Job {
            record: self.record(),
            batch_size: self.batch_size,
            concurrency: self.concurrency,
            by_state: self.by_state,
            by_run: false,
            max_rejected: self.max_rejected,
            total: changes.len() as u64,
            left_out: 0,
            mapper: Box::new(IntMapper),
            retry: RetryPolicy { seed: 1, ..RetryPolicy::default() },
        };
        deliver(&run, job, &writer, &self.stop, &()).await?;
        run.finish(Vec::new(), None)
    }
}
