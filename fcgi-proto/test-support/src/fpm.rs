//! PHP-FPM with a pool of its own.

use core::fmt;
use core::time::Duration;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::process;
use crate::programs;
use crate::service::{self, Service};
use crate::socket::Socket;
use crate::temp;
use crate::wait::{free_port, wait_until};

/// A running PHP-FPM, stopped and cleaned up when dropped.
///
/// Its pool is static: all workers are there from the start, and none is added. They run as the user
/// who runs the test, root included, so that they read what the test writes.
pub struct PhpFpm {
    service: Service,
    builder: PhpFpmBuilder,
    address: String,
    folder: TempDir,
}

impl PhpFpm {
    /// Starts one with two workers on a unix socket.
    ///
    /// # Panics
    ///
    /// When PHP-FPM is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// For other settings.
    pub fn builder() -> PhpFpmBuilder {
        PhpFpmBuilder::new()
    }

    /// Where it listens: `unix:/path/to/fpm.sock` or `127.0.0.1:40001`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The socket's path, unless it listens on TCP.
    #[must_use]
    pub fn socket_path(&self) -> Option<&Path> {
        self.address.strip_prefix("unix:").map(Path::new)
    }

    /// A new connection to it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn connect(&self) -> io::Result<Socket> {
        Socket::connect(&self.address)
    }

    /// Its log so far, with what the workers wrote to their standard error.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.folder.path().join(LOG))
    }

    /// Its access log so far: a line for every request that has ended.
    #[must_use]
    pub fn access_log(&self) -> String {
        read(&self.folder.path().join(ACCESS_LOG))
    }

    /// The number of its master process.
    #[must_use]
    pub fn master_pid(&self) -> u32 {
        self.service.pid()
    }

    /// The numbers of the workers that run now.
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        let master = self.master_pid();
        let all = process::all().into_iter();
        all.filter(|process| process.parent == master).map(|process| process.pid).collect()
    }

    /// Kills one worker at once, whatever it is doing; the master starts another.
    ///
    /// # Panics
    ///
    /// When `pid` is not one of the workers.
    pub fn kill_worker(&self, pid: u32) {
        assert!(self.worker_pids().contains(&pid), "process {pid} is not a worker of this pool");
        service::send(pid, Signal::KILL);
    }

    /// Makes it read its configuration anew and replace its workers, and returns when the new ones
    /// are ready. The socket stays open all the time; scripts that run are ended.
    ///
    /// # Panics
    ///
    /// When it does not come back.
    pub fn reload(&mut self) {
        let before = self.log().matches(READY).count();
        self.service.signal(Signal::USR2);
        let back = wait_until(LIMIT, || {
            self.log().matches(READY).count() > before || self.service.exited().is_some()
        });
        assert!(back && self.service.exited().is_none(), "php-fpm did not reload:\n{}", self.log());
    }

    /// Stops it, and returns when no process and no socket of it is left. [`Self::restart`] brings it
    /// back.
    pub fn stop(&mut self) {
        self.service.stop();
        if let Some(path) = self.socket_path() {
            // A master that was stopped in order has removed it.
            let _ = fs::remove_file(path);
        }
    }

    /// Starts it again at the same address, stopping it first if it runs.
    ///
    /// # Panics
    ///
    /// When it does not start, as when its port was taken meanwhile.
    pub fn restart(&mut self) {
        self.stop();
        let ready = self
            .builder
            .spawn(&self.address, self.folder.path())
            .map(|service| self.service = service);
        assert!(
            ready.is_some(),
            "php-fpm cannot listen on {} again:\n{}",
            self.address,
            self.log()
        );
    }
}

impl fmt::Debug for PhpFpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.master_pid();
        f.debug_struct("PhpFpm")
            .field("address", &self.address)
            .field("pid", &pid)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`PhpFpm`] to come.
#[derive(Clone, Debug)]
#[must_use = "nothing runs until `start`"]
pub struct PhpFpmBuilder {
    workers: u32,
    max_requests: u32,
    tcp: bool,
    ini: Vec<(String, String)>,
    pool: Vec<(String, String)>,
}

impl PhpFpmBuilder {
    fn new() -> Self {
        Self { workers: 2, max_requests: 0, tcp: false, ini: Vec::new(), pool: Vec::new() }
    }

    /// How many workers there are, and so how many connections are served at a time; 2 unless set.
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Listens on a free port of 127.0.0.1.
    pub fn listen_tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Listens on a unix socket, which is what it does unless told otherwise.
    pub fn listen_unix(mut self) -> Self {
        self.tcp = false;
        self
    }

