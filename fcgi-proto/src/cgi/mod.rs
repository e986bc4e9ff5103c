//! The Common Gateway Interface on top of FastCGI ([RFC 3875]): what the bytes of the streams mean.
//!
//! FastCGI moves parameters and streams; that a parameter is a CGI variable and that STDOUT begins with a head is CGI.
//! Nothing in here knows a record, and nothing in the record layer knows a header. Each part can be used alone:
//!
//! - [`ResponseDecoder`] turns the bytes of STDOUT into a [`ResponseHead`] and the pieces of the body;
//! - [`environment`] turns the facts of an HTTP request into the parameters of a script;
//! - [`ResponseHead::authorization`] reads that head as the decision of an Authorizer;
//! - [`script`] finds the script in the path of a URL;
//! - [`proxies`] says who asked, behind proxies that are trusted;
//! - [`PhpSettings`] puts settings of php.ini into a request for PHP-FPM;
//! - [`script_error()`] recognises the answers of PHP-FPM that mean that there is no such script.
//!
//! With the feature `http`, `Environment::from_http`, `ResponseHead::to_http` and `FullResponse::into_http` convert from and
//! to the types of the `http` crate.
//!
//! What this is not: an HTTP parser or server. Requests come in parsed, responses go out as data.
//!
//! [RFC 3875]: https://www.rfc-editor.org/rfc/rfc3875

mod authorization;
mod decoder;
pub mod environment;
mod full_response;
mod head;
mod head_error;
mod head_parser;
#[cfg(feature = "http")]
mod http;
mod names;
mod php_settings;
pub mod proxies;
pub mod script;
mod script_error;

pub use authorization::{Authorization, Variables};
pub use decoder::{Piece, ResponseDecoder};
#[cfg(feature = "http")]
pub(crate) use environment::is_about_connection;
pub use environment::{Environment, EnvironmentError};
pub use full_response::FullResponse;
pub use head::{Headers, Redirect, ResponseHead};
pub use head_error::{BodyError, HeadError, ResponseError};
pub use php_settings::{PhpSettingError, PhpSettings};
pub use proxies::{Forwarding, TrustedProxies};
pub use script_error::{ScriptError, script_error};

#[cfg(feature = "http")]
pub(crate) use head_parser::parse_decimal;
pub(crate) use names::{form_encode, header_variable, is_single_valued, percent_encode};
pub(crate) use script::percent_decode;
