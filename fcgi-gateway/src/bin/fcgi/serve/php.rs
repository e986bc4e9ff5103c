//! Who runs PHP: somebody the settings name, somebody found, or ourselves.

use core::fmt;
use core::str::FromStr;
use std::fs;
use std::path::{Path, PathBuf};

use fcgi_gateway::supervisor::Supervisor;
use fcgi_tokio::Address;

use super::ServeError;
use super::probe::{Seen, probe};

/// Which PHP is to be used when no address is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// One that runs and sees the site's files, else one of our own.
    #[default]
    Any,
    /// One of our own, whatever runs.
    Own,
    /// One of our own, this program.
    Program(PathBuf),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("one that runs and sees the site, else one that is started"),
            Self::Own => f.write_str("one that is started"),
            Self::Program(path) => write!(f, "{}, which is started", path.display()),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "own" => Ok(Self::Own),
            program if program.contains('/') || is_php(program) => {
                Ok(Self::Program(program.into()))
            }
            _ => Err(
                "expected `any`, `own`, or a program such as php-fpm8.2 or /opt/php/sbin/php-fpm"
                    .to_owned(),
            ),
        }
    }
}

fn is_php(name: &str) -> bool {
    name.starts_with("php-fpm") || name.starts_with("php-cgi")
}

/// The PHP of a site.
#[derive(Debug)]
pub(super) enum Php {
    /// One that runs without us.
    Running { addresses: Vec<Address>, how: &'static str },
    /// One of our own.
    Own(Supervisor),
}

impl Php {
    /// Finds or starts one for the site in `root`.
    pub(super) async fn find(choice: &Choice, root: &Path) -> Result<Self, ServeError> {
        let supervisor = match choice {
            Choice::Any => {
                if let Some(address) = running(&SOCKET_FOLDERS, root).await {
                    return Ok(Self::Running { addresses: vec![address], how: "found running" });
                }
                Supervisor::start(root).await
            }
            Choice::Own => Supervisor::start(root).await,
            Choice::Program(program) => Supervisor::start_program(root, program).await,
        };
        supervisor.map(Self::Own).map_err(ServeError::Php)
    }

    /// One that the settings name.
    pub(super) const fn given(addresses: Vec<Address>) -> Self {
        Self::Running { addresses, how: "given" }
    }

    pub(super) fn addresses(&self) -> &[Address] {
        match self {
            Self::Running { addresses, .. } => addresses,
            Self::Own(supervisor) => core::slice::from_ref(supervisor.address()),
        }
    }

    pub(super) fn reload(&self) {
        if let Self::Own(supervisor) = self {
            supervisor.reload();
        }
    }

    pub(super) async fn stop(self) {
        if let Self::Own(supervisor) = self {
            supervisor.stop().await;
        }
    }
}

impl fmt::Display for Php {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { addresses, how } => write!(f, "{} ({how})", list(addresses)),
            Self::Own(supervisor) => write!(
                f,
                "{}, started for this site with up to {} processes",
                supervisor.program().display(),
                supervisor.max_processes()
            ),
        }
    }
}

/// Addresses for a person.
pub(super) fn list(addresses: &[Address]) -> String {
    Vec::from_iter(addresses.iter().map(ToString::to_string)).join(", ")
}

/// Tells the log, once it is known, whether a PHP that the settings name is there and sees the site. If not, that is no
/// reason to stop: in a pod or a compose file it may start after us. `root` is the document root as PHP sees it.
pub(super) async fn verify(address: Address, root: PathBuf) {
    match probe(&address, &root).await {
        Seen::Yes => tracing::info!("PHP at {address} sees the site's files"),
        seen @ Seen::Unknown => tracing::debug!("PHP at {address} {seen}"),
        Seen::No => tracing::warn!(
            "PHP at {address} does not see the folder {}; where its files lie elsewhere, as in a container, say so with \
             --fpm-root; otherwise its user may not enter the folder",
            root.display()
        ),
        seen @ Seen::Silent(_) => tracing::warn!("PHP at {address} {seen}"),
    }
}

