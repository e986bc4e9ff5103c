//! The gateway over HTTP: `fcgi serve` as a process, with real and made-up applications behind it.

mod cli;
mod compression;
mod dev;
mod environments;
mod failures;
mod files;
mod hosts;
mod neighbours;
mod open_files;
mod ops;
mod paths;
mod php;
mod projects;
mod proxy_protocol;
mod security;
mod supervisor;
mod support;
mod tls;
mod user;
mod wordpress;
