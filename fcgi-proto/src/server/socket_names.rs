use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use std::env;

/// What the sockets are called that systemd has opened for a service: the `LISTEN_FDNAMES` of socket activation, which
/// stand in the order of the descriptors.
///
/// A name is that of the socket unit, or its `FileDescriptorName=`; several sockets may share one.
///
/// ```
/// use fcgi_proto::server::SocketNames;
///
/// let names = SocketNames::parse("web:admin");
/// assert_eq!((names.get(0), names.get(1), names.get(2)), ("web", "admin", "unknown"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketNames(Vec<String>);

impl SocketNames {
    /// Those in the environment; without any, all sockets are `unknown`.
    #[must_use]
    pub fn from_env() -> Self {
        env::var_os("LISTEN_FDNAMES")
            .map(|list| Self::parse(&list.to_string_lossy()))
            .unwrap_or_default()
    }

    /// Those in a list with colons between them.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self(list.split(':').map(ToOwned::to_owned).collect())
    }

    /// The name of one socket, counted from 0. One without a name is `unknown`, as systemd's own library says.
    #[must_use]
    pub fn get(&self, index: usize) -> &str {
        match self.0.get(index) {
            Some(name) if !name.is_empty() => name,
            _ => "unknown",
        }
    }
}
