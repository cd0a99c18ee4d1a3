//! The state in a store elsewhere: a bucket or a database.
//!
//! ```text
//! <prefix>/state.key                          key of all hashes, unless it comes from outside
//! <prefix>/<environment>/state.json, …        as in a folder, see `state`
//!                       /lock.json            who is writing; never removed
//!                       /clock                written to learn what time the store has
//!                       /runs/<id>/journal/   one object for each write
//! ```
//! What is read is kept in a folder beside the project as long as the command runs, and fetched again only if it changed.

mod cloud;
mod lock;
mod objects;
mod table;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::aside::Aside;
use super::backend::{Acquired, Append, Backend, Holder, Stored, Version};
use super::{key, local};
use crate::diagnostic::{Error, Result};
use crate::diff::HashKey;
use crate::manifest::project::{StateBackend, StateType};
use objects::{Fetched, Object, Objects, Tag, When, write_if};
use worker::Worker;

const DOCUMENT: &str = "state.json";
const KEY: &str = "state.key";

/// A store elsewhere, and one environment in it.
pub struct Remote {
    objects: Arc<dyn Objects>,
    worker: Arc<Worker>,
    environment: String,
    place: String,
    cache: Aside,
    /// What of the cache is which content.
    cached: Mutex<HashMap<String, Tag>>,
}

impl Remote {
    /// The store that a manifest names. Credentials come from where its own tools take them.
    ///
    /// # Errors
    /// A setting that makes no sense, or credentials that are not there.
    pub fn open(config: &StateBackend, root: &Path, environment: &str) -> Result<Self> {
        let objects: Arc<dyn Objects> = match config.kind {
            StateType::Postgres => Arc::new(table::Table::new(config, root)?),
            _ => Arc::new(cloud::Cloud::new(config)?),
        };
        Self::new(objects, &root.join(config.folder()), environment)
    }

    fn new(objects: Arc<dyn Objects>, beside: &Path, environment: &str) -> Result<Self> {
        // Where nothing can be written there, the folder is elsewhere.
        let _ = local::make_private(beside);
        let cache = Aside::new(beside, "remote-")?;
        let place = format!("{}/{environment}", objects.place());
        let environment = environment.to_owned();
        let worker = Arc::new(Worker::start()?);
        Ok(Self { objects, worker, environment, place, cache, cached: Mutex::default() })
    }

    /// The key of all hashes, which is made with the first state in the store.
    ///
    /// # Errors
    /// It is none, or the store cannot be used.
    pub fn key(&self) -> Result<HashKey> {
        let objects = self.objects.clone();
        let place = format!("{}/{KEY}", objects.place());
        let bytes = self.worker.wait(async move {
            for _ in 0..2 {
                if let Some(object) = objects.read(KEY).await? {
                    return Ok(Some(object.bytes));
                }
                // Of two first uses at the same time, one writes and both read it.
                objects.write(KEY, key::new()?.into_bytes(), When::Absent).await?;
            }
            Ok(objects.read(KEY).await?.map(|object| object.bytes))
        })?;
        let bytes = bytes.ok_or_else(|| Error::failed(format!("the hash key `{place}` is gone")))?;
        key::parse(&String::from_utf8_lossy(&bytes), &place)
    }

    /// The key of all hashes; `None` where there is none yet, and then none is made.
    ///
    /// # Errors
    /// It is none, or the store cannot be used.
    pub fn known_key(&self) -> Result<Option<HashKey>> {
        let objects = self.objects.clone();
        let place = format!("{}/{KEY}", objects.place());
        let object = self.worker.wait(async move { objects.read(KEY).await })?;
        object.map(|object| key::parse(&String::from_utf8_lossy(&object.bytes), &place)).transpose()
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.environment)
    }

    fn read(&self, name: &str) -> Result<Option<Object>> {
        let (objects, name) = (self.objects.clone(), self.name(name));
        self.worker.wait(async move { objects.read(&name).await })
    }

    /// Writes an object if it still is what it was.
    fn swap_object(&self, name: &str, bytes: Vec<u8>, when: When) -> Result<bool> {
        let (objects, name) = (self.objects.clone(), self.name(name));
        self.worker.wait(async move { write_if(&*objects, &name, bytes, when).await })
    }

    fn now(&self) -> Result<Timestamp> {
        let objects = self.objects.clone();
        self.worker.wait(async move { objects.now().await })
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, HashMap<String, Tag>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a file is kept as long as the command runs.
    fn kept(&self, name: &str) -> Result<PathBuf> {
        let path = self.cache.path().join("files").join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| local::failed("create", folder, &e))?;
        }
        Ok(path)
    }

    /// Has the current content of an object in its place in the cache. `None` when there is none.
    fn fetch(&self, name: &str) -> Result<Option<PathBuf>> {
        let path = self.kept(name)?;
        let known = self.cached().get(name).cloned().filter(|_| path.is_file());
        let fresh = tempfile::Builder::new().prefix("fetch-").tempfile_in(self.cache.path());
        let fresh = fresh.map_err(|e| local::failed("write to", self.cache.path(), &e))?.into_temp_path();
        let (objects, object, to) = (self.objects.clone(), self.name(name), fresh.to_path_buf());
        match self.worker.wait(async move { objects.download(&object, &to, known.as_ref()).await })? {
            Fetched::Absent => return Ok(None),
            Fetched::Same => {}
            Fetched::New(tag) => {
                fresh.persist(&path).map_err(|e| local::failed("write", &path, &e.error))?;
                self.cached().insert(name.to_owned(), tag);
            }
        }
        Ok(Some(path))
    }
}

