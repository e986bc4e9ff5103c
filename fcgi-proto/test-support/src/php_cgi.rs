//! `php-cgi` as a FastCGI server.

use core::fmt;
use core::time::Duration;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::fpm::DEFAULT_INI;
use crate::programs;
use crate::service::Service;
use crate::socket::Socket;
use crate::temp;
use crate::wait::wait_until;

/// A running `php-cgi -b`, stopped and cleaned up when dropped.
pub struct PhpCgi {
    service: Service,
    address: String,
    folder: TempDir,
}

impl PhpCgi {
    /// Starts one with two children on a unix socket.
    ///
    /// # Panics
    ///
    /// When `php-cgi` is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// For other settings.
    pub fn builder() -> PhpCgiBuilder {
        PhpCgiBuilder { children: 2, ini: Vec::new() }
    }

    /// Where it listens: `unix:/path/to/cgi.sock`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A new connection to it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn connect(&self) -> io::Result<Socket> {
        Socket::connect(&self.address)
    }

    /// The number of its first process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// What it wrote to its standard output and error so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(OUTPUT)).unwrap_or_default())
            .into_owned()
    }
}

impl fmt::Debug for PhpCgi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.pid();
        f.debug_struct("PhpCgi")
            .field("address", &self.address)
            .field("pid", &pid)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`PhpCgi`] to come.
#[derive(Clone, Debug)]
#[must_use = "nothing runs until `start`"]
pub struct PhpCgiBuilder {
    children: u32,
    ini: Vec<(String, String)>,
}

impl PhpCgiBuilder {
    /// `PHP_FCGI_CHILDREN`: how many connections are served at a time; 2 unless set. With 0 the first
    /// process serves them itself.
    pub fn children(mut self, children: u32) -> Self {
        self.children = children;
        self
    }

    /// One setting of PHP, such as `memory_limit`.
    pub fn ini(mut self, name: &str, value: &str) -> Self {
        self.ini.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it, and returns when it accepts connections.
    ///
    /// # Panics
    ///
    /// When `php-cgi` is not installed or does not start.
    #[must_use]
    pub fn start(self) -> PhpCgi {
        let folder = temp::folder();
        let path = folder.path().join("cgi.sock");
        let mut service = self.spawn(folder.path(), &path);
        let address = format!("unix:{}", temp::text(&path));
        let up =
            wait_until(LIMIT, || service.exited().is_some() || Socket::connect(&address).is_ok());
        let exited = service.exited();
        let cgi = PhpCgi { service, address, folder };
        assert!(up && exited.is_none(), "php-cgi does not start ({exited:?}):\n{}", cgi.log());
        cgi
    }

    fn spawn(&self, dir: &Path, socket: &Path) -> Service {
        let output = File::create(dir.join(OUTPUT)).expect("a file for its output can be made");
        let mut command = Command::new(programs::find("php-cgi", "php-cgi"));
        command.arg("-b").arg(socket);
        for (name, value) in DEFAULT_INI {
            command.arg("-d").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.ini {
            command.arg("-d").arg(format!("{name}={value}"));
        }
        // It leaves after 500 requests unless told otherwise.
        command
            .env("PHP_FCGI_CHILDREN", self.children.to_string())
            .env("PHP_FCGI_MAX_REQUESTS", "0");
        command.current_dir("/");
        command.stdout(output.try_clone().expect("a file can be shared")).stderr(output);
        Service::spawn(&mut command, Signal::TERM, dir)
    }
}

const OUTPUT: &str = "output";
const LIMIT: Duration = Duration::from_secs(60);
