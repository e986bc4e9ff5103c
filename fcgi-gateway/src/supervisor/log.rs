//! What PHP prints, as lines of the log.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::find::PhpKind;

/// PHP's own log, passed on to ours. The last lines are kept to explain a failure to start.
#[derive(Debug)]
pub(super) struct Log {
    kind: PhpKind,
    last: Mutex<Vec<String>>,
}

impl Log {
    pub(super) fn new(kind: PhpKind) -> Self {
        Self { kind, last: Mutex::default() }
    }

    pub(super) async fn follow(self: Arc<Self>, output: impl AsyncRead + Unpin) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line without end is cut, or it would fill the memory.
            match (&mut output).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.add(&printable(&line)),
            }
        }
    }

    fn add(&self, line: &str) {
        let (severity, text) = match self.kind {
            PhpKind::Fpm => read_fpm(line),
            PhpKind::Cgi => (Severity::Script, line),
        };
        match severity {
            Severity::Error => tracing::error!(target: "php", "{text}"),
            Severity::Warning => tracing::warn!(target: "php", "{text}"),
            Severity::Notice => tracing::debug!(target: "php", "{text}"),
            Severity::Script => tracing::info!(target: "php", "{text}"),
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == KEPT_LINES {
            last.remove(0);
        }
        last.push(text.to_owned());
    }

    pub(super) fn last_lines(&self) -> Vec<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

const LONGEST_LINE: u64 = 16 * 1024;
const KEPT_LINES: usize = 10;

/// One line without what would move the cursor of a terminal or look like a second line: visitors' input may be in it.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.trim_ascii_end());
    text.replace(|letter: char| letter.is_control() && letter != '\t', "\u{fffd}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
    Notice,
    /// What a script printed.
    Script,
}

/// PHP-FPM writes `[24-Nov-2026 07:03:50] WARNING: text`, and passes on what scripts print in the same form:
/// `WARNING: [pool site] child 7 said into stderr: "text"`. So no script can write a line that looks like PHP-FPM's own.
fn read_fpm(line: &str) -> (Severity, &str) {
    let text = match line.split_once("] ") {
        Some((time, text)) if time.starts_with('[') => text,
        _ => line,
    };
    if let Some((start, said)) = text.split_once(" said into std") {
        if start.starts_with("WARNING: [pool ") {
            let said = said.split_once(": \"").map_or(said, |(_, said)| said);
            return (Severity::Script, said.strip_suffix('"').unwrap_or(said));
        }
    }
    match text.split_once(':').map(|(level, _)| level) {
        Some("ERROR" | "ALERT") => (Severity::Error, text),
        Some("WARNING") => (Severity::Warning, text),
        Some("NOTICE" | "DEBUG") => (Severity::Notice, text),
        _ => (Severity::Script, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities() {
        let said = |text| {
            format!(
                "[24-Nov-2026 07:03:50] WARNING: [pool site] child 7 said into stderr: \"{text}\""
            )
        };
        for (line, severity, text) in [
            (
                "[24-Nov-2026 07:03:50] NOTICE: fpm is running, pid 1",
                Severity::Notice,
                "NOTICE: fpm is running, pid 1",
            ),
            (
                "[24-Nov-2026 07:03:50] WARNING: [pool site] busy",
                Severity::Warning,
                "WARNING: [pool site] busy",
            ),
            (
                "[24-Nov-2026 07:03:50] ERROR: unable to bind",
                Severity::Error,
                "ERROR: unable to bind",
            ),
            ("[24-Nov-2026 07:03:50] ALERT: oops", Severity::Error, "ALERT: oops"),
            (&said("hello"), Severity::Script, "hello"),
            (&said("a \"b\": \"c\""), Severity::Script, "a \"b\": \"c\""),
            (
                &said("[24-Nov-2026 07:03:50] ERROR: forged"),
                Severity::Script,
                "[24-Nov-2026 07:03:50] ERROR: forged",
            ),
            ("", Severity::Script, ""),
        ] {
            assert_eq!(read_fpm(line), (severity, text), "{line}");
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(printable(b"a\rb\x1b[2Jc\td\r\n"), "a\u{fffd}b\u{fffd}[2Jc\td");
    }
}
