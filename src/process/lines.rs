//! Lines of a program's output, none longer than is allowed.

use std::io::{self, BufRead, BufReader, Read};

/// Reads line by line.
pub struct Lines<R> {
    input: BufReader<R>,
    buffer: Vec<u8>,
    most: usize,
    number: u64,
}

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The pipe is broken.
    #[error("its output cannot be read: {0}")]
    Broken(io::Error),
    /// A line is too long.
    #[error("line {line} of its output is longer than {most} bytes")]
    TooLong {
        /// Its number, from 1.
        line: u64,
        /// The longest that is allowed, in bytes.
        most: usize,
    },
    /// The output ends in the middle of a line.
    #[error("line {line} of its output, the last, is not complete")]
    Cut {
        /// Its number, from 1.
        line: u64,
    },
}

impl<R: Read> Lines<R> {
    /// Lines of at most so many bytes.
    pub fn new(input: R, most: usize) -> Self {
        Self { input: BufReader::with_capacity(1 << 16, input), buffer: Vec::new(), most, number: 0 }
    }

    /// The next line without its end; `None` after the last.
    ///
    /// # Errors
    /// See [`Fault`]. Nothing more should be read then.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, Fault> {
        self.buffer.clear();
        self.number += 1;
        let mut input = (&mut self.input).take(self.most as u64 + 1);
        let length = input.read_until(b'\n', &mut self.buffer).map_err(Fault::Broken)?;
        if length == 0 {
            return Ok(None);
        }
        match self.buffer.strip_suffix(b"\n") {
            Some(line) => Ok(Some(line.strip_suffix(b"\r").unwrap_or(line))),
            None if length > self.most => Err(Fault::TooLong { line: self.number, most: self.most }),
            None => Err(Fault::Cut { line: self.number }),
        }
    }

    /// Number of the last line read, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end_and_are_never_too_long() {
        let read = |text: &str| {
            let mut lines = Lines::new(text.as_bytes(), 5);
            let mut found = Vec::new();
            loop {
                match lines.next_line() {
                    Ok(Some(line)) => found.push(String::from_utf8_lossy(line).into_owned()),
                    Ok(None) => return found.join("|"),
                    Err(fault) => return format!("{}|{fault}", found.join("|")),
                }
            }
        };
        assert_eq!(read("a\nbb\r\n\nccccc\n"), "a|bb||ccccc");
        assert_eq!(read(""), "");
        assert_eq!(read("a\nb"), "a|line 2 of its output, the last, is not complete");
        assert_eq!(read("a\nbbbbbb\n"), "a|line 2 of its output is longer than 5 bytes");
    }
}
