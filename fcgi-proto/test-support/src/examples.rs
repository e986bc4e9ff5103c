//! The examples of the adapters run, against a real php-fpm.
//!
//! They do the same in all adapters, so these tests are shared. Each adapter's examples have a prefix of their own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use md5::{Digest, Md5};

use crate::{PhpFpm, Scripts, pattern};

/// A php-fpm and what it runs.
#[derive(Debug)]
pub struct Site {
    fpm: PhpFpm,
    /// Its scripts.
    pub scripts: Scripts,
}

impl Site {
    /// Starts it, with two workers.
    #[must_use]
    pub fn start() -> Self {
        let fpm = PhpFpm::builder().workers(2).listen_unix().start();
        Self { fpm, scripts: Scripts::new() }
    }

    /// Runs an example with the address of php-fpm, a script, and more arguments.
    #[must_use]
    pub fn run(&self, example: &str, script: &str, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut command = Command::new(example_path(example));
        command.arg(self.fpm.address()).arg(self.scripts.path(script)).args(arguments);
        output(command, stdin)
    }
}

fn example_path(name: &str) -> PathBuf {
    // Examples are built along with tests, next to the folder of these.
    let test = std::env::current_exe().expect("this test is a file");
    let build = test.ancestors().nth(2).expect("it is in the folder `deps`");
    let path = build.join("examples").join(name);
    assert!(
        path.is_file(),
        "{} is missing: `cargo test` builds it, `cargo test --test` does not",
        path.display()
    );
    path
}

/// Runs an example that brings its own application, and expects three answers in order.
///
/// # Panics
/// When they do not come.
pub fn on_its_own(example: &str) {
    let printed = stdout(output(Command::new(example_path(example)), b""));
    let answers = printed.contains("\nHello Ada\nHello Grace\nHello Barbara\n");
    assert!(answers && printed.contains("an application at 127.0.0.1:"), "{printed}");
}

fn output(mut command: Command, stdin: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut pipe = child.stdin.take().expect("it is piped");
    let _ = pipe.write_all(stdin); // not every example reads it
    drop(pipe);
    child.wait_with_output().expect("it ends")
}

/// What an example has printed, when it has ended well.
///
/// # Panics
/// When it has not.
#[must_use]
pub fn stdout(output: Output) -> String {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let stderr = text(output.stderr);
    assert!(output.status.success(), "{stderr}");
    text(output.stdout)
}

/// What an example has complained of.
#[must_use]
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One call, its failures, and how it is used.
///
/// # Panics
/// When the example does something else.
pub fn call(prefix: &str) {
    let example = format!("{prefix}call");
    let site = Site::start();
    let run = |script, arguments: &[_]| site.run(&example, script, arguments, b"");
    assert_eq!(stdout(run("greeter.php", &["who=Swoole"])), "Hello Swoole");
    assert_eq!(stdout(run("greeter.php?who=a", &[])), "Hello a");
    let failed = run("no-such.php", &[]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).contains("no-such.php"), "{}", stderr(&failed));
    let usage = output(Command::new(example_path(&example)), b"");
    assert_eq!(usage.status.code(), Some(2));
    assert!(stderr(&usage).contains("usage"), "{}", stderr(&usage));
}

/// A file and standard input, sent as a form.
///
/// # Panics
/// When the example does something else.
pub fn upload(prefix: &str) {
    let example = format!("{prefix}upload");
    let site = Site::start();
    let content = pattern(400_000);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&content).expect("written");
    let md5 = format!("{:x}", Md5::digest(&content));
    let path = file.path().to_str().expect("UTF-8");
    let name = file.path().file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let seen = stdout(site.run(&example, "upload.php", &[path, "title=At the sea"], b""));
    for part in [r#""title":"At the sea""#, name, &md5] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    let seen = stdout(site.run(&example, "upload.php", &["-"], &content));
    assert!(seen.contains(&md5), "{seen}");
    let failed = site.run(&example, "upload.php", &["/nonexistent"], b"");
    assert!(stderr(&failed).contains("/nonexistent"), "{}", stderr(&failed));
    assert_eq!(failed.status.code(), Some(1));
}

/// A response as it comes, with its error output.
///
/// # Panics
/// When the example does something else.
pub fn stream(prefix: &str) {
    let example = format!("{prefix}stream");
    let site = Site::start();
    let lines = stdout(site.run(&example, "stream.php?lines=3&gap=0", &[], b""));
    assert_eq!(lines, "line 1\nline 2\nline 3\n");
    let output = site.run(&example, "stderr.php", &[], b"");
    for part in ["status 200", "said through error_log", "first byte after"] {
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
    assert_eq!(stdout(output), "said on stdout");
}

/// Many calls over a pool.
///
/// # Panics
/// When the example does something else.
pub fn pool(prefix: &str) {
    let example = format!("{prefix}pool");
    let site = Site::start();
    let seen = stdout(site.run(&example, "zero.php", &["50"], b""));
    assert!(seen.starts_with("50 answers of 50 bytes, 0 failures\n"), "{seen}");
    let failed = site.run(&example, "zero.php", &["many"], b"");
    assert!(stderr(&failed).contains("COUNT is no number"), "{}", stderr(&failed));
}

/// Makes a `#[test]` of each, for the examples with this prefix.
#[macro_export]
macro_rules! example_tests {
    ($prefix:literal: $($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                $crate::examples::$name($prefix);
            }
        )*
    };
}
