//! What the stand-ins hold: in memory while they run, written behind to a SQLite file when there is one.

use std::fmt::Display;
use std::hash::Hash;
use std::path::Path;
use std::str::FromStr;

use indexmap::{IndexMap, IndexSet};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::diagnostic::{Error, Result};

/// The things of one kind, by key, in the order in which they came.
#[derive(Debug)]
pub(super) struct Shelf<K, T> {
    name: &'static str,
    items: IndexMap<K, T>,
    /// What has to be written, when anything is kept.
    dirty: IndexSet<K>,
    kept: bool,
    /// The highest number that was a key.
    last: u64,
}

/// What can be a key.
pub(super) trait Key: Hash + Eq + Clone + Display + FromStr + Send {}
impl<K: Hash + Eq + Clone + Display + FromStr + Send> Key for K {}

impl<K: Key, T> Shelf<K, T> {
    /// An empty shelf; the name is that of its rows in the file.
    pub fn new(name: &'static str) -> Self {
        Self { name, items: IndexMap::new(), dirty: IndexSet::new(), kept: false, last: 0 }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn get<Q: Hash + indexmap::Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&T> {
        self.items.get(key)
    }

    pub fn contains<Q: Hash + indexmap::Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.items.contains_key(key)
    }

    /// The thing, about to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut T> {
        let found = self.items.get_mut(key);
        if found.is_some() && self.kept {
            self.dirty.insert(key.clone());
        }
        found
    }

    pub fn insert(&mut self, key: K, item: T) {
        if self.kept {
            self.dirty.insert(key.clone());
        }
        self.items.insert(key, item);
    }

    pub fn remove(&mut self, key: &K) -> Option<T> {
        let found = self.items.swap_remove(key);
        if found.is_some() && self.kept {
            self.dirty.insert(key.clone());
        }
        found
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &T)> {
        self.items.iter()
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.items.values()
    }
}

impl<T> Shelf<u64, T> {
    /// Gives a thing the next number.
    pub fn add(&mut self, item: T) -> u64 {
        let key = self.last + 1;
        self.place(key, item);
        key
    }

    /// Puts a thing at a number; later ones get higher numbers.
    pub fn place(&mut self, key: u64, item: T) {
        self.last = self.last.max(key);
        self.insert(key, item);
    }

    /// The number the next thing gets.
    pub fn upcoming(&self) -> u64 {
        self.last + 1
    }
}

/// A shelf, for the file.
pub(super) trait Stored {
    fn name(&self) -> &'static str;
    /// From now on changes are noted.
    fn keep(&mut self);
    /// Up to `most` changes: key, and the thing or nothing when it is gone.
    fn changes(&mut self, most: usize) -> Vec<(String, Option<String>)>;
    /// Puts back what was written.
    fn restore(&mut self, key: &str, json: &str) -> std::result::Result<(), String>;
    fn clear(&mut self);
}

impl<K: Key, T: Serialize + DeserializeOwned> Stored for Shelf<K, T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn keep(&mut self) {
        self.kept = true;
    }

    fn changes(&mut self, most: usize) -> Vec<(String, Option<String>)> {
        let rest = self.dirty.split_off(most.min(self.dirty.len()));
        let keys = std::mem::replace(&mut self.dirty, rest);
        let json = |key: &K| self.items.get(key).and_then(|item| serde_json::to_string(item).ok());
        keys.iter().map(|key| (key.to_string(), json(key))).collect()
    }

    fn restore(&mut self, key: &str, json: &str) -> std::result::Result<(), String> {
        let key_number = key.parse().unwrap_or(0);
        let key = key.parse().map_err(|_| format!("`{key}` is no key of `{}`", self.name))?;
        let item = serde_json::from_str(json).map_err(|e| format!("a row of `{}` cannot be read: {e}", self.name))?;
        self.last = self.last.max(key_number);
        self.items.insert(key, item);
        Ok(())
    }

    fn clear(&mut self) {
        if self.kept {
            self.dirty.extend(self.items.keys().cloned());
        }
        self.items.clear();
        self.last = 0;
    }
}

/// The SQLite file.
pub(super) struct File {
    connection: Connection,
}

/// Rows written in one transaction, and for how many the stand-in waits at once.
const CHUNK: usize = 2000;

impl File {
    /// Opens the file, making it when it is missing.
    pub fn open(path: &Path) -> Result<Self> {
        let failed =
            |e: rusqlite::Error| Error::failed(format!("cannot open the sandbox's data in `{}`: {e}", path.display()));
        let connection = Connection::open(path).map_err(failed)?;
        let made = connection.execute_batch(
            "pragma journal_mode = wal; pragma synchronous = normal; pragma busy_timeout = 2000;
             create table if not exists things (shelf text, key text, json text not null, primary key (shelf, key));",
        );
        made.map_err(failed)?;
        Ok(Self { connection })
    }

    /// Puts everything back, and notes changes from now on. Says how much there was.
    pub fn load(&self, shelves: &mut [&mut dyn Stored]) -> Result<usize> {
        let failed = |e: rusqlite::Error| Error::failed(format!("cannot read the sandbox's data: {e}"));
        let sql = "select key, json from things where shelf = ? order by rowid";
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut known = 0;
        for shelf in shelves {
            shelf.keep();
            let mut rows = statement.query([shelf.name()]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                let (key, json): (String, String) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
                shelf.restore(&key, &json).map_err(|e| {
                    Error::failed_help(format!("the sandbox's data is not as it was written: {e}"), "delete the file")
                })?;
                known += 1;
            }
        }
        Ok(known)
    }

    /// Writes changes; see [`changes`].
    pub fn write(&mut self, changes: Vec<(&'static str, Vec<(String, Option<String>)>)>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let put = "insert into things values (?, ?, ?) on conflict do update set json = excluded.json";
            let mut put = transaction.prepare_cached(put)?;
            let mut gone = transaction.prepare_cached("delete from things where shelf = ? and key = ?")?;
            for (shelf, rows) in changes {
                for (key, json) in rows {
                    match json {
                        Some(json) => put.execute((shelf, key, json))?,
                        None => gone.execute((shelf, key))?,
                    };
                }
            }
        }
        transaction.commit()
    }
}

/// What has changed on these shelves, at most a chunk of each.
pub(super) fn changes(shelves: &mut [&mut dyn Stored]) -> Vec<(&'static str, Vec<(String, Option<String>)>)> {
    let changes = shelves.iter_mut().map(|shelf| (shelf.name(), shelf.changes(CHUNK)));
    changes.filter(|(_, rows)| !rows.is_empty()).collect()
}
