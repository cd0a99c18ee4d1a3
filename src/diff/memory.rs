//! Memory for what is looked up at random.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::sync::atomic::AtomicU64;

/// Words, all zero at first. The system is asked for huge pages: looking up at random in ordinary ones costs a second
/// access to memory each time, to find out where the page is.
pub(super) struct Words(Vec<AtomicU64>);

impl Words {
    /// So many words. What is not touched takes no memory yet: threads can share the work of getting it.
    pub(super) fn zeroed(count: usize) -> Words {
        if count == 0 {
            return Words(Vec::new());
        }
        let Ok(layout) = Layout::array::<AtomicU64>(count) else { handle_alloc_error(Layout::new::<AtomicU64>()) };
        // SAFETY: the layout is not empty. Zero is a valid word, so that the allocation is a vector of `count` of them,
        // with the layout a vector frees it with.
        let words = unsafe {
            let start = alloc_zeroed(layout);
            if start.is_null() {
                handle_alloc_error(layout);
            }
            Vec::from_raw_parts(start.cast::<AtomicU64>(), count, count)
        };
        advise(&words);
        Words(words)
    }

    pub(super) fn as_slice(&self) -> &[AtomicU64] {
        &self.0
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [AtomicU64] {
        &mut self.0
    }
}

/// Asks for huge pages. Without them all works the same, more slowly.
#[cfg(target_os = "linux")]
fn advise(words: &[AtomicU64]) {
    const HUGE: usize = 2 << 20;
    let bytes = words.as_ptr_range();
    let start = (bytes.start as usize).next_multiple_of(HUGE);
    let end = bytes.end as usize / HUGE * HUGE;
    if start < end {
        // SAFETY: the range lies within the vector, and the advice leaves its content alone.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &[AtomicU64]) {}
