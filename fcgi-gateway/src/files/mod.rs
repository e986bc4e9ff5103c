//! Files sent as they are: tower-http's `ServeDir` behind an opening that cannot hang.
//!
//! `ServeDir` brings content types, ETag, Last-Modified, preconditions, ranges, and compressed copies that lie beside a
//! file (`app.js.br`, `.gz`, `.zst`). Added here are what it leaves out: `If-Range`, ranges to ignore, the certainty that
//! only regular files are opened (a FIFO in the document root blocks a thread for ever in other servers), and, when
//! running as root, that only those are sent which the site's owner or everybody may read.

mod access;
mod body;
mod looking;
mod range;
mod reading;
mod regular;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use tower_http::services::ServeDir;
use tower_http::services::fs::DefaultServeDirFallback;

pub(crate) use self::body::FileBody;
pub(crate) use self::looking::{Looking, Opened};
use self::regular::{RegularFile, RegularFiles, Site};
use crate::root::Root;
use crate::routing::percent_encode;

/// Sends files below one folder.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    site: Arc<Site>,
}

impl Files {
    pub(crate) fn new(root: Root) -> Self {
        Self { site: Arc::new(Site::new(root)) }
    }

    /// The answer to one request for the file at this path, which may be open already.
    async fn call(
        &self,
        path: &str,
        open: Option<RegularFile>,
        request: Request<Empty<Bytes>>,
    ) -> io::Result<Response<FileBody>> {
        let files = RegularFiles::new(&self.site);
        let answer = self.serve(path, open, &files).try_call(request).await?;
        Ok(FileBody::new(answer, files.given()))
    }

    fn serve(
        &self,
        path: &str,
        open: Option<RegularFile>,
        files: &RegularFiles,
    ) -> ServeDir<DefaultServeDirFallback, RegularFiles> {
        let root = self.site.root.path();
        // A small file is not to hold a buffer for a large one until its client has taken it.
        let len = files.open_ahead(root.join(path.trim_start_matches('/')), open);
        let piece = len.and_then(|len| usize::try_from(len).ok()).unwrap_or(LARGEST_PIECE);
        ServeDir::with_backend(root, files.clone())
            .with_buf_chunk_size(piece.clamp(1, LARGEST_PIECE))
            .append_index_html_on_directories(false)
            .precompressed_br()
            .precompressed_gzip()
            .precompressed_zstd()
    }

