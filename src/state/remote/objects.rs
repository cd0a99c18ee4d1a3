//! What a remote store must be able to do with one object: a bucket can, and so can a table.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::diagnostic::Result;

/// What tells one content of an object from another: no two have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it is compared by.
    pub id: Option<String>,
    /// The version, where the store counts them beside.
    pub version: Option<String>,
}

/// A small object.
#[derive(Debug, Clone)]
pub struct Object {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Which content that is.
    pub tag: Tag,
    /// When it was written, by the clock of the store.
    pub modified: Timestamp,
}

/// When something is written.
#[derive(Debug, Clone)]
pub enum When {
    /// In any case.
    Always,
    /// If there is no object of this name.
    Absent,
    /// If the object still has this content.
    Is(Tag),
}

/// What a download found.
#[derive(Debug)]
pub enum Fetched {
    /// There is no object of this name.
    Absent,
    /// It is the one we have.
    Same,
    /// It is in the file now.
    New(Tag),
}

/// A remote store. Names use `/` as separator; a write is whole and durable when it returns, and seen by every read after.
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// Where it is, for messages: `s3://bucket/prefix`.
    fn place(&self) -> String;

    /// A small object, whole.
    async fn read(&self, name: &str) -> Result<Option<Object>>;

    /// Writes a small object. `None` when the condition did not hold; also when an earlier try of the same call made it so,
    /// whose answer was lost.
    async fn write(&self, name: &str, bytes: Vec<u8>, when: When) -> Result<Option<Tag>>;

    /// Writes a file of any size.
    async fn upload(&self, name: &str, file: &Path) -> Result<Tag>;

    /// Reads an object of any size into a file, unless it is the one that is known.
    async fn download(&self, name: &str, file: &Path, known: Option<&Tag>) -> Result<Fetched>;

    /// Names of what is directly below a folder, sorted.
    async fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Names of all objects below a folder, sorted, and what they are.
    async fn tree(&self, folder: &str) -> Result<Vec<(String, Tag)>>;

    /// Removes objects; those that are gone are no error.
    async fn remove(&self, names: Vec<String>) -> Result<()>;

    /// What time it is, by the clock of the store.
    async fn now(&self) -> Result<Timestamp>;
}

/// Writes an object on condition; false when that did not hold. The answer to an earlier try of the same call may have
/// been lost: what is there then is what we wrote.
pub async fn write_if(objects: &dyn Objects, name: &str, bytes: Vec<u8>, when: When) -> Result<bool> {
    if objects.write(name, bytes.clone(), when).await?.is_some() {
        return Ok(true);
    }
    Ok(objects.read(name).await?.is_some_and(|object| object.bytes == bytes))
}
