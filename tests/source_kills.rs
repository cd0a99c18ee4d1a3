//! A source that dies while it is read: the apply fails with a clear message, nothing is removed, the state is what it
//! was, and the next apply is right.
//!
//! Each test is the same story. A mirror holds people of a source; then somebody leaves, somebody changes, and while the
//! next apply reads them the source is killed, cut or locked. When it is well again, another apply brings the mirror up
//! to date. What is killed is killed in mid-read by a condition that is watched for, never after a while.

mod files;
mod programs;
mod servers;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use crate::project::{Project, Ran};
use watch::Running;

/// Of them, number 3 leaves and number 5 changes.
const PEOPLE: usize = 40;

/// A project that mirrors people of a source; `sources/shop.yaml` and the model are still to be written.
fn project(source: &str, model: &str) -> Project {
    Project::new(&[
        ("syncline.yaml", "name: kills\nguards: { max_removed: 100%, max_changed: 100% }\n"),
        ("sources/shop.yaml", source),
        ("models/people.yaml", &format!("name: people\nsource: shop\nprimary_key: [id]\n{model}\n")),
        ("destinations/crm.yaml", "name: crm\ntype: sqlite\nconnection: { path: out/crm.db }\n"),
        (
            "syncs/people.yaml",
            "name: people\nmodel: people\ndestination: crm\nobject: people\nmode: mirror\nmatch: { email: email }\n\
             options: { create: true }\nfields: { seats: seats, size: { template: \"{{ row.pad | length }}\" } }\n",
        ),
        ("out/.keep", ""),
        ("data/.keep", ""),
    ])
}

/// What the destination holds: how many, and the sum of a number that each has.
fn held(project: &Project) -> String {
    project.rows("out/crm.db", "select count(*), sum(seats), group_concat(distinct size) from people").remove(0)
}

/// The state of a project but for the record of its runs and its lock: path and contents of every file; of the document
/// what it says of the syncs and of usage.
fn state(project: &Project) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("below it").display().to_string();
            let about_runs = ["runs", "guard", "lock", "fence"].iter().any(|word| name.contains(word));
            match path.is_dir() {
                _ if about_runs => {}
                true => walk(root, &path, files),
                false if name.ends_with("state.json") => {
                    let text = std::fs::read(&path).expect("a file");
                    let document: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                    for part in ["lineage", "syncs", "moved", "usage"] {
                        files.insert(format!("{name}: {part}"), document[part].to_string().into_bytes());
                    }
                }
                false => drop(files.insert(name, std::fs::read(&path).expect("a file"))),
            }
        }
    }
    let (root, mut files) = (project.path(".syncline"), BTreeMap::new());
    walk(&root, &root, &mut files);
    assert!(files.keys().any(|name| name.ends_with(".parquet")), "a snapshot is there: {:?}", files.keys());
    files
}

/// What there was before the source died.
struct Before {
    held: String,
    state: BTreeMap<String, Vec<u8>>,
}

impl Before {
    /// Applies for the first time, and remembers.
    fn applied(project: &Project) -> Self {
        project.apply(&[]).code(0);
        Self { held: held(project), state: state(project) }
    }

    /// The apply has failed with these words, and nothing else has happened.
    #[track_caller]
    fn stands(&self, project: &Project, what: &str, ran: &Ran, words: &[&str]) {
        assert_eq!(ran.code, 1, "{what}\n--- stdout\n{}\n--- stderr\n{}", ran.stdout, ran.stderr);
        // Lines are wrapped at words.
        let all = format!("{}\n{}", ran.stdout, ran.stderr);
        let flat = all.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(flat.contains(word), "{what}: `{word}` is not in\n{all}");
        }
        assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
        // Which sync, which source, where it is written.
        for place in ["sync `people`", "source `shop` (sources/shop.yaml)", "models/people.yaml:"] {
            assert!(ran.stderr.contains(place), "{what}: `{place}` is not in\n{}", ran.stderr);
        }
        assert_eq!(held(project), self.held, "{what}: the destination");
        let now = state(project);
        let differ: Vec<_> = now.iter().filter(|(name, bytes)| self.state.get(*name) != Some(*bytes)).collect();
        let names: Vec<_> = differ.iter().map(|(name, _)| name).collect();
        assert!(differ.is_empty() && now.len() == self.state.len(), "{what}: the state: {names:?}, {:?}", now.keys());
    }
}

/// The next apply is right, and then there is nothing left to do.
#[track_caller]
fn comes_right(project: &Project, expected: &str) {
    project.apply(&[]).code(0);
    assert_eq!(held(project), expected);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

/// An apply that is running.
fn start(project: &Project) -> Running {
    Running::start(project, &["apply", "--auto-approve"])
}

/// The people as they are at first (`false`) and later (`true`): id and seats.
fn people(later: bool) -> impl Iterator<Item = (usize, usize)> {
    (1..=PEOPLE).filter(move |id| !later || *id != 3).map(move |id| (id, if later && id == 5 { 1_000 } else { id }))
}

/// People as a batch of Arrow, each with this ballast.
fn people_batch(rows: &[(usize, usize)], ballast: impl Fn(usize) -> String) -> RecordBatch {
    let numbers = |of: fn(&(usize, usize)) -> usize| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| of(row) as i64)))
    };
    let texts = |of: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(id, _)| of(*id))))
    };
    let columns = [
        ("id", numbers(|row| row.0)),
        ("email", texts(&|id| format!("p{id}@x.io"))),
        ("seats", numbers(|row| row.1)),
        ("pad", texts(&ballast)),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

/// What the destination holds of them, each with so many characters of ballast.
fn expected(later: bool, ballast: usize) -> String {
    let (count, sum) = people(later).fold((0, 0), |(count, sum), (_, seats)| (count + 1, sum + seats));
    format!("{count}|{sum}|{ballast}")
}
