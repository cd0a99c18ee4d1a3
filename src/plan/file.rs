//! The plan file: one zip archive, nothing compressed twice, that any tool can look into.
//!
//! ```text
//! plan.json                          the plan, as `--format json` prints it
//! operations/SYNC/0000.parquet …     the frozen operations of each sync
//! bound.json                         what apply checks before it does anything
//! queried.json, queried/MODEL.keys   what was read of each model, to be counted when the plan is applied
//! seal                               shows that nothing of the above was changed since
//! ```

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::Plan;
use crate::diagnostic::{Error, Result, space_help};
use crate::diff::HashKey;
use crate::mapping::MappingSpec;
use crate::usage::Queried;

/// Version of plan files this program writes; readers refuse another major.
pub const FORMAT_VERSION: &str = "1.0";

/// Name of the file that holds the seal.
const SEAL: &str = "seal";

/// What a plan is bound to: apply does exactly the plan, or refuses it as stale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Version of this format.
    pub format_version: String,
    /// Version of the program that made the plan.
    pub tool_version: String,
    /// Id of the plan; used once.
    pub plan_id: String,
    /// Digest of the configuration.
    pub digest: String,
    /// Environment.
    pub environment: String,
    /// Lineage of the state: which state it is, from its birth.
    pub lineage: String,
    /// Serial of the state the plan was made from.
    pub serial: u64,
    /// What decides the records of each sync.
    pub syncs: IndexMap<String, FrozenSync>,
}

/// What decides the records of one sync, frozen: the rows of its operations give the same records whenever they are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrozenSync {
    /// Key columns and their logical types, in order.
    pub key: Vec<(String, String)>,
    /// The mapping.
    pub mapping: MappingSpec,
    /// What templates see as `run.started_at`.
    pub started_at: String,
}

/// A plan on disk, unpacked: `plan.json`, `bound.json` and the operations.
#[derive(Debug, Clone)]
pub struct PlanFolder {
    folder: PathBuf,
}

impl PlanFolder {
    /// The folder, existing or to be written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The folder of one sync's operations.
    pub fn operations(&self, sync: &str) -> PathBuf {
        self.folder.join("operations").join(sync)
    }

    /// Writes plan and binding, durably.
    pub fn write(&self, plan: &Plan, bound: &Bound) -> Result<()> {
        let write = |name: &str, bytes: Vec<u8>| {
            let path = self.folder.join(name);
            let written =
                File::create(&path).and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
            written.map_err(|e| failed(&path, &e))
        };
        fs::create_dir_all(&self.folder).map_err(|e| failed(&self.folder, &e))?;
        write("plan.json", to_json(plan)?)?;
        write("bound.json", to_json(bound)?)
    }

    /// Writes what was read of each model; the new keys are where [`crate::usage::keys_beside`] says.
    pub fn write_queried(&self, queried: &Queried) -> Result<()> {
        let path = self.folder.join("queried.json");
        fs::write(&path, to_json(queried)?).map_err(|e| failed(&path, &e))
    }

    /// Reads the plan.
    pub fn plan(&self) -> Result<Plan> {
        self.read("plan.json")
    }

    /// Reads what the plan is bound to.
    pub fn bound(&self) -> Result<Bound> {
        self.read("bound.json")
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.folder.join(name);
        let broken = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read `{}`: {e}", path.display()));
        let bytes = fs::read(&path).map_err(|e| broken(&e))?;
        serde_json::from_slice(&bytes).map_err(|e| broken(&e))
    }