impl Backend for Remote {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn load(&self) -> Result<Option<Stored>> {
        Ok(self.read(DOCUMENT)?.map(|object| Stored { version: local::version(&object.bytes), bytes: object.bytes }))
    }

    fn create(&self, bytes: &[u8]) -> Result<()> {
        self.swap_object(DOCUMENT, bytes.to_vec(), When::Absent).map(|_| ())
    }

    fn swap(&self, bytes: &[u8], expected: Version, token: u64) -> Result<()> {
        self.must_hold(token)?;
        let there = self.read(DOCUMENT)?.filter(|object| local::version(&object.bytes) == expected);
        let swapped = match there {
            Some(object) => self.swap_object(DOCUMENT, bytes.to_vec(), When::Is(object.tag))?,
            None => false,
        };
        if swapped {
            return Ok(());
        }
        // Whoever took the lock over has marked the document.
        self.must_hold(token)?;
        Err(Error::Stale {
            message: format!("the state in `{}` was changed by somebody else", self.place),
            help: Some("run the command again".into()),
        })
    }

    fn acquire(&self, operation: &str, lease: Duration, least: u64) -> Result<Acquired> {
        self.acquire_lock(operation, lease, least)
    }

    fn renew(&self, token: u64, lease: Duration) -> Result<bool> {
        self.renew_lock(token, lease)
    }

    fn release(&self, token: u64) -> Result<()> {
        self.release_lock(token)
    }

    fn holder(&self) -> Result<Option<Holder>> {
        self.lock_holder()
    }

    fn is_held(&self) -> Result<bool> {
        self.lock_is_held()
    }

    fn break_lock(&self) -> Result<Option<Holder>> {
        self.break_lock_now()
    }

    fn put(&self, name: &str, file: &Path) -> Result<()> {
        let (objects, object, from) = (self.objects.clone(), self.name(name), file.to_owned());
        let tag = self.worker.wait(async move { objects.upload(&object, &from).await })?;
        // What was just written is often read next.
        let path = self.kept(name)?;
        self.cached().remove(name);
        let _ = fs::remove_file(&path);
        if fs::hard_link(file, &path).is_ok() {
            self.cached().insert(name.to_owned(), tag);
        }
        if file.starts_with(self.cache.path()) {
            let _ = fs::remove_file(file);
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<PathBuf>> {
        self.fetch(name)
    }

    fn get_folder(&self, name: &str) -> Result<Option<PathBuf>> {
        let (objects, folder) = (self.objects.clone(), self.name(name));
        let below = self.worker.wait(async move { objects.tree(&folder).await })?;
        if below.is_empty() {
            return Ok(None);
        }
        let prefix = self.name("");
        for (object, tag) in below {
            let Some(file) = object.strip_prefix(&prefix) else { continue };
            let there = self.cached().get(file).is_some_and(|known| known.id.is_some() && known.id == tag.id);
            if !there || !self.kept(file)?.is_file() {
                self.fetch(file)?;
            }
        }
        Ok(Some(self.kept(name)?))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let (objects, object) = (self.objects.clone(), self.name(name));
        self.worker.wait(async move { objects.remove(vec![object]).await })?;
        self.cached().remove(name);
        let _ = fs::remove_file(self.kept(name)?);
        Ok(())
    }

    fn remove_folder(&self, name: &str) -> Result<()> {
        let (objects, folder) = (self.objects.clone(), self.name(name));
        self.worker.wait(async move {
            let names = objects.tree(&folder).await?.into_iter().map(|(name, _)| name).collect();
            objects.remove(names).await
        })?;
        let below = format!("{name}/");
        self.cached().retain(|known, _| !known.starts_with(&below));
        let _ = fs::remove_dir_all(self.kept(name)?);
        Ok(())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let (objects, folder) = (self.objects.clone(), self.name(folder));
        self.worker.wait(async move { objects.list(&folder).await })
    }

    fn journal(&self, name: &str) -> Result<Box<dyn Append>> {
        let (objects, worker, folder) = (self.objects.clone(), self.worker.clone(), self.name(name));
        Ok(Box::new(Segments { objects, worker, folder, next: 0 }))
    }

    fn read_journal(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let (objects, folder) = (self.objects.clone(), self.name(name));
        self.worker.wait(async move {
            let segments = objects.tree(&folder).await?;
            let mut bytes = Vec::new();
            for (segment, _) in &segments {
                bytes.extend(objects.read(segment).await?.map(|object| object.bytes).unwrap_or_default());
            }
            Ok((!segments.is_empty()).then_some(bytes))
        })
    }

    fn scratch(&self) -> Result<PathBuf> {
        let path = self.cache.path().join("tmp");
        fs::create_dir_all(&path).map_err(|e| local::failed("create", &path, &e))?;
        Ok(path)
    }
}

/// A journal as a row of objects: each is written once, and only if nobody wrote it before.
struct Segments {
    objects: Arc<dyn Objects>,
    worker: Arc<Worker>,
    folder: String,
    next: u64,
}

impl Append for Segments {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let name = format!("{}/{:010}", self.folder, self.next);
        let (objects, bytes) = (self.objects.clone(), bytes.to_vec());
        self.worker.wait(async move {
            if write_if(&*objects, &name, bytes, When::Absent).await? {
                return Ok(());
            }
            Err(Error::failed(format!("the journal `{}/{name}` is written by another run", objects.place())))
        })?;
        self.next += 1;
        Ok(())
    }
}
