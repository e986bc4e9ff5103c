//! One site on three servers: ours, nginx as Debian and WordPress set it up, and Apache with mod_proxy_fcgi.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use fcgi_test_support::http::{Connection, Response};
use fcgi_test_support::{PhpFpm, Scripts, WebServer};

use crate::support::Serve;

/// The servers, all in front of the same folder and the same PHP-FPM.
pub(crate) struct Neighbours {
    pub(crate) root: String,
    fcgi: Serve,
    nginx: WebServer,
    apache: WebServer,
    _fpm: PhpFpm,
}

impl Neighbours {
    pub(crate) const NAMES: [&'static str; 3] = ["fcgi", "nginx", "apache"];

    /// With `cgi.fix_pathinfo`, PHP guesses for itself what is script and what PATH_INFO.
    pub(crate) fn start(scripts: &Scripts, fix_pathinfo: bool) -> Self {
        let fix = if fix_pathinfo { "1" } else { "0" };
        // On TCP, as Apache's workers are another user.
        let fpm = PhpFpm::builder().listen_tcp().workers(3).ini("cgi.fix_pathinfo", fix).start();
        let root = scripts.root().canonicalize().unwrap();
        let root = root.to_str().unwrap().to_owned();
        let fcgi = Serve::with_fpm(scripts.root(), fpm.address());
        let nginx = WebServer::nginx(&nginx(&root, fpm.address()));
        let apache = WebServer::apache(&apache(&root, fpm.address()));
        Self { root, fcgi, nginx, apache, _fpm: fpm }
    }

    /// The addresses, in the order of the [names](Self::NAMES).
    pub(crate) fn addresses(&self) -> [SocketAddr; 3] {
        [self.fcgi.address(), self.nginx.address(), self.apache.address()]
    }
}

/// Sends a request as it stands.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Response {
    let mut connection = Connection::open(address);
    connection.send_raw(request.as_bytes()).unwrap();
    connection.response(false)
}

/// The place of a file that holds what is expected.
pub(crate) fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub(crate) fn read_golden(name: &str) -> String {
    fs::read_to_string(golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether the files are to be written anew: `FCGI_GOLDEN=write cargo test`, and then `git diff`.
pub(crate) fn is_writing() -> bool {
    std::env::var("FCGI_GOLDEN").is_ok_and(|value| value == "write")
}

/// The rows of a Markdown table, by cells, without its two rows of headings.
pub(crate) fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.skip(2).map(|row| row.split('|').map(str::trim).collect())
}

/// The location for PHP is `snippets/fastcgi-php.conf`, which cannot be included from another folder, and what is around
/// it is WordPress's advice.
fn nginx(root: &str, fpm: &str) -> String {
    format!(
        r"root {root}; index index.php;
        location / {{ try_files $uri $uri/ /index.php$is_args$args; }}
        location ~ [^/]\.php(/|$) {{
            fastcgi_split_path_info ^(.+?\.php)(/.*)$;
            try_files $fastcgi_script_name =404;
            set $path_info $fastcgi_path_info;
            fastcgi_param PATH_INFO $path_info;
            fastcgi_index index.php;
            include /etc/nginx/fastcgi.conf;
            fastcgi_pass {fpm};
        }}"
    )
}

/// `conf-available/php8.2-fpm.conf`, and the `.htaccess` of WordPress.
fn apache(root: &str, fpm: &str) -> String {
    format!(
        r#"LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
        LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
        DocumentRoot {root}
        DirectoryIndex index.php
        SetEnvIfNoCase ^Authorization$ "(.+)" HTTP_AUTHORIZATION=$1
        <Directory {root}>
            Require all granted
            RewriteEngine On
            RewriteRule .* - [E=HTTP_AUTHORIZATION:%{{HTTP:Authorization}}]
            RewriteBase /
            RewriteRule ^index\.php$ - [L]
            RewriteCond %{{REQUEST_FILENAME}} !-f
            RewriteCond %{{REQUEST_FILENAME}} !-d
            RewriteRule . /index.php [L]
        </Directory>
        <FilesMatch ".+\.ph(?:ar|p|tml)$">
            SetHandler "proxy:fcgi://{fpm}"
        </FilesMatch>
        <FilesMatch "^\.ph(?:ar|p|ps|tml)$">
            Require all denied
        </FilesMatch>"#
    )
}
