//! Files of other tools become manifests: what they say is written down in syncline's words, and what could not be is
//! named, with its place in the file it comes from.
//!
//! An import reads files and gives files; it reads no environment, connects to nothing and overwrites nothing.

pub mod hightouch;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// What an import found and made.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Import {
    /// `1.0`. A new minor adds keys.
    pub format_version: String,
    /// The tool the files come from: `hightouch`.
    pub tool: String,
    /// What was in the files: sources, destinations, models, syncs; then what is neither.
    pub items: Vec<Item>,
    /// Environment variables that the new manifests take credentials and addresses from, sorted.
    pub variables: Vec<String>,
    /// The files that were made, by path, and what became of them.
    pub files: Vec<File>,
}

/// Something that was in the files.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Item {
    /// `source`, `destination`, `model`, `sync`, or `file` for what is neither.
    pub kind: String,
    /// The file it comes from, relative to the folder that was read.
    pub from: String,
    /// The manifest it became, relative to the project; one that ends in `.todo` is read by nobody yet. Absent when
    /// nothing was made of it.
    pub to: Option<String>,
    /// How far it carried over.
    pub status: Status,
    /// What carried over, in a few words each.
    pub carried: Vec<String>,
    /// What did not, or not quite.
    pub notes: Vec<Note>,
}

/// How far something carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All of it.
    Carried,
    /// It can be used; the notes say what to look at first.
    Check,
    /// It cannot be used before somebody has done what the notes say.
    Todo,
    /// Nothing was made of it.
    Left,
}

/// What did not carry over, or not quite.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Note {
    /// How grave it is.
    pub kind: NoteKind,
    /// The key it is about, as in `config.mappings[2].template`.
    pub key: Option<String>,
    /// Line of that in the file it comes from, counted from 1.
    pub line: Option<usize>,
    /// Column of that, counted from 1.
    pub column: Option<usize>,
    /// What it said there; what may be a credential is left out.
    pub value: Option<Value>,
    /// What there is to know.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// How grave a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// It carried over, and does not mean quite the same.
    Differs,
    /// It did not carry over.
    Left,
    /// Because of this there is no manifest yet.
    Blocks,
}

/// A file that was made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct File {
    /// Its path, relative to the project.
    pub path: String,
    /// What became of it.
    pub state: FileState,
    /// Its text.
    #[serde(skip)]
    pub text: String,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// It was written.
    Written,
    /// It was there already, the same to the byte.
    Same,
    /// Another one of this name was there, and was left as it is.
    Kept,
}
