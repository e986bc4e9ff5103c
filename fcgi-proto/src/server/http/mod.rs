//! Requests and responses as the types of the `http` crate, for applications that are written for those.
//!
//! What comes from a web server are CGI variables, and what goes back is a CGI head; these functions turn the one into
//! [`http::request::Parts`], and [`http::response::Parts`] into the other. They are the counterpart of
//! [`cgi::environment`](crate::cgi::environment). Bodies are left to the adapter.
//!
//! ```
//! use fcgi_proto::{Params, server::http};
//!
//! let params: Params = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/a?b"), ("HTTP_ACCEPT", "*/*")].into_iter().collect();
//! let request = http::request_head(&params)?;
//! assert_eq!((request.uri.path(), request.headers["accept"].as_bytes()), ("/a", &b"*/*"[..]));
//! # Ok::<(), http::RequestHeadError>(())
//! ```

mod request;
mod response;

pub use request::{RemoteAddr, RequestHeadError, content_length, remote_addr, request_head};
pub use response::{has_body, write_response_head};
