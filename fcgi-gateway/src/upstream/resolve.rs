//! From names to addresses.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

/// What a name stands for, to come; see [`Resolve`].
pub type Addresses<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Looks names up. The gateway asks the system; a program may bring its own way, such as a service registry.
///
/// ```
/// use std::net::IpAddr;
/// use fcgi_gateway::upstream::{Addresses, Resolve};
///
/// #[derive(Debug)]
/// struct Fixed;
///
/// impl Resolve for Fixed {
///     fn resolve<'a>(&'a self, _host: &'a str) -> Addresses<'a> {
///         Box::pin(async { Ok(vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]) })
///     }
/// }
///
/// let gateway = fcgi_gateway::Gateway::to_application("php.internal:9000").resolver(Fixed).build()?;
/// # Ok::<(), fcgi_gateway::BuildError>(())
/// ```
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// All addresses of a host, in any order. While this fails or finds nothing, the addresses known before stay in use.
    fn resolve<'a>(&'a self, host: &'a str) -> Addresses<'a>;
}

/// The resolver of the operating system: `/etc/hosts`, DNS, and whatever else it is set up for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Addresses<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_knows_this_host() {
        let found = SystemResolver.resolve("localhost").await.unwrap();
        assert!(found.iter().any(IpAddr::is_loopback), "{found:?}");
        assert!(SystemResolver.resolve("no-such-host.invalid").await.is_err());
    }
}
