use bytes::{Bytes, BytesMut};

/// The most of a response's body that a one-line call takes: 64 MiB.
pub const MAX_CALL_BODY: usize = 64 * 1024 * 1024;

/// A piece of what an application sends, in the order it came.
///
/// ```
/// use fcgi_proto::client::Chunk;
///
/// /// Passes both outputs on to where they belong.
/// fn show(chunk: &Chunk) {
///     match chunk {
///         Chunk::Body(data) => print!("{}", String::from_utf8_lossy(data)),
///         Chunk::Stderr(data) => eprint!("{}", String::from_utf8_lossy(data)),
///         _ => {}
///     }
/// }
/// # show(&Chunk::Body("hello".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chunk {
    /// Of the response's body.
    Body(Bytes),
    /// Of the error output.
    Stderr(Bytes),
}

/// Gathers the body of a response, up to a limit.
///
/// ```
/// use fcgi_proto::client::Collector;
///
/// let mut body = Collector::new(8);
/// assert!(body.push("a few ".into()));
/// assert!(!body.push("pieces".into())); // too much
/// assert_eq!(body.finish(), "a few ");
/// ```
#[derive(Debug)]
pub struct Collector {
    limit: usize,
    /// The first piece, since a body in one piece needs no copy.
    first: Bytes,
    rest: BytesMut,
}

impl Collector {
    /// Nothing, with a limit in bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, first: Bytes::new(), rest: BytesMut::new() }
    }

    /// Takes a piece, and says whether it was within the limit; otherwise it is dropped.
    #[must_use]
    pub fn push(&mut self, piece: Bytes) -> bool {
        if self.first.is_empty() && self.rest.is_empty() && piece.len() <= self.limit {
            self.first = piece;
            return true;
        }
        self.push_slice(&piece)
    }

    /// Takes a piece that is lent, as [`push`](Self::push).
    #[must_use]
    pub fn push_slice(&mut self, piece: &[u8]) -> bool {
        let held = self.first.len() + self.rest.len();
        if piece.len() > self.limit.saturating_sub(held) {
            return false;
        }
        let first = core::mem::take(&mut self.first);
        self.rest.extend_from_slice(&first);
        self.rest.extend_from_slice(piece);
        true
    }

    /// What came.
    #[must_use]
    pub fn finish(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}
