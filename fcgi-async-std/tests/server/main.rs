//! The application server, driven by a web server made by hand.

mod echo;
mod limits;
mod pipe;
mod requests;
mod sockets;
mod support;
#[path = "../common/timeout.rs"]
mod timeout;
#[path = "../common/wait.rs"]
mod wait;
