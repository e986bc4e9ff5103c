//! php-fpm with the scripts.

use fcgi_proto::Request;

use super::{Adapter, Client};
use crate::{PhpFpm, Scripts};

pub(crate) struct Site {
    pub(crate) fpm: PhpFpm,
    pub(crate) scripts: Scripts,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::with_workers(2)
    }

    pub(crate) fn with_workers(workers: u32) -> Self {
        let fpm = PhpFpm::builder().workers(workers).listen_unix().start();
        Self { fpm, scripts: Scripts::new() }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.fpm.address())
    }

    pub(crate) fn get<A: Adapter>(&self, script: &str) -> Request<A::Body> {
        Request::get(self.scripts.path(script))
    }

    pub(crate) fn post<A: Adapter>(&self, script: &str) -> Request<A::Body> {
        Request::post(self.scripts.path(script)).content_type("application/octet-stream")
    }
}
