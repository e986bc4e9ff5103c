//! A client against applications on other FastCGI libraries.

use std::io::{self, Read};

use fcgi_proto::Request;

use super::{Adapter, Client, Response, drain};
use crate::{Application, pattern};

/// What holds for each of them.
fn echoes<A: Adapter>(application: &Application) {
    let client = Client::new(application.address());
    let get = A::call(&client, Request::get("/x?a=b")).unwrap();
    assert_eq!((&get.body()[..], get.header("x-method")), (&b"a=b 0\n"[..], Some(&b"GET"[..])));
    for len in [1, 70_000, 1 << 20] {
        let sent = pattern(len);
        let answer = A::call(&client, Request::post("/x?q").body(sent.clone())).unwrap();
        let head = format!("q {len}\n");
        assert!(answer.body().strip_prefix(head.as_bytes()) == Some(&sent[..]), "{len} bytes");
    }
    // Of unknown length, and more parameters than fit a record.
    let mut request = Request::post("/x?r").body(A::reader(io::repeat(b'r').take(100_000), None));
    for i in 0..40 {
        request = request.header(format!("X-Large-{i}"), "v".repeat(2000));
    }
    let answer = A::call(&client, request).unwrap();
    assert_eq!(answer.body().len(), "r 100000\n".len() + 100_000);
    // Given up amid the answer, the application serves the next.
    let request = Request::post("/x?given-up").body(pattern(4 << 20));
    let mut given_up = A::execute(&client, request).unwrap();
    assert!(given_up.chunk().unwrap().is_some());
    drop(given_up);
    assert_eq!(A::call(&client, Request::get("/x?next")).unwrap().body(), "next 0\n");
}

pub fn a_libfcgi_application<A: Adapter>() {
    let application = Application::libfcgi();
    echoes::<A>(&application);
    let client = Client::new(application.address());
    let mut response = A::execute(&client, Request::get("/x?stderr&status=7")).unwrap();
    drain(&mut response).1.unwrap();
    assert_eq!(response.stderr(), b"said on stderr\n");
    assert_eq!(response.end().expect("it came").app_status, 7);
}

pub fn a_go_application<A: Adapter>() {
    echoes::<A>(&Application::go());
}
