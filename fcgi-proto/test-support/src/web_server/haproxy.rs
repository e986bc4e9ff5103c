use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{Plan, WebServer, write};
use crate::programs;
use crate::temp::text;

impl WebServer {
    /// HAProxy with these lines in its only `fcgi-app`, such as `option mpxs-conns`, and this application:
    /// `127.0.0.1:9000` or `unix@/path`.
    ///
    /// Kept connections are used for any request (`http-reuse always`), and one thread does it all.
    ///
    /// # Panics
    ///
    /// When HAProxy is not installed or does not start.
    #[must_use]
    pub fn haproxy(application: &str, lines: &[&str]) -> Self {
        Self::start_haproxy(&|folder, port| config(text(folder), port, application, lines))
    }

    /// HAProxy that passes bytes on to another web server, with these options for it, such as `send-proxy`.
    ///
    /// # Panics
    ///
    /// When HAProxy is not installed or does not start.
    #[must_use]
    pub fn haproxy_for_bytes(to: SocketAddr, options: &str) -> Self {
        Self::start_haproxy(&|_, port| {
            format!(
                "{GLOBAL}defaults
    mode tcp
{TIMES}listen web
    bind 127.0.0.1:{port}
    server one {to} {options}
"
            )
        })
    }

    fn start_haproxy(config: &dyn Fn(&Path, u16) -> String) -> Self {
        let command = |folder: &Path, port| {
            let path = write(folder, &config(folder, port));
            let mut command = Command::new(programs::find("haproxy", "haproxy"));
            command.arg("-db").arg("-f").arg(path);
            command
        };
        // Asked politely, it waits for its connections.
        Self::start(&Plan { name: "haproxy", quit: Signal::TERM, command: &command })
    }
}

const GLOBAL: &str = "global
    nbthread 1
    log stderr format raw local0
    hard-stop-after 1s
";

const TIMES: &str = "    log global
    timeout connect 10s
    timeout client 60s
    timeout server 60s
";

fn config(folder: &str, port: u16, application: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!(
        "{GLOBAL}defaults
    mode http
{TIMES}fcgi-app application
    log-stderr global
    docroot {folder}
    index index
{lines}frontend web
    bind 127.0.0.1:{port}
    default_backend web
backend web
    use-fcgi-app application
    http-reuse always
    server one {application} proto fcgi
"
    )
}
