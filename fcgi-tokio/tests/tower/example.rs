//! The example runs, with the configuration that it prints.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use fcgi_test_support::WebServer;
use fcgi_test_support::http::Request;

/// Killed at the end of the test, whatever that is.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn axum_behind_nginx() {
    // Examples are built along with tests, next to the folder of these.
    let test = std::env::current_exe().expect("this test is a file");
    let build = test.ancestors().nth(2).expect("it is in the folder `deps`");
    let path: PathBuf = build.join("examples/axum_behind_nginx");
    assert!(
        path.is_file(),
        "{} is missing: `cargo test` builds it, `cargo test --test` does not",
        path.display()
    );
    let mut command = Command::new(path);
    let child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("it starts");
    let mut example = Example(child);
    let stdout = example.0.stdout.take().expect("it is piped");
    let lines = BufReader::new(stdout).lines().map(|line| line.expect("text"));
    let config: Vec<_> = lines.skip(1).take(4).collect();
    let config = config.join("\n").replace(" fastcgi_params", " /etc/nginx/fastcgi_params");
    let server = WebServer::nginx(&config);
    let get = |target| Request::get(target).send(server.address()).text();
    assert_eq!(get("/"), "Hello from axum\n");
    assert_eq!(get("/hello/joe"), "Hello joe at 127.0.0.1\n");
    let count = Request::post("/count").body("12345").send(server.address()).text();
    assert_eq!(count, "5 bytes\n");
}
