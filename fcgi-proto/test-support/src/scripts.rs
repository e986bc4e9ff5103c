//! The PHP scripts that tests call.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::temp;

/// A temporary document root with the scripts of `php/` in it; what each does stands at its top.
///
/// Every user may read it, whoever the application runs as.
#[derive(Debug)]
pub struct Scripts {
    root: TempDir,
}

impl Scripts {
    /// A new folder with nothing in it, for sites of another shape.
    ///
    /// # Panics
    ///
    /// When that cannot be done, as everything in this crate.
    #[must_use]
    pub fn empty() -> Self {
        let scripts = Self { root: temp::folder() };
        share(scripts.root(), 0o755);
        scripts
    }

    /// Writes all scripts to a new folder.
    ///
    /// # Panics
    ///
    /// When that cannot be done, as everything in this crate.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a folder, which a default should not")]
    pub fn new() -> Self {
        let scripts = Self::empty();
        for (name, source) in SOURCES {
            scripts.add(name, source);
        }
        scripts
    }

    /// The document root, without a slash at its end.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The absolute path of a file, whether it exists or not: what `SCRIPT_FILENAME` wants.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", temp::text(self.root()))
    }

    /// Writes one more file, in folders made as needed (`shop/index.php`), and returns its path.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn add(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let mut folder = self.root().to_owned();
        let mut parts: Vec<&str> = name.split('/').collect();
        parts.pop();
        for part in parts {
            folder.push(part);
            if !folder.is_dir() {
                fs::create_dir(&folder).expect("a folder can be made in the document root");
                share(&folder, 0o755);
            }
        }
        let path = self.path(name);
        fs::write(&path, content).expect("a file can be written in the document root");
        share(Path::new(&path), 0o644);
        path
    }
}

/// The first `size` bytes of what `big.php` sends: byte i is i modulo 251.
#[must_use]
pub fn pattern(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

fn share(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .expect("our own file's mode can be set");
}

macro_rules! sources {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../php/", $name)))),*]
    };
}

const SOURCES: &[(&str, &str)] = sources! {
    "answer-first.php" "big.php" "bighead.php" "cookies.php" "die.php" "echo.php" "env.php"
    "greeter.php" "hash.php" "noread.php" "redirect.php" "sleep.php" "status.php" "stderr.php"
    "stream.php" "upload.php" "zero.php"
};
