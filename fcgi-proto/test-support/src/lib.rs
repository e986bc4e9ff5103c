//! Real servers and PHP scripts for this workspace's tests.
//!
//! Everything here blocks and knows no runtime, so that tests of every adapter can use it. Nothing
//! listens on a fixed port, nothing outlives the test that started it (not even one that is killed),
//! and a server that is not installed makes the test fail with the name of the Debian package to
//! install. Linux only: processes are looked up in `/proc`.
//!
//! ```no_run
//! use fcgi_test_support::{PhpFpm, Scripts};
//!
//! let scripts = Scripts::new();
//! let fpm = PhpFpm::builder().workers(2).listen_tcp().start();
//! println!("{} serves {}", fpm.address(), scripts.path("greeter.php"));
//! ```
//!
//! In an async test, dropping a server blocks its thread for as long as the server takes to stop,
//! which is tens of milliseconds.

pub mod client;
pub mod examples;
pub mod http;
pub mod launch;

mod application;
mod chromium;
mod fpm;
mod mariadb;
mod php_cgi;
mod process;
mod programs;
mod scripted;
mod scripts;
mod service;
mod socket;
mod temp;
mod wait;
mod web_server;
mod wordpress;

pub use application::Application;
pub use chromium::{Chromium, Failed};
pub use fpm::{PhpFpm, PhpFpmBuilder};
pub use php_cgi::{PhpCgi, PhpCgiBuilder};
pub use process::is_running;
pub use scripted::{Scripted, play};
pub use scripts::{Scripts, pattern};
pub use socket::Socket;
pub use wait::{free_port, wait_until};
pub use web_server::WebServer;
pub use wordpress::WordPress;
