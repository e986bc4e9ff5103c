//! Applications on other FastCGI libraries, compiled when a test first needs them.

use core::fmt;
use core::time::Duration;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::programs;
use crate::service::Service;
use crate::socket::Socket;
use crate::temp;
use crate::wait::wait_until;

/// A running application of another library on a unix socket, stopped and cleaned up when dropped.
///
/// Both say `QUERY LENGTH`, a line feed, and the body that they were sent, and the method in `X-Method`.
pub struct Application {
    service: Service,
    address: String,
    _folder: TempDir,
}

impl Application {
    /// One in C on libfcgi: one request at a time on one connection at a time. It says `said on stderr` when the query has
    /// `stderr` in it, and ends with application status N for `status=N`.
    ///
    /// # Panics
    ///
    /// When libfcgi or a C compiler is not installed, or it does not start.
    #[must_use]
    pub fn libfcgi() -> Self {
        Self::start(&build("echo-c", include_str!("../applications/echo.c"), |folder, program| {
            let source = folder.join("echo.c");
            fs::write(&source, include_str!("../applications/echo.c")).expect("it can be written");
            let mut command = Command::new(programs::find("cc", "gcc"));
            command.arg("-O1").arg("-o").arg(program).arg(source).arg("-lfcgi");
            (command, "libfcgi-dev")
        }))
    }

    /// One in Go on `net/http/fcgi`: many requests at once on each connection. With `wait=N` it answers once N such requests
    /// are there.
    ///
    /// # Panics
    ///
    /// When Go is not installed, or it does not start.
    #[must_use]
    pub fn go() -> Self {
        Self::start(&build(
            "echo-go",
            include_str!("../applications/echo.go"),
            |folder, program| {
                let source = folder.join("echo.go");
                fs::write(&source, include_str!("../applications/echo.go"))
                    .expect("it can be written");
                let mut command = Command::new(programs::find("go", "golang-go"));
                command.args(["build", "-o"]).arg(program).arg(source);
                command.env("GO111MODULE", "off").env("GOCACHE", folder).env("GOPATH", folder);
                command.env("GOFLAGS", "").env("CGO_ENABLED", "0");
                (command, "golang-go")
            },
        ))
    }

    /// Where it listens: `unix:/path/to/app.sock`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    fn start(program: &Path) -> Self {
        let folder = temp::folder();
        let path = folder.path().join("app.sock");
        let mut command = Command::new(program);
        command.arg(&path);
        let mut service = Service::spawn(&mut command, Signal::TERM, folder.path());
        let address = format!("unix:{}", temp::text(&path));
        let is_up =
            wait_until(LIMIT, || service.exited().is_some() || Socket::connect(&address).is_ok());
        assert!(is_up && service.exited().is_none(), "{} does not start", program.display());
        Self { service, address, _folder: folder }
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("address", &self.address)
            .field("pid", &self.service.pid())
            .finish_non_exhaustive()
    }
}

/// The program of this source, in the folder of cargo's where this test stands: built by the first test that needs it.
fn build(
    name: &str,
    source: &str,
    command: impl FnOnce(&Path, &Path) -> (Command, &'static str),
) -> PathBuf {
    let folder = shared_folder();
    // Other sources are other programs.
    let hash = source.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let program = folder.join(format!("{name}-{hash:016x}"));
    let lock = File::create(folder.join("lock")).expect("a lock can be made");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock can be had");
    if program.is_file() {
        return program;
    }
    let work = tempfile::tempdir_in(&folder).expect("a folder");
    let built = work.path().join("program");
    let (mut command, package) = command(work.path(), &built);
    let output = command.output().expect("a compiler starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{name} cannot be built; is {package} installed? `apt-get install {package}` on Debian, or run `./check`, which \
         installs everything. The compiler says:\n{said}"
    );
    fs::rename(&built, &program).expect("it can be moved");
    program
}

/// A folder beside the tests, which are in cargo's; or a temporary one where they are elsewhere.
fn shared_folder() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let cargo = test.parent().filter(|deps| deps.ends_with("deps")).and_then(Path::parent);
    let folder = cargo.map_or_else(std::env::temp_dir, Path::to_owned).join("fcgi-applications");
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

const LIMIT: Duration = Duration::from_secs(60);
