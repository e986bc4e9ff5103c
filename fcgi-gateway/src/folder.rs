//! The folder that is served, which may be another one tomorrow.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::files::Files;
use crate::root::{Root, Symlinks};

/// A document root with what sends its files.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) root: Root,
    pub(crate) files: Files,
}

impl Release {
    fn open(path: &Path, symlinks: Symlinks) -> io::Result<Arc<Self>> {
        let root = Root::open(path, symlinks)?;
        Ok(Arc::new(Self { files: Files::new(root.clone()), root }))
    }
}

/// Gives the document root for each request.
#[derive(Debug)]
pub(crate) struct Folder {
    /// The path to resolve anew, when links are followed with every request.
    link: Option<PathBuf>,
    symlinks: Symlinks,
    current: RwLock<Arc<Release>>,
}

impl Folder {
    /// With `follow`, links in `path` itself are resolved with every request; `symlinks` is about those below it.
    pub(crate) fn open(path: &Path, follow: bool, symlinks: Symlinks) -> io::Result<Self> {
        let current = RwLock::new(Release::open(path, symlinks)?);
        // Absolute, so that a later change of the working folder does not matter.
        let link = follow.then(|| std::path::absolute(path)).transpose()?;
        Ok(Self { link, symlinks, current })
    }

    /// The release that this request is served from, from its first file to its last.
    ///
    /// In the moment in which a link is being swapped there may be none: then the last one stays.
    pub(crate) fn current(&self) -> Arc<Release> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let Some(link) = &self.link else { return current };
        match link.canonicalize() {
            Ok(path) if path == current.root.path() => current,
            Ok(path) => self.replace(&path).unwrap_or(current),
            Err(error) => {
                tracing::warn!(link = %link.display(), %error, "the document root leads nowhere; the last one is served");
                current
            }
        }
    }

    fn replace(&self, path: &Path) -> Option<Arc<Release>> {
        let release = Release::open(path, self.symlinks)
            .inspect_err(|error| tracing::warn!(root = %path.display(), %error, "the new document root is not served"))
            .ok()?;
        tracing::info!(root = %path.display(), "the document root has changed");
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&release);
        Some(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_swapped_link() {
        let temp = tempfile::tempdir().unwrap();
        let place = temp.path().canonicalize().unwrap();
        for release in ["one", "two"] {
            fs::create_dir(place.join(release)).unwrap();
        }
        let link = place.join("current");
        symlink("one", &link).unwrap();
        let open = |follow| Folder::open(&link, follow, Symlinks::default()).unwrap();
        let (fixed, followed) = (open(false), open(true));
        let under_way = followed.current();
        assert_eq!(followed.current().root.path(), place.join("one"));
        fs::remove_file(&link).unwrap();
        assert_eq!(followed.current().root.path(), place.join("one"), "while there is none");
        symlink("two", &link).unwrap();
        assert_eq!(followed.current().root.path(), place.join("two"));
        assert_eq!(under_way.root.path(), place.join("one"));
        assert_eq!(fixed.current().root.path(), place.join("one"));
    }
}
