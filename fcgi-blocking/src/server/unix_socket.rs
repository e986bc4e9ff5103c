use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fcgi_proto::Address;

use crate::connect::{Failure, connect};

/// Listens on a socket file, in place of one that an earlier process has left behind.
pub(super) fn bind(path: &str) -> io::Result<(UnixListener, SocketFile)> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        result => result?,
    };
    let file = SocketFile::new(path.as_ref())?;
    Ok((listener, file))
}

/// Whether this is a socket on which nobody listens. Any other file is somebody's, and stays.
fn is_stale(path: &str) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    // A full listen queue is somebody's, too.
    let deadline = Instant::now() + Duration::from_secs(1);
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let connected = connect(&Address::unix(path), Some(deadline));
    is_socket && matches!(connected, Err(Failure::Io(error)) if refused(&error))
}

/// The file of a socket that we listen on; removed with this, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: std::path::absolute(path)?, id: id(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}
