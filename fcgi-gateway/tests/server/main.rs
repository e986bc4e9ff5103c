//! The HTTP server over real sockets, in front of a small service instead of a gateway.

mod certificate;
mod files;
mod limits;
mod protocols;
mod proxy_protocol;
mod rest;
mod stop;
mod streams;
mod support;
mod workers;
