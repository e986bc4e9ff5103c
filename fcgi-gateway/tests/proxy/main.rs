//! The gateway's side of the application: pools, several addresses, files that scripts name, and what is told about it all.

mod chaos;
mod handoff;
mod observe;
mod slow_clients;
mod support;
mod upstreams;
