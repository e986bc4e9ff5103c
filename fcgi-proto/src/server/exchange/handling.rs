use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::any::Any;
use core::fmt::Display;
use core::future::poll_fn;
use core::panic::AssertUnwindSafe;
use core::pin::pin;
use core::task::Poll;
use std::panic::catch_unwind;

use super::{Exchange, OutputError, OutputStream, wake};

/// The end of a request.
impl Exchange {
    /// Runs a handler to its end, whatever that is, and [finishes](Self::finish) with it. A panic is caught; what
    /// handlers share is theirs to keep consistent.
    ///
    /// Hand in an async block that calls the handler, so that a panic before its future exists is caught as well.
    pub async fn run<E: Display>(&self, handler: impl Future<Output = Result<u32, E>>) {
        let mut handler = pin!(handler);
        let result = poll_fn(|cx| {
            self.resume();
            // After a panic the future is not polled again.
            match catch_unwind(AssertUnwindSafe(|| {
                self.span.in_scope(|| handler.as_mut().poll(cx))
            })) {
                Ok(Poll::Pending) => {
                    self.pause();
                    Poll::Pending
                }
                Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        })
        .await;
        self.finish(result);
    }

    /// The handler has returned an exit status or an error, or has panicked (as
    /// [`catch_unwind`] tells). Output that it has queued is still sent.
    ///
    /// A failure is told on stderr, is answered with status 500 if nothing was answered yet, and ends with the exit
    /// status 1.
    pub fn finish<E: Display>(&self, result: Result<Result<u32, E>, Box<dyn Any + Send>>) {
        match result {
            Ok(Ok(app_status)) => self.end(app_status),
            Ok(Err(error)) => self.fail(&error.to_string()),
            Err(panic) => self.fail(&format!("handler panicked: {}", message(&*panic))),
        }
    }

    fn fail(&self, why: &str) {
        self.span.failed(why);
        let mut state = self.lock();
        state.output.push_slice(OutputStream::Stderr, why.as_bytes());
        state.output.push_slice(OutputStream::Stderr, b"\n");
        if !state.output.has_stdout() {
            let page = if self.is_head { ERROR_HEAD } else { ERROR_PAGE };
            state.output.push_slice(OutputStream::Stdout, page.as_bytes());
        }
        drop(state);
        self.end(FAILED);
    }

    fn end(&self, app_status: u32) {
        self.span.ended(app_status);
        let mut state = self.lock();
        state.app_status = Some(app_status);
        state.is_running = false;
        state.output_error.get_or_insert(OutputError::Ended);
        // Tasks that the handler left behind would wait for ever.
        let writers = state.output.take_writers();
        self.announce(state);
        wake(writers);
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}

/// The exit status of a handler that failed.
const FAILED: u32 = 1;
const ERROR_HEAD: &str = "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\n";
const ERROR_PAGE: &str =
    "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nInternal Server Error\n";