    /// After how many requests a worker is replaced (`pm.max_requests`); 0, never, unless set.
    pub fn max_requests(mut self, requests: u32) -> Self {
        self.max_requests = requests;
        self
    }

    /// One setting of PHP, such as `memory_limit`.
    ///
    /// Unless set here, bodies and uploads may have any size, and PHP notices changed scripts at once.
    pub fn ini(mut self, name: &str, value: &str) -> Self {
        self.ini.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One directive of the pool, such as `request_terminate_timeout` or `listen.backlog`.
    pub fn pool(mut self, name: &str, value: &str) -> Self {
        self.pool.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it, and returns when it accepts connections.
    ///
    /// # Panics
    ///
    /// When PHP-FPM is not installed or does not start; the message names the package or holds the log.
    #[must_use]
    pub fn start(self) -> PhpFpm {
        for _ in 0..ATTEMPTS {
            let folder = temp::folder();
            let dir = folder.path();
            let address = if self.tcp {
                format!("127.0.0.1:{}", free_port())
            } else {
                format!("unix:{}", temp::text(&dir.join("fpm.sock")))
            };
            fs::write(dir.join(CONFIG), self.config(&address, temp::text(dir)))
                .expect("the configuration can be written");
            if let Some(service) = self.spawn(&address, dir) {
                return PhpFpm { service, builder: self, address, folder };
            }
        }
        panic!("php-fpm found its port taken {ATTEMPTS} times in a row");
    }

    fn config(&self, address: &str, dir: &str) -> String {
        let listen = address.strip_prefix("unix:").unwrap_or(address);
        let Self { workers, max_requests, .. } = self;
        let mut config = format!(
            "[global]\n\
             daemonize = no\n\
             error_log = {dir}/{LOG}\n\
             log_level = notice\n\
             log_limit = 8192\n\
             [test]\n\
             listen = {listen}\n\
             pm = static\n\
             pm.max_children = {workers}\n\
             pm.max_requests = {max_requests}\n\
             pm.status_path = /status\n\
             ping.path = /ping\n\
             catch_workers_output = yes\n\
             decorate_workers_output = no\n\
             access.log = {dir}/{ACCESS_LOG}\n"
        );
        if geteuid().is_root() {
            config.push_str("user = root\ngroup = root\n");
        }
        for (name, value) in &self.pool {
            config.push_str(&format!("{name} = {value}\n"));
        }
        config
    }

    /// Starts it and waits for the first connection; `None` when another process has the port.
    fn spawn(&self, address: &str, dir: &Path) -> Option<Service> {
        let ready = || read(&dir.join(LOG)).matches(READY).count();
        let before = ready();
        let mut service = Service::spawn(&mut self.command(dir), Signal::QUIT, dir);
        let mut exited = None;
        // The log as well as the socket: on a taken port it is somebody else who accepts.
        let up = wait_until(LIMIT, || {
            exited = service.exited();
            exited.is_some() || ready() > before && Socket::connect(address).is_ok()
        });
        if up && exited.is_none() {
            return Some(service);
        }
        let log = read(&dir.join(LOG)) + &read(&dir.join(OUTPUT));
        assert!(
            self.tcp && log.contains("already in use"),
            "php-fpm does not start ({exited:?}):\n{log}"
        );
        None
    }

    fn command(&self, dir: &Path) -> Command {
        let output = File::create(dir.join(OUTPUT)).expect("a file for its output can be made");
        let mut command = Command::new(program());
        command.arg("--nodaemonize").arg("--fpm-config").arg(dir.join(CONFIG));
        if geteuid().is_root() {
            command.arg("--allow-to-run-as-root");
        }
        for (name, value) in DEFAULT_INI {
            command.arg("-d").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.ini {
            command.arg("-d").arg(format!("{name}={value}"));
        }
        command.env_remove("FPM_SOCKETS").current_dir("/");
        command.stdout(output.try_clone().expect("a file can be shared")).stderr(output);
        command
    }
}

fn program() -> PathBuf {
    programs::find("php-fpm", "php-fpm")
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// What Debian's php.ini would limit or hide from a test.
pub(crate) const DEFAULT_INI: &[(&str, &str)] = &[
    ("display_errors", "0"),
    ("max_execution_time", "0"),
    ("opcache.revalidate_freq", "0"),
    ("post_max_size", "0"),
    ("upload_max_filesize", "1G"),
];
const READY: &str = "ready to handle connections";
const CONFIG: &str = "fpm.conf";
const LOG: &str = "fpm.log";
const ACCESS_LOG: &str = "access.log";
const OUTPUT: &str = "output";
const ATTEMPTS: u32 = 10;
/// Long, for machines with better things to do; a server that fails exits at once.
const LIMIT: Duration = Duration::from_secs(60);
