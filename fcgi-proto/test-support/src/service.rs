//! A server process that never outlives the test that started it.

use core::time::Duration;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::process;
use crate::wait::wait_until;

/// A running server in a process group of its own.
pub(crate) struct Service {
    main: Child,
    guard: Child,
    quit: Signal,
}

impl Service {
    /// Starts `command`; `quit` is the signal that stops it in order, and `folder` what the guard
    /// removes if this process dies.
    pub(crate) fn spawn(command: &mut Command, quit: Signal, folder: &Path) -> Self {
        Self::spawn_with(command.stdin(Stdio::null()), quit, folder)
    }

    /// The same, with pipes for its standard input and output.
    pub(crate) fn spawn_piped(
        command: &mut Command,
        quit: Signal,
        folder: &Path,
    ) -> (Self, ChildStdin, ChildStdout) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut service = Self::spawn_with(command, quit, folder);
        let stdin = service.main.stdin.take().expect("it is piped");
        let stdout = service.main.stdout.take().expect("it is piped");
        (service, stdin, stdout)
    }

    fn spawn_with(command: &mut Command, quit: Signal, folder: &Path) -> Self {
        let program = command.get_program().to_owned();
        let main = command.process_group(0).spawn();
        let main = main.unwrap_or_else(|error| {
            panic!("{} does not start: {error}", program.to_string_lossy())
        });
        let guard = spawn_guard(main.id(), folder);
        Self { main, guard, quit }
    }

    /// The number of the first process, which is also that of the group.
    pub(crate) fn pid(&self) -> u32 {
        self.main.id()
    }

    /// How the first process ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.main.try_wait().expect("the server can be waited for")
    }

    /// Sends a signal to the first process.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.main.id(), signal);
    }

    /// Stops the server: politely, then by force, and returns when no process of it is left.
    pub(crate) fn stop(&mut self) {
        if self.exited().is_none() {
            self.signal(self.quit);
            // What is still alive after this gets no second chance.
            let _ = wait_until(GRACE, || self.exited().is_some());
        }
        let group = self.main.id();
        let gone = wait_until(LIMIT, || {
            let left = process::all().iter().any(|process| process.group == group);
            if left {
                kill_group(group);
            }
            !left
        });
        // It has been killed above if it was still there, so this returns at once.
        let _ = self.main.wait();
        self.dismiss_guard();
        if !gone && !std::thread::panicking() {
            panic!("processes of group {group} do not end");
        }
    }

    fn dismiss_guard(&mut self) {
        if let Some(mut stdin) = self.guard.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.guard.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A shell that waits for a word from us. If we die first, however that happens, its input ends
/// without one, and it kills the server and removes the folder.
fn spawn_guard(group: u32, folder: &Path) -> Child {
    let script = r#"read -r word || { kill -s KILL -- "-$1"; rm -rf -- "$2"; }"#;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "guard"]).arg(group.to_string()).arg(folder);
    // A group of its own, so that Ctrl-C in a terminal does not end it before it has done its work.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().expect("/bin/sh starts")
}

/// Sends a signal to a process; one that has ended meanwhile is fine.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn kill_group(group: u32) {
    if let Some(group) = to_pid(group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// How long a server may take to stop in order.
const GRACE: Duration = Duration::from_secs(3);
/// How long killed processes may take to vanish.
const LIMIT: Duration = Duration::from_secs(20);
