//! Whether a PHP-FPM that runs already sees the site's files, asked without running a script.

use core::fmt;
use core::time::Duration;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fcgi_proto::cgi::{ScriptError, script_error};
use fcgi_tokio::{Address, Client, Error, Request, Timeouts};

/// What came of a probe.
#[derive(Debug)]
pub(super) enum Seen {
    /// It sees the folder.
    Yes,
    /// It answers, and for it there is no such folder.
    No,
    /// It answers something else: php-cgi, a pool whose `security.limit_extensions` is off, or no PHP at all.
    Unknown,
    /// It does not answer.
    Silent(Error),
}

/// Asks for the document root itself as if it were a script.
///
/// A folder is never run. PHP-FPM looks whether it exists as it sees the files, and then refuses it for its ending: 403.
/// When it does not exist, in a container with other paths or for want of rights, it is a 404.
pub(super) async fn probe(address: &Address, root: &Path) -> Seen {
    let root = without_last_slash(root);
    let request = Request::new("GET", root).param("SCRIPT_NAME", "/");
    let timeouts = Timeouts::NONE.with_connect(LIMIT).with_total(LIMIT);
    let client = Client::new(address.clone()).timeouts(timeouts);
    let answer = async {
        let response = client.execute(request).await?;
        let (head, mut body) = response.into_parts();
        Ok::<_, Error>((head.status(), body.collect(MOST).await?))
    };
    match answer.await {
        Ok((status, body)) => match script_error(status, &body) {
            Some(ScriptError::AccessDenied) => Seen::Yes,
            Some(ScriptError::NotFound) => Seen::No,
            _ => Seen::Unknown,
        },
        Err(error) => Seen::Silent(error),
    }
}

/// With a slash at its end PHP-FPM does not find it.
fn without_last_slash(path: &Path) -> &[u8] {
    let path: &OsStr = path.as_ref();
    match path.as_bytes() {
        b"/" => b"/",
        path => path.strip_suffix(b"/").unwrap_or(path),
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("sees the site's files"),
            Self::No => f.write_str("does not see the site's files"),
            Self::Unknown => f.write_str("does not say whether it sees the site's files"),
            Self::Silent(error) => write!(f, "does not answer: {error}"),
        }
    }
}

/// Enough for a pool that is busy, and short enough for a start.
const LIMIT: Duration = Duration::from_secs(3);
/// PHP-FPM's own pages are short.
const MOST: usize = 4096;
