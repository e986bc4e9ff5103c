//! The application's error output as lines of the log.

use std::sync::Arc;

use crate::observe::Context;

/// Collects the error output of one request and logs it line by line.
///
/// A script in a loop can write without end, so only so much of one request goes to the log.
#[derive(Debug)]
pub(super) struct StderrLog {
    context: Arc<Context>,
    /// A line that has not ended yet.
    line: Vec<u8>,
    logged: usize,
    dropped: usize,
}

impl StderrLog {
    pub(super) fn new(context: &Arc<Context>) -> Self {
        Self { context: Arc::clone(context), line: Vec::new(), logged: 0, dropped: 0 }
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn add(&mut self, output: &[u8]) {
        let room = LIMIT.saturating_sub(self.logged);
        let (kept, rest) = output.split_at_checked(room).unwrap_or((output, &[]));
        self.logged += kept.len();
        self.dropped += rest.len();
        for part in kept.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() >= LONGEST_LINE {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.trim_ascii_end();
        if !line.is_empty() {
            // Escaped, as what a visitor sent may be in it, and the log may be read on a terminal.
            let text = String::from_utf8_lossy(line);
            let text =
                text.replace(|letter: char| letter.is_control() && letter != '\t', "\u{fffd}");
            let (path, request) = (self.context.path(), self.context.id());
            tracing::warn!(target: "stderr", path, %request, "{text}");
            self.context.stderr_line(&text);
        }
        self.line.clear();
    }
}

impl Drop for StderrLog {
    fn drop(&mut self) {
        self.end_line();
        if self.dropped > 0 {
            let (path, request) = (self.context.path(), self.context.id());
            tracing::warn!(target: "stderr", path, %request, "{} more bytes were not logged", self.dropped);
        }
    }
}

/// Of one request, in bytes.
const LIMIT: usize = 256 * 1024;
const LONGEST_LINE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Identify, Observers};

    #[test]
    fn lines_and_limits() {
        let mut headers = http::HeaderMap::new();
        let id = Identify::On.identify(&mut headers, false);
        let (parts, ()) = http::Request::new(()).into_parts();
        let context = Context::new(id, &parts, Observers::default());
        let mut log = StderrLog::new(&context);
        log.add(b"one\ntw");
        assert_eq!(log.line, b"tw");
        log.add(b"o\r\n\n");
        assert_eq!(log.line, b"");
        assert_eq!(context.stderr(), ["one", "two"].map(Arc::from));
        log.add(&vec![b'x'; LONGEST_LINE + 1]);
        assert_eq!(log.line, b"");
        for _ in 0..100 {
            log.add(&[b'y'; 10_000]);
        }
        assert_eq!(log.logged, LIMIT);
        assert!(log.dropped > 700_000);
        assert_eq!(context.stderr().len(), 20, "the last ones");
    }
}
