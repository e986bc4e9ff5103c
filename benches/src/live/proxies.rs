//! The HTTP servers, each with one worker unless said otherwise, and as its manual has it for FastCGI.

use std::fs;
use std::io::Result;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Program;
use super::wait_for;

/// Who stands in front of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    Ours,
    OursMultiplexed,
    NginxKeepAlive,
    Nginx,
    HaproxyMultiplexed,
    Haproxy,
    Lighttpd,
    Apache,
    Caddy,
}

pub(super) const ALL: [Proxy; 9] = [
    Proxy::Ours,
    Proxy::OursMultiplexed,
    Proxy::NginxKeepAlive,
    Proxy::Nginx,
    Proxy::HaproxyMultiplexed,
    Proxy::Haproxy,
    Proxy::Lighttpd,
    Proxy::Apache,
    Proxy::Caddy,
];

/// What all of them are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    /// A folder of this server's own, for its files.
    pub(super) folder: &'a Path,
    /// The document root.
    pub(super) root: &'a Path,
    /// Where the application listens.
    pub(super) socket: &'a Path,
    /// The `fcgi` binary.
    pub(super) fcgi: &'a Path,
    /// Threads or processes of it.
    pub(super) workers: usize,
    /// How many connections to the application it may open, if it is to be told.
    pub(super) connections: Option<usize>,
}

/// A server that answers.
pub(super) struct Running {
    pub(super) program: Program,
    pub(super) port: u16,
}

impl Proxy {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "fcgi serve",
            Self::OursMultiplexed => "fcgi serve, multiplexed",
            Self::NginxKeepAlive => "nginx, keep-alive",
            Self::Nginx => "nginx",
            Self::HaproxyMultiplexed => "HAProxy, multiplexed",
            Self::Haproxy => "HAProxy",
            Self::Lighttpd => "lighttpd",
            Self::Apache => "Apache",
            Self::Caddy => "Caddy",
        }
    }

    /// HAProxy sends no files.
    pub(super) const fn has_files(self) -> bool {
        !matches!(self, Self::Haproxy | Self::HaproxyMultiplexed)
    }

    pub(super) const fn multiplexes(self) -> bool {
        matches!(self, Self::OursMultiplexed | Self::HaproxyMultiplexed)
    }

    pub(super) fn start(self, site: &Site<'_>) -> Result<Running> {
        fs::create_dir_all(site.folder)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = site.folder.join("log");
        let mut program = Program::start(self.command(site, port)?, &log)?;
        wait_for(self.name(), || TcpStream::connect(("127.0.0.1", port)).ok()).map_err(
            |error| match program.check(&log) {
                Err(reason) => reason,
                Ok(()) => error,
            },
        )?;
        Ok(Running { program, port })
    }

    fn command(self, site: &Site<'_>, port: u16) -> Result<Command> {
        let config = |name: &str, text: String| -> Result<PathBuf> {
            let path = site.folder.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let mut command;
        match self {
            Self::Ours | Self::OursMultiplexed => {
                command = Command::new(site.fcgi);
                command.arg("serve").arg(site.root).args(["--max-clients", "16384"]);
                command.arg("--workers").arg(site.workers.to_string());
                command.arg("--listen").arg(format!("127.0.0.1:{port}"));
                command.arg("--fpm").arg(format!("unix:{}", site.socket.display()));
                if self == Self::OursMultiplexed {
                    command.args(["--multiplex", "64"]);
                }
                if let Some(count) = site.connections {
                    command.arg("--max-connections").arg(count.to_string());
                }
                command.env("RUST_LOG", "error");
            }
            Self::Nginx | Self::NginxKeepAlive => {
                command = Command::new("/usr/sbin/nginx");
                let text = nginx(site, port, self == Self::NginxKeepAlive);
                command.arg("-c").arg(config("nginx.conf", text)?);
            }
            Self::Haproxy | Self::HaproxyMultiplexed => {
                command = Command::new("/usr/sbin/haproxy");
                let text = haproxy(site, port, self == Self::HaproxyMultiplexed);
                command.arg("-f").arg(config("haproxy.cfg", text)?);
            }
            Self::Lighttpd => {
                command = Command::new("/usr/sbin/lighttpd");
                command.arg("-D").arg("-f").arg(config("lighttpd.conf", lighttpd(site, port))?);
            }
            Self::Apache => {
                command = Command::new("/usr/sbin/apache2");
                command.args(["-D", "FOREGROUND", "-f"]);
                command.arg(config("apache.conf", apache(site, port))?);
            }
            Self::Caddy => {
                command = Command::new("/usr/bin/caddy");
                command.args(["run", "--adapter", "caddyfile", "--config"]);
                command.arg(config("Caddyfile", caddy(site, port))?);
                command.env("GOMAXPROCS", "1").env("XDG_DATA_HOME", site.folder);
                command.env("XDG_CONFIG_HOME", site.folder).env("HOME", site.folder);
            }
        }
        Ok(command)
    }
}

