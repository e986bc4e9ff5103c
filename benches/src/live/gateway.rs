//! Our gateway beside other web servers, in front of an application that does nothing and of php-fpm.

use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::load::{self, Load};
use super::process::Program;
use super::proxies::{ALL, Proxy, Running, Site};
use super::scale::{self, Scale};
use super::{chart, failed, table, wait_for};

pub(super) const CONCURRENCY: [usize; 3] = [1, 32, 256];

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) title: &'static str,
    path: &'static str,
    posts: bool,
    pub(super) is_file: bool,
}

pub(super) const WORKLOADS: [Workload; 6] = [
    Workload {
        title: "response of 12 bytes",
        path: "/null.php?size=12",
        posts: false,
        is_file: false,
    },
    Workload {
        title: "response of 64 KiB",
        path: "/null.php?size=65536",
        posts: false,
        is_file: false,
    },
    Workload {
        title: "response of 1 MiB",
        path: "/null.php?size=1048576",
        posts: false,
        is_file: false,
    },
    Workload { title: "request of 64 KiB", path: "/null.php?size=12", posts: true, is_file: false },
    Workload { title: "file of 1 KiB", path: "/1k.bin", posts: false, is_file: true },
    Workload { title: "file of 1 MiB", path: "/1m.bin", posts: false, is_file: true },
];

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) proxy: Proxy,
    pub(super) workload: usize,
    pub(super) connections: usize,
    pub(super) load: Load,
    /// Processor time of the proxy alone, for one request.
    pub(super) cpu: Duration,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) cells: Vec<Cell>,
    /// Against php-fpm.
    pub(super) php: Vec<(Proxy, Load)>,
    /// In KiB.
    pub(super) memory: Vec<(Proxy, u64)>,
    pub(super) scales: Vec<Scale>,
    pub(super) missing: Vec<String>,
}

