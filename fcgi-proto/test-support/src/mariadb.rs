//! A database server for one test.

use core::time::Duration;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, geteuid};

use crate::programs;
use crate::service::Service;
use crate::temp;
use crate::wait::wait_until;

/// A running MariaDB, reachable through a unix socket only. Dropping it stops it; the folder it was
/// given stays its owner's.
pub(crate) struct MariaDb {
    /// Held to be dropped.
    _service: Service,
    folder: PathBuf,
}

impl MariaDb {
    /// Makes a new database server in `folder`, which must exist and be empty, and runs `sql` in it
    /// before anybody can connect; one statement a line.
    pub(crate) fn start(folder: &Path, sql: &str) -> Self {
        // The server runs as another user if we are root.
        fs::set_permissions(folder, Permissions::from_mode(0o777))
            .expect("our own folder's mode can be set");
        create(folder);
        let init = folder.join("init.sql");
        fs::write(&init, sql).expect("a file can be written");
        let mut service = Service::spawn(&mut server(folder), Signal::TERM, folder);
        let log = folder.join(LOG);
        let socket = folder.join(SOCKET);
        let up = wait_until(LIMIT, || {
            service.exited().is_some()
                || read(&log).contains(READY) && UnixStream::connect(&socket).is_ok()
        });
        let running = service.exited().is_none();
        let database = Self { _service: service, folder: folder.to_owned() };
        assert!(
            up && running && !database.log().contains("[ERROR]"),
            "mariadbd does not start:\n{}",
            database.log()
        );
        database
    }

    pub(crate) fn socket_path(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }

    pub(crate) fn log(&self) -> String {
        read(&self.folder.join(LOG))
    }
}

/// Makes the system tables.
fn create(folder: &Path) {
    let mut command = Command::new(programs::find("mariadb-install-db", "mariadb-server"));
    command.arg("--no-defaults").args(common(folder));
    // `force`: a machine that cannot look up its own name will do.
    command.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--force"]);
    let output = command.current_dir("/").output().expect("mariadb-install-db starts");
    assert!(
        output.status.success(),
        "mariadb-install-db: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn server(folder: &Path) -> Command {
    let path = |name: &str| temp::text(&folder.join(name)).to_owned();
    let mut command = Command::new(programs::find("mariadbd", "mariadb-server"));
    command.arg("--no-defaults").args(common(folder));
    command.args(["--skip-networking", "--skip-name-resolve", "--performance-schema=0"]);
    // The data is thrown away, so nothing is worth waiting for a disk.
    command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync"]);
    command.args(["--innodb-buffer-pool-size=32M", "--key-buffer-size=1M"]);
    command.arg(format!("--socket={}", path(SOCKET)));
    command.arg(format!("--pid-file={}", path("mariadbd.pid")));
    command.arg(format!("--log-error={}", path(LOG)));
    command.arg(format!("--init-file={}", path("init.sql")));
    // It complains here before it has opened its log.
    command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What both programs are told.
fn common(folder: &Path) -> Vec<String> {
    let mut args = vec![
        format!("--datadir={}/data", temp::text(folder)),
        format!("--tmpdir={}", temp::text(folder)),
        // Containers have few or no asynchronous requests to give.
        "--innodb-use-native-aio=0".to_owned(),
        "--innodb-log-file-size=8M".to_owned(),
    ];
    if geteuid().is_root() {
        args.push("--user=mysql".to_owned());
    }
    args
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

const READY: &str = "ready for connections";
const LOG: &str = "mariadbd.log";
const SOCKET: &str = "mariadbd.sock";
const LIMIT: Duration = Duration::from_secs(90);
