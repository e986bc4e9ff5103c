/// Reads decisions from bytes. When they are used up, everything is 0 or empty.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// A length: most of them short, some long.
    pub(crate) fn len(&mut self) -> usize {
        match self.byte() {
            byte @ ..200 => usize::from(byte),
            byte => usize::from(byte - 199) * 1171,
        }
    }

    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Bytes with their length before them.
    pub(crate) fn text(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.bytes(len)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Cuts a stream into pieces of one size; 0 leaves it whole.
pub(crate) fn pieces(wire: &[u8], cut: u8) -> impl Iterator<Item = &[u8]> {
    let size = if cut == 0 { wire.len().max(1) } else { usize::from(cut) };
    wire.chunks(size)
}
