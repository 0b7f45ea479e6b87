//! Memory that stays with the process between calls.

use std::sync::Once;

/// Lets the allocator of glibc keep the memory of tensors between calls; elsewhere it does nothing that shows.
///
/// When more free memory lies at the end of its heap than a threshold, glibc gives it back, and the next tensor gets
/// it again page by page: for a convolution of small images that takes twice as long as the convolution.
/// The threshold is twice the size of the largest block that was ever freed, up to 32 MiB. One block of nearly that
/// size, which is never written to and so costs no memory, sets it for the process.
pub(super) fn keep_freed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(31 << 20))));
}