/// Where packages put the sockets of PHP-FPM: Debian, Fedora, Alpine and FreeBSD.
const SOCKET_FOLDERS: [&str; 3] = ["/run/php", "/run/php-fpm", "/run"];

/// A PHP-FPM that listens in one of the folders, answers, and sees the site's files.
async fn running(folders: &[&str], root: &Path) -> Option<Address> {
    let root = root.canonicalize().ok()?;
    for socket in folders.iter().flat_map(|folder| sockets(Path::new(folder))) {
        let address = Address::Unix(socket.to_str()?.to_owned());
        match probe(&address, &root).await {
            Seen::Yes => return Some(address),
            seen => tracing::debug!(%address, "not used: PHP {seen}"),
        }
    }
    None
}

/// Those named after PHP, in an order: the name without a version, which is the machine's choice, then the newest.
fn sockets(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter_map(|path| Some((version(path.file_name()?.to_str()?)?, path)))
        .collect();
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Of `php8.2-fpm.sock`, `php-fpm.sock`, `php-fpm8.sock`, or `www.sock` in a folder of its own.
fn version(name: &str) -> Option<Vec<u32>> {
    let name = name.strip_suffix(".sock")?;
    if name != "www" && !name.starts_with("php") {
        return None;
    }
    let numbers: String =
        name.chars().filter(|&letter| letter.is_ascii_digit() || letter == '.').collect();
    if numbers.is_empty() {
        return Some(vec![u32::MAX]);
    }
    Some(numbers.split('.').map(|number| number.parse().unwrap_or(0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fcgi_test_support::{PhpFpm, Scripts};

    #[test]
    fn sockets_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "php8.2-fpm.sock",
            "php8.10-fpm.sock",
            "php-fpm.sock",
            "php7.4-fpm.pid",
            "mysql.sock",
            "www.sock",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut names: Vec<_> = sockets(folder.path())
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        names[..2].sort();
        assert_eq!(names, ["php-fpm.sock", "www.sock", "php8.10-fpm.sock", "php8.2-fpm.sock"]);
        assert!(sockets(Path::new("/nowhere")).is_empty());
    }

    #[tokio::test]
    async fn one_that_runs_is_found_when_it_sees_the_site() {
        let scripts = Scripts::new();
        let fpm = PhpFpm::builder().listen_unix().start();
        let folder = tempfile::tempdir().unwrap();
        let names = [folder.path().to_str().unwrap()];
        assert_eq!(running(&names, scripts.root()).await, None);
        // A socket that nobody listens on is passed over.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("php-fpm.sock")).unwrap());
        let socket = fpm.address().strip_prefix("unix:").unwrap().to_owned();
        let link = folder.path().join("php8.2-fpm.sock");
        std::os::unix::fs::symlink(socket, &link).unwrap();
        let found = running(&names, scripts.root()).await;
        assert_eq!(found, Some(Address::Unix(link.to_str().unwrap().to_owned())));
        let address = found.unwrap();
        assert!(matches!(probe(&address, Path::new("/nowhere/at/all")).await, Seen::No));
        let gone = Address::Unix(folder.path().join("gone.sock").to_str().unwrap().to_owned());
        assert!(matches!(probe(&gone, scripts.root()).await, Seen::Silent(_)));
    }

    #[test]
    fn choices() {
        assert_eq!("any".parse(), Ok(Choice::Any));
        assert_eq!("own".parse(), Ok(Choice::Own));
        assert_eq!("/opt/php-fpm".parse(), Ok(Choice::Program("/opt/php-fpm".into())));
        assert_eq!("php-cgi8.2".parse(), Ok(Choice::Program("php-cgi8.2".into())));
        for other in ["other", "php", "php8.2"] {
            assert!(other.parse::<Choice>().is_err(), "{other}");
        }
    }
}
