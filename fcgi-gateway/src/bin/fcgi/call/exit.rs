//! How `fcgi call` ends.

use core::time::Duration;
use std::io::{self, Write};
use std::process::ExitCode;

use fcgi_tokio::{Address, Error, ErrorKind};

/// Why a call did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The exchange, or the answer.
    Call(Error),
    /// What was to be sent cannot be had.
    Input { what: String, error: io::Error },
    /// What was to be sent did not come in time.
    Slow(Duration),
    /// The answer cannot be printed.
    Output(io::Error),
}

impl Failure {
    pub(super) fn status(status: u16) -> Self {
        Self::Call(Error::new(ErrorKind::Status(status)))
    }

    /// Says whom and what it was about.
    pub(super) fn named(self, address: &Address, script: &[u8]) -> Self {
        match self {
            Self::Call(error) => Self::Call(error.to(address).with_script(script)),
            other => other,
        }
    }

    /// Prints the reason, and gives the exit code that the help text promises.
    pub(super) fn report(&self) -> ExitCode {
        match self {
            // Whoever reads has had enough, as `head` does.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Output(error) => eprintln!("fcgi: cannot print the answer: {error}"),
            Self::Slow(limit) => {
                eprintln!(
                    "fcgi: standard input did not end within {limit:?}; --timeout 0 waits for ever"
                );
            }
            Self::Input { what, error } => eprintln!("fcgi: cannot read {what}: {error}"),
            Self::Call(error) => {
                print_stderr(error.stderr());
                eprintln!("fcgi: {error}");
            }
        }
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        let kind = match self {
            Self::Call(error) => error.kind(),
            Self::Input { .. } => return 2,
            Self::Slow(_) => return 4,
            Self::Output(_) => return 1,
        };
        match kind {
            ErrorKind::Status(_) => 1,
            ErrorKind::Address(_) | ErrorKind::Request(_) | ErrorKind::RequestBody => 2,
            ErrorKind::Connect => 3,
            ErrorKind::Timeout => 4,
            ErrorKind::ScriptNotFound(_) => 6,
            _ => 5,
        }
    }
}

/// The application's last words, as they are, on lines of their own.
fn print_stderr(text: &[u8]) {
    if text.is_empty() {
        return;
    }
    // Nobody is left to be told that standard error cannot be written to.
    let _ = io::stderr().write_all(text);
    if !text.ends_with(b"\n") {
        eprintln!();
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}
