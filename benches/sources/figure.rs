//! What one process measured, printed as its last line and read back.

use std::time::Instant;

/// Seconds, work and peak of memory of one process.
pub struct Figure {
    pub rows: u64,
    pub seconds: f64,
    /// Seconds of all threads.
    pub processor: f64,
    pub mebibytes: f64,
}

impl Figure {
    /// The figure of this process, so far.
    pub fn since(start: Instant, rows: u64) -> Self {
        let seconds = start.elapsed().as_secs_f64();
        // SAFETY: the call fills in the structure, for which all zeros are valid values.
        let usage = unsafe {
            let mut usage = std::mem::zeroed::<libc::rusage>();
            libc::getrusage(libc::RUSAGE_SELF, &mut usage);
            usage
        };
        let total = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        // Kibibytes on Linux.
        let mebibytes = usage.ru_maxrss as f64 / 1024.0;
        Self { rows, seconds, processor: total(usage.ru_utime) + total(usage.ru_stime), mebibytes }
    }

    pub fn print(&self) {
        println!("{} {} {} {}", self.rows, self.seconds, self.processor, self.mebibytes);
    }

    /// The figure in the last line of an output.
    pub fn read(output: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(output);
        let numbers: Vec<f64> = text.lines().last()?.split(' ').map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let [rows, seconds, processor, mebibytes] = numbers[..] else { return None };
        Some(Self { rows: rows as u64, seconds, processor, mebibytes })
    }

    /// The one that took less time, with the larger peak of memory of the two.
    pub fn faster(self, other: Self) -> Self {
        let mebibytes = self.mebibytes.max(other.mebibytes);
        let best = if self.seconds <= other.seconds { self } else { other };
        Self { mebibytes, ..best }
    }
}
