//! Our clients beside `fastcgi-client` and beside raw sockets used by hand, each in a process of its own.
//!
//! All send the same variables over Unix sockets and keep their connections. The load is of as many callers as the table
//! says, each of which makes one request after the other.

mod chart;
mod counting;
mod crowd;
mod floor;
mod goals;
mod load;
mod measured;
mod meter;
mod strace;
mod stream;
mod table;
mod who;

use std::fs;
use std::io::Result;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub use counting::Counting;
use crowd::Held;
use load::Job;
use measured::{Cell, Measured};
use meter::{Meter, Spent, Until};
use who::{ALL, SHARED, Who};

use super::process::Program;
use super::{failed, wait_for};

const CONCURRENCY: [usize; 3] = [1, 16, 64];
/// Requests over one connection, and connections with a request each.
const TOGETHER: usize = 64;
const STREAMED: usize = 1024 * 1024 * 1024;
const CROWD: usize = 10_000;
/// For exact figures: how many requests are made before they count, and how many count.
const COUNTED: (u64, u64) = (200, 1000);

/// What stands before a child's figures.
const MARK: &str = "figures:";

/// Measures all clients, and writes `CLIENTS.md` and `clients.svg`. `seconds` is the time for each cell.
///
/// # Errors
/// A client fails, or php-fpm is missing.
pub fn run(seconds: u64, only: Option<&str>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let null = folder.join("null.sock");
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("responder").arg(&null);
    let _responder = Program::start(command, &folder.join("null.log"))?;
    wait_for("the responder", || null.exists().then_some(()))?;
    fs::write(folder.join("hello.php"), "<?php echo 'Hello world!';\n")?;
    // One worker for each connection that is kept.
    let php = super::php::fpm(folder, CONCURRENCY[2])?;

    let is_wanted = |who: &Who| only.is_none_or(|only| who.name().contains(only));
    let null = Peer { socket: &null, script: "/srv/null.php?size=12".to_owned(), size: 12 };
    let script = folder.join("hello.php").display().to_string();
    let php = Peer { socket: &php.1, script, size: 12 };
    let mut measured = Measured::default();
    for who in ALL.into_iter().filter(is_wanted) {
        measure(who, &null, &php, seconds, &mut measured)?;
    }
    for who in SHARED.into_iter().filter(is_wanted) {
        let cell = null.load(who, TOGETHER, seconds)?;
        println!("{:28} {cell}", who.name());
        measured.shared.push(cell);
    }
    for who in [Who::Tokio, Who::AsyncStd].into_iter().filter(is_wanted) {
        let held = null.crowd(who)?;
        println!("{:28} {held:?}", who.name());
        measured.crowds.push((who, held));
    }
    if only.is_some() {
        return Ok(());
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(manifest.join("CLIENTS.md"), table::render(&measured))?;
    fs::write(manifest.join("clients.svg"), chart::render(&measured))
}

fn measure(
    who: Who,
    null: &Peer<'_>,
    php: &Peer<'_>,
    seconds: u64,
    measured: &mut Measured,
) -> Result<()> {
    for concurrency in CONCURRENCY {
        let cell = null.load(who, concurrency, seconds)?;
        println!("{:28} {cell}", who.name());
        measured.null.push(cell);
        let cell = php.load(who, concurrency, seconds)?;
        println!("{:28} {cell}, php-fpm", who.name());
        measured.php.push(cell);
    }
    let exact = null.exact(who)?;
    println!("{:28} {exact:?}", who.name());
    measured.exact.push((who, exact));
    let streamed = null.stream(who)?;
    println!("{:28} {streamed:?}", who.name());
    measured.streamed.push((who, streamed));
    Ok(())
}

/// An application.
struct Peer<'a> {
    socket: &'a Path,
    script: String,
    /// Of its response's body.
    size: usize,
}

