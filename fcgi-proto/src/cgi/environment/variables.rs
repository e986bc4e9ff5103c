//! The assembly of all variables, in the order of the table in the documentation.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::target::host_name;
use super::{Environment, EnvironmentError};
use crate::cgi::names::header_variable;
use crate::params::Params;

pub(super) fn write(
    environment: &Environment<'_>,
    params: &mut Params,
) -> Result<(), EnvironmentError> {
    params.clear();
    let host = environment.host()?;
    let length = environment.known_length()?;
    let mut writer = Writer { environment, params };
    writer.request();
    writer.script();
    writer.body(length);
    writer.server(host)?;
    writer.client();
    writer.headers(host);
    writer.changes();
    Ok(())
}

struct Writer<'w, 'a> {
    environment: &'w Environment<'a>,
    params: &'w mut Params,
}

impl Writer<'_, '_> {
    fn request(&mut self) {
        let environment = self.environment;
        self.push("GATEWAY_INTERFACE", "CGI/1.1");
        self.push("REQUEST_METHOD", environment.method);
        self.push("REQUEST_URI", &*environment.target.uri);
        self.push("QUERY_STRING", environment.target.query());
        self.push("SERVER_PROTOCOL", environment.protocol);
        self.push("REQUEST_SCHEME", if environment.is_https { "https" } else { "http" });
        if environment.is_https {
            self.push("HTTPS", "on");
        }
        self.push("REDIRECT_STATUS", "200");
    }

    fn script(&mut self) {
        let Environment { document_root, script_name, script_filename, path_info, .. } =
            *self.environment;
        let root = document_root.map(without_slash);
        self.push("SCRIPT_NAME", script_name);
        match (script_filename, root) {
            (Some(file), _) => self.push("SCRIPT_FILENAME", file),
            (None, _) if script_name.is_empty() => {}
            (None, root) => {
                self.push("SCRIPT_FILENAME", join(root.unwrap_or_default(), script_name));
            }
        }
        self.push("DOCUMENT_URI", [script_name, path_info].concat());
        if let Some(root) = root {
            self.push("DOCUMENT_ROOT", if root.is_empty() { b"/" } else { root });
        }
        if path_info.is_empty() {
            return;
        }
        // No PATH_TRANSLATED: see the module's documentation.
        self.push("PATH_INFO", path_info);
    }

    fn body(&mut self, length: Option<u64>) {
        if let Some(length) = length {
            self.push_number("CONTENT_LENGTH", length);
        }
        if let Some(content_type) = self.environment.values(b"Content-Type").next() {
            self.push("CONTENT_TYPE", content_type);
        }
        if let Some((last_modified, length)) = self.environment.data_file {
            self.push_number("FCGI_DATA_LAST_MOD", last_modified);
            self.push_number("FCGI_DATA_LENGTH", length);
        }
    }

    fn server(&mut self, host: Option<&[u8]>) -> Result<(), EnvironmentError> {
        let environment = self.environment;
        let host = match host {
            Some(host) => Some(host_name(host).ok_or(EnvironmentError::Host)?),
            None => None,
        };
        self.push("SERVER_SOFTWARE", environment.server_software);
        let address = environment.server_addr.map(|address| address.ip().to_canonical());
        match (environment.server_name, host, address) {
            (Some(name), ..) => self.push("SERVER_NAME", name),
            (None, Some(host @ [_, ..]), _) => self.push("SERVER_NAME", host),
            // In brackets, as RFC 3875 section 4.1.14 has it.
            (None, _, Some(IpAddr::V6(ip))) => {
                self.push("SERVER_NAME", format!("[{ip}]"));
            }
            (None, _, Some(ip)) => self.push_address("SERVER_NAME", ip),
            (None, _, None) => self.push("SERVER_NAME", "localhost"),
        }
        let port =
            environment.server_port.or(environment.server_addr.map(|address| address.port()));
        let port = port.unwrap_or(if environment.is_https { 443 } else { 80 });
        self.push_number("SERVER_PORT", port.into());
        if let Some(ip) = address {
            self.push_address("SERVER_ADDR", ip);
        }
        Ok(())
    }

