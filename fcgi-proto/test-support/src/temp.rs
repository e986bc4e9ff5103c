//! Temporary folders whose paths are short enough for a socket's address.

use std::path::Path;

use tempfile::TempDir;

/// A new folder, removed with the value; unix sockets may be made in it.
pub(crate) fn folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("fcgi-");
    // A socket's path holds at most 107 bytes, and some systems have very long temporary folders.
    let made = if std::env::temp_dir().as_os_str().len() <= LONGEST_PARENT {
        builder.tempdir()
    } else {
        builder.tempdir_in("/tmp")
    };
    made.expect("no temporary folder could be made")
}

/// The path as text; our temporary folders have no other bytes in their names.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the temporary folder's path is not UTF-8")
}

const LONGEST_PARENT: usize = 60;
