//! Numbers as Parquet packs them: runs of one number, and runs of many with a few bits each.

use parquet::errors::Result;

use super::{broken, cut};

/// Packed numbers, read at ascending places.
pub(super) struct Runs<'a> {
    rest: &'a [u8],
    width: u32,
    /// The places of the run that is looked at.
    start: usize,
    end: usize,
    run: Run<'a>,
}

enum Run<'a> {
    Same(u32),
    Packed(&'a [u8]),
}

impl<'a> Runs<'a> {
    /// Of numbers with so many bits.
    pub(super) fn new(bytes: &'a [u8], width: u32) -> Result<Runs<'a>> {
        if width > u32::BITS {
            return Err(broken("a page has numbers that are too wide"));
        }
        Ok(Runs { rest: bytes, width, start: 0, end: 0, run: Run::Same(0) })
    }

    /// The number at a place, which is not before the run looked at last.
    pub(super) fn get(&mut self, at: usize) -> Result<u32> {
        while at >= self.end {
            self.turn()?;
        }
        match self.run {
            Run::Same(number) => Ok(number),
            Run::Packed(bytes) => bits(bytes, (at - self.start) * self.width as usize, self.width).ok_or_else(cut),
        }
    }

    fn turn(&mut self) -> Result<()> {
        let header = self.number()?;
        self.start = self.end;
        let count = if header & 1 == 1 {
            let groups = usize::try_from(header >> 1).map_err(|_| cut())?;
            let length = groups.checked_mul(self.width as usize).ok_or_else(cut)?;
            // The last group may be cut short where no more numbers follow.
            let (packed, rest) = self.rest.split_at(length.min(self.rest.len()));
            (self.run, self.rest) = (Run::Packed(packed), rest);
            groups.checked_mul(8)
        } else {
            let (bytes, rest) = self.rest.split_at_checked(self.width.div_ceil(8) as usize).ok_or_else(cut)?;
            let mut number = [0; 4];
            number[..bytes.len()].copy_from_slice(bytes);
            (self.run, self.rest) = (Run::Same(u32::from_le_bytes(number)), rest);
            usize::try_from(header >> 1).ok()
        };
        self.end = count.and_then(|count| self.start.checked_add(count)).ok_or_else(cut)?;
        Ok(())
    }

    /// A number in bytes of seven bits.
    fn number(&mut self) -> Result<u64> {
        let mut number = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(cut)?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(cut())
    }
}

/// A number of so many bits, from the lowest on.
fn bits(bytes: &[u8], at: usize, width: u32) -> Option<u32> {
    if width == 0 {
        return Some(0);
    }
    let rest = bytes.get(at / 8..)?;
    let word = match rest.first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(word)
        }
    };
    let shift = (at % 8) as u32;
    if (shift + width).div_ceil(8) as usize > rest.len() {
        return None;
    }
    Some((word >> shift & ((1 << width) - 1)) as u32)
}

/// How many values of a page come before each of these rows, given in ascending order; `None` where the row has none.
pub(super) fn ranks(
    levels: Option<&[u8]>,
    rows: impl Iterator<Item = usize>,
    length: usize,
    out: &mut Vec<Option<usize>>,
) -> Result<()> {
    out.clear();
    let Some(levels) = levels else {
        out.extend(rows.map(Some));
        return Ok(());
    };
    let mut runs = Runs::new(levels, 1)?;
    runs.turn()?;
    if let (Run::Same(1), true) = (&runs.run, runs.end >= length) {
        out.extend(rows.map(Some));
        return Ok(());
    }
    let (mut at, mut rank) = (0, 0);
    for row in rows {
        while at < row {
            rank += runs.get(at)? as usize;
            at += 1;
        }
        out.push((runs.get(row)? == 1).then_some(rank));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_runs_of_both_kinds() {
        // Five times 6, then eight numbers of three bits: 0 to 7.
        let bytes = [5 << 1, 6, 1 << 1 | 1, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        let expected = [6, 6, 6, 6, 6, 0, 1, 2, 3, 4, 5, 6, 7];
        for step in 1..5 {
            let mut runs = Runs::new(&bytes, 3).unwrap();
            for at in (0..expected.len()).step_by(step) {
                assert_eq!(runs.get(at).unwrap(), expected[at], "every {step}th, at {at}");
            }
            assert!(runs.get(expected.len()).is_err(), "after the last");
        }
    }

    #[test]
    fn rows_without_a_value_do_not_count() {
        // There, there, not, there …: 0b0000_1011 as eight levels of one bit.
        let levels = [1 << 1 | 1, 0b0000_1011];
        let mut out = Vec::new();
        ranks(Some(&levels), [0, 1, 2, 3, 7].into_iter(), 8, &mut out).unwrap();
        assert_eq!(out, [Some(0), Some(1), None, Some(2), None]);
        ranks(Some(&[8 << 1, 1]), [2, 7].into_iter(), 8, &mut out).unwrap();
        assert_eq!(out, [Some(2), Some(7)]);
    }

    #[test]
    fn damaged_numbers_are_an_error() {
        for bytes in [&[][..], &[0x80], &[0xff; 11], &[3, 1], &[2]] {
            let mut runs = Runs::new(bytes, 32).unwrap();
            assert!(runs.get(7).is_err(), "{bytes:?}");
        }
        assert!(Runs::new(&[], 33).is_err());
    }
}
