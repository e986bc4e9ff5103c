//! Which files are opened, and what of them is looked at before.

use core::future::{Ready, ready};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;
use tower_http::services::fs::{self, Backend};

use super::access;
use super::reading::Reading;
use crate::root::Root;

/// The files below a document root.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) root: Root,
    is_privileged: bool,
}

impl Site {
    pub(super) fn new(root: Root) -> Self {
        Self { root, is_privileged: rustix::process::geteuid().is_root() }
    }

    /// Opens regular files only, and only those that the root's rule about links allows.
    fn open(&self, path: &Path) -> io::Result<RegularFile> {
        let opened = RegularFile::open(path)?;
        if !self.root.leads_to(path, &opened.metadata) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        // Root may read everything; the site's visitors may not.
        if self.is_privileged {
            access::check(self.root.path(), path, &opened.metadata)?;
        }
        Ok(opened)
    }
}

/// Opens the files that one request asks for.
///
/// `ServeDir` asks what a file is before it opens it. It is opened then, as only an open file can be judged for good, and
/// kept for what comes next.
#[derive(Clone, Debug)]
pub(super) struct RegularFiles {
    site: Arc<Site>,
    opened: Arc<Mutex<Option<(PathBuf, RegularFile)>>>,
}

impl RegularFiles {
    pub(super) fn new(site: &Arc<Site>) -> Self {
        Self { site: Arc::clone(site), opened: Arc::default() }
    }

    /// Takes the file that is open already, or opens it.
    fn take(&self, path: &Path) -> io::Result<RegularFile> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match opened.take_if(|(known, _)| known == path) {
            Some((_, file)) => Ok(file),
            None => self.site.open(path),
        }
    }
}

impl Backend for RegularFiles {
    type File = RegularFile;
    type Metadata = Metadata;
    type OpenFuture = Ready<io::Result<RegularFile>>;
    type MetadataFuture = Ready<io::Result<Metadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        ready(self.take(&path))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        ready(self.take(&path).map(|file| {
            let metadata = file.metadata.clone();
            *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some((path, file));
            metadata
        }))
    }
}

/// A file on its way to a client.
#[derive(Debug)]
pub(super) struct RegularFile {
    pub(super) reading: Reading,
    metadata: Metadata,
}

impl RegularFile {
    fn open(path: &Path) -> io::Result<Self> {
        // Without O_NONBLOCK, opening a FIFO waits for a writer. Files do not mind the flag.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = File::metadata(&file)?;
        if !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(Self { reading: Reading::new(file, metadata.len()), metadata })
    }
}

impl fs::File for RegularFile {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Ready<io::Result<Metadata>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        ready(Ok(self.metadata.clone()))
    }
}
