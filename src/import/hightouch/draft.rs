//! A manifest in the making: its text, and what there is to say about it.

use serde_json::Value;

use super::reader::Reader;
use crate::import::{Item, Note, NoteKind, Status};
use crate::manifest::Kind;
use crate::manifest::document::Writer;

/// Longest value repeated in a comment, in characters.
const MAX_VALUE: usize = 2000;

/// A manifest in the making.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub kind: Kind,
    /// Its name; the same as the file name.
    pub name: String,
    /// What is said about it.
    pub item: Item,
    /// What it refers to: kinds and names.
    pub refers: Vec<(Kind, String)>,
    body: Writer,
    indent: usize,
}

impl Draft {
    pub fn new(kind: Kind, name: &str, from: &str) -> Self {
        let item = Item {
            kind: kind.word().into(),
            from: from.into(),
            to: None,
            status: Status::Carried,
            carried: Vec::new(),
            notes: Vec::new(),
        };
        let mut draft = Self { kind, name: name.into(), item, refers: Vec::new(), body: Writer::default(), indent: 0 };
        draft.entry("name", name);
        draft
    }

    /// The file it becomes; with `.todo` behind it as long as something is in the way.
    pub fn path(&self) -> String {
        let todo = if self.blocked() { ".todo" } else { "" };
        self.finished() + todo
    }

    /// The file it is once nothing is in the way.
    pub fn finished(&self) -> String {
        format!("{}/{}.yaml", self.kind.folder().unwrap_or_default(), self.name)
    }

    /// True as long as something is in the way.
    pub fn blocked(&self) -> bool {
        self.item.notes.iter().any(|note| note.kind == NoteKind::Blocks)
    }

    pub fn entry(&mut self, key: &str, value: impl Into<Value>) {
        self.body.entry(self.indent, key, &value.into());
    }

    /// A reference to another manifest.
    pub fn reference(&mut self, kind: Kind, name: &str) {
        self.refers.push((kind, name.to_owned()));
        self.entry(kind.word(), name);
    }

    /// Entries below a key; nothing is written when there is none.
    pub fn nest(&mut self, key: &str) {
        self.body.open(self.indent, key);
        self.indent += 2;
    }

    pub fn unnest(&mut self) {
        self.indent = self.indent.saturating_sub(2);
    }

    pub fn comment(&mut self, text: &str) {
        self.body.comment(self.indent, text);
    }

    pub fn carried(&mut self, what: impl Into<String>) {
        self.item.carried.push(what.into());
    }

    /// Something that carried over, and does not mean quite the same.
    pub fn differs(&mut self, reader: &Reader<'_>, pointer: &str, message: impl Into<String>, help: Option<&str>) {
        let message = message.into();
        self.comment(&format!("CHECK {message}."));
        self.item.notes.push(reader.note(NoteKind::Differs, pointer, message, help.map(str::to_owned)));
    }

    /// Something that did not carry over. It stays in the manifest as a comment.
    pub fn left(&mut self, reader: &Reader<'_>, pointer: &str, message: impl Into<String>, help: Option<&str>) {
        let note = reader.note(NoteKind::Left, pointer, message, help.map(str::to_owned));
        let key = note.key.clone().unwrap_or_default();
        let value = note.value.as_ref().map(shown).unwrap_or_default();
        self.comment(&format!("TODO {key}: {value} ({})", note.message));
        self.item.notes.push(note);
    }

    /// Something because of which there is no manifest yet.
    pub fn blocks(&mut self, note: Note) {
        self.item.notes.push(Note { kind: NoteKind::Blocks, ..note });
    }

    /// Whatever nobody has read.
    pub fn left_over(&mut self, reader: &Reader<'_>) {
        for pointer in reader.rest() {
            self.left(reader, &pointer, "syncline has no such setting", None);
        }
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let mut head = Writer::default();
        head.line(0, &format!("# yaml-language-server: $schema=../schemas/{}.schema.json", self.kind.word()));
        head.comment(0, &format!("From Hightouch: {}. What to look at is in IMPORT.md.", self.item.from));
        if self.blocked() {
            head.comment(0, "");
            head.comment(0, "Nobody reads this file yet:");
            for note in self.item.notes.iter().filter(|note| note.kind == NoteKind::Blocks) {
                let help = note.help.as_ref().map(|help| format!(" To do: {help}.")).unwrap_or_default();
                head.comment(0, &format!("- {}.{help}", note.message));
            }
            head.comment(
                0,
                &format!("When that is done, rename it to `{}.yaml`, and run `syncline validate`.", self.name),
            );
        }
        head.finish() + &self.body.clone().finish()
    }

    /// What is said about it in the end.
    pub fn into_item(mut self) -> Item {
        self.item.to = Some(self.path());
        self.item.status = match () {
            () if self.blocked() => Status::Todo,
            () if self.item.notes.is_empty() => Status::Carried,
            () => Status::Check,
        };
        self.item
    }
}

/// A value in a comment.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}… (cut; the whole is in the file it comes from)", &text[..end]),
        None => text,
    }
}
