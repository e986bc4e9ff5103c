//! Runs a PHP of our own: found on the machine, on a private socket, restarted when it dies.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use fcgi_gateway::{Gateway, supervisor::Supervisor};
//!
//! let php = Supervisor::start("/srv/site".as_ref()).await?;
//! let gateway = Gateway::builder("/srv/site").fpm(php.address().clone()).build()?;
//! // serve with `gateway`, then
//! php.stop().await;
//! # Ok(()) }
//! ```
//!
//! The environment of this process reaches PHP as a whole (`clear_env = no`): that is how containers and developers pass
//! settings to applications, and it means that scripts can read every secret in it.
//!
//! The PHP gets a configuration of its own in a temporary folder that only this user can enter; the
//! system's PHP-FPM service, its sockets and its pools are neither used nor touched. What PHP
//! prints goes to the log (target `php`). Should the gateway be killed outright, a small guard
//! process ends PHP and removes the folder.

mod child;
mod config;
mod find;
mod log;
mod memory;
mod user;

use core::fmt;
use core::time::Duration;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Instant;

use fcgi_tokio::Address;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::child::{Plan, Process};
use self::config::{PoolSize, fpm_config};
use self::find::{Php, PhpKind, find_php};
use self::user::user_for;

/// A PHP that is kept running.
///
/// Dropping it stops PHP too, but without waiting for its end; [`Supervisor::stop`] waits.
#[derive(Debug)]
pub struct Supervisor {
    address: Address,
    program: PathBuf,
    most: usize,
    /// Takes wishes to reload; closing it stops PHP.
    reload: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// Why PHP could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Neither php-fpm nor php-cgi is installed, or not where programs are.
    NotFound,
    /// The program's file name is neither that of php-fpm nor of php-cgi.
    Unknown(PathBuf),
    /// The folder for the socket and the configuration could not be made.
    Folder(io::Error),
    /// The program could not be executed.
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended, or was not ready in time.
    NotReady {
        /// The program.
        program: PathBuf,
        /// The last lines it printed; often they name the cause.
        last_words: String,
    },
}

impl Supervisor {
    /// Finds php-fpm or php-cgi, starts it for the site in `root`, and waits until it takes connections.
    ///
    /// php-fpm is taken before php-cgi, a name without a version before numbered ones, and the newest
    /// of those. There are up to four processes per core, at least 8 and at most 64, but no more than half of the memory
    /// that is available has room for at 64 MiB each. When the gateway runs as
    /// root, PHP gets the rights of the folder's owner, or those of the machine's web user
    /// (`www-data`) when the owner is root.
    ///
    /// Cancellation safe: a start that is given up ends the process.
    ///
    /// # Errors
    ///
    /// See [`StartError`]. [`StartError::NotFound`] says which package to install.
    pub async fn start(root: &Path) -> Result<Self, StartError> {
        Self::start_php(root, find_php().ok_or(StartError::NotFound)?).await
    }

