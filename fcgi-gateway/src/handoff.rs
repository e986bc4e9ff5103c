//! Scripts that let the gateway send a file for them: `X-Accel-Redirect` and `X-Sendfile`.
//!
//! A script that checks who may have a file need not read it as well. Both ways are off until folders are named for them,
//! since a script that repeats a visitor's words in its headers would else give out any file.

use std::path::{Component, Path, PathBuf};

use fcgi_proto::cgi::ResponseHead;
use fcgi_proto::cgi::script::clean_path;

use crate::files::Files;
use crate::root::{Root, Symlinks};
use crate::routing::{Kind, Lookup};

/// The folders that scripts may name files in.
#[derive(Debug, Default)]
pub(crate) struct Handoff {
    symlinks: Symlinks,
    accel: Vec<(String, Folder)>,
    sendfile: Vec<(PathBuf, Folder)>,
}

#[derive(Debug)]
struct Folder {
    root: Root,
    files: Files,
}

/// A file that a script named.
#[derive(Debug)]
pub(crate) struct Found<'h> {
    pub(crate) files: &'h Files,
    /// Below the folder of `files`.
    pub(crate) path: String,
}

/// Why what a script named is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// There is no such file; it may have been deleted.
    Missing,
    /// It is not in a folder that was named for this, or no path at all: a mistake of the script, or worse.
    Refused,
}

impl Folder {
    fn open(path: &Path, symlinks: Symlinks) -> std::io::Result<Self> {
        let root = Root::open(path, symlinks)?;
        Ok(Self { files: Files::new(root.clone()), root })
    }

    fn find(&self, path: String) -> Result<Found<'_>, NotSent> {
        match self.root.kind(&path) {
            Kind::File => Ok(Found { files: &self.files, path }),
            Kind::Refused => Err(NotSent::Refused),
            _ => Err(NotSent::Missing),
        }
    }
}

impl Handoff {
    /// For folders in which such links are followed.
    pub(crate) fn new(symlinks: Symlinks) -> Self {
        Self { symlinks, ..Self::default() }
    }

    /// `X-Accel-Redirect` below `prefix` leads into `folder`.
    pub(crate) fn add_accel(&mut self, prefix: &str, folder: &Path) -> std::io::Result<()> {
        let prefix = format!("/{}/", prefix.trim_matches('/')).replace("//", "/");
        self.accel.push((prefix, Folder::open(folder, self.symlinks)?));
        // The longest that fits is the one that counts.
        self.accel.sort_by_key(|(prefix, _)| core::cmp::Reverse(prefix.len()));
        Ok(())
    }

    /// `X-Sendfile` may name files in `folder`.
    pub(crate) fn add_sendfile(&mut self, folder: &Path) -> std::io::Result<()> {
        self.sendfile.push((folder.to_owned(), Folder::open(folder, self.symlinks)?));
        Ok(())
    }

