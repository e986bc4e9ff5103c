//! The allocator of the C library, told what a server does.

/// Keeps a little more of what is free.
///
/// glibc gives the end of its heap back to the system as soon as more than 128 KiB are free there. With buffers of 64 KiB that
/// may be after every response, and the next one takes a page fault for each 4 KiB: up to thirteen for a response of 1 MiB,
/// and a tenth of its processor time.
#[cfg(target_env = "gnu")]
pub(crate) fn keep_some() {
    const KEPT: i32 = 2 * 1024 * 1024;
    const LARGEST_IN_HEAP: i32 = 1024 * 1024;
    for (parameter, bytes) in [
        (libc::M_TRIM_THRESHOLD, KEPT),
        // To set the one ends the adaptation of the other, which begins with 128 KiB.
        (libc::M_MMAP_THRESHOLD, LARGEST_IN_HEAP),
    ] {
        #[expect(unsafe_code, reason = "the C library has no other way to be told")]
        // SAFETY: it takes two numbers, and the lock of the allocator.
        let is_set = unsafe { libc::mallopt(parameter, bytes) };
        if is_set == 0 {
            tracing::debug!(parameter, bytes, "mallopt refused");
        }
    }
}

/// Other C libraries have no such settings.
#[cfg(not(target_env = "gnu"))]
pub(crate) const fn keep_some() {}
