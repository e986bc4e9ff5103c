//! What each fuzz target does with its bytes. It is here apart from libFuzzer so that `fcgi-proto/tests/corpus.rs` can
//! include this file and replay the corpora by plain `cargo test`.
//!
//! A target takes any bytes, reads operations from them, and panics when something is wrong.

mod client_peer;
mod cuts;
mod decode;
mod environment;
mod forwarding;
mod input;
mod naive;
mod pair_ops;
mod params;
mod php_settings;
mod response_head;
mod server_peer;

pub use client_peer::client_peer;
pub use cuts::cuts;
pub use decode::decode;
pub use environment::environment;
pub use forwarding::forwarding;
pub use pair_ops::pair_ops;
pub use params::params;
pub use php_settings::php_settings;
pub use response_head::response_head;
pub use server_peer::server_peer;
