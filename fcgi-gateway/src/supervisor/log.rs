//! What PHP prints, as lines of the log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::find::PhpKind;

/// PHP's own log, passed on to ours. The last lines are kept to explain a failure to start.
#[derive(Debug)]
pub(super) struct Log {
    kind: PhpKind,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: VecDeque<String>,
    /// The process whose copy of a message is being passed over; see [`State::is_copy`].
    copying: Option<String>,
}

impl Log {
    pub(super) fn new(kind: PhpKind) -> Self {
        Self { kind, state: Mutex::default() }
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
        let line = match self.kind {
            PhpKind::Fpm => read_fpm(line),
            PhpKind::Cgi => Line { severity: Severity::Script, process: "", text: line },
        };
        let text = line.text;
        let mut state = self.state();
        match line.severity {
            Severity::Error => tracing::error!(target: "php", "{text}"),
            Severity::Warning => tracing::warn!(target: "php", "{text}"),
            Severity::Script if self.kind == PhpKind::Cgi || !state.is_copy(&line) => {
                tracing::info!(target: "php", "{text}");
            }
            Severity::Notice | Severity::Script => tracing::debug!(target: "php", "{text}"),
        }
        if state.last.len() == KEPT_LINES {
            state.last.pop_front();
        }
        state.last.push_back(text.to_owned());
    }

    pub(super) fn last_lines(&self) -> Vec<String> {
        self.state().last.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a line is PHP-FPM's copy of a message of PHP, which the gateway gets with the answer too, and with the
    /// request it belongs to. PHP-FPM prefixes the first line; the others are known by their form.
    fn is_copy(&mut self, line: &Line<'_>) -> bool {
        let is_start = ["PHP message: ", "NOTICE: PHP message: "]
            .iter()
            .any(|prefix| line.text.starts_with(prefix));
        let is_same = self.copying.as_deref() == Some(line.process);
        if is_start {
            self.copying = Some(line.process.to_owned());
        } else if is_same && !is_trace(line.text) {
            self.copying = None;
        }
        is_start || (is_same && is_trace(line.text))
    }
}

/// What follows the first line of an exception that nobody caught.
fn is_trace(text: &str) -> bool {
    ["Stack trace:", "#", "  thrown in ", "Next "].iter().any(|start| text.starts_with(start))
        || text.is_empty()
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

/// A line of PHP-FPM's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line<'a> {
    severity: Severity,
    /// Which process said it, where it was one of the workers.
    process: &'a str,
    text: &'a str,
}

/// PHP-FPM writes `[24-Nov-2026 07:03:50] WARNING: text`, and passes on what scripts print in the same form:
/// `WARNING: [pool site] child 7 said into stderr: "text"`. So no script can write a line that looks like PHP-FPM's own.
fn read_fpm(line: &str) -> Line<'_> {
    let text = match line.split_once("] ") {
        Some((time, text)) if time.starts_with('[') => text,
        _ => line,
    };
    if let Some((process, said)) = text.split_once(" said into std") {
        if process.starts_with("WARNING: [pool ") {
            let said = said.split_once(": \"").map_or(said, |(_, said)| said);
            let text = said.strip_suffix('"').unwrap_or(said);
            return Line { severity: Severity::Script, process, text };
        }
    }
    let severity = match text.split_once(':').map(|(level, _)| level) {
        Some("ERROR" | "ALERT") => Severity::Error,
        Some("WARNING") => Severity::Warning,
        Some("NOTICE" | "DEBUG") => Severity::Notice,
        _ => Severity::Script,
    };
    Line { severity, process: "", text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(process: u32, text: &str) -> String {
        format!(
            "[24-Nov-2026 07:03:50] WARNING: [pool site] child {process} said into stderr: \"{text}\""
        )
    }

    #[test]
    fn severities() {
        for (line, severity, text) in [
            (
                "[24-Nov-2026 07:03:50] NOTICE: fpm is running",
                Severity::Notice,
                "NOTICE: fpm is running",
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
            (&said(7, "hello"), Severity::Script, "hello"),
            (&said(7, "a \"b\": \"c\""), Severity::Script, "a \"b\": \"c\""),
            (
                &said(7, "[24-Nov-2026 07:03:50] ERROR: forged"),
                Severity::Script,
                "[24-Nov-2026 07:03:50] ERROR: forged",
            ),
            ("", Severity::Script, ""),
        ] {
            let line = read_fpm(line);
            assert_eq!((line.severity, line.text), (severity, text));
        }
    }

    #[test]
    fn copies_of_messages() {
        let mut state = State::default();
        for (process, text, is_copy) in [
            (1, "#1 of the list", false),
            (1, "PHP message: PHP Fatal error:  Uncaught Exception: x in /a.php:1", true),
            (2, "#2 of the list", false),
            (1, "Stack trace:", true),
            (1, "#0 {main}", true),
            (1, "  thrown in /a.php on line 1", true),
            (1, "said by the script", false),
            (1, "#3 of the list", false),
            (1, "NOTICE: PHP message: x", true),
        ] {
            assert_eq!(state.is_copy(&read_fpm(&said(process, text))), is_copy, "{text}");
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(printable(b"a\rb\x1b[2Jc\td\r\n"), "a\u{fffd}b\u{fffd}[2Jc\td");
    }
}
