/// How much to read from a connection at once: little at first, and more once that was not enough.
///
/// 4 KiB take most answers to an API call whole, and keep small what a connection holds that waits or idles; a page has
/// grown the reads to 64.5 KiB after its second, and they stay so for the next one: the longest record, with the head of the
/// response before it and its end behind it, is one read.
///
/// ```
/// use fcgi_proto::client::ReadSize;
///
/// let mut size = ReadSize::default();
/// assert_eq!(size.bytes(), 4096);
/// size.handle_read(300, 4096);
/// assert_eq!(size.bytes(), 4096);
/// assert!(size.is_enough(4096 - 300)); // room that is left in the buffer
/// size.handle_read(4096, 4096); // there is more
/// assert_eq!(size.bytes(), 16 * 1024);
/// assert!(!size.may_idle()); // this much is not kept by a connection without a request
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSize(usize);

impl ReadSize {
    /// So many bytes of room are to be made for a read.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }

    /// Whether so much room is worth a read, so that no more needs to be made.
    #[must_use]
    pub const fn is_enough(self, room: usize) -> bool {
        room >= self.0 / 2
    }

    /// Whether a buffer of this size may stay with a connection that idles. A larger one is better made anew for the next
    /// response: many idle ones take much memory, and what another connection has just let go of is in the processor's cache.
    #[must_use]
    pub const fn may_idle(self) -> bool {
        self.0 <= FIRST
    }

    /// Says that so many bytes were read into so much room.
    pub const fn handle_read(&mut self, count: usize, room: usize) {
        if count >= room {
            self.0 = if self.0 < SECOND { SECOND } else { MOST };
        }
    }
}

impl Default for ReadSize {
    fn default() -> Self {
        Self(FIRST)
    }
}

const FIRST: usize = 4 * 1024;
const SECOND: usize = 16 * 1024;
/// The longest record of the usual kind (section 3.3) with 500 bytes around it.
const MOST: usize = 64 * 1024 + 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_limit() {
        let mut size = ReadSize::default();
        for bytes in [16 * 1024, 64 * 1024 + 512, 64 * 1024 + 512] {
            size.handle_read(size.bytes(), size.bytes());
            assert_eq!(size.bytes(), bytes);
        }
        size.handle_read(1, size.bytes());
        assert_eq!(size.bytes(), 64 * 1024 + 512);
    }
}
