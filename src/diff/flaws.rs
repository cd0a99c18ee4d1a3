//! Rows with a value that the source has and nothing here can hold: never sent, and never taken for removed.
//!
//! Such a row goes the way of all that must be looked at closely, so that its key counts as seen and its repetition is
//! found. What is wrong with it travels in the place of its row hash, which would be the hash of a null that is not there:
//! a number this low is no hash (one of 128 bits is below 2³² once in 2⁹⁶ times).

use std::sync::{Mutex, PoisonError};

use super::Hash;
use super::snapshot::Layout;
use crate::mapping::{MappingSpec, columns_of};
use crate::sources::{Flaw, Unreadable};

/// Below this, a row hash is the number of a flaw. 0 is neither: it stands for a removal.
const NUMBERS: Hash = 1 << 32;

/// True where the row hash says that the row has a flaw.
#[inline]
pub(super) fn is_flaw(row_hash: Hash) -> bool {
    (1..NUMBERS).contains(&row_hash)
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flawed {
    /// The row in its batch.
    pub row: usize,
    /// Position in the layout of the column that cannot be read.
    column: usize,
    why: Unreadable,
}

/// The flaws that were found in a model, each once: there are only a few, however many rows have one.
pub(super) struct Flaws<'a> {
    layout: &'a Layout,
    spec: &'a MappingSpec,
    known: Mutex<Vec<(usize, Unreadable)>>,
}

/// What is said of a row.
pub(super) struct Told {
    /// The destination field or identifier that is made of the value.
    pub field: Option<String>,
    /// The column, what was found, what to write.
    pub message: String,
}

impl<'a> Flaws<'a> {
    /// None so far.
    pub(super) fn new(layout: &'a Layout, spec: &'a MappingSpec) -> Self {
        Self { layout, spec, known: Mutex::default() }
    }

    /// The rows of a batch that have a flaw in a used column, ascending, one flaw a row: of several, the one in the key, else
    /// the first of the layout. `columns` are those of the batch.
    pub(super) fn used(&self, flaws: &[Flaw], columns: &arrow_schema::Schema) -> Vec<Flawed> {
        if flaws.is_empty() {
            return Vec::new();
        }
        let position = |flaw: &Flaw| {
            let name = columns.fields().get(flaw.column)?.name();
            self.layout.schema.fields().iter().position(|field| field.name() == name)
        };
        let used = |flaw: &Flaw| Some(Flawed { row: flaw.row, column: position(flaw)?, why: flaw.why });
        let mut used: Vec<Flawed> = flaws.iter().filter_map(used).collect();
        used.sort_unstable_by_key(|flawed| (flawed.row, !self.is_in_key(flawed), flawed.column, flawed.why));
        used.dedup_by_key(|flawed| flawed.row);
        used
    }

    /// Whether the row has no key for it.
    pub(super) fn is_in_key(&self, flawed: &Flawed) -> bool {
        self.layout.key.contains(&flawed.column)
    }

    /// What stands in the place of the row's hash.
    pub(super) fn hash(&self, flawed: &Flawed) -> Hash {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let flaw = (flawed.column, flawed.why);
        let at = known.iter().position(|other| *other == flaw).unwrap_or_else(|| {
            known.push(flaw);
            known.len() - 1
        });
        at as Hash + 1
    }

    /// What is wrong with a row of this hash; `None` where nothing is.
    pub(super) fn told(&self, row_hash: Hash) -> Option<Told> {
        if !is_flaw(row_hash) {
            return None;
        }
        let at = usize::try_from(row_hash - 1).ok()?;
        let (column, why) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(at).copied()?;
        Some(self.say(column, why))
    }

    /// What is said of a row whose key has a flaw.
    pub(super) fn told_of_key(&self, flawed: &Flawed) -> Told {
        Told { field: None, ..self.say(flawed.column, flawed.why) }
    }

    fn say(&self, column: usize, why: Unreadable) -> Told {
        let column = self.layout.schema.field(column).name();
        let identifiers = self.spec.matching.iter().filter(|(_, from)| *from == column).map(|(name, _)| name);
        let fields = self.spec.fields.iter().filter(|(_, field)| columns_of(field).contains(column));
        let field = identifiers.chain(fields.map(|(name, _)| name)).next().cloned();
        Told { field, message: why.told(column) }
    }
}
