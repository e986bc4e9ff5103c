//! One running PHP: its process group, its log, and the guard that outlives us.

use core::time::Duration;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;

use super::config::PoolSize;
use super::find::{Php, PhpKind};
use super::log::Log;
use super::user::User;

/// What it takes to start PHP, again and again.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) php: Php,
    pub(super) folder: PathBuf,
    pub(super) size: PoolSize,
    pub(super) user: Option<User>,
}

impl Plan {
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("php.sock")
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.join("php-fpm.conf")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.php.program);
        // Meant for us, should we be a service ourselves, or for a PHP-FPM that started us.
        command.env_remove("NOTIFY_SOCKET").env_remove("FPM_SOCKETS");
        match self.php.kind {
            PhpKind::Fpm => {
                command.arg("--nodaemonize").arg("--fpm-config").arg(self.config_file());
                if self.user.is_some_and(|user| user.uid == 0) {
                    command.arg("--allow-to-run-as-root");
                }
            }
            PhpKind::Cgi => {
                command.arg("-b").arg(self.socket());
                command.env("PHP_FCGI_CHILDREN", self.size.most.to_string());
                // Zero: processes are not replaced after so many requests.
                command.env("PHP_FCGI_MAX_REQUESTS", "0");
                if let Some(User { uid, gid }) = self.user.filter(|user| user.uid != 0) {
                    command.uid(uid).gid(gid);
                }
            }
        }
        command
    }
}

/// A running PHP.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Also the number of the process group that its workers are in.
    pid: Pid,
    log: Arc<Log>,
    /// They follow what it prints, each to the end of its pipe.
    followers: JoinSet<()>,
    guard: Option<Guard>,
}

impl Process {
    pub(super) fn start(plan: &Plan) -> io::Result<Self> {
        // A socket file that a killed PHP left behind would be in its successor's way.
        match std::fs::remove_file(plan.socket()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut child = plan
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: Ctrl-C in a terminal must not end PHP while answers are still under way.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the process ended at once"))?;
        let log = Arc::new(Log::new(plan.php.kind));
        let mut followers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            followers.spawn(Arc::clone(&log).follow(stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            followers.spawn(Arc::clone(&log).follow(stderr));
        }
        let guard = Guard::start(pid, &plan.folder)
            .inspect_err(|error| tracing::warn!(%error, "PHP would survive a killed gateway: no guard process"))
            .ok();
        Ok(Self { child, pid, log, followers, guard })
    }

    /// Waits for the end of the main process. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// What it printed last. Its end may be known before all of that has been read, so this waits for the rest; not for
    /// long, since workers that it left behind hold the pipes too.
    pub(super) async fn last_words(&mut self) -> String {
        self.read_rest().await;
        self.log.last_lines().join("\n")
    }

    async fn read_rest(&mut self) {
        let read = async { while self.followers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS_TIME, read).await;
    }

    /// Tells php-fpm to read its settings anew and replace its workers, each after its request.
    pub(super) fn reload(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::USR2)?)
    }

    /// Ends it: politely, so that PHP ends its workers itself, then by force.
    pub(super) async fn stop(mut self) {
        let _ = kill_process(self.pid, Signal::TERM);
        if tokio::time::timeout(STOP_TIME, self.child.wait()).await.is_err() {
            tracing::warn!("PHP did not stop in {STOP_TIME:?} and is killed");
        }
        self.finish().await;
    }

    /// Clears away what a dead main process left: workers that would go on taking requests.
    pub(super) async fn finish(mut self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait().await;
        // The workers are not our children, so their end can only be looked for. Where nobody collects the dead, as in a
        // container without an init, they seem to stay.
        let gone = async {
            while test_kill_process_group(self.pid).is_ok() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(GONE_TIME, gone).await;
        self.read_rest().await;
        if let Some(guard) = self.guard.take() {
            guard.dismiss().await;
        }
    }
}

/// How long the last words of a PHP that has ended may take to arrive.
const LAST_WORDS_TIME: Duration = Duration::from_secs(1);

/// How long killed workers may take to vanish.
const GONE_TIME: Duration = Duration::from_millis(500);

/// How long PHP has to stop by itself.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A shell that waits for the gateway's end and then ends PHP and removes the folder.
///
/// A gateway that is killed outright cannot clean up. The other end of the shell's input is ours
/// alone, so the system closes it whatever we die of.
#[derive(Debug)]
struct Guard {
    child: Child,
    input: ChildStdin,
}

impl Guard {
    fn start(group: Pid, folder: &Path) -> io::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args([
                "-c",
                r#"read -r _ || { kill -s TERM -- "-$1"; rm -rf -- "$2"; }"#,
                "fcgi-guard",
            ])
            .arg(group.as_raw_nonzero().to_string())
            .arg::<&OsStr>(folder.as_ref())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let input = child.stdin.take().ok_or_else(|| io::Error::other("no input to the guard"))?;
        Ok(Self { child, input })
    }

    /// Sends it away: PHP ended in order.
    async fn dismiss(mut self) {
        let _ = self.input.write_all(b"\n").await;
        let _ = self.child.wait().await;
    }
}
