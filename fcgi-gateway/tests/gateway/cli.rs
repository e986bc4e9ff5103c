//! The command line of `fcgi serve`.

#[test]
fn what_the_command_line_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, code, message) in [
        (
            vec!["serve", "/nowhere", "--fpm", "127.0.0.1:9"],
            1,
            "cannot open the site's folder /nowhere",
        ),
        (vec!["serve", "/dev/null", "--fpm", "127.0.0.1:9"], 1, "is not a folder"),
        (
            vec!["serve", root, "--fpm", "127.0.0.1:9", "--listen", &taken],
            1,
            "choose another port with --listen",
        ),
        (vec!["serve", root, "--fpm", "nonsense"], 2, "nonsense"),
        (vec!["serve", root, "--timeout", "soon"], 2, "number of seconds"),
        (vec!["serve", root, "--timeout=-1"], 2, "not negative"),
        (vec!["serve", root, "--workers", "0"], 2, "from 1 to 256"),
        (vec!["serve", root, "--workers", "257"], 2, "from 1 to 256"),
        (vec!["serve", root, "--php", "8.2"], 2, "php-fpm8.2"),
        (vec!["serve", root, "--php", "php-fpm0.1"], 1, "php-fpm0.1"),
        (vec!["serve", root, "--param", "CONTENT_LENGTH=1"], 2, "length of the body"),
        (vec!["serve", root, "--php-value", "memory_limit"], 2, "NAME=VALUE"),
        (vec!["serve", root, "--try-files", "/a/"], 1, "cannot try"),
        (vec!["serve", root, "--symlinks", "some"], 2, "owner, always or never"),
        (vec!["serve", root, "--max-head", "1.5K"], 2, "expected a size such as"),
        (vec!["serve", root, "--tls-cert", "x.pem"], 2, "--tls-key"),
        (
            vec!["serve", root, "--tls-cert", "/nowhere/x.pem", "--tls-key", "/nowhere/k.pem"],
            1,
            "the TLS file /nowhere/x.pem cannot be read",
        ),
        (vec!["serve", root, "--redirect-from", "127.0.0.1:0"], 1, "needs HTTPS to redirect to"),
        (vec!["serve", root, "--trusted-proxy", "10.0.0.0/99"], 1, "trusted-proxy 10.0.0.0/99"),
        (vec!["serve", root, "--proxy-header", "via"], 2, "expected x-forwarded-for"),
        (vec!["serve", root, "--listen", "unix:/nowhere/s"], 1, "cannot listen on unix:/nowhere/s"),
    ] {
        let output = crate::support::run(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_says_what_a_newcomer_needs() {
    let output = crate::support::run(["serve", "--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    for text in [
        "FOLDER",
        "--listen <ADDR>",
        "--fpm <ADDR>",
        "--timeout <SECONDS>",
        "--workers <THREADS>",
        "Examples:",
    ] {
        assert!(help.contains(text), "{text} is not in\n{help}");
    }
    // The short one fits on a screen or two, and has what most need.
    let output = crate::support::run(["serve", "-h"]);
    let usual = String::from_utf8_lossy(&output.stdout);
    assert!(usual.contains("--listen <ADDR>") && usual.contains("127.0.0.1:8080"), "{usual}");
    assert!(!usual.contains("--max-headers") && help.contains("--max-headers"), "{usual}");
    assert!(usual.lines().count() < 60, "{usual}");
}

#[test]
fn a_mistake_in_rust_log_is_told() {
    let output = crate::support::fcgi()
        .args(["serve", "/nowhere"])
        .env("RUST_LOG", "fcgi=loud=")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("RUST_LOG is not understood and info is used"), "{stderr}");
}
