//! Which files are opened, and what of them is looked at before.

use core::future::{Ready, ready};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tower_http::services::fs::{self, Backend};

use super::access;
use super::reading::Reading;
use crate::root::Root;
use crate::routing::Kind;

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
            Ok(file) => RegularFile::new(file)?,
            Err(_) => {
                let opened = RegularFile::new(open(path)?)?;
                if !self.root.leads_to(path, &opened.metadata) {
                    return Err(io::Error::from(io::ErrorKind::NotFound));
                }
                opened
            }
        };
        self.check_access(path, &opened)?;
        Ok(opened)
    }

    /// Root may read everything; the site's visitors may not.
    fn check_access(&self, path: &Path, opened: &RegularFile) -> io::Result<()> {
        match self.is_privileged {
            true => access::check(self.root.path(), path, &opened.metadata),
            false => Ok(()),
        }
    }

    /// What is at a place to which no link leads, with the file if it is one that may be sent; `None` where only a look at
    /// each step of the way can tell.
    pub(super) fn look_at(&self, path: &Path) -> Option<(Kind, Option<RegularFile>)> {
        let file = match open_without_links(path) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Some((Kind::Missing, None)),
            Err(_) => return None,
        };
        let metadata = file.metadata().ok()?;
        if metadata.is_dir() {
            return Some((Kind::Folder, None));
        }
        let file = RegularFile::of(file, metadata).ok()?;
        // Whoever sends it looks again, and says why it may not be sent.
        let may_be_sent = self.check_access(path, &file).is_ok();
        Some((Kind::File, may_be_sent.then_some(file)))
    }
}

/// Opens the files that one request asks for.
///
/// `ServeDir` asks what a file is before it opens it. It is opened then, as only an open file can be judged for good, and
/// kept for what comes next.
#[derive(Clone, Debug)]
pub(super) struct RegularFiles {
    site: Arc<Site>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What is open and was not asked for yet.
    opened: Option<(PathBuf, RegularFile)>,
    /// What was given out last, to be sent.
    given: Option<Arc<File>>,
}

impl RegularFiles {
    pub(super) fn new(site: &Arc<Site>) -> Self {
        Self { site: Arc::clone(site), state: Arc::default() }
    }

    /// The file that was opened last: the one that is sent, if any is.
    pub(super) fn given(&self) -> Option<Arc<File>> {
        self.state().given.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file that is to be asked for, if it may be and is not `open` yet, and says how long it is.
    pub(super) fn open_ahead(&self, path: PathBuf, open: Option<RegularFile>) -> Option<u64> {
        let file = open.or_else(|| self.site.open(&path).ok())?;
        Some(self.keep(path, file).len())
    }

    /// Keeps a file open for whoever asks for it next, and says what it is.
    fn keep(&self, path: PathBuf, file: RegularFile) -> Metadata {
        let metadata = file.metadata.clone();
        self.state().opened = Some((path, file));
        metadata
    }

    /// Takes the file that is open already, or opens it.
    fn take(&self, path: &Path) -> io::Result<RegularFile> {
        // Bytes, as comparing paths part by part takes longer.
        match self.state().opened.take_if(|(known, _)| known.as_os_str() == path.as_os_str()) {
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
        ready(self.take(&path).inspect(|file| {
            self.state().given = Some(Arc::clone(file.reading.file()));
        }))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        ready(self.take(&path).map(|file| self.keep(path, file)))
    }
}

/// Opens what is there if no symbolic link leads to it.
#[cfg(target_os = "linux")]
fn open_without_links(path: &Path) -> Result<File, Errno> {
    use rustix::fs::{CWD, ResolveFlags, openat2};
    openat2(CWD, path, FLAGS, Mode::empty(), ResolveFlags::NO_SYMLINKS).map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn open_without_links(_path: &Path) -> Result<File, Errno> {
    Err(Errno::NOSYS)
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
        let metadata = file.metadata()?;
        Self::of(file, metadata)
    }

    fn of(file: File, metadata: Metadata) -> io::Result<Self> {
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
                assert!(!is_link || open_without_links(&place).is_err(), "{place:?}");
            }
        }
    }
}
