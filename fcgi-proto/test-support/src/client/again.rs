//! Which requests a pool sends a second time, and which it does not.

use fcgi_proto::pool::Config;
use fcgi_proto::scripted::Script;
use fcgi_proto::{ErrorKind, Request, Timeouts};

use super::pools::one;
use super::scripts::hello;
use super::{Pooled, drain};
use crate::Scripted;

pub fn a_fresh_connection_that_breaks_is_an_error_unless_the_request_is_idempotent<A: Pooled>() {
    for is_idempotent in [false, true] {
        // It takes the request and says nothing.
        let broken = || Script::new().await_request();
        let application = Scripted::unix(move |nth| if nth == 0 { broken() } else { hello() });
        let pool = one::<A>(application.address(), Config::default(), Timeouts::default());
        let request = Request::get("/x.php").idempotent(is_idempotent);
        match A::pool_call(&pool, request) {
            Ok(answer) => assert!(is_idempotent && answer.body() == "hey"),
            Err(error) => {
                assert!(!is_idempotent, "{error}");
                assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
                assert!(error.is_begun() && !error.is_safe_to_retry(), "{error}");
            }
        }
        assert_eq!(A::snapshot(&pool).dials, 1 + u64::from(is_idempotent));
    }
}

pub fn an_idempotent_request_is_sent_twice_at_the_most<A: Pooled>() {
    let application = Scripted::unix(|_| Script::new().await_request());
    let pool = one::<A>(application.address(), Config::default(), Timeouts::default());
    let request = Request::get("/x.php").idempotent(true);
    let error = A::pool_call(&pool, request).map(drop).expect_err("it never answers");
    assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
    assert_eq!(A::snapshot(&pool).dials, 2);
}

pub fn connections_that_were_closed_while_they_idled_are_not_noticed<A: Pooled>() {
    // Looked at before a form is sent over them, and not before a page is asked for.
    for request in [
        || Request::get("/x.php"),
        || Request::post("/x.php").body("form"),
        || Request::post("/x.php").body(A::reader(&b"streamed"[..], Some(8))),
    ] {
        // Each closes behind its answer.
        let application = Scripted::unix(|_| hello());
        let config = Config::default().max_idle(8);
        let pool = one::<A>(application.address(), config, Timeouts::default());
        let execute = |_| A::pool_execute(&pool, Request::get("/x.php")).expect("it begins");
        let mut responses = Vec::from_iter((0..3).map(execute));
        for response in &mut responses {
            drain(response).1.expect("an end");
        }
        assert_eq!(A::snapshot(&pool).idle, 3);
        for nth in 0..3 {
            let _received = application.wait_over(nth);
        }
        assert_eq!(A::pool_call(&pool, request()).expect("an answer").body(), "hey");
        assert_eq!(A::snapshot(&pool).dials, 4);
    }
}
