//! Memory for what is looked up at random.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What is a valid value when all of its bytes are zero.
///
/// # Safety
/// It has to be.
pub(super) unsafe trait Zero {}

// SAFETY: these are numbers.
unsafe impl Zero for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zero for AtomicU64 {}

/// Numbers, all zero at first. The system is asked for huge pages: looking up at random in ordinary ones costs a second
/// access to memory each time, to find out where the page is.
pub(super) struct Table<T>(Vec<T>);

impl<T: Zero> Table<T> {
    /// So many numbers. What is not touched takes no memory yet: threads can share the work of getting it.
    pub(super) fn zeroed(count: usize) -> Table<T> {
        if count == 0 {
            return Table(Vec::new());
        }
        let Ok(layout) = Layout::array::<T>(count) else { handle_alloc_error(Layout::new::<T>()) };
        // SAFETY: the layout is not empty. Zero is a valid number, so that the allocation is a vector of `count` of them,
        // with the layout a vector frees it with.
        let numbers = unsafe {
            let start = alloc_zeroed(layout);
            if start.is_null() {
                handle_alloc_error(layout);
            }
            Vec::from_raw_parts(start.cast::<T>(), count, count)
        };
        advise(&numbers);
        Table(numbers)
    }

    pub(super) fn as_slice(&self) -> &[T] {
        &self.0
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// Asks for huge pages. Without them all works the same, more slowly.
#[cfg(target_os = "linux")]
fn advise<T>(numbers: &[T]) {
    const HUGE: usize = 2 << 20;
    let bytes = numbers.as_ptr_range();
    let start = (bytes.start as usize).next_multiple_of(HUGE);
    let end = bytes.end as usize / HUGE * HUGE;
    if start < end {
        // SAFETY: the range lies within the vector, and the advice leaves its content alone.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_: &[T]) {}
