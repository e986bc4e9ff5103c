//! The gateway over HTTP: `fcgi serve` as a process, with real and made-up applications behind it.

mod cli;
mod failures;
mod files;
mod hosts;
mod ops;
mod php;
mod projects;
mod supervisor;
mod support;
mod wordpress;