/// Measures all servers, and writes `GATEWAY.md` and `gateway.svg`. `seconds` is the time for each cell.
///
/// # Errors
/// Our own binary cannot be built or run, or `wrk` is missing. Another server that is missing is named in the table.
pub fn run(seconds: u64, only: Option<&str>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let root = folder.join("root");
    make_root(&root)?;
    let script = folder.join("post.lua");
    fs::write(
        &script,
        "wrk.method = 'POST'\nwrk.body = string.rep('x', 65536)\n\
        wrk.headers['Content-Type'] = 'application/octet-stream'\n",
    )?;
    let fcgi = build_fcgi()?;
    let null = folder.join("null.sock");
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("responder").arg(&null);
    let _responder = Program::start(command, &folder.join("null.log"))?;
    wait_for("the responder", || null.exists().then_some(()))?;
    let php = php_fpm(folder, 4)?;

    let mut measured = Measured::default();
    for proxy in ALL {
        if only.is_some_and(|only| !proxy.name().contains(only)) {
            continue;
        }
        let own = folder.join(format!("{proxy:?}"));
        let site = Site { folder: &own, root: &root, socket: &null, fcgi: &fcgi, workers: 1 };
        match proxy.start(&site) {
            Ok(running) => measure(proxy, running, seconds, &script, &mut measured)?,
            Err(error) if proxy == Proxy::Ours => return Err(error),
            Err(error) => {
                eprintln!("{}: {error}", proxy.name());
                measured.missing.push(proxy.name().to_owned());
                continue;
            }
        }
        if proxy.multiplexes() {
            continue; // php-fpm cannot
        }
        let own = folder.join(format!("{proxy:?}-php"));
        let site = Site { folder: &own, root: &root, socket: &php.1, fcgi: &fcgi, workers: 1 };
        let running = proxy.start(&site)?;
        let url = format!("http://127.0.0.1:{}/hello.php", running.port);
        let load = load::run(&url, 16, seconds.max(2), None)?;
        println!("{:22} php-fpm, 16 clients on 4 workers {load:?}", proxy.name());
        measured.php.push((proxy, load));
    }
    for proxy in scale::PROXIES {
        if only.is_some_and(|only| !proxy.name().contains(only)) {
            continue;
        }
        let own = folder.join(format!("{proxy:?}-scale"));
        let site = Site { folder: &own, root: &root, socket: &null, fcgi: &fcgi, workers: 1 };
        match scale::measure(proxy, &site, seconds.max(3)) {
            Ok(scale) => measured.scales.push(scale),
            Err(error) => eprintln!("{} with a crowd: {error}", proxy.name()),
        }
    }
    if only.is_some() {
        return Ok(());
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(manifest.join("GATEWAY.md"), table::render(&measured))?;
    fs::write(manifest.join("gateway.svg"), chart::render(&measured))
}

fn measure(
    proxy: Proxy,
    running: Running,
    seconds: u64,
    script: &Path,
    measured: &mut Measured,
) -> Result<()> {
    let Running { program, port } = running;
    for (index, workload) in WORKLOADS.iter().enumerate() {
        if workload.is_file && !proxy.has_files() {
            continue;
        }
        let url = format!("http://127.0.0.1:{port}{}", workload.path);
        let script = workload.posts.then_some(script);
        for connections in CONCURRENCY {
            let (load, cpu) = load::run_at(&program, &url, connections, seconds, script)?;
            println!(
                "{:22} {:22} x{connections:<4} {:>9.0}/s {cpu:>8.1?} p50 {:?} p99 {:?} errors {}",
                proxy.name(),
                workload.title,
                load.per_second,
                load.p50,
                load.p99,
                load.errors
            );
            measured.cells.push(Cell { proxy, workload: index, connections, load, cpu });
        }
    }
    measured.memory.push((proxy, program.peak_memory()));
    Ok(())
}

fn make_root(root: &Path) -> Result<()> {
    fs::create_dir(root)?;
    fs::write(
        root.join("null.php"),
        "<?php // the application that does nothing never reads it\n",
    )?;
    fs::write(root.join("hello.php"), "<?php echo 'Hello';\n")?;
    fs::write(root.join("index.php"), "<?php echo 'index';\n")?;
    fs::write(root.join("1k.bin"), [b'x'; 1024])?;
    fs::write(root.join("1m.bin"), vec![b'x'; 1024 * 1024])
}

/// A php-fpm of so many workers, and its socket.
pub(super) fn php_fpm(folder: &Path, workers: usize) -> Result<(Program, PathBuf)> {
    let socket = folder.join("php.sock");
    let config = folder.join("php-fpm.conf");
    let shown = socket.display();
    fs::write(
        &config,
        format!(
            "[global]\nerror_log = {}/fpm.log\ndaemonize = no\n[www]\nlisten = {shown}\n\
        listen.backlog = 4096\npm = static\npm.max_children = {workers}\n",
            folder.display()
        ),
    )?;
    let program = ["php-fpm8.2", "php-fpm8.3", "php-fpm8.4", "php-fpm"]
        .into_iter()
        .map(|name| Path::new("/usr/sbin").join(name))
        .find(|path| path.exists())
        .ok_or_else(|| failed("php-fpm is missing; it is Debian's package `php-fpm`"))?;
    let mut command = Command::new(program);
    command.args(["-R", "-n", "-F", "-y"]).arg(&config);
    let program = Program::start(command, &folder.join("php-fpm.log"))?;
    wait_for("php-fpm", || socket.exists().then_some(()))?;
    Ok((program, socket))
}

fn build_fcgi() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let built = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--locked",
            "-p",
            "fcgi-gateway",
            "--bin",
            "fcgi",
            "--manifest-path",
        ])
        .arg(&manifest)
        .status()?;
    if !built.success() {
        return Err(failed("the binary fcgi could not be built"));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    Ok(target.join("release/fcgi"))
}
