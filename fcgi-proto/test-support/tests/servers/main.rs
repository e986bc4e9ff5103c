//! Every server starts, answers and leaves nothing behind.

mod fpm;
mod php_cgi;
mod support;
mod wordpress;
