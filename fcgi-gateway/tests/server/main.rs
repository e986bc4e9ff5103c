//! The HTTP server over real sockets, in front of a small service instead of a gateway.

mod limits;
mod protocols;
mod stop;
mod streams;
mod support;
