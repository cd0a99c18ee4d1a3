//! What is never twice in flight, and who has it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::diff::Hash;

/// What is never twice in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// The row: half of its hash. Two rows that share it by chance only wait for each other.
    Key(u64),
    /// The record it writes.
    Identity(u64),
}

impl Token {
    /// The token of a row.
    pub fn of_key(hash: Hash) -> Self {
        // Either half of a hash is one.
        Self::Key(hash as u64)
    }
}

/// Tokens and the cut that took them. They are hashes already: nothing is to be won by hashing them with care once more.
pub type Taken = HashMap<Token, u64, BuildHasherDefault<Folded>>;

/// Folds what is a hash.
#[derive(Default)]
pub struct Folded(u64);

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, part: u64) {
        self.0 = (self.0.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_isize(&mut self, part: isize) {
        self.write_u64(part as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
