//! An axum application behind web servers.

mod apache;
mod app;
mod by_hand;
mod front;
mod nginx;
