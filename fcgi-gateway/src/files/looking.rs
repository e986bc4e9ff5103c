//! Looking for what a request asks for, so that a file that is found is open already.

use core::cell::RefCell;

use super::Files;
use super::regular::RegularFile;
use crate::deny;
use crate::root::Root;
use crate::routing::{Kind, Lookup, Route, Rules};

/// The document root as one request sees it.
pub(crate) struct Looking<'r> {
    root: &'r Root,
    files: &'r Files,
    opened: RefCell<Option<Box<Opened>>>,
}

/// A file that was found at a path.
#[derive(Debug)]
pub(crate) struct Opened {
    path: String,
    pub(super) file: RegularFile,
}

impl<'r> Looking<'r> {
    pub(crate) const fn new(root: &'r Root, files: &'r Files) -> Self {
        Self { root, files, opened: RefCell::new(None) }
    }

    /// Where a request goes; if to a file that may be sent, it comes with it.
    pub(crate) fn route(self, rules: &Rules, raw_path: &str) -> (Route, Option<Box<Opened>>) {
        let route = rules.route(raw_path, &self);
        let opened = self.opened.into_inner();
        let opened =
            opened.filter(|opened| matches!(&route, Route::Static(path) if opened.path == *path));
        (route, opened)
    }
}

impl Lookup for Looking<'_> {
    /// Opening says all that a look at each folder on the way says, in fewer calls. Only what will be sent is worth it: not a
    /// script, and mostly not what has no ending, as the addresses that a front controller answers.
    fn kind(&self, path: &str) -> Kind {
        let has_ending = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
        // Most sources are scripts, which need no longer look.
        if !has_ending || path.ends_with(".php") || deny::is_source(path) {
            return self.root.kind(path);
        }
        let place = self.root.path().join(path.trim_start_matches('/'));
        match self.files.site.look_at(&place) {
            None => self.root.kind(path),
            Some((kind, file)) => {
                if let Some(file) = file {
                    *self.opened.borrow_mut() =
                        Some(Box::new(Opened { path: path.to_owned(), file }));
                }
                kind
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Symlinks;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn it_says_what_the_root_says() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("folder.d/sub")).unwrap();
        for name in ["a.txt", "none", "x.php", "folder.d/b.txt"] {
            fs::write(at(name), "x").unwrap();
        }
        symlink("a.txt", at("link.txt")).unwrap();
        symlink("folder.d", at("link.d")).unwrap();
        symlink("gone", at("broken.txt")).unwrap();
        let mode = rustix::fs::Mode::from_bits_retain(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo.txt"), rustix::fs::FileType::Fifo, mode, 0)
            .unwrap();
        let long = format!("/{}.txt", "x".repeat(5000));
        for symlinks in [Symlinks::Always, Symlinks::Never] {
            let root = Root::open(folder.path(), symlinks).unwrap();
            let files = Files::new(root.clone());
            for (path, is_opened) in [
                ("/", false),
                ("/a.txt", true),
                ("/none", false),
                ("/x.php", false),
                ("/folder.d", false),
                ("/folder.d/b.txt", true),
                ("/a.txt/b.txt", false),
                ("/gone.txt", false),
                ("/gone/b.txt", false),
                ("/link.txt", false),
                ("/link.d/b.txt", false),
                ("/broken.txt", false),
                ("/fifo.txt", false),
                (&long, false),
            ] {
                let looking = Looking::new(&root, &files);
                assert_eq!(looking.kind(path), root.kind(path), "{path} {symlinks:?}");
                let opened = looking.opened.take().is_some();
                assert_eq!(opened, is_opened && cfg!(target_os = "linux"), "{path}");
            }
        }
    }
}
