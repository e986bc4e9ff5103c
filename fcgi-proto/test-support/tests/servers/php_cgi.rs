//! `php-cgi -b` starts, answers and leaves nothing behind.

use crate::support::{ask, body};
use fcgi_test_support::{PhpCgi, Scripts, is_running};

#[test]
fn answers_with_and_without_children() {
    let scripts = Scripts::new();
    for children in [0, 2] {
        let cgi = PhpCgi::builder().children(children).ini("memory_limit", "77M").start();
        let script = scripts.path("greeter.php");
        let (stdout, ended) = ask(cgi.connect().expect("php-cgi listens"), &script, "who=Swoole");
        assert_eq!(body(&stdout), b"Hello Swoole", "{}", cgi.log());
        assert!(ended);
        let pid = cgi.pid();
        drop(cgi);
        assert!(!is_running(pid));
    }
}
