//! The examples run.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use fcgi_test_support::http::Request;
use fcgi_test_support::{PhpFpm, Scripts, wait_until};

/// A running example; killed at the end of the test, whatever that is.
struct Example(Child);

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        // Examples are built along with tests, next to the folder of these.
        let test = std::env::current_exe().expect("this test is a file");
        let build = test.ancestors().nth(2).expect("it is in the folder `deps`");
        let path: PathBuf = build.join("examples").join(name);
        assert!(
            path.is_file(),
            "{} is missing: `cargo test` builds it, `cargo test --test` does not",
            path.display()
        );
        let mut command = Command::new(path);
        Self(command.args(arguments).stdout(Stdio::piped()).spawn().expect("it starts"))
    }

    /// The first line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.0.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it prints text");
        line
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn axum_mount_php() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::start());
    let root = scripts.root().to_str().expect("text").to_owned();
    let mut example = Example::start("axum_mount_php", &[&root, fpm.address(), "127.0.0.1:0"]);
    let line = example.line();
    let address = line.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    let address: SocketAddr = address.and_then(|text| text.parse().ok()).expect(&line);
    let up = wait_until(Duration::from_secs(60), || std::net::TcpStream::connect(address).is_ok());
    assert!(up, "it listens");
    let get = |target| Request::get(target).send(address);
    assert_eq!(get("/").text(), "Hello from Rust\n");
    assert_eq!(get("/php/greeter.php?who=axum").text(), "Hello axum");
    let env: serde_json::Value =
        serde_json::from_slice(&get("/php/env.php/info?a=b").body).expect("JSON");
    for (name, value) in [
        ("REMOTE_ADDR", "127.0.0.1"),
        ("PATH_INFO", "/info"),
        // As the client sees it, whatever the router took off.
        ("REQUEST_URI", "/php/env.php/info?a=b"),
        ("SCRIPT_NAME", "/php/env.php"),
        ("DOCUMENT_URI", "/php/env.php/info"),
        ("SCRIPT_FILENAME", &format!("{root}/env.php")),
        ("DOCUMENT_ROOT", &root),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    assert_eq!(get("/php/nothing.txt").status, 404);
    scripts.add("folder/index.php", "<?php echo 'in the folder';");
    let moved = get("/php/folder?q");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/php/folder/?q")));
    assert_eq!(get("/php/folder/").text(), "in the folder");
}
