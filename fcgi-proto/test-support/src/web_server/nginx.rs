use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{Plan, WebServer, write};
use crate::programs;
use crate::temp::text;

impl WebServer {
    /// nginx with these directives in its only `server`, such as
    /// `location / { include /etc/nginx/fastcgi_params; fastcgi_pass 127.0.0.1:9000; }`.
    ///
    /// # Panics
    ///
    /// When nginx is not installed or does not start.
    #[must_use]
    pub fn nginx(directives: &str) -> Self {
        let command = |folder: &Path, port| {
            let path = write(folder, &config(text(folder), port, directives));
            let mut command = Command::new(programs::find("nginx", "nginx"));
            command.arg("-p").arg(folder).arg("-c").arg(path);
            command
        };
        Self::start(&Plan { name: "nginx", quit: Signal::TERM, command: &command })
    }
}

/// Its workers stay root when it is started as root, as sockets in temporary folders are the owner's alone.
fn config(folder: &str, port: u16, directives: &str) -> String {
    format!(
        "daemon off; worker_processes 1; user root root; pid {folder}/pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off; client_max_body_size 0; default_type text/plain;
    client_body_temp_path {folder}/body; fastcgi_temp_path {folder}/fastcgi; proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {directives}
    }}
}}
"
    )
}
