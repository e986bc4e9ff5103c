//! From an HTTP request to the application's: its variables and its body.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fcgi_proto::Params;
use fcgi_proto::cgi::proxies::Forwarding;
use fcgi_proto::cgi::{Environment, EnvironmentError, PhpSettings};
use fcgi_tokio::AuthorizerVariables;
use fcgi_tokio::server::RemoteAddr;
use http::request::Parts;

use crate::Connection;
use crate::gateway::Inner;
use crate::mount;
use crate::pages::Page;

/// Who answers: a script below a document root, or an application as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) root: Option<&'a Path>,
    pub(crate) script_name: &'a str,
    pub(crate) path_info: &'a [u8],
}

/// What the settings say about the variables of every request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    /// The document root as the application sees it.
    pub(crate) root: Option<PathBuf>,
    /// In order: a value, or that there is to be none.
    pub(crate) changes: Vec<(String, Option<String>)>,
    pub(crate) php_settings: PhpSettings,
}

impl Variables {
    fn apply<'a>(&'a self, environment: Environment<'a>) -> Environment<'a> {
        let environment = environment.php_settings(&self.php_settings);
        self.changes.iter().fold(environment, |environment, (name, value)| match value {
            Some(value) => environment.param(name, value),
            None => environment.remove(name),
        })
    }
}

/// The variables of the request. CONTENT_LENGTH follows with the body.
pub(super) fn environment(
    parts: &Parts,
    place: &Place<'_>,
    gateway: &Inner,
) -> Result<Params, Page> {
    let prefix = mount::prefix(parts);
    let script_name = mount::script_name(prefix, place.script_name);
    let mut script_filename = Vec::new();
    let mut environment = Environment::from_http(parts)
        .map_err(page_for)?
        .server_software(&gateway.server_software)
        .script_name(&*script_name)
        .path_info(place.path_info)
        .content_length(None);
    if let Some(target) = mount::original_target(parts, prefix) {
        environment = environment.target(target).map_err(page_for)?;
    }
    if let Some(root) = place.root {
        let root = gateway.variables.root.as_deref().unwrap_or(root);
        let root = root.as_os_str().as_bytes();
        environment = environment.document_root(root);
        if !prefix.is_empty() {
            let root = root.strip_suffix(b"/").unwrap_or(root);
            script_filename.extend([root, place.script_name.as_bytes()].concat());
            environment = environment.script_filename(&script_filename);
        }
    }
    let connection = parts.extensions.get::<Connection>();
    environment = environment.https(connection.is_some_and(Connection::is_https));
    if let Some(local) = connection.and_then(Connection::local) {
        environment = environment.server_addr(local);
    }
    // Behind a web server that is asked over FastCGI, the address is known, but no connection.
    let fastcgi = parts.extensions.get().map(|&RemoteAddr(client)| client);
    let forwarding = forwarding(parts, gateway)?;
    environment = match (&forwarding, connection.and_then(Connection::remote).or(fastcgi)) {
        (Some(forwarding), _) => environment.forwarding(forwarding),
        (None, Some(remote)) => environment.remote_addr(remote),
        (None, None) => environment.remove("REMOTE_ADDR"),
    };
    // The specification's way for an authorizer to tell the script who it let in (section 6.3).
    if let Some(granted) = parts.extensions.get::<AuthorizerVariables>() {
        for (name, value) in granted.as_params() {
            environment = environment.param(name, value);
        }
    }
    gateway.variables.apply(environment).params().map_err(page_for)
}

/// What the proxies say whom the site trusts, if it trusts any.
pub(crate) fn forwarding<'a>(
    parts: &'a Parts,
    gateway: &Inner,
) -> Result<Option<Forwarding<'a>>, Page> {
    let connection = parts.extensions.get::<Connection>();
    let (Some(connection), Some(proxies)) = (connection, &gateway.trusted_proxies) else {
        return Ok(None);
    };
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value));
    proxies.resolve(connection.remote(), headers).map(Some).map_err(|error| {
        tracing::debug!(%error, "a trusted proxy passed on what cannot be right");
        Page::BAD_FORWARDING
    })
}

fn page_for(error: EnvironmentError) -> Page {
    tracing::debug!(%error, "bad request");
    match error {
        EnvironmentError::Host => Page::BAD_HOST,
        _ => Page::BAD_PATH,
    }
}
