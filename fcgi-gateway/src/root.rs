//! The document root on disk, and which symbolic links in it are followed.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::routing::{Kind, Lookup};

/// Which symbolic links below a document root are followed. The path of the root itself may hold any.
///
/// Whoever may write into a site can make a link in it; what is followed decides what they can show with it.
///
/// ```
/// use fcgi_gateway::{Gateway, Symlinks};
///
/// let gateway = Gateway::builder(".").fpm("127.0.0.1:9000").symlinks(Symlinks::Never).build()?;
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Symlinks {
    /// Those whose owner owns what they lead to as well, as with Apache's `SymLinksIfOwnerMatch`, and those of root:
    /// packages and deployments make them, and nobody shows what belongs to somebody else.
    #[default]
    OwnerMatch,
    /// All of them: for a site that only trusted people write to.
    Always,
    /// None: a place that is reached by one is not there.
    Never,
}

impl Symlinks {
    fn are_followed(self, link: &Metadata, target: &Metadata) -> bool {
        match self {
            Self::OwnerMatch => link.uid() == target.uid() || link.uid() == 0,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// A document root, resolved once.
///
/// Deployments often swap a symbolic link that is the root itself; scripts must see the real
/// place, or they guess wrong addresses for themselves (WordPress compares paths).
#[derive(Clone, Debug)]
pub(crate) struct Root {
    path: PathBuf,
    symlinks: Symlinks,
}

impl Root {
    pub(crate) fn open(path: &Path, symlinks: Symlinks) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if !path.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { path, symlinks })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `opened` is the regular file that `place`, below this root, leads to by links that are followed.
    ///
    /// A file is judged before it is opened, and whoever may write to the site can swap it in between. So it is judged once
    /// more: what was opened must be what was judged. As with the same rule of Apache and nginx, this is no wall against a
    /// user who swaps the folders on the way fast enough; running as the site's own user is.
    pub(crate) fn leads_to(&self, place: &Path, opened: &Metadata) -> bool {
        let below = place.strip_prefix(&self.path).ok().and_then(Path::to_str);
        let found = below.map(|below| self.walk(below));
        matches!(found, Some(Ok(Found { kind: Kind::File, file }))
            if file == Some((opened.dev(), opened.ino())))
    }

    /// Walks down from the root, one `lstat` per segment, so that every link on the way is judged.
    fn walk(&self, path: &str) -> io::Result<Found> {
        let mut place = self.path.clone();
        let mut found = Found { kind: Kind::Folder, file: None };
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            match found.kind {
                Kind::Folder => {}
                Kind::Refused => return Ok(found),
                _ => return Err(io::ErrorKind::NotADirectory.into()),
            }
            place.push(segment);
            found = self.inspect(&place)?;
        }
        Ok(found)
    }

    fn inspect(&self, place: &Path) -> io::Result<Found> {
        let found = place.symlink_metadata()?;
        if !found.is_symlink() {
            return Ok(Found::new(&found));
        }
        let target = place.metadata()?;
        if self.symlinks.are_followed(&found, &target) {
            return Ok(Found::new(&target));
        }
        tracing::warn!(
            link = %place.display(), link_owner = found.uid(), target_owner = target.uid(), policy = ?self.symlinks,
            "symbolic link refused: the policy for links of this site does not follow it"
        );
        Ok(Found::REFUSED)
    }
}

/// What is at a place, after the links there.
#[derive(Clone, Copy, Debug)]
struct Found {
    kind: Kind,
    /// Device and number of a regular file.
    file: Option<(u64, u64)>,
}

impl Found {
    const REFUSED: Self = Self { kind: Kind::Refused, file: None };

    fn new(metadata: &Metadata) -> Self {
        if metadata.is_file() {
            Self { kind: Kind::File, file: Some((metadata.dev(), metadata.ino())) }
        } else if metadata.is_dir() {
            Self { kind: Kind::Folder, file: None }
        } else {
            Self::REFUSED
        }
    }
}

impl Lookup for Root {
    /// These calls block the thread for about a microsecond each, as they do in nginx; handing
    /// them to another thread would cost ten times that.
    fn kind(&self, path: &str) -> Kind {
        match self.walk(path) {
            Ok(found) => found.kind,
            Err(error) => kind_of_error(&error),
        }
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
        let root = Root::open(&path.join("site"), Symlinks::default()).unwrap();
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
            let all = Root::open(root.path(), Symlinks::Always).unwrap();
            assert_eq!(all.kind("/link.txt"), Kind::File, "another owner, and all are followed");
        }
    }

    #[test]
    fn no_links_at_all() {
        let (folder, root) = site();
        symlink(folder.path().join("site"), folder.path().join("current")).unwrap();
        symlink("a.txt", root.path().join("link.txt")).unwrap();
        symlink("sub", root.path().join("link")).unwrap();
        let none = Root::open(&folder.path().join("current"), Symlinks::Never).unwrap();
        for (path, kind) in [
            ("/a.txt", Kind::File),
            ("/sub/x.php", Kind::Folder),
            ("/link.txt", Kind::Refused),
            ("/link", Kind::Refused),
            ("/link/x.php", Kind::Refused),
        ] {
            assert_eq!(none.kind(path), kind, "{path}");
        }
    }

    #[test]
    fn special_files_are_refused_whatever_links_are_followed() {
        let (_folder, root) = site();
        symlink("/dev/null", root.path().join("null")).unwrap();
        let all = Root::open(root.path(), Symlinks::Always).unwrap();
        assert_eq!(all.kind("/null"), Kind::Refused);
    }

    #[test]
    fn what_was_opened_must_be_what_was_judged() {
        let (folder, root) = site();
        let place = root.path().join("a.txt");
        let opened = fs::metadata(&place).unwrap();
        assert!(root.leads_to(&place, &opened));
        let other = fs::metadata(folder.path().join("outside.txt")).unwrap();
        assert!(!root.leads_to(&place, &other), "swapped in between");
        assert!(!root.leads_to(&folder.path().join("outside.txt"), &other), "not below the root");
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
        for name in ["outside.txt", "nowhere"] {
            let path = folder.path().join(name);
            assert!(Root::open(&path, Symlinks::default()).is_err(), "{name}");
        }
    }
}
