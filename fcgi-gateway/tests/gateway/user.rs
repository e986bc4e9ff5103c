//! `fcgi serve` that begins as root and goes on as somebody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use fcgi_test_support::Scripts;

use crate::support::{Serve, run};

const NOBODY: u32 = 65534;

/// A line of the status of each thread of a process.
fn status(pid: u32, line: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let texts = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")));
    let value = |text: String| {
        let value = text.lines().find_map(|found| found.strip_prefix(line)).unwrap();
        value.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    texts.map(|text| value(text.unwrap())).collect()
}

#[test]
fn root_is_given_up() {
    let site = Scripts::empty();
    site.add("index.php", "<?php echo posix_geteuid(), ' ', posix_getegid();");
    site.add("open.txt", "open");
    site.add("secret.txt", "secret");
    if !rustix::process::geteuid().is_root() {
        let output = run(["serve", site.root().to_str().unwrap(), "--user", "root"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("only root can become"), "{said}");
        eprintln!("this is not run as root, so that giving it up was not tested");
        return;
    }
    fs::set_permissions(site.root(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(site.path("secret.txt"), Permissions::from_mode(0o600)).unwrap();
    let logs = tempfile::tempdir().unwrap();
    fs::set_permissions(logs.path(), Permissions::from_mode(0o700)).unwrap();
    let log = logs.path().join("access.log");
    let user = format!("{NOBODY}:{NOBODY}");
    let args = ["--php", "own", "--user", &user, "--access-log", log.to_str().unwrap()];
    let mut serve = Serve::start(site.root(), args);
    assert_eq!(serve.get("/").text(), format!("{NOBODY} {NOBODY}"), "PHP");
    assert_eq!((serve.get("/open.txt").status, serve.get("/secret.txt").status), (200, 404));
    let [id, groups] = [format!("{NOBODY} ").repeat(4), NOBODY.to_string()];
    for (line, expected) in [("Uid:", id.trim_end()), ("Gid:", id.trim_end()), ("Groups:", &groups)]
    {
        let found = status(serve.pid(), line);
        assert!(
            !found.is_empty() && found.iter().all(|found| found == expected),
            "{line} {found:?}"
        );
    }
    assert!(!serve.log().contains("running as root"), "{}", serve.log());
    serve.stop();
    // Opened before, where nobody else could.
    assert!(fs::read_to_string(&log).unwrap().contains("/open.txt"));
}

#[test]
fn a_user_that_is_not_there_is_found_by_the_check() {
    let site = Scripts::empty();
    let root = site.root().to_str().unwrap();
    for more in [&["--check-config"][..], &[]] {
        let args = ["serve", root, "--user", "no-such-user", "--fpm", "127.0.0.1:1"];
        let output = run(args.iter().chain(more));
        let said = String::from_utf8_lossy(&output.stderr);
        let problem = "user no-such-user: this machine knows no such user";
        assert!(!output.status.success() && said.contains(problem), "{said}");
    }
}
