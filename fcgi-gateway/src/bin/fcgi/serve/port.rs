//! The port of a server that was given none.

use core::net::{Ipv4Addr, SocketAddr};
use std::io;

/// Where it listens on this machine, unless somebody else does.
pub(super) const USUAL: u16 = 8080;

/// Listens on the usual port of this machine, or the next one that is free.
pub(super) async fn first_free<L>(
    usual: u16,
    listen: impl AsyncFn(SocketAddr) -> io::Result<L>,
) -> io::Result<L> {
    for port in (usual..=u16::MAX).take(TRIED) {
        match listen((Ipv4Addr::LOCALHOST, port).into()).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
            Ok(listener) => {
                if port != usual {
                    tracing::warn!(
                        "port {usual} is taken, so it is {port}; --listen chooses another"
                    );
                }
                return Ok(listener);
            }
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

const TRIED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn taken_ports_are_passed_over() {
        let listen = async |address: SocketAddr| match address.port() {
            port if port < 4003 => Err(io::Error::from(io::ErrorKind::AddrInUse)),
            port => Ok(port),
        };
        assert_eq!(first_free(4000, listen).await.unwrap(), 4003);
        let error = first_free(3000, listen).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "not for ever");
        let error = first_free(1, async |_| Err::<(), _>(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(error.await.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
