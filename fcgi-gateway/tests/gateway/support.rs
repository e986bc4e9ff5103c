//! Running `fcgi serve` in tests.

use core::time::Duration;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use fcgi_test_support::http::Request;
use fcgi_test_support::wait_until;
use rustix::process::{Pid, Signal, kill_process};

/// A running `fcgi serve`, killed when dropped.
pub(crate) struct Serve {
    child: Child,
    address: SocketAddr,
    greeting: String,
    log: Arc<Mutex<String>>,
}

impl Serve {
    /// Serves `root` on a free port, with more arguments, and returns when it is ready.
    pub(crate) fn start<S: AsRef<OsStr>>(root: &Path, args: impl IntoIterator<Item = S>) -> Self {
        Self::with_env(root, args, [])
    }

    /// The same for a site whose PHP listens at `fpm`.
    pub(crate) fn with_fpm(root: &Path, fpm: &str) -> Self {
        Self::start(root, ["--fpm", fpm])
    }

    pub(crate) fn with_env<S: AsRef<OsStr>>(
        root: &Path,
        args: impl IntoIterator<Item = S>,
        env: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let mut command = fcgi();
        command.arg("serve").arg(root).args(["--listen", "127.0.0.1:0"]).args(args).envs(env);
        Self::launch(&mut command)
    }

    /// Serves a project with no option at all, from within its folder.
    pub(crate) fn within(folder: &Path) -> Self {
        let mut command = fcgi();
        Self::launch(command.arg("serve").current_dir(folder).env("FCGI_LISTEN", "127.0.0.1:0"))
    }

    /// Runs a command and returns when it is ready.
    pub(crate) fn launch(command: &mut Command) -> Self {
        let mut child = command
            .env("RUST_LOG", "debug,hyper=info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = collect(child.stderr.take().unwrap());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        // The last line of the greeting tells where the log is.
        while !greeting.contains("\n  log ") && stdout.read_line(&mut greeting).unwrap() > 0 {}
        let address = greeting
            .split_once("://")
            .and_then(|(_, address)| address.split_whitespace().next()?.parse().ok());
        let Some(address) = address else {
            let _ = child.wait();
            panic!("fcgi serve did not start: {greeting:?}\n{}", log.lock().unwrap());
        };
        // Its output stays open, or it would find it closed.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Self { child, address, greeting, log }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it printed when it was ready.
    pub(crate) fn greeting(&self) -> &str {
        &self.greeting
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, target: &str) -> fcgi_test_support::http::Response {
        Request::get(target).send(self.address)
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds a text, and gives the first line with it.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let mut line = None;
        let found = wait_until(LIMIT, || {
            // Only whole lines: the rest of the last one may be still to come.
            let log = self.log();
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            line = whole.lines().find(|line| line.contains(text)).map(str::to_owned);
            line.is_some()
        });
        assert!(found, "{text:?} is not in the log:\n{}", self.log());
        line.unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = wait_until(LIMIT, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(ended, "fcgi serve does not end:\n{}", self.log());
        status.unwrap()
    }

    /// Ends it in order.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "{status}\n{}", self.log());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of fcgi serve:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Long, for slow machines; nothing waits for it to pass.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn fcgi() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fcgi"));
    // Made-up applications count their connections.
    command.env("FCGI_PROBE", "false");
    command
}

/// Runs `fcgi` to its end.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    fcgi().args(args).output().unwrap()
}

pub(crate) fn send_signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn collect(mut stderr: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let filled = Arc::clone(&log);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut buffer) {
            filled.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    log
}

/// The value of a JSON body.
pub(crate) fn json(response: &fcgi_test_support::http::Response) -> serde_json::Value {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}
