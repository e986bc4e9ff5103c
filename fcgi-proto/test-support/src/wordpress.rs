//! WordPress with a database of its own.

use core::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::mariadb::MariaDb;
use crate::temp;

/// WordPress's files, as Debian packages them, and an empty database that they are configured for.
///
/// What is left to do is what an administrator does in a browser: `/wp-admin/install.php` asks for
/// the site's title and an account. WordPress takes the site's address from that request. It reaches
/// nobody but itself over the network, and sends no mail. It does call itself, so PHP needs at least
/// four workers; with one, some pages take ten seconds.
///
/// Dropping it stops the database and removes everything.
pub struct WordPress {
    database: MariaDb,
    folder: TempDir,
}

impl WordPress {
    /// Copies the files and starts the database, which takes some seconds.
    ///
    /// # Panics
    ///
    /// When WordPress or MariaDB is not installed or does not start; the message names the package.
    #[must_use]
    pub fn install() -> Self {
        let theme = Path::new(FILES).join("wp-content/themes/twentytwentythree");
        assert!(Path::new(FILES).is_dir(), "{}", missing("wordpress"));
        assert!(theme.is_dir(), "{}", missing("wordpress-theme-twentytwentythree"));
        let folder = temp::folder();
        share(folder.path(), 0o755);
        let database = folder.path().join("db");
        fs::create_dir(&database).expect("a folder can be made");
        let database = MariaDb::start(&database, SQL);
        let wordpress = Self { database, folder };
        wordpress.write_files();
        wordpress
    }

    /// The document root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// What the database server logged so far.
    #[must_use]
    pub fn database_log(&self) -> String {
        self.database.log()
    }

    fn write_files(&self) {
        let root = self.root();
        copy(Path::new(FILES), &root);
        let socket = self.database.socket_path();
        let config = CONFIG.replace("{socket}", temp::text(&socket));
        fs::write(root.join("wp-config.php"), config).expect("a file can be written");
        let plugins = root.join("wp-content/mu-plugins");
        let uploads = root.join("wp-content/uploads");
        for path in [&plugins, &uploads] {
            fs::create_dir_all(path).expect("a folder can be made");
        }
        fs::write(plugins.join("no-mail.php"), NO_MAIL).expect("a file can be written");
        share(&uploads, 0o777);
    }
}

impl fmt::Debug for WordPress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordPress").field("root", &self.root()).finish_non_exhaustive()
    }
}

/// Copies a folder with what its links lead to. Debian's package links to files of other packages,
/// and a copied link would belong to somebody else than its target.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a package's folder can be read") {
        let from = entry.expect("a package's folder can be read").path();
        let to = to.join(from.file_name().expect("an entry has a name"));
        if from.is_dir() {
            copy(&from, &to);
        } else if from.is_file() {
            fs::copy(&from, &to).expect("a package's file can be copied");
        }
    }
}

fn share(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .expect("our own file's mode can be set");
}

fn missing(package: &str) -> String {
    format!(
        "{package} is not installed, and this test needs it: `apt-get install {package}` on Debian, \
         or run `./check`, which installs everything"
    )
}

const FILES: &str = "/usr/share/wordpress";
const SQL: &str = "\
CREATE DATABASE wordpress CHARACTER SET utf8mb4;
CREATE USER wordpress@localhost IDENTIFIED BY 'wordpress';
GRANT ALL ON wordpress.* TO wordpress@localhost;
";
const CONFIG: &str = include_str!("../wordpress/wp-config.php");
const NO_MAIL: &str = include_str!("../wordpress/no-mail.php");
