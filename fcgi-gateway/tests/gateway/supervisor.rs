//! `fcgi serve` with no `--fpm`: it runs a PHP of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fcgi_test_support::http::Request;
use fcgi_test_support::{Scripts, is_running, wait_until};
use rustix::process::Signal;

use crate::support::{LIMIT, Serve, json, send_signal};

/// Processes below another one, found by their parents and by their process group.
fn processes(matches: impl Fn(&Stat) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| Stat::of(pid).is_some_and(|stat| matches(&stat))).collect()
}

struct Stat {
    name: String,
    parent: u32,
    group: u32,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(1);
        Some(Self {
            name: name.split_once('(')?.1.to_owned(),
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

/// The main process of the PHP that a gateway runs.
fn php_of(serve: &Serve) -> u32 {
    let mut found = Vec::new();
    let is_there = wait_until(LIMIT, || {
        found = processes(|stat| stat.parent == serve.pid() && stat.name.starts_with("php"));
        !found.is_empty()
    });
    assert!(is_there, "no PHP below {}\n{}", serve.pid(), serve.log());
    found[0]
}

fn members(group: u32) -> Vec<u32> {
    processes(|stat| stat.group == group).into_iter().filter(|&pid| is_running(pid)).collect()
}

/// A folder for temporary files of one gateway, so that what is left in it can be seen.
fn temp_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn left_in(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn serve_alone(scripts: &Scripts, temp: &Path) -> Serve {
    Serve::with_env(
        scripts.root(),
        ["--php", "own"],
        [("TMPDIR", temp.to_str().unwrap().to_owned())],
    )
}

#[test]
fn php_is_started_and_stopped() {
    let (scripts, temp) = (Scripts::new(), temp_folder());
    let mut serve = serve_alone(&scripts, temp.path());
    assert!(
        serve
            .greeting()
            .starts_with(&format!("serving {} at http://127.0.0.1:", scripts.root().display()))
    );
    assert_eq!(serve.get("/greeter.php?who=Swoole").text(), "Hello Swoole");
    let group = php_of(&serve);
    assert!(members(group).len() > 2, "{:?}", members(group));
    let folder = left_in(temp.path());
    assert_eq!(folder.len(), 1, "{folder:?}");
    assert_eq!(folder[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
    serve.stop();
    assert_eq!(members(group), [0; 0]);
    assert_eq!(left_in(temp.path()), [""; 0].map(PathBuf::from));
}

#[test]
fn php_sees_the_environment_and_its_output_is_logged() {
    let scripts = Scripts::new();
    scripts.add(
        "output.php",
        "<?php file_put_contents('php://stderr', \"from the worker\\n\"); echo getenv('SETTING');",
    );
    let serve =
        Serve::with_env(scripts.root(), ["--php", "own"], [("SETTING", "of the site".to_owned())]);
    assert_eq!(serve.get("/output.php").text(), "of the site");
    serve.wait_for_log("from the worker");
    assert_eq!(serve.get("/stderr.php").text(), "said on stdout");
    serve.wait_for_log("said through error_log");
}

#[test]
fn what_a_script_says_is_logged_once_and_forges_nothing() {
    let scripts = Scripts::new();
    scripts.add(
        "fail.php",
        r#"<?php
        fwrite(fopen('php://stderr', 'w'), "[01-Jan-2026 00:00:00] ERROR: forged\r\x1b[2K\n");
        function thrower() { throw new Exception('thrown once'); }
        thrower();"#,
    );
    let serve = Serve::launch(crate::support::fcgi().arg("serve").arg(scripts.root()).args([
        "--php",
        "own",
        "--listen",
        "127.0.0.1:0",
    ]));
    assert_eq!(serve.get("/fail.php").status, 500);
    serve.wait_for_log("forged");
    serve.wait_for_log("thrown in");
    // What PHP-FPM repeats only shows among the details.
    let log = serve.log();
    let shown = |text: &str| {
        log.lines().filter(|line| line.contains(text) && !line.contains("DEBUG")).count()
    };
    assert_eq!((shown("thrown once"), shown("#0 "), shown("forged")), (1, 1, 1), "{log}");
    let forged = log.lines().find(|line| line.contains("forged")).unwrap();
    assert!(forged.contains("INFO") && !forged.contains(['\r', '\x1b']), "{forged:?}");
}

#[test]
fn php_is_reloaded_and_settings_are_read_again() {
    let scripts = Scripts::new();
    scripts.add("fcgi.toml", "[site.param]\nRELEASE = \"one\"\n");
    scripts.add("what.php", "<?php echo getmypid(), ' ', $_SERVER['RELEASE'];");
    let mut serve = Serve::start(scripts.root(), ["--php", "own"]);
    let ask = |serve: &Serve| {
        let text = serve.get("/what.php").text();
        let (pid, release) = text.split_once(' ').unwrap_or_else(|| panic!("{text}"));
        (pid.parse::<u32>().unwrap(), release.to_owned())
    };
    let (worker, release) = ask(&serve);
    assert_eq!(release, "one");
    let php = php_of(&serve);
    // A request that is under way ends in order.
    let slow = Request::get("/sleep.php?ms=500").start(serve.address());
    scripts.add("fcgi.toml", "[site.param]\nRELEASE = \"two\"\n");
    serve.signal(Signal::HUP);
    serve.wait_for_log("the settings were read again");
    assert_eq!(ask(&serve).1, "two");
    assert_eq!(slow.finish().status, 200);
    assert!(wait_until(LIMIT, || !is_running(worker)), "its workers are replaced");
    assert_eq!((php_of(&serve), ask(&serve).1.as_str()), (php, "two"));
    // A mistake changes nothing.
    scripts.add("fcgi.toml", "[site]\nparams = 1\n");
    serve.signal(Signal::HUP);
    serve.wait_for_log("everything stays as it was");
    assert_eq!(ask(&serve).1, "two");
    serve.stop();
    assert_eq!(members(php), [0; 0]);
}

#[test]
fn php_cgi_does_too() {
    let scripts = Scripts::new();
    scripts.add(
        "what.php",
        "<?php fwrite(fopen('php://stderr', 'w'), \"[x] ERROR: a script\\n\"); echo PHP_SAPI;",
    );
    let mut serve = Serve::start(scripts.root(), ["--php", "/usr/bin/php-cgi"]);
    assert_eq!(serve.get("/what.php").text(), "cgi-fcgi");
    let line = serve.wait_for_log("a script");
    assert!(line.contains("INFO"), "{line}");
    let php = php_of(&serve);
    serve.signal(Signal::HUP);
    serve.wait_for_log("PHP is stopped and started");
    assert!(wait_until(LIMIT, || php_of(&serve) != php));
    assert!(wait_until(LIMIT, || serve.get("/what.php").status == 200), "{}", serve.log());
    let php = php_of(&serve);
    serve.stop();
    assert_eq!(members(php), [0; 0]);
}

#[test]
fn a_killed_php_is_started_again() {
    let (scripts, temp) = (Scripts::new(), temp_folder());
    let mut serve = serve_alone(&scripts, temp.path());
    for _ in 0..2 {
        let group = php_of(&serve);
        send_signal(group, Signal::KILL);
        let is_new = wait_until(LIMIT, || {
            members(group).is_empty() && serve.get("/greeter.php").status == 200
        });
        assert!(is_new, "{:?}\n{}", members(group), serve.log());
    }
    serve.wait_for_log("PHP ended unexpectedly");
    let group = php_of(&serve);
    serve.stop();
    assert_eq!(members(group), [0; 0]);
    assert_eq!(left_in(temp.path()), [""; 0].map(PathBuf::from));
}

#[test]
fn a_killed_gateway_leaves_nothing() {
    let (scripts, temp) = (Scripts::new(), temp_folder());
    let mut serve = serve_alone(&scripts, temp.path());
    let group = php_of(&serve);
    serve.signal(Signal::KILL);
    serve.wait();
    assert!(wait_until(LIMIT, || members(group).is_empty()), "{:?}", members(group));
    assert!(wait_until(LIMIT, || left_in(temp.path()).is_empty()), "{:?}", left_in(temp.path()));
}

#[test]
fn the_site_owner_runs_php() {
    let scripts = Scripts::new();
    scripts.add("who.php", "<?php echo json_encode([posix_geteuid()]);");
    // Only root can give the site to somebody; for other users PHP runs as themselves.
    let given = std::os::unix::fs::chown(scripts.root(), Some(65534), Some(65534)).is_ok();
    let serve = Serve::start(scripts.root(), ["--php", "own"]);
    let expected = if given { 65534 } else { rustix::process::geteuid().as_raw() };
    assert_eq!(json(&serve.get("/who.php")), serde_json::json!([expected]));
}

#[test]
fn a_private_site_works_too() {
    let scripts = Scripts::new();
    fs::set_permissions(scripts.root(), fs::Permissions::from_mode(0o700)).unwrap();
    let serve = Serve::start(scripts.root(), ["--php", "own", "--workers", "1"]);
    assert_eq!(serve.get("/greeter.php").text(), "Hello World");
    assert_eq!(Request::post("/greeter.php").form("who=a").send(serve.address()).text(), "Hello a");
}

#[test]
fn a_php_that_cannot_start_is_explained() {
    let (scripts, programs) = (Scripts::new(), tempfile::tempdir().unwrap());
    let program = programs.path().join("php-fpm");
    fs::write(&program, "#!/bin/sh\necho 'the reason' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = crate::support::fcgi()
        .args([
            "serve",
            scripts.root().to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--php",
            "own",
        ])
        .env("PATH", format!("{}:/usr/bin:/bin", programs.path().display()))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("did not become ready") && stderr.contains("the reason"), "{stderr}");
}
