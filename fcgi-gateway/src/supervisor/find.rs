//! Which PHP is installed.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A PHP that speaks FastCGI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Php {
    pub(super) program: PathBuf,
    pub(super) kind: PhpKind,
}

impl Php {
    /// A program by its path, or by its name alone where it is in one of the folders for programs; `None` when the name is
    /// of neither kind.
    pub(super) fn named(program: &Path) -> Option<Self> {
        let (kind, _) = php_kind(program)?;
        let is_name = program.file_name() == Some(program.as_os_str());
        let found = is_name.then(|| in_folders(program, folders())).flatten();
        Some(Self { program: found.unwrap_or_else(|| program.to_owned()), kind })
    }
}

/// The two FastCGI servers that PHP comes with; the better one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PhpKind {
    /// `php-fpm`: a pool that grows and shrinks, with its own log.
    Fpm,
    /// `php-cgi -b`: a fixed number of processes.
    Cgi,
}

impl PhpKind {
    /// By the name of a program: `php-fpm`, `php-fpm8.2` (Debian), `php-fpm82` (Alpine), `php-cgi8.2`.
    fn of(name: &str) -> Option<(Self, Version)> {
        let (kind, rest) = if let Some(rest) = name.strip_prefix("php-fpm") {
            (Self::Fpm, rest)
        } else {
            (Self::Cgi, name.strip_prefix("php-cgi")?)
        };
        Some((kind, Version::parse(rest)?))
    }
}

/// The version in a program's name. The name without one is what the machine's owner chose as the
/// usual PHP, and comes before all numbered ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Numbered(u32, u32),
    Usual,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Usual);
        }
        let text = text.strip_prefix('-').unwrap_or(text);
        // `82` is 8.2, as PHP's major version has one digit.
        let (major, minor) = match text.split_once('.') {
            Some(parts) => parts,
            None => text.split_at_checked(1)?,
        };
        let minor = if minor.is_empty() { "0" } else { minor };
        Some(Self::Numbered(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// The best PHP of this machine: php-fpm before php-cgi, the usual one before numbered ones, and
/// of those the newest.
pub(super) fn find_php() -> Option<Php> {
    best_of(folders().into_iter().flat_map(|folder| programs_in(&folder)))
}

fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(USUAL_FOLDERS.iter().map(PathBuf::from)).collect()
}

fn in_folders(name: &Path, folders: Vec<PathBuf>) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(name)).find(|path| is_program(path))
}

/// Where php-fpm lives on Debian, Alpine and Fedora, in PHP's Docker images, and with Homebrew.
/// Users' PATH often lacks the `sbin` folders.
const USUAL_FOLDERS: [&str; 6] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/bin",
    "/usr/local/bin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/bin",
];

fn programs_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| php_kind(path).is_some() && is_program(path))
        .collect()
}

fn php_kind(path: &Path) -> Option<(PhpKind, Version)> {
    PhpKind::of(path.file_name()?.to_str()?)
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The first of the best: earlier folders win among equals.
fn best_of(programs: impl IntoIterator<Item = PathBuf>) -> Option<Php> {
    let mut best: Option<(PhpKind, Version, PathBuf)> = None;
    for program in programs {
        let Some((kind, version)) = php_kind(&program) else { continue };
        let is_better = best.as_ref().is_none_or(|(best_kind, best_version, _)| {
            kind < *best_kind || (kind == *best_kind && version > *best_version)
        });
        if is_better {
            best = Some((kind, version, program));
        }
    }
    best.map(|(kind, _, program)| Php { program, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, found) in [
            ("php-fpm", Some((PhpKind::Fpm, Version::Usual))),
            ("php-fpm8.2", Some((PhpKind::Fpm, Version::Numbered(8, 2)))),
            ("php-fpm82", Some((PhpKind::Fpm, Version::Numbered(8, 2)))),
            ("php-fpm-8.10", Some((PhpKind::Fpm, Version::Numbered(8, 10)))),
            ("php-cgi", Some((PhpKind::Cgi, Version::Usual))),
            ("php-cgi7.4", Some((PhpKind::Cgi, Version::Numbered(7, 4)))),
            ("php", None),
            ("php8.2", None),
            ("php-fpm.conf", None),
            ("php-fpm8.2.dpkg-old", None),
            ("php-cgi-wrapper", None),
        ] {
            assert_eq!(PhpKind::of(name), found, "{name}");
        }
    }

    #[test]
    fn a_name_alone_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, mode) in [("php-fpm8.1", 0o644), ("php-fpm8.2", 0o755)] {
            fs::write(at(name), "").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let find = |name: &str| {
            in_folders(Path::new(name), vec!["/nowhere".into(), folder.path().to_owned()])
        };
        assert_eq!(find("php-fpm8.2"), Some(at("php-fpm8.2")));
        assert_eq!(find("php-fpm8.1"), None, "it cannot be run");
        assert_eq!(find("php-cgi"), None);
        let missing = Path::new("php-fpm0.1");
        assert_eq!(Php::named(missing).unwrap().program, missing, "the start says what is wrong");
        assert_eq!(Php::named(Path::new("./php-fpm")).unwrap().program, Path::new("./php-fpm"));
        assert_eq!(Php::named(Path::new("nginx")), None);
    }

    #[test]
    fn the_best_is_taken() {
        for (programs, best) in [
            (vec![], None),
            (vec!["/usr/bin/php-cgi"], Some("/usr/bin/php-cgi")),
            (vec!["/usr/bin/php-cgi", "/usr/sbin/php-fpm7.4"], Some("/usr/sbin/php-fpm7.4")),
            (vec!["/s/php-fpm8.9", "/s/php-fpm8.10", "/s/php-fpm7.4"], Some("/s/php-fpm8.10")),
            (vec!["/s/php-fpm8.4", "/s/php-fpm"], Some("/s/php-fpm")),
            (vec!["/a/php-fpm8.4", "/b/php-fpm8.4"], Some("/a/php-fpm8.4")),
        ] {
            let found = best_of(programs.iter().map(PathBuf::from)).map(|php| php.program);
            assert_eq!(found, best.map(PathBuf::from), "{programs:?}");
        }
    }
}
