//! Tests of a client that are the same for every adapter.
//!
//! The peers are threads, and an adapter is called through [`Adapter`], which blocks: an asynchronous one waits for its
//! futures inside. Each file of tests has a macro that makes a `#[test]` of each of them for one adapter. This folder needs
//! the crates `fcgi-test-support`, `rustix` and `tempfile`, and no adapter.

pub(crate) mod faults;
pub(crate) mod peer;
pub(crate) mod php;

use std::io::Read;

use bytes::Bytes;
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::End;
use fcgi_proto::{Address, BodyLen, Error, Request, Timeouts};

/// The client under test.
pub(crate) trait Adapter {
    type Body: BodyLen
        + Default
        + From<Bytes>
        + From<String>
        + From<Vec<u8>>
        + From<&'static str>
        + Send;
    type Response: Response;

    fn reader(reader: impl Read + Send + 'static, len: Option<u64>) -> Self::Body;

    fn connect(address: &str) -> Result<(), Error>;

    fn call_form(address: &str, script: &str, form: &[(&str, &str)]) -> Result<Bytes, Error>;

    fn call(client: &Client, request: Request<Self::Body>) -> Result<FullResponse, Error>;

    fn execute(client: &Client, request: Request<Self::Body>) -> Result<Self::Response, Error>;
}

/// What a client is made with.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: Address,
    pub(crate) timeouts: Timeouts,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let address = address.parse().expect("an address");
        Self { address, timeouts: Timeouts::default() }
    }

    pub(crate) fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }
}

/// A response under way.
pub(crate) trait Response {
    fn status(&self) -> u16;
    fn chunk(&mut self) -> Result<Option<Bytes>, Error>;
    fn collect(self, limit: usize) -> Result<FullResponse, Error>;
    fn stderr(&mut self) -> &[u8];
    fn stderr_dropped(&mut self) -> u64;
    fn end(&mut self) -> Option<End>;
}

/// Reads to the end or the error, without keeping the body.
pub(crate) fn drain(response: &mut impl Response) -> (u64, Result<(), Error>) {
    let mut count = 0;
    loop {
        match response.chunk() {
            Ok(Some(chunk)) => count += chunk.len() as u64,
            Ok(None) => return (count, Ok(())),
            Err(error) => return (count, Err(error)),
        }
    }
}

/// Makes tests of generic functions: `tests!(Adapter, faults: one, two)`.
macro_rules! tests {
    ($adapter:ty, $module:ident: $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            $module::$name::<$adapter>();
        }
    )*};
}
pub(crate) use tests;
