//! The body of a file: bytes that are read, or stand-ins for what the system sends by itself.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::task::JoinHandle;
use tower_http::services::fs::ServeFileSystemResponseBody;

use super::reading::read_now;
use crate::outlet::{self, Outlet};

pin_project! {
    /// The body of an answer that is a file, or a part of one.
    pub(crate) struct FileBody {
        #[pin]
        read: ServeFileSystemResponseBody,
        part: Option<Box<Part>>,
    }
}

/// What of an open file is sent.
#[derive(Debug)]
struct Part {
    file: Arc<File>,
    offset: u64,
    left: u64,
    /// Where to send it past those who read bytes, once it is known that there is nobody in between.
    outlet: Option<Arc<Outlet>>,
    /// Reads from a disk what comes next.
    waiting: Option<JoinHandle<io::Result<()>>>,
}

/// For less, a read and a copy cost no more than the calls that save them.
const WORTHWHILE: u64 = 32 * 1024;

impl FileBody {
    /// The body of this answer, made from this file.
    pub(super) fn new(
        answer: Response<ServeFileSystemResponseBody>,
        file: Option<Arc<File>>,
    ) -> Response<Self> {
        let part =
            file.filter(|_| cfg!(target_os = "linux")).and_then(|file| Part::of(&answer, file));
        answer.map(|read| Self { read, part })
    }

    /// From now on gives stand-ins for what the outlet sends, if that is worth it. Whoever reads them must be the connection
    /// of this outlet, without anybody in between.
    pub(crate) fn send_by(&mut self, outlet: &Arc<Outlet>) {
        if let Some(part) = &mut self.part {
            part.outlet = Some(Arc::clone(outlet));
        }
    }
}

impl Part {
    fn of(answer: &Response<ServeFileSystemResponseBody>, file: Arc<File>) -> Option<Box<Self>> {
        let text = |name| answer.headers().get(name)?.to_str().ok();
        let left = text(header::CONTENT_LENGTH)?.parse().ok().filter(|&len| len >= WORTHWHILE)?;
        let offset = match answer.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => {
                let range = text(header::CONTENT_RANGE)?.strip_prefix("bytes ")?;
                range.split_once('-')?.0.parse().ok()?
            }
            _ => return None,
        };
        Some(Box::new(Self { file, offset, left, outlet: None, waiting: None }))
    }

    /// The stand-in for the next piece, once the system has it in memory; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(outlet::LONGEST);
        if len == 0 {
            return Poll::Ready(None);
        }
        if self.waiting.is_none() && !self.is_in_memory(len)? {
            self.read_elsewhere(len);
        }
        if let Some(waiting) = &mut self.waiting {
            let read = ready!(Pin::new(waiting).poll(cx));
            self.waiting = None;
            read.map_err(io::Error::other)??;
        }
        let Some(outlet) = &self.outlet else { return Poll::Ready(None) };
        let stand_in = outlet.announce(&self.file, self.offset, len);
        self.offset += len as u64;
        self.left -= len as u64;
        Poll::Ready(Some(Ok(stand_in)))
    }

    /// Files are read ahead from front to back: where the end of a piece is, mostly all of it is.
    fn is_in_memory(&self, len: usize) -> io::Result<bool> {
        match read_now(&self.file, &mut [0], self.offset + len as u64 - 1) {
            Some(Ok(0)) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"))
            }
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(error),
            None => Ok(false),
        }
    }

    /// Has another thread wait for the disk. What it reads stays in the system's memory.
    fn read_elsewhere(&mut self, len: usize) {
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        self.waiting = Some(tokio::task::spawn_blocking(move || {
            file.read_exact_at(&mut vec![0; len], offset)
        }));
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.project();
        if let Some(part) = this.part {
            if part.outlet.is_some() {
                let piece = ready!(part.poll_piece(cx));
                return Poll::Ready(piece.map(|piece| piece.map(Frame::data)));
            }
        }
        this.read.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        match self.part.as_deref() {
            Some(Part { outlet: Some(_), left, .. }) => *left == 0,
            _ => self.read.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.part.as_deref() {
            Some(Part { outlet: Some(_), left, .. }) => SizeHint::with_exact(*left),
            _ => self.read.size_hint(),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    const LEN: usize = outlet::LONGEST + 1000;

    fn answer(status: u16, len: usize, range: &str) -> Response<ServeFileSystemResponseBody> {
        let answer = Response::builder().status(status).header(header::CONTENT_LENGTH, len);
        answer
            .header(header::CONTENT_RANGE, range)
            .body(ServeFileSystemResponseBody::default())
            .unwrap()
    }

    fn file() -> Arc<File> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LEN as u64).unwrap();
        Arc::new(file)
    }

    /// The lengths of the pieces for an outlet.
    async fn pieces(mut body: FileBody, outlet: &Arc<Outlet>) -> io::Result<Vec<usize>> {
        body.send_by(outlet);
        let mut lens = Vec::new();
        while let Some(frame) = body.frame().await {
            lens.push(frame?.into_data().unwrap().len());
        }
        assert!(body.is_end_stream());
        Ok(lens)
    }

    #[tokio::test]
    async fn large_answers_are_sent_by_an_outlet() {
        for (status, len, range, expected) in [
            (200, LEN, "", &[outlet::LONGEST, 1000][..]),
            (206, LEN - 10, "bytes 10-525287/525288", &[outlet::LONGEST, 990]),
            (206, 40_000, "bytes 485288-525287/525288", &[40_000]),
        ] {
            let outlet = Arc::new(Outlet::default());
            let body = FileBody::new(answer(status, len, range), Some(file())).into_body();
            assert_eq!(pieces(body, &outlet).await.unwrap(), expected);
            assert!(!outlet.is_empty());
        }
    }

    #[tokio::test]
    async fn others_are_read() {
        for (status, len, range) in [(200, 1000, ""), (304, LEN, ""), (206, LEN, "pages 1-2/3")] {
            let outlet = Arc::new(Outlet::default());
            let body = FileBody::new(answer(status, len, range), Some(file())).into_body();
            assert!(pieces(body, &outlet).await.unwrap().is_empty(), "{status}");
            assert!(outlet.is_empty(), "{status}");
        }
        let unread = FileBody::new(answer(200, LEN, ""), Some(file())).into_body();
        assert!(unread.is_end_stream(), "without an outlet it is what was read");
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter() {
        let (file, outlet) = (file(), Arc::new(Outlet::default()));
        let body = FileBody::new(answer(200, LEN, ""), Some(Arc::clone(&file))).into_body();
        file.set_len(10).unwrap();
        let error = pieces(body, &outlet).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
