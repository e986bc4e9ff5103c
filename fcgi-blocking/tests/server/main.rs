//! The application server.

mod echo;
mod limits;
mod listening;
mod mixed;
mod peer;
mod requests;
