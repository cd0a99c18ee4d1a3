//! What is never twice in flight, and sets of it.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::diff::Hash;

/// What is never twice in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// The row.
    Key(Hash),
    /// The record it writes.
    Identity(u64),
}

/// Tokens are hashes already: nothing is to be won by hashing them with care once more, and every record passes through
/// such sets three times.
pub type Tokens = HashSet<Token, BuildHasherDefault<Folded>>;

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

    fn write_u128(&mut self, part: u128) {
        self.write_u64(part as u64);
        self.write_u64((part >> 64) as u64);
    }

    fn write_isize(&mut self, part: isize) {
        self.write_u64(part as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
