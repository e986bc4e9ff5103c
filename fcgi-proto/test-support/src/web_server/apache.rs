use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{Plan, WebServer, write};
use crate::programs;
use crate::temp::text;

impl WebServer {
    /// Apache with mod_proxy_fcgi and these directives, such as `ProxyPass / fcgi://127.0.0.1:9000/`.
    ///
    /// # Panics
    ///
    /// When Apache is not installed or does not start.
    #[must_use]
    pub fn apache(directives: &str) -> Self {
        let command = |folder: &Path, port| {
            // Its workers are other users than root.
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(folder, open).expect("our folder is ours");
            let path = write(folder, &config(text(folder), port, directives));
            let mut command = Command::new(programs::find("apache2", "apache2"));
            command.arg("-d").arg(folder).arg("-f").arg(path).arg("-DFOREGROUND");
            command
        };
        Self::start(&Plan { name: "apache2", quit: Signal::TERM, command: &command })
    }
}

fn config(folder: &str, port: u16, directives: &str) -> String {
    let modules: String = MODULES
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    format!(
        "{modules}ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
Mutex file:{folder}
User www-data
Group www-data
DocumentRoot {folder}
StartServers 1
{directives}
"
    )
}

const MODULES: [&str; 5] = ["mpm_event", "authz_core", "proxy", "proxy_fcgi", "setenvif"];
