//! A body that must be spooled where nothing can be written. A file of its own, since the folder is the process's.

use std::error::Error as _;
use std::io::{self, Cursor};
use std::path::Path;

use fcgi_tokio::{Body, Client, ErrorKind, Phase, Request};

#[tokio::test]
async fn a_folder_for_temporary_files_that_does_not_exist_is_told_before_anything_is_sent() {
    tempfile::env::override_temp_dir(Path::new("/nonexistent")).expect("the first to ask");
    let client = Client::new("unix:/nonexistent/peer.sock".parse().expect("an address"));
    let body = Body::reader(Cursor::new(vec![7; 300 * 1024]), None);
    let error = client.call(Request::post("/x.php").body(body)).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Spool, Some(Phase::Spool)), "{error}");
    assert!(!error.is_begun(), "{error}");
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.expect("what the system said").kind(), io::ErrorKind::NotFound);
    // What fits in memory needs no file.
    let body = Body::reader(Cursor::new(vec![7; 1024]), None);
    let error = client.call(Request::post("/x.php").body(body)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
}