    /// Packs the folder into one plan file, written beside and renamed, so that a half-written one is never seen. It is
    /// sealed with the key of the state it is for.
    pub fn pack(&self, out: &Path, key: &HashKey) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::failed_help(
                format!("cannot write the plan file `{}`: {e}", out.display()),
                "choose another place with --out, or free some space",
            )
        };
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = tempfile::NamedTempFile::new_in(parent).map_err(|e| failed(&e))?;
        let mut archive = ZipWriter::new(temporary);
        // One fixed time, so that the same plan gives the same bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(true)
            .unix_permissions(0o600);
        for (name, path) in self.files().map_err(|e| failed(&e))? {
            archive.start_file(name, options).map_err(|e| failed(&e))?;
            let mut file = File::open(path).map_err(|e| failed(&e))?;
            std::io::copy(&mut file, &mut archive).map_err(|e| failed(&e))?;
        }
        let seal = self.seal(key).map_err(|e| failed(&e))?.finalize().into_bytes();
        archive.start_file(SEAL, options).map_err(|e| failed(&e))?;
        archive.write_all(hex::encode(seal).as_bytes()).map_err(|e| failed(&e))?;
        let temporary = archive.finish().map_err(|e| failed(&e))?;
        temporary.as_file().sync_all().map_err(|e| failed(&e))?;
        temporary.persist(out).map_err(|e| failed(&e.error))?;
        Ok(())
    }

    /// Whether the folder, unpacked from a plan file, holds what was sealed with this key.
    pub fn sealed_by(&self, key: &HashKey) -> Result<bool> {
        let path = self.folder.join(SEAL);
        let failed = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read `{}`: {e}", path.display()));
        let Ok(text) = fs::read_to_string(&path) else { return Ok(false) };
        let Ok(seal) = hex::decode(text.trim()) else { return Ok(false) };
        // Compares in constant time: nobody finds the seal out byte by byte.
        Ok(self.seal(key).map_err(|e| failed(&e))?.verify_slice(&seal).is_ok())
    }

    /// HMAC-SHA256, under the key of the state, of the names and contents of all files. The key is not used as it is, so
    /// that a seal tells nothing of the hashes that are made with it.
    fn seal(&self, key: &HashKey) -> std::io::Result<Hmac<Sha256>> {
        let derived = Sha256::new().chain_update(b"syncline plan file").chain_update(key.0).finalize();
        let mut seal = Hmac::<Sha256>::new_from_slice(&derived).map_err(std::io::Error::other)?;
        for (name, path) in self.files()? {
            let (mut file, mut content) = (File::open(path)?, Sha256::new());
            let mut buffer = vec![0; 64 * 1024];
            while let length @ 1.. = file.read(&mut buffer)? {
                content.update(&buffer[..length]);
            }
            // Lengths and digests have a fixed size: no name can pass for a part of a content.
            seal.update(&(name.len() as u64).to_be_bytes());
            seal.update(name.as_bytes());
            seal.update(&content.finalize());
        }
        Ok(seal)
    }

    fn files(&self) -> std::io::Result<Vec<(String, PathBuf)>> {
        let mut files: Vec<_> =
            ["plan.json", "bound.json"].map(|name| (name.to_owned(), self.folder.join(name))).into_iter().collect();
        if self.folder.join("queried.json").exists() {
            files.push(("queried.json".into(), self.folder.join("queried.json")));
        }
        let queried = self.folder.join("queried");
        let mut models = list(&queried)?;
        models.sort();
        files.extend(models.into_iter().map(|name| (format!("queried/{name}"), queried.join(name))));
        let operations = self.folder.join("operations");
        let mut syncs = list(&operations)?;
        syncs.sort();
        for sync in syncs {
            let mut parts = list(&operations.join(&sync))?;
            parts.sort();
            for part in parts {
                files.push((format!("operations/{sync}/{part}"), operations.join(&sync).join(part)));
            }
        }
        Ok(files)
    }

    /// Unpacks a plan file into an empty or new folder.
    pub fn unpack(file: &Path, folder: &Path) -> Result<Self> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::failed_help(
                format!("cannot read the plan file `{}`: {e}", file.display()),
                "make a new one with `syncline plan --out FILE`",
            )
        };
        let mut archive = open(file).map_err(|e| failed(&e))?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(|e| failed(&e))?;
            // `enclosed_name` refuses absolute paths and `..`: an archive can never write outside the folder.
            let name = entry.enclosed_name().ok_or_else(|| failed(&format!("entry {index} leaves the archive")))?;
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|e| failed(&e))?;
            }
            let mut out = File::create_new(&path).map_err(|e| failed(&e))?;
            std::io::copy(&mut entry, &mut out).and_then(|_| out.sync_all()).map_err(|e| failed(&e))?;
        }
        let unpacked = Self::new(folder);
        let bound = unpacked.bound()?;
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        if major(&bound.format_version) != major(FORMAT_VERSION) {
            return Err(Error::Stale {
                message: format!(
                    "the plan file `{}` has format {}; this version of syncline reads {FORMAT_VERSION}",
                    file.display(),
                    bound.format_version
                ),
                help: Some("make a new plan with the version that applies it".into()),
            });
        }
        Ok(unpacked)
    }
}

/// The plan inside a plan file, without unpacking the operations.
pub fn peek(file: &Path) -> Result<Plan> {
    let failed =
        |e: &dyn std::fmt::Display| Error::failed(format!("cannot read the plan file `{}`: {e}", file.display()));
    let mut archive = open(file).map_err(|e| failed(&e))?;
    let mut entry = archive.by_name("plan.json").map_err(|e| failed(&e))?;
    let mut text = String::new();
    entry.read_to_string(&mut text).map_err(|e| failed(&e))?;
    serde_json::from_str(&text).map_err(|e| failed(&e))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Failed { message: format!("cannot write `{}`: {error}", path.display()), help: space_help(error) }
}

fn open(file: &Path) -> Result<ZipArchive<File>, String> {
    let opened = File::open(file).map_err(|e| e.to_string())?;
    ZipArchive::new(opened).map_err(|_| "it is not a plan file, or it was cut off".to_owned())
}

fn list(folder: &Path) -> std::io::Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|e| Error::failed(format!("cannot write the plan as JSON: {e}")))
}
