//! Finding the servers on this machine.

use std::env;
use std::fs;
use std::path::PathBuf;

/// The program called `name`, or `name` with a version after it, such as `php-fpm8.2`: the bare name
/// first, then the highest version.
///
/// # Panics
///
/// When there is none; the message names the Debian package to install.
pub(crate) fn find(name: &str, package: &str) -> PathBuf {
    let Some(program) = search(name) else {
        panic!(
            "{name} is not installed, and this test needs it: `apt-get install {package}` on Debian, \
             or run `./check`, which installs everything"
        );
    };
    program
}

fn search(name: &str) -> Option<PathBuf> {
    let folders = folders();
    let bare = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    bare.or_else(|| {
        let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
        for folder in folders {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let file_name = entry.file_name();
                let suffix = file_name.to_str().and_then(|file| file.strip_prefix(name));
                if let Some(version) = suffix.and_then(version) {
                    found.push((version, entry.path()));
                }
            }
        }
        found.into_iter().max().map(|(_, path)| path)
    })
}

/// `8.2` as numbers; `None` for anything else.
fn version(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// `PATH`, and the folders of servers, which only root has in its `PATH`.
fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders
        .extend(["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    folders
}

#[cfg(test)]
mod tests {
    use super::{find, version};

    #[test]
    fn versions() {
        assert_eq!(version("8.2"), Some(vec![8, 2]));
        assert!(version("8.10") > version("8.9"));
        assert_eq!(version(""), None);
        assert_eq!(version("-config"), None);
    }

    #[test]
    #[should_panic(expected = "apt-get install some-package")]
    fn a_missing_program_names_its_package() {
        find("no-such-program-anywhere", "some-package");
    }
}
