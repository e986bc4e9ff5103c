//! The document root on disk, and which symbolic links in it are followed.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::routing::{Kind, Lookup};

/// A document root, resolved once.
///
/// Deployments often swap a symbolic link that is the root itself; scripts must see the real
/// place, or they guess wrong addresses for themselves (WordPress compares paths).
#[derive(Clone, Debug)]
pub(crate) struct Root {
    path: PathBuf,
}

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if !path.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Lookup for Root {
    /// Walks down from the root, one `lstat` per segment, so that every link on the way is judged.
    ///
    /// These calls block the thread for about a microsecond each, as they do in nginx; handing
    /// them to another thread would cost ten times that.
    fn kind(&self, path: &str) -> Kind {
        let mut place = self.path.clone();
        let mut kind = Kind::Folder;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if kind != Kind::Folder {
                return Kind::Missing;
            }
            place.push(segment);
            kind = match inspect(&place) {
                Ok(kind) => kind,
                Err(error) => return kind_of_error(&error),
            };
            if kind == Kind::Refused {
                return kind;
            }
        }
        kind
    }
}

fn inspect(place: &Path) -> io::Result<Kind> {
    let found = place.symlink_metadata()?;
    if !found.is_symlink() {
        return Ok(kind_of(&found));
    }
    let target = place.metadata()?;
    // Apache's SymLinksIfOwnerMatch, plus links that root made (packages link out of their folder).
    if found.uid() == target.uid() || found.uid() == 0 {
        return Ok(kind_of(&target));
    }
    tracing::warn!(
        link = %place.display(), link_owner = found.uid(), target_owner = target.uid(),
        "symbolic link refused: its owner is neither root nor the owner of its target"
    );
    Ok(Kind::Refused)
}

fn kind_of(metadata: &Metadata) -> Kind {
    if metadata.is_file() {
        Kind::File
    } else if metadata.is_dir() {
        Kind::Folder
    } else {
        Kind::Refused
    }
}

fn kind_of_error(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::Refused,
        // Names that are too long and links that lead nowhere cannot be anything either.
        _ => Kind::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn site() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir_all(path.join("site/sub/x.php")).unwrap();
        fs::write(path.join("site/a.txt"), "a").unwrap();
        fs::write(path.join("outside.txt"), "outside").unwrap();
        let root = Root::open(&path.join("site")).unwrap();
        (folder, root)
    }

    #[test]
    fn kinds() {
        let (_folder, root) = site();
        for (path, kind) in [
            ("/", Kind::Folder),
            ("/a.txt", Kind::File),
            ("/sub", Kind::Folder),
            ("/sub/x.php", Kind::Folder),
            ("/missing", Kind::Missing),
            ("/a.txt/x.php", Kind::Missing),
        ] {
            assert_eq!(root.kind(path), kind, "{path}");
        }
        let long = format!("/{}", "x".repeat(5000));
        assert_eq!(root.kind(&long), Kind::Missing);
    }

    #[test]
    fn links_by_owner() {
        let (folder, root) = site();
        let link = root.path().join("link.txt");
        symlink(folder.path().join("outside.txt"), &link).unwrap();
        assert_eq!(root.kind("/link.txt"), Kind::File, "same owner");
        symlink("nowhere", root.path().join("broken")).unwrap();
        assert_eq!(root.kind("/broken"), Kind::Missing);
        symlink("loop", root.path().join("loop")).unwrap();
        assert_eq!(root.kind("/loop"), Kind::Missing);
        // Only root can give a link to somebody else; without it this part has no way to be set up.
        if std::os::unix::fs::lchown(&link, Some(12345), None).is_ok() {
            assert_eq!(root.kind("/link.txt"), Kind::Refused, "another owner");
        }
    }

    #[test]
    fn special_files_are_refused() {
        let (_folder, root) = site();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        assert_eq!(root.kind("/socket"), Kind::Refused);
        symlink("/dev/null", root.path().join("null")).unwrap();
        assert_eq!(root.kind("/null"), Kind::Refused);
    }

    #[test]
    fn a_root_must_be_a_folder() {
        let (folder, _root) = site();
        assert!(Root::open(&folder.path().join("outside.txt")).is_err());
        assert!(Root::open(&folder.path().join("nowhere")).is_err());
    }
}