    /// As [`start`](Self::start), with a program of one's own choice: a path, or a name to look for. The name says how it is
    /// run: `php-fpm` or `php-cgi`, with or without a version behind it.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start_program(root: &Path, program: &Path) -> Result<Self, StartError> {
        let php = Php::named(program).ok_or_else(|| StartError::Unknown(program.to_owned()))?;
        Self::start_php(root, php).await
    }

    async fn start_php(root: &Path, php: Php) -> Result<Self, StartError> {
        let root = root.canonicalize().map_err(StartError::Folder)?;
        let folder = private_folder().map_err(StartError::Folder)?;
        let cores = std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
        let plan = Plan {
            php,
            folder: folder.path().to_owned(),
            size: PoolSize::for_machine(cores, memory::available()),
            user: user_for(&root),
        };
        prepare(&plan).map_err(StartError::Folder)?;
        let program = plan.php.program.clone();
        let mut process = Process::start(&plan)
            .map_err(|source| StartError::Spawn { program: program.clone(), source })?;
        if !is_ready(&plan, &mut process).await {
            let last_words = process.last_words().await;
            process.stop().await;
            return Err(StartError::NotReady { program, last_words });
        }
        tracing::debug!(program = %program.display(), "started PHP");
        let address = Address::Unix(plan.socket().to_string_lossy().into_owned());
        let most = plan.size.most;
        // One wish waiting is enough: it will be fulfilled after whatever made the next one.
        let (reload, wishes) = mpsc::channel(1);
        let task = tokio::spawn(keep_running(plan, process, folder, wishes));
        Ok(Self { address, program, most, reload, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The program that runs.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// How many processes PHP may have at most, which is how many requests it works on at once.
    #[must_use]
    pub const fn max_processes(&self) -> usize {
        self.most
    }

    /// Makes PHP read its settings and its libraries anew, and forget the scripts that it has compiled.
    ///
    /// php-fpm gives requests under way 30 seconds to end, and none is refused meanwhile. php-cgi knows no such thing: it is
    /// stopped and started. Returns at once; the log tells of failures.
    pub fn reload(&self) {
        let _ = self.reload.try_send(());
    }

    /// Stops PHP with all its processes and removes the temporary folder. Takes at most about
    /// 5 seconds; what has not stopped by then is killed.
    pub async fn stop(self) {
        let Self { reload, task, .. } = self;
        drop(reload);
        let _ = task.await;
    }
}

/// In the usual place for temporary files, unless its name is too long for a socket's address.
fn private_folder() -> io::Result<TempDir> {
    let named = |place: &Path| {
        let private = fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().prefix("fcgi-php-").permissions(private).tempdir_in(place)
    };
    let usual = std::env::temp_dir();
    named(if usual.as_os_str().len() > LONGEST_PLACE { Path::new("/tmp") } else { &usual })
}

/// A socket's address holds 104 bytes on macOS and 108 on Linux; 27 of them are `/fcgi-php-xxxxxx/php.sock`.
const LONGEST_PLACE: usize = 70;

fn prepare(plan: &Plan) -> io::Result<()> {
    match plan.php.kind {
        PhpKind::Fpm => {
            fs::write(plan.config_file(), fpm_config(&plan.socket(), plan.size, plan.user))
        }
        // php-cgi makes its socket itself, with the rights it runs with.
        PhpKind::Cgi => {
            plan.user.map_or(Ok(()), |user| chown(&plan.folder, Some(user.uid), Some(user.gid)))
        }
    }
}

/// Waits until the socket takes connections; `false` when the process ends first, or takes too long.
async fn is_ready(plan: &Plan, process: &mut Process) -> bool {
    let socket = plan.socket();
    let ready = async {
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = ready => true,
        _ = process.wait() => false,
        () = tokio::time::sleep(START_TIME) => false,
    }
}

const START_TIME: Duration = Duration::from_secs(20);

async fn keep_running(
    plan: Plan,
    mut process: Process,
    _folder: TempDir,
    mut wishes: mpsc::Receiver<()>,
) {
    let mut pause = Pause::default();
    loop {
        let started = Instant::now();
        let is_wish = tokio::select! {
            wish = wishes.recv() => match (wish, plan.php.kind) {
                // A dropped supervisor stops it as well.
                (None, _) => return process.stop().await,
                (Some(()), PhpKind::Fpm) => {
                    tracing::info!(target: "php", "PHP reads its settings anew");
                    if let Err(error) = process.reload() {
                        tracing::error!(target: "php", %error, "PHP cannot be told to read its settings anew");
                    }
                    continue;
                }
                (Some(()), PhpKind::Cgi) => true,
            },
            status = process.wait() => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::error!(target: "php", %status, "PHP ended unexpectedly and is started again");
                false
            }
        };
        let mut wait = if is_wish {
            tracing::info!(target: "php", "PHP is stopped and started");
            process.stop().await;
            Duration::ZERO
        } else {
            process.finish().await;
            pause.next(started.elapsed())
        };
        process = loop {
            tokio::select! {
                // Wishes to reload are fulfilled by the start itself.
                () = stopped(&mut wishes) => return,
                () = tokio::time::sleep(wait) => {}
            }
            match Process::start(&plan) {
                Ok(process) => break process,
                Err(error) => {
                    tracing::error!(target: "php", %error, "PHP could not be started; trying again");
                    wait = pause.next(Duration::ZERO);
                }
            }
        };
    }
}

/// Waits until the supervisor is stopped or dropped.
async fn stopped(wishes: &mut mpsc::Receiver<()>) {
    while wishes.recv().await.is_some() {}
}

/// The growing pause before a restart, so that a PHP that cannot run does not keep a core busy.
#[derive(Debug)]
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Self::FIRST)
    }
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(10);
    /// A process that ran so long was all right.
    const SETTLED: Duration = Duration::from_secs(30);

    fn next(&mut self, ran: Duration) -> Duration {
        if ran >= Self::SETTLED {
            self.0 = Self::FIRST;
        }
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LONGEST);
        pause
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str(
                "found neither php-fpm nor php-cgi on this machine; install one \
                 (Debian and Ubuntu: `apt install php-fpm`, Fedora: `dnf install php-fpm`, \
                 Alpine: `apk add php-fpm`, macOS: `brew install php`), \
                 or name a running one with --fpm ADDRESS",
            ),
            Self::Unknown(program) => {
                write!(f, "{} is called neither php-fpm nor php-cgi", program.display())
            }
            Self::Folder(error) => write!(f, "cannot prepare a folder for PHP: {error}"),
            Self::Spawn { program, source } => {
                write!(f, "cannot run {}: {source}", program.display())
            }
            Self::NotReady { program, last_words } if last_words.is_empty() => {
                write!(f, "{} did not become ready and printed nothing", program.display())
            }
            Self::NotReady { program, last_words } => {
                write!(
                    f,
                    "{} did not become ready; its last words:\n{last_words}",
                    program.display()
                )
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder(source) | Self::Spawn { source, .. } => Some(source),
            Self::NotFound | Self::Unknown(_) | Self::NotReady { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_start_over() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..10).map(|_| pause.next(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(pause.next(Pause::SETTLED), Pause::FIRST);
    }
}