    /// Answers a request for the file at `path` below the root, which routing found to be one.
    ///
    /// `opened` is what [`Looking`] found there. Methods other than GET and HEAD give 405. An error is the disk's.
    pub(crate) async fn send(
        &self,
        method: &Method,
        headers: &HeaderMap,
        path: &str,
        opened: Option<Box<Opened>>,
    ) -> io::Result<Response<FileBody>> {
        let open = opened.map(|opened| opened.file);
        let mut request = new_request(method, path)?;
        for name in PASSED_ON {
            if let Some(value) = headers.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        // Only GET knows ranges (RFC 9110, 14.2).
        if let Some(range) = range::only(headers).filter(|_| method == Method::GET) {
            if self.may_be_partial(headers, path).await? {
                let whole = request.clone();
                request.headers_mut().insert(header::RANGE, range.clone());
                let part = self.call(path, open, request).await?;
                if part.status() == StatusCode::RANGE_NOT_SATISFIABLE && range::is_suffix(&range) {
                    // The last 99 bytes of a file of 10 are the whole of it.
                    return self.call(path, None, whole).await;
                }
                return Ok(part);
            }
        }
        self.call(path, open, request).await
    }

    /// `If-Range` (RFC 9110, 13.1.5): a part only makes sense of the file the client already has.
    async fn may_be_partial(&self, headers: &HeaderMap, path: &str) -> io::Result<bool> {
        let Some(condition) = headers.get(header::IF_RANGE) else {
            return Ok(true);
        };
        let mut request = new_request(&Method::HEAD, path)?;
        if let Some(encodings) = headers.get(header::ACCEPT_ENCODING) {
            request.headers_mut().insert(header::ACCEPT_ENCODING, encodings.clone());
        }
        let head = self.call(path, None, request).await?;
        let validators = [header::ETAG, header::LAST_MODIFIED];
        Ok(validators.iter().any(|name| head.headers().get(name) == Some(condition)))
    }
}

/// How much of a file is read at once, in bytes; as much as a socket takes at once, more or less.
const LARGEST_PIECE: usize = 64 * 1024;

/// What of the request decides about the answer, besides the range.
const PASSED_ON: [header::HeaderName; 5] = [
    header::ACCEPT_ENCODING,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

fn new_request(method: &Method, path: &str) -> io::Result<Request<Empty<Bytes>>> {
    Request::builder()
        .method(method)
        .uri(percent_encode(path))
        .body(Empty::new())
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Symlinks;
    use http_body_util::BodyExt;

    struct Fixture {
        folder: tempfile::TempDir,
        files: Files,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a b.css"), "0123456789").unwrap();
        let files = Files::new(Root::open(folder.path(), Symlinks::default()).unwrap());
        Fixture { folder, files }
    }

    impl Fixture {
        async fn send(
            &self,
            method: Method,
            headers: &[(header::HeaderName, &str)],
        ) -> Response<Bytes> {
            let headers =
                headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            let headers = headers.collect::<HeaderMap>();
            let (parts, body) =
                self.files.send(&method, &headers, "/a b.css", None).await.unwrap().into_parts();
            Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
        }
    }

    #[tokio::test]
    async fn get_and_head() {
        let fixture = fixture();
        let got = fixture.send(Method::GET, &[]).await;
        assert_eq!(got.status(), StatusCode::OK);
        assert_eq!(got.headers()[header::CONTENT_TYPE], "text/css");
        assert_eq!(got.headers()[header::ACCEPT_RANGES], "bytes");
        assert_eq!(got.body(), "0123456789");
        let head = fixture.send(Method::HEAD, &[]).await;
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "10");
        assert_eq!(head.headers()[header::ETAG], got.headers()[header::ETAG]);
        assert!(head.body().is_empty());
        let post = fixture.send(Method::POST, &[]).await;
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(post.headers()[header::ALLOW], "GET,HEAD");
    }

    #[tokio::test]
    async fn what_was_opened_ahead_is_sent() {
        let fixture = fixture();
        let files = RegularFiles::new(&fixture.files.site);
        let mut serve = fixture.files.serve("/a b.css", None, &files);
        let place = fixture.folder.path().join("a b.css");
        std::fs::remove_file(&place).unwrap();
        std::fs::write(&place, "another, and longer").unwrap();
        let answer = serve.try_call(new_request(&Method::GET, "/a b.css").unwrap()).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], "10");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "0123456789");
    }

    #[tokio::test]
    async fn pieces_are_as_large_as_the_file_or_the_limit() {
        let fixture = fixture();
        for len in [0, 1, 1000, LARGEST_PIECE, 2 * LARGEST_PIECE + 1] {
            std::fs::write(fixture.folder.path().join("x.bin"), vec![b'x'; len]).unwrap();
            let sent =
                fixture.files.send(&Method::GET, &HeaderMap::new(), "/x.bin", None).await.unwrap();
            let mut body = sent.into_body();
            let mut left = len;
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert_eq!(data.len(), left.min(LARGEST_PIECE));
                left -= data.len();
            }
            assert_eq!(left, 0);
        }
    }

    #[tokio::test]
    async fn preconditions() {
        let fixture = fixture();
        let got = fixture.send(Method::GET, &[]).await;
        let text = |name: header::HeaderName| got.headers()[name].to_str().unwrap();
        let (etag, modified) = (text(header::ETAG), text(header::LAST_MODIFIED));
        for condition in [(header::IF_NONE_MATCH, etag), (header::IF_MODIFIED_SINCE, modified)] {
            let name = condition.0.clone();
            let answer = fixture.send(Method::GET, &[condition]).await;
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{name}");
        }
        let changed = fixture.send(Method::GET, &[(header::IF_NONE_MATCH, "\"other\"")]).await;
        assert_eq!(changed.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn ranges() {
        let fixture = fixture();
        let got = fixture.send(Method::GET, &[]).await;
        let etag = got.headers()[header::ETAG].to_str().unwrap();
        let range = |value| (header::RANGE, value);
        for (headers, status, body) in [
            (vec![range("bytes=2-4")], 206, "234"),
            (vec![range("bytes=-3")], 206, "789"),
            (vec![range("bytes=7-")], 206, "789"),
            (vec![range("bytes=2-4"), (header::IF_RANGE, etag)], 206, "234"),
            (vec![range("bytes=2-4"), (header::IF_RANGE, "\"old\"")], 200, "0123456789"),
            (vec![range("bytes=0-1,4-5")], 200, "0123456789"),
            (vec![range("pages=2-4")], 200, "0123456789"),
            (vec![range("bytes=4-2")], 200, "0123456789"),
            (vec![range("bytes=a-b")], 200, "0123456789"),
            (vec![range("bytes=-")], 200, "0123456789"),
            (vec![range("bytes=08-99999999999999999999")], 206, "89"),
            (vec![range("bytes=-99")], 200, "0123456789"),
        ] {
            let answer = fixture.send(Method::GET, &headers).await;
            assert_eq!(
                (answer.status().as_u16(), &answer.body()[..]),
                (status, body.as_bytes()),
                "{headers:?}"
            );
        }
        for beyond in ["bytes=10-", "bytes=-0", "bytes=99999999999999999999-"] {
            let answer = fixture.send(Method::GET, &[range(beyond)]).await;
            assert_eq!(answer.status(), StatusCode::RANGE_NOT_SATISFIABLE, "{beyond}");
            assert_eq!(answer.headers()[header::CONTENT_RANGE], "bytes */10", "{beyond}");
        }
        let head = fixture.send(Method::HEAD, &[range("bytes=2-4")]).await;
        assert_eq!(head.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn compressed_copies() {
        let fixture = fixture();
        let plain = fixture.send(Method::GET, &[]).await;
        assert_eq!(plain.headers()[header::VARY], "accept-encoding");
        std::fs::write(fixture.folder.path().join("a b.css.gz"), "compressed").unwrap();
        let gzip = (header::ACCEPT_ENCODING, "br, gzip");
        for method in [Method::GET, Method::HEAD] {
            let answer = fixture.send(method, std::slice::from_ref(&gzip)).await;
            assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/css");
        }
        let answer = fixture.send(Method::GET, &[gzip.clone(), (header::RANGE, "bytes=0-3")]).await;
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (206, &b"comp"[..]));
        // A part of the plain file is not continued with the copy.
        let etag = plain.headers()[header::ETAG].to_str().unwrap();
        std::fs::write(fixture.folder.path().join("a b.css.gz"), "compressed again").unwrap();
        let headers = [gzip, (header::RANGE, "bytes=0-3"), (header::IF_RANGE, etag)];
        assert_eq!(fixture.send(Method::GET, &headers).await.status(), StatusCode::OK);
        let refused = fixture.send(Method::GET, &[(header::ACCEPT_ENCODING, "gzip;q=0")]).await;
        assert_eq!(refused.body(), "0123456789");
    }

    #[tokio::test]
    async fn weak_validators_match() {
        let fixture = fixture();
        let got = fixture.send(Method::GET, &[]).await;
        let weak = format!("\"x\", W/{}", got.headers()[header::ETAG].to_str().unwrap());
        let answer = fixture.send(Method::GET, &[(header::IF_NONE_MATCH, &weak)]).await;
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn a_fifo_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo.txt");
        let mode = rustix::fs::Mode::from_bits_retain(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let error = Files::new(Root::open(folder.path(), Symlinks::default()).unwrap())
            .send(&Method::GET, &HeaderMap::new(), "/fifo.txt", None)
            .await
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
