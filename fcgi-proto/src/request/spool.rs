//! Bodies of unknown length: what is kept where until their length is known.
//!
//! A FastCGI application reads exactly CONTENT_LENGTH bytes. Without it PHP sees no body at all, and PHP-FPM waits for
//! one that has ended (bug 51191), so such a body is collected before anything is sent. The decisions are here; the file
//! belongs to the adapter.

use bytes::{Bytes, BytesMut};

use super::error::RequestError;

/// How bodies of unknown length are collected before they are sent.
///
/// | limit | default | beyond it |
/// |---|---|---|
/// | [`max_memory`](Self::max_memory) | 256 KiB | a temporary file without a name takes over |
/// | [`max_body`](Self::max_body) | 128 MiB | [`RequestError::BodyTooLarge`], before anything was sent |
///
/// ```
/// use fcgi_proto::SpoolConfig;
///
/// let config = SpoolConfig::default().max_memory(64 * 1024).max_body(1 << 30);
/// assert!(config.is_on());
/// assert!(!SpoolConfig::OFF.is_on());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    max_memory: usize,
    max_body: u64,
    is_on: bool,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { max_memory: 256 * 1024, max_body: 128 * 1024 * 1024, is_on: true }
    }
}

impl SpoolConfig {
    /// Send a body of unknown length as it comes and without CONTENT_LENGTH: for applications that read to the end of
    /// STDIN, as Go's `net/http/fcgi` does. PHP reads nothing then.
    pub const OFF: Self = Self { max_memory: 0, max_body: u64::MAX, is_on: false };

    /// How much of a body is kept in memory before a file takes it, in bytes. Default: 256 KiB.
    #[must_use]
    pub const fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = bytes;
        self
    }

    /// How long a body may be, in bytes. Default: 128 MiB, which is what PHP's own `post_max_size` is most often raised
    /// to at the most; disks are filled by less than one thinks.
    #[must_use]
    pub const fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Whether bodies of unknown length are collected at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.is_on
    }
}

/// A body while it is collected: says what to write to the file, and when to refuse it.
///
/// ```
/// use fcgi_proto::{Spool, SpoolConfig, Spooled};
///
/// let mut spool = Spool::new(SpoolConfig::default().max_memory(8).max_body(20));
/// assert_eq!(spool.push(b"in ")?, None);
/// assert_eq!(spool.push(b"memory, ")?.as_deref(), Some(&b"in memory, "[..])); // append this to a file
/// assert_eq!(spool.push(b"more")?, None);
/// let Spooled::File { rest, len } = spool.finish() else { unreachable!() };
/// assert_eq!((&rest[..], len), (&b"more"[..], 15)); // append the rest, then send the file
/// # Ok::<(), fcgi_proto::RequestError>(())
/// ```
#[derive(Debug)]
pub struct Spool {
    config: SpoolConfig,
    memory: BytesMut,
    len: u64,
    has_file: bool,
}

/// A body that was collected to its end.
///
/// ```
/// use fcgi_proto::{Spool, SpoolConfig, Spooled};
///
/// let mut spool = Spool::new(SpoolConfig::default());
/// assert_eq!(spool.push(b"small")?, None);
/// match spool.finish() {
///     Spooled::Memory(body) => assert_eq!(body, "small"),
///     Spooled::File { rest, len } => println!("append {} bytes, and send {len} from the file", rest.len()),
/// }
/// # Ok::<(), fcgi_proto::RequestError>(())
/// ```
#[derive(Debug)]
pub enum Spooled {
    /// All of it.
    Memory(Bytes),
    /// It is in the file, but for the rest.
    File {
        /// What is still to be appended.
        rest: Bytes,
        /// The length of the whole in bytes.
        len: u64,
    },
}

impl Spool {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(config: SpoolConfig) -> Self {
        Self { config, memory: BytesMut::new(), len: 0, has_file: false }
    }

    /// Keeps no more than this in memory from now on, in bytes, where it is less than the configuration says: for those who
    /// share memory among bodies, and have none left. Zero sends each piece to the file as it comes, and with the next one
    /// all that is in memory.
    pub fn limit_memory(&mut self, bytes: usize) {
        self.config.max_memory = self.config.max_memory.min(bytes);
    }

