//! The application server, driven by a web server made by hand.

mod echo;
mod limits;
mod requests;
mod roles;
mod sockets;
mod support;
