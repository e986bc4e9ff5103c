//! This crate as a client under test.

use std::io::Read;

use bytes::Bytes;
use fcgi_blocking::{Body, Client, Error, Request};
use fcgi_proto::cgi::FullResponse;
use fcgi_proto::client::End;

use crate::suite;

pub(crate) struct Blocking;

fn client(client: &suite::Client) -> Client {
    Client::new(client.address.clone()).timeouts(client.timeouts)
}

impl suite::Adapter for Blocking {
    type Body = Body;
    type Response = fcgi_blocking::Response;

    fn reader(reader: impl Read + Send + 'static, len: Option<u64>) -> Body {
        Body::reader(reader, len)
    }

    fn connect(address: &str) -> Result<(), Error> {
        Client::connect(address).map(drop)
    }

    fn call_form(address: &str, script: &str, form: &[(&str, &str)]) -> Result<Bytes, Error> {
        fcgi_blocking::call(address, script, form.iter().copied())
    }

    fn call(with: &suite::Client, request: Request) -> Result<FullResponse, Error> {
        client(with).call(request)
    }

    fn execute(with: &suite::Client, request: Request) -> Result<Self::Response, Error> {
        client(with).execute(request)
    }
}

impl suite::Response for fcgi_blocking::Response {
    fn status(&self) -> u16 {
        self.status()
    }

    fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.chunk()
    }

    fn collect(self, limit: usize) -> Result<FullResponse, Error> {
        self.collect(limit)
    }

    fn stderr(&mut self) -> &[u8] {
        self.body().stderr()
    }

    fn stderr_dropped(&mut self) -> u64 {
        self.body().stderr_dropped()
    }

    fn end(&mut self) -> Option<End> {
        self.body().end()
    }
}