    fn client(&mut self) {
        match self.environment.remote_addr {
            None => self.push("REMOTE_ADDR", "127.0.0.1"),
            Some(address) => {
                self.push_address("REMOTE_ADDR", address.ip().to_canonical());
                if address.port() != 0 {
                    self.push_number("REMOTE_PORT", address.port().into());
                }
            }
        }
        if let Some((auth_type, user)) = self.environment.user {
            self.push("AUTH_TYPE", auth_type);
            self.push("REMOTE_USER", user);
        }
    }

    fn headers(&mut self, host: Option<&[u8]>) {
        if let Some(host) = host {
            self.push("HTTP_HOST", host);
        }
        let mut variable = Vec::new();
        self.environment.for_each_header(|name, value| {
            variable.clear();
            if header_variable(&mut variable, name) {
                self.push(&variable, value);
            }
        });
    }

    /// What the site has set, the last of each name.
    fn changes(&mut self) {
        let mut later = self.environment.changes.as_slice();
        while let [(name, value), rest @ ..] = later {
            later = rest;
            let is_last = !rest.iter().any(|(other, _)| other == name);
            if let (true, Some(value)) = (is_last, value) {
                self.params.push(name, value);
            }
        }
    }

    /// A variable, unless the site has said something about it.
    fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        if !self.environment.changes.iter().any(|(changed, _)| *changed == name) {
            self.params.push(name, value);
        }
    }

    /// As `Display` writes it, which takes ten times as long for the four bytes that most have.
    fn push_address(&mut self, name: &str, address: IpAddr) {
        let IpAddr::V4(address) = address else { return self.push(name, address.to_string()) };
        let mut text = Digits::new();
        // From the end, as digits come.
        for (index, octet) in address.octets().into_iter().enumerate().rev() {
            text.prepend_number(octet.into());
            if index > 0 {
                text.prepend(b'.');
            }
        }
        self.push(name, text.as_slice());
    }

    fn push_number(&mut self, name: &str, number: u64) {
        let mut text = Digits::new();
        text.prepend_number(number);
        self.push(name, text.as_slice());
    }
}

/// The text of a number or an address, without memory of its own.
struct Digits {
    buffer: [u8; Self::MAX],
    start: usize,
}

impl Digits {
    /// Of the largest number; an address has at most 15.
    const MAX: usize = 20;

    const fn new() -> Self {
        Self { buffer: [0; Self::MAX], start: Self::MAX }
    }

    fn as_slice(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn prepend(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.buffer.get_mut(self.start) {
            *place = byte;
        }
    }

    fn prepend_number(&mut self, mut number: u64) {
        loop {
            let [digit, ..] = (number % 10).to_le_bytes();
            self.prepend(b'0' + digit);
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }
}

fn join(root: &[u8], path: &[u8]) -> Vec<u8> {
    [root, path].concat()
}

/// The folder without slashes at its end, so that a path can follow; empty for `/`.
fn without_slash(mut folder: &[u8]) -> &[u8] {
    while let [rest @ .., b'/'] = folder {
        folder = rest;
    }
    folder
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, SocketAddr};

    use super::*;

    #[test]
    fn numbers() {
        for number in [0, 7, 10, 65_535, u64::MAX - 1, u64::MAX] {
            let mut text = Digits::new();
            text.prepend_number(number);
            assert_eq!(text.as_slice(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn addresses() {
        for octet in 0..=255 {
            let address = Ipv4Addr::new(octet, 255 - octet, octet ^ 0x55, 10);
            let socket = SocketAddr::from((address, 8080));
            let environment = Environment::new("GET", "/").unwrap().remote_addr(socket);
            let params = environment.server_addr(socket).params().unwrap();
            for name in ["REMOTE_ADDR", "SERVER_ADDR", "SERVER_NAME"] {
                assert_eq!(params.get_str(name), Some(&*address.to_string()), "{name}");
            }
        }
    }
}