impl Peer<'_> {
    fn load(&self, who: Who, concurrency: usize, seconds: u64) -> Result<Cell> {
        let time = (seconds * 1000).to_string();
        let command = self.command(who, concurrency, ["load", "time", &time])?;
        Ok(Cell { who, concurrency, spent: figures(command)?.spent()? })
    }

    /// System calls and allocations, of one request after the other.
    fn exact(&self, who: Who) -> Result<measured::Exact> {
        let (few, many) = (COUNTED.0.to_string(), (COUNTED.0 + COUNTED.1).to_string());
        let few = strace::count(&self.command(who, 1, ["load", "count", &few])?)?;
        let many = strace::count(&self.command(who, 1, ["load", "count", &many])?)?;
        let calls = few.zip(many).map(|(few, many)| many.since(&few).per(COUNTED.1));
        let count = COUNTED.1.to_string();
        let spent = figures(self.command(who, 1, ["allocations", "count", &count])?)?.spent()?;
        let allocations = spent.allocations as f64 / spent.requests.max(1) as f64;
        Ok(measured::Exact { calls, allocations })
    }

    fn stream(&self, who: Who) -> Result<measured::Streamed> {
        let script = format!("/srv/null.php?size={STREAMED}");
        let large = Self { script, size: STREAMED, ..*self };
        let figures = figures(large.command(who, 1, ["stream", "count", "1"])?)?;
        Ok(measured::Streamed { spent: figures.spent()?, peak_kib: figures.at(4)? })
    }

    fn crowd(&self, who: Who) -> Result<Held> {
        let script = format!("/srv/null.php?size=12&together={CROWD}");
        let crowd = Self { script, ..*self };
        let figures = figures(crowd.command(who, CROWD, ["crowd", "count", "1"])?)?;
        Ok(Held { in_flight: figures.at(0)?, idle: figures.at(1)? })
    }

    fn command(&self, who: Who, concurrency: usize, how: [&str; 3]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("child").args(how).arg(who.id()).arg(concurrency.to_string());
        command.arg(self.socket).arg(&self.script).arg(self.size.to_string());
        Ok(command)
    }
}

/// Does one of the jobs that [`run`] starts processes for.
///
/// # Errors
/// The client fails.
pub fn child(job: &[&str]) -> Result<()> {
    let &[what, unit, limit, who, concurrency, socket, script, size] = job else {
        return Err(failed("not a job"));
    };
    super::allow_many_files();
    let number = |text: &str| text.parse::<u64>().map_err(failed);
    let small = |text: &str| text.parse::<usize>().map_err(failed);
    let until = match unit {
        "time" => Until::Time(Duration::from_millis(number(limit)?)),
        _ => Until::Count(number(limit)?),
    };
    let job = Job {
        who: Who::from_id(who).ok_or_else(|| failed("no such client"))?,
        socket: socket.to_owned(),
        script: script.to_owned(),
        concurrency: small(concurrency)?,
        size: small(size)?,
    };
    let workers = job.concurrency;
    let spent = match what {
        "crowd" => {
            let Held { in_flight, idle } = crowd::run(&job)?;
            println!("{MARK} {in_flight} {idle}");
            return Ok(());
        }
        "stream" => stream::run(&job)?,
        "allocations" => {
            Counting::begin();
            job.run(Meter::new(warm_up(workers), until))?.spent(workers)
        }
        _ => job.run(Meter::new(warm_up(workers), until))?.spent(workers),
    };
    let Spent { requests, time, cpu, allocations } = spent;
    let (time, cpu) = (time.as_nanos(), cpu.as_nanos());
    println!("{MARK} {requests} {time} {cpu} {allocations} {}", super::process::own_peak_memory());
    Ok(())
}

fn warm_up(workers: usize) -> u64 {
    50 * workers as u64
}

/// What a child printed.
struct Figures(Vec<u64>);

impl Figures {
    fn at(&self, index: usize) -> Result<u64> {
        self.0.get(index).copied().ok_or_else(|| failed("a figure is missing"))
    }

    fn spent(&self) -> Result<Spent> {
        Ok(Spent {
            requests: self.at(0)?,
            time: Duration::from_nanos(self.at(1)?),
            cpu: Duration::from_nanos(self.at(2)?),
            allocations: self.at(3)?,
        })
    }
}

fn figures(mut command: Command) -> Result<Figures> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(MARK));
    let Some(line) = line.filter(|_| output.status.success()) else {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format_args!("{command:?} failed ({}):\n{errors}", output.status)));
    };
    Ok(Figures(line.split_whitespace().filter_map(|word| word.parse().ok()).collect()))
}
