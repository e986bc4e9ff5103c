//! What the `tracing` feature tells: spans of requests and what happens in them. Without it all of this is nothing.
//!
//! Method, script and the path of the target are told as they are. Queries are not, as they hold tokens and keys often
//! enough; parameters as a whole are told at the level `TRACE` only, [masked](crate::trace::masked).

#[cfg(not(feature = "tracing"))]
mod disabled;
#[cfg(feature = "tracing")]
mod enabled;

#[cfg(not(feature = "tracing"))]
pub(crate) use disabled::*;
#[cfg(feature = "tracing")]
pub(crate) use enabled::*;
