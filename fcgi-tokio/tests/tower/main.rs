//! An axum application behind web servers.

mod apache;
mod app;
mod authorizer;
mod by_hand;
mod example;
mod front;
mod haproxy;
mod lighttpd;
mod nginx;
