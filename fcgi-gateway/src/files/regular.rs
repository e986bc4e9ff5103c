//! Which files are opened, and what of them is looked at before.

use core::future::{Ready, ready};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};
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
        let opened = match open_without_links(path) {
            // The system vouches for the whole way at once, where looking at each link takes a call for each folder.
            Some(file) => RegularFile::new(file)?,
            None => {
                let opened = RegularFile::new(open(path)?)?;
                if !self.root.leads_to(path, &opened.metadata) {
                    return Err(io::Error::from(io::ErrorKind::NotFound));
                }
                opened
            }
        };
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

    /// Opens the file that is to be asked for, if it may be, and says how long it is.
    pub(super) fn open_ahead(&self, path: PathBuf) -> Option<u64> {
        self.look_at(path).ok().map(|metadata| metadata.len())
    }

    /// What a file is. It stays open for whoever takes it next.
    fn look_at(&self, path: PathBuf) -> io::Result<Metadata> {
        let file = self.take(&path)?;
        let metadata = file.metadata.clone();
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some((path, file));
        Ok(metadata)
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
        ready(self.look_at(path))
    }
}

/// Opens what is there if no symbolic link leads to it; `None` if one does, and for any error.
#[cfg(target_os = "linux")]
fn open_without_links(path: &Path) -> Option<File> {
    use rustix::fs::{CWD, ResolveFlags, openat2};
    openat2(CWD, path, FLAGS, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn open_without_links(_path: &Path) -> Option<File> {
    None
}

/// Opens what is there, by links as well.
fn open(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(path, FLAGS, Mode::empty())?.into())
}

/// Without O_NONBLOCK, opening a FIFO waits for a writer. Files do not mind the flag.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A file on its way to a client.
#[derive(Debug)]
pub(super) struct RegularFile {
    pub(super) reading: Reading,
    metadata: Metadata,
}

impl RegularFile {
    fn new(file: File) -> io::Result<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Symlinks;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_judged_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        fs::create_dir_all(path.join("site/sub")).unwrap();
        fs::write(path.join("site/sub/a.txt"), "a").unwrap();
        symlink("a.txt", path.join("site/sub/link.txt")).unwrap();
        symlink("sub", path.join("site/folder")).unwrap();
        for (symlinks, are_followed) in [(Symlinks::Always, true), (Symlinks::Never, false)] {
            let site = Site::new(Root::open(&path.join("site"), symlinks).unwrap());
            for (place, is_link) in [
                ("sub/a.txt", false),
                ("sub/link.txt", true),
                ("folder/a.txt", true),
                ("folder/link.txt", true),
            ] {
                let place = site.root.path().join(place);
                let opened = site.open(&place);
                assert_eq!(opened.is_ok(), !is_link || are_followed, "{symlinks:?} {place:?}");
                #[cfg(target_os = "linux")]
                assert!(!is_link || open_without_links(&place).is_none(), "{place:?}");
            }
        }
    }
}
