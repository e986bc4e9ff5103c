use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{Plan, WebServer, write};
use crate::programs;
use crate::temp::text;

impl WebServer {
    /// lighttpd with mod_fastcgi and these lines of configuration, such as
    /// `fastcgi.server = ("/" => (("host" => "127.0.0.1", "port" => 9000, "check-local" => "disable")))`. Its folder, which
    /// is its document root as well, is there as `var.folder`.
    ///
    /// # Panics
    ///
    /// When lighttpd is not installed or does not start.
    #[must_use]
    pub fn lighttpd(lines: &str) -> Self {
        let command = |folder: &Path, port| {
            let path = write(folder, &config(text(folder), port, lines));
            let mut command = Command::new(programs::find("lighttpd", "lighttpd"));
            command.arg("-D").arg("-f").arg(path);
            command
        };
        Self::start(&Plan { name: "lighttpd", quit: Signal::TERM, command: &command })
    }
}

fn config(folder: &str, port: u16, lines: &str) -> String {
    format!(
        "var.folder = \"{folder}\"
server.document-root = var.folder
server.bind = \"127.0.0.1\"
server.port = {port}
server.errorlog = \"{folder}/error.log\"
server.upload-dirs = (\"{folder}\")
server.modules += (\"mod_fastcgi\")
{lines}
"
    )
}
