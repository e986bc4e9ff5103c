//! The examples run, against a real php-fpm.

use fcgi_test_support::examples::{Site, stderr, stdout};

fcgi_test_support::example_tests!("": call, upload, stream, pool);

#[test]
fn concurrent() {
    let site = Site::start();
    let more = site.scripts.path("zero.php");
    let seen = stdout(site.run("concurrent", "greeter.php", &[&more], b""));
    assert!(seen.contains("greeter.php: Hello World\n"), "{seen}");
    assert!(seen.contains("zero.php: 0\n"), "{seen}");
    let failed = site.run("concurrent", "no-such.php", &[&more], b"");
    assert_eq!(String::from_utf8_lossy(&failed.stdout), format!("{more}: 0\n"));
    assert!(stderr(&failed).contains("1 failed"), "{}", stderr(&failed));
}
