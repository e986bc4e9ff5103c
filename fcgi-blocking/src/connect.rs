//! Connecting within a time limit.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use fcgi_proto::Address;
use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use crate::socket::{Socket, wait};

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The deadline has passed.
    TimedOut,
    Io(io::Error),
}

impl<E: Into<io::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Io(error.into())
    }
}

/// Connects, resolving the name first. TCP gets TCP_NODELAY: a request in several small writes would otherwise wait 40 ms
/// for an ACK.
pub(crate) fn connect(address: &Address, deadline: Option<Instant>) -> Result<Socket, Failure> {
    match address {
        Address::Tcp { host, port } => connect_tcp(host, *port, deadline),
        Address::Unix(path) => connect_unix(path, deadline),
        _ => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    }
}

/// Tries the addresses of a host in turn. Each has an equal share of the time that is left, so that one that swallows
/// packets leaves some to the next.
fn connect_tcp(host: &str, port: u16, deadline: Option<Instant>) -> Result<Socket, Failure> {
    let addresses = resolve(host, port, deadline)?;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "host has no address").into();
    for (left, address) in (1..=addresses.len()).rev().zip(&addresses) {
        let now = Instant::now();
        let share = deadline.and_then(|deadline| {
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            now.checked_add(deadline.saturating_duration_since(now) / left)
        });
        match connect_to(address, share) {
            Ok(socket) => return Ok(socket),
            Err(why) => failure = why,
        }
    }
    Err(failure)
}

fn connect_to(address: &SocketAddr, deadline: Option<Instant>) -> Result<Socket, Failure> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = new_socket(family)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS | Errno::INTR) => finish(&socket, deadline)?,
        Err(error) => return Err(error.into()),
    }
    Ok(Socket::new(socket)?)
}

/// Waits for the outcome of a connect that goes on in the background.
fn finish(socket: &OwnedFd, deadline: Option<Instant>) -> Result<(), Failure> {
    loop {
        let mut descriptors = [PollFd::new(socket, PollFlags::OUT)];
        wait(&mut descriptors, left(deadline)?)?;
        if !descriptors.iter().all(|descriptor| descriptor.revents().is_empty()) {
            return Ok(sockopt::socket_error(socket)??);
        }
    }
}

fn connect_unix(path: &str, deadline: Option<Instant>) -> Result<Socket, Failure> {
    let address = SocketAddrUnix::new(path)?;
    let socket = new_socket(AddressFamily::UNIX)?;
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => return Ok(Socket::new(socket)?),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        }
    }
    // The listen queue is full, where TCP would wait. A socket that blocks waits in a queue of the system for its place.
    ioctl_fionbio(&socket, false)?;
    loop {
        sockopt::set_socket_timeout(&socket, Timeout::Send, left(deadline)?)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Socket::new(socket)?)
}

/// Looks a name up. That cannot be stopped, so where there is a limit another thread does it, and is left behind when it
/// takes too long.
fn resolve(host: &str, port: u16, deadline: Option<Instant>) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let Some(left) = left(deadline)? else {
        return Ok((host, port).to_socket_addrs()?.collect());
    };
    let (sender, receiver) = mpsc::sync_channel(1);
    let host = host.to_owned();
    thread::Builder::new().name("fcgi-resolve".to_owned()).spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        let _ = sender.send(addresses.map(Iterator::collect));
    })?;
    match receiver.recv_timeout(left) {
        Ok(addresses) => Ok(addresses?),
        Err(RecvTimeoutError::Timeout) => Err(Failure::TimedOut),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("resolver panicked").into()),
    }
}

/// The time until a deadline, never zero.
fn left(deadline: Option<Instant>) -> Result<Option<Duration>, Failure> {
    let Some(deadline) = deadline else { return Ok(None) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Failure::TimedOut) } else { Ok(Some(left)) }
}

#[cfg(not(target_vendor = "apple"))]
fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    use rustix::net::{SocketFlags, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

#[cfg(target_vendor = "apple")]
fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    ioctl_fionbio(&socket, true)?;
    Ok(socket)
}
