//! Ways to take a body that only this client has.

use fcgi_async_std::{Client, Error, ErrorKind, Request};
use fcgi_test_support::{PhpFpm, Scripts, pattern};
use smol::block_on;
use smol::io::AsyncReadExt;

#[test]
fn a_response_is_a_reader() {
    let (fpm, scripts) = (PhpFpm::start(), Scripts::new());
    let client = Client::new(fpm.address().parse().expect("an address"));
    let get = |script| client.execute(Request::get(scripts.path(script)));
    block_on(async {
        let (_, mut body) = get("big.php?size=300000").await.unwrap().into_parts();
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == pattern(300_000));

        let (_, mut body) = get("die.php").await.unwrap().into_parts();
        let error = body.read_to_end(&mut Vec::new()).await.expect_err("the response is cut");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        assert_eq!(error.expect("it is inside").kind(), ErrorKind::Reset);
    });
}