    /// The file that a script names, if it does and that way is on.
    pub(crate) fn find(&self, head: &ResponseHead) -> Option<Result<Found<'_>, NotSent>> {
        let accel = head.header("X-Accel-Redirect").filter(|_| !self.accel.is_empty());
        let sendfile = head.header("X-Sendfile").filter(|_| !self.sendfile.is_empty());
        match (accel, sendfile) {
            (Some(target), _) => Some(self.find_accel(target)),
            (None, Some(path)) => Some(self.find_sendfile(path)),
            (None, None) => None,
        }
    }

    /// The value is a path as in a URL: escaped, and a query is ignored.
    fn find_accel(&self, target: &[u8]) -> Result<Found<'_>, NotSent> {
        let target = core::str::from_utf8(target).map_err(|_| NotSent::Refused)?;
        let path = target.split('?').next().unwrap_or_default();
        let path = clean_path(path).map_err(|_| NotSent::Refused)?;
        for (prefix, folder) in &self.accel {
            if let Some(below) = path.strip_prefix(prefix.as_str()) {
                return folder.find(format!("/{below}"));
            }
        }
        Err(NotSent::Refused)
    }

    /// The value is the path of a file as it is.
    fn find_sendfile(&self, path: &[u8]) -> Result<Found<'_>, NotSent> {
        let path = core::str::from_utf8(path).map_err(|_| NotSent::Refused)?;
        let path = Path::new(path);
        let is_plain =
            |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !path.is_absolute() || !path.components().all(is_plain) {
            return Err(NotSent::Refused);
        }
        for (given, folder) in &self.sendfile {
            let below = path.strip_prefix(given).or_else(|_| path.strip_prefix(folder.root.path()));
            if let Some(below) = below.ok().and_then(Path::to_str) {
                return folder.find(format!("/{below}"));
            }
        }
        Err(NotSent::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site {
        folder: tempfile::TempDir,
        handoff: Handoff,
    }

    fn site() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in
            ["files/a b.txt", "files/deep/c.txt", "files-old/x.txt", "other/d.txt", "secret"]
        {
            std::fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            std::fs::write(path.join(name), name).unwrap();
        }
        let mut handoff = Handoff::default();
        handoff.add_accel("/files", &path.join("files")).unwrap();
        handoff.add_accel("/files/other/", &path.join("other")).unwrap();
        handoff.add_sendfile(&path.join("files")).unwrap();
        Site { folder, handoff }
    }

    impl Site {
        fn find(&self, name: &str, value: &str) -> Option<Result<String, NotSent>> {
            let value = value.replace("$", self.folder.path().to_str().unwrap());
            let head = format!("{name}: {value}\r\n\r\n");
            let head = ResponseHead::parse(head.as_bytes()).unwrap();
            self.handoff.find(&head).map(|found| found.map(|found| found.path))
        }
    }

    #[test]
    fn accel_redirects_stay_below_their_prefix() {
        let site = site();
        for (value, path) in [
            ("/files/a%20b.txt", Ok("/a b.txt")),
            ("/files/a b.txt", Ok("/a b.txt")),
            ("/files/deep/../a%20b.txt?x=1", Ok("/a b.txt")),
            ("/files/other/d.txt", Ok("/d.txt")),
            ("/files/none.txt", Err(NotSent::Missing)),
            ("/files/deep", Err(NotSent::Missing)),
            ("/files/", Err(NotSent::Missing)),
            ("/files/../secret", Err(NotSent::Refused)),
            ("/files/%2e%2e/secret", Err(NotSent::Refused)),
            ("/files/%2e%2e%2fsecret", Err(NotSent::Refused)),
            ("/files/../../secret", Err(NotSent::Refused)),
            ("/files-old/x.txt", Err(NotSent::Refused)),
            ("/filesa", Err(NotSent::Refused)),
            ("/files/%00", Err(NotSent::Refused)),
            ("@named", Err(NotSent::Refused)),
            ("http://example.org/files/a", Err(NotSent::Refused)),
            ("", Err(NotSent::Refused)),
        ] {
            let found = site.find("X-Accel-Redirect", value);
            assert_eq!(found, Some(path.map(str::to_owned)), "{value}");
        }
    }

    #[test]
    fn sendfile_stays_in_its_folders() {
        let site = site();
        for (value, path) in [
            ("$/files/a b.txt", Ok("/a b.txt")),
            ("$/files/deep//c.txt", Ok("/deep//c.txt")),
            ("$/files/none.txt", Err(NotSent::Missing)),
            ("$/files", Err(NotSent::Missing)),
            ("$/files/../secret", Err(NotSent::Refused)),
            ("$/files-old/x.txt", Err(NotSent::Refused)),
            ("$/secret", Err(NotSent::Refused)),
            ("/etc/passwd", Err(NotSent::Refused)),
            ("files/a b.txt", Err(NotSent::Refused)),
            ("", Err(NotSent::Refused)),
        ] {
            let found = site.find("X-Sendfile", value);
            assert_eq!(found, Some(path.map(str::to_owned)), "{value}");
        }
    }

    #[test]
    fn links_out_of_a_folder_obey_the_same_policy_as_a_site() {
        let site = site();
        let link = site.folder.path().join("files/fifo");
        std::os::unix::fs::symlink("/dev/zero", link).unwrap();
        assert_eq!(site.find("X-Sendfile", "$/files/fifo"), Some(Err(NotSent::Refused)));
    }

    #[test]
    fn off_until_folders_are_named() {
        let head = ResponseHead::parse(b"X-Accel-Redirect: /a\r\nX-Sendfile: /b\r\n\r\n").unwrap();
        assert!(Handoff::default().find(&head).is_none());
    }
}