    /// Takes the next piece. What is returned goes to the end of the temporary file, which is made with the first.
    ///
    /// # Errors
    /// [`RequestError::BodyTooLarge`]: drop the body and the file.
    pub fn push(&mut self, data: &[u8]) -> Result<Option<Bytes>, RequestError> {
        let len = self.len.saturating_add(data.len() as u64);
        if len > self.config.max_body {
            return Err(RequestError::BodyTooLarge { limit: self.config.max_body });
        }
        self.len = len;
        self.make_room(data.len());
        self.memory.extend_from_slice(data);
        if self.memory.len() <= self.config.max_memory {
            return Ok(None);
        }
        self.has_file = true;
        Ok(Some(self.memory.split().freeze()))
    }

    /// Doubles the memory, but to no more than the whole body may have: many are of a length that is known.
    fn make_room(&mut self, more: usize) {
        let (needed, capacity) = (self.memory.len() + more, self.memory.capacity());
        if needed <= capacity {
            return;
        }
        let most = usize::try_from(self.config.max_body).unwrap_or(usize::MAX);
        let grown = capacity.saturating_mul(2).min(most).max(needed);
        let full = core::mem::replace(&mut self.memory, BytesMut::with_capacity(grown));
        self.memory.extend_from_slice(&full);
    }

    /// The body has ended.
    #[must_use]
    pub fn finish(self) -> Spooled {
        let rest = self.memory.freeze();
        if self.has_file { Spooled::File { rest, len: self.len } } else { Spooled::Memory(rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_documented() {
        let config = SpoolConfig::default();
        assert_eq!((config.max_memory, config.max_body), (262_144, 134_217_728));
    }

    #[test]
    fn a_body_of_exactly_the_limits_is_taken() {
        let mut spool = Spool::new(SpoolConfig::default().max_memory(4).max_body(4));
        assert_eq!(spool.push(b"1234"), Ok(None));
        assert!(matches!(spool.finish(), Spooled::Memory(data) if data == "1234"));
    }

    #[test]
    fn one_byte_more_is_refused_and_not_kept() {
        let mut spool = Spool::new(SpoolConfig::default().max_memory(4).max_body(4));
        assert_eq!(spool.push(b"123"), Ok(None));
        assert_eq!(spool.push(b"45"), Err(RequestError::BodyTooLarge { limit: 4 }));
        assert!(matches!(spool.finish(), Spooled::Memory(data) if data == "123"));
    }

    #[test]
    fn memory_grows_to_no_more_than_the_longest_body() {
        let mut spool = Spool::new(SpoolConfig::default().max_body(100_000));
        for len in [60_000, 39_999, 1] {
            assert_eq!(spool.push(&std::vec![7; len]), Ok(None));
        }
        assert_eq!(spool.memory.capacity(), 100_000);
    }

    #[test]
    fn memory_can_run_out_on_the_way() {
        let mut spool = Spool::new(SpoolConfig::default().max_memory(100));
        assert_eq!(spool.push(b"kept "), Ok(None));
        spool.limit_memory(0);
        assert_eq!(spool.push(b"until now").unwrap().unwrap(), "kept until now");
        spool.limit_memory(1000);
        assert_eq!(spool.push(b", not").unwrap().unwrap(), ", not");
        assert!(matches!(spool.finish(), Spooled::File { rest, len: 19 } if rest.is_empty()));
    }

    #[test]
    fn memory_holds_no_more_than_its_limit_and_a_piece() {
        let mut spool = Spool::new(SpoolConfig::default().max_memory(100));
        let mut written = 0;
        for _ in 0..1000 {
            written += spool.push(&[7; 30]).unwrap().map_or(0, |data| data.len());
            assert!(spool.memory.len() <= 100);
        }
        let Spooled::File { rest, len } = spool.finish() else { panic!("not spilled") };
        assert_eq!((written + rest.len(), len), (30_000, 30_000));
    }
}
