//! Web servers in front of an application: nginx, Apache, HAProxy and lighttpd.

mod apache;
mod haproxy;
mod lighttpd;
mod nginx;

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::service::Service;
use crate::temp;
use crate::wait::{free_port, wait_until};

/// A running web server on a free port of 127.0.0.1, stopped and cleaned up when dropped.
pub struct WebServer {
    service: Service,
    address: SocketAddr,
    folder: TempDir,
}

/// What is to be started: the command, given the folder and the port.
struct Plan<'p> {
    name: &'p str,
    quit: Signal,
    command: &'p dyn Fn(&Path, u16) -> Command,
}

impl WebServer {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written to its error log, its standard output and its standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(self.folder.path())
    }

    fn start(plan: &Plan<'_>) -> Self {
        // Somebody else may have taken the port meanwhile.
        let mut failures = String::new();
        for _ in 0..TRIES {
            match Self::try_start(plan) {
                Ok(server) => return server,
                Err(log) => failures.push_str(&log),
            }
        }
        panic!("{} does not start:\n{failures}", plan.name);
    }

    fn try_start(plan: &Plan<'_>) -> Result<Self, String> {
        let folder = temp::folder();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let output = File::create(folder.path().join(OUTPUT)).expect("a file can be made");
        let mut command = (plan.command)(folder.path(), address.port());
        // Cargo sets it for tests, and Apache passes it on to scripts.
        command.env_remove("LD_LIBRARY_PATH");
        command.stdout(output.try_clone().expect("a file can be shared")).stderr(output);
        let mut service = Service::spawn(&mut command, plan.quit, folder.path());
        let is_up =
            wait_until(LIMIT, || service.exited().is_some() || TcpStream::connect(address).is_ok());
        if is_up && service.exited().is_none() {
            return Ok(Self { service, address, folder });
        }
        Err(read_log(folder.path()))
    }
}

impl fmt::Debug for WebServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebServer")
            .field("address", &self.address)
            .field("pid", &self.service.pid())
            .finish_non_exhaustive()
    }
}

fn read_log(folder: &Path) -> String {
    let texts = [OUTPUT, ERROR_LOG].map(|name| fs::read(folder.join(name)).unwrap_or_default());
    String::from_utf8_lossy(&texts.concat()).into_owned()
}

/// Writes a configuration file, and gives its path.
fn write(folder: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("server.conf");
    fs::write(&path, text).expect("a configuration can be written");
    path
}

const OUTPUT: &str = "output";
const ERROR_LOG: &str = "error.log";
const TRIES: u32 = 3;
const LIMIT: Duration = Duration::from_secs(60);