/// With the parameters of Debian's `fastcgi.conf`.
fn nginx(site: &Site<'_>, port: u16, keep: bool) -> String {
    let Site { folder, root, socket, workers, .. } = site;
    let (folder, root, socket) = (folder.display(), root.display(), socket.display());
    let keep_upstream = if keep { "keepalive 64;" } else { "" };
    let keep_conn = if keep { "fastcgi_keep_conn on;" } else { "" };
    let mut params = String::new();
    for (name, value) in [
        ("SCRIPT_FILENAME", "$document_root$fastcgi_script_name"),
        ("QUERY_STRING", "$query_string"),
        ("REQUEST_METHOD", "$request_method"),
        ("CONTENT_TYPE", "$content_type"),
        ("CONTENT_LENGTH", "$content_length"),
        ("SCRIPT_NAME", "$fastcgi_script_name"),
        ("REQUEST_URI", "$request_uri"),
        ("DOCUMENT_URI", "$document_uri"),
        ("DOCUMENT_ROOT", "$document_root"),
        ("SERVER_PROTOCOL", "$server_protocol"),
        ("REQUEST_SCHEME", "$scheme"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "nginx/$nginx_version"),
        ("REMOTE_ADDR", "$remote_addr"),
        ("REMOTE_PORT", "$remote_port"),
        ("SERVER_ADDR", "$server_addr"),
        ("SERVER_PORT", "$server_port"),
        ("SERVER_NAME", "$server_name"),
        ("REDIRECT_STATUS", "200"),
    ] {
        params += &format!("fastcgi_param {name} {value};\n");
    }
    format!(
        "user root;\ndaemon off;\nworker_processes {workers};\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n\
         access_log off;\nsendfile on;\ntcp_nopush on;\nkeepalive_requests 100000000;\nclient_max_body_size 8m;\n\
         client_body_temp_path {folder}/body;\nfastcgi_temp_path {folder}/fastcgi;\nproxy_temp_path {folder}/proxy;\n\
         uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n\
         upstream application {{ server unix:{socket}; {keep_upstream} }}\n\
         server {{\nlisten 127.0.0.1:{port};\nserver_name localhost;\nroot {root};\n\
         location ~ \\.php$ {{\n{params}fastcgi_pass application;\n{keep_conn}\n}}\n}}\n}}\n"
    )
}

fn haproxy(site: &Site<'_>, port: u16, multiplexed: bool) -> String {
    let (root, socket) = (site.root.display(), site.socket.display());
    let limit = site.connections.map(|count| format!("maxconn {count}")).unwrap_or_default();
    let multiplex = if multiplexed { "option mpxs-conns\noption max-reqs 64\n" } else { "" };
    format!(
        "global\nnbthread 1\nmaxconn 8192\ndefaults\nmode http\ntimeout connect 5s\ntimeout client 60s\n\
         timeout server 60s\nhttp-reuse always\nfrontend web\nbind 127.0.0.1:{port}\ndefault_backend application\n\
         backend application\nuse-fcgi-app php\nserver one unix@{socket} proto fcgi {limit}\nfcgi-app php\ndocroot {root}\n\
         index index.php\noption keep-conn\n{multiplex}"
    )
}

fn lighttpd(site: &Site<'_>, port: u16) -> String {
    let Site { folder, root, socket, .. } = site;
    let (folder, root, socket) = (folder.display(), root.display(), socket.display());
    format!(
        "server.modules = ( \"mod_fastcgi\" )\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
         server.document-root = \"{root}\"\nserver.errorlog = \"{folder}/error.log\"\n\
         server.upload-dirs = ( \"{folder}\" )\nserver.max-keep-alive-requests = 0\nserver.max-connections = 4096\n\
         server.max-fds = 8192\nmimetype.assign = ( \".bin\" => \"application/octet-stream\" )\n\
         fastcgi.server = ( \".php\" => (( \"socket\" => \"{socket}\" )) )\n"
    )
}

fn apache(site: &Site<'_>, port: u16) -> String {
    let Site { folder, root, socket, .. } = site;
    let (folder, root, socket) = (folder.display(), root.display(), socket.display());
    let mut modules = String::new();
    for name in ["mpm_event", "authz_core", "proxy", "proxy_fcgi"] {
        modules += &format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    }
    format!(
        "ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nDefaultRuntimeDir {folder}\n{modules}\
         Listen 127.0.0.1:{port}\nErrorLog {folder}/error.log\nLogLevel error\n\
         ServerLimit 1\nStartServers 1\nThreadLimit 300\nThreadsPerChild 300\nMaxRequestWorkers 300\n\
         KeepAlive On\nMaxKeepAliveRequests 0\nDocumentRoot {root}\n\
         <Directory {root}>\nRequire all granted\n</Directory>\n\
         <FilesMatch \\.php$>\nSetHandler \"proxy:unix:{socket}|fcgi://localhost/\"\n</FilesMatch>\n\
         <Proxy \"fcgi://localhost/\" enablereuse=on max=300>\n</Proxy>\n"
    )
}

fn caddy(site: &Site<'_>, port: u16) -> String {
    let (root, socket) = (site.root.display(), site.socket.display());
    format!(
        "{{\nadmin off\nauto_https off\n}}\nhttp://127.0.0.1:{port} {{\nroot * {root}\n\
         php_fastcgi unix/{socket}\nfile_server\n}}\n"
    )
}
