//! Our gateway beside other web servers, in front of an application that does nothing and of php-fpm.

use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::load::{self, Load};
use super::php::{self, Fairness};
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
    pub(super) php: Vec<Fairness>,
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

    let site =
        Site { folder, root: &root, socket: &null, fcgi: &fcgi, workers: 1, connections: None };

    let mut measured = Measured::default();
    let is_wanted = |proxy: Proxy| only.is_none_or(|only| proxy.name().contains(only));
    for proxy in ALL {
        if !is_wanted(proxy) {
            continue;
        }
        match proxy.start(&Site { folder: &folder.join(format!("{proxy:?}")), ..site }) {
            Ok(running) => measure(proxy, running, seconds, &script, &mut measured)?,
            Err(error) if proxy == Proxy::Ours => return Err(error),
            Err(error) => {
                eprintln!("{}: {error}", proxy.name());
                measured.missing.push(proxy.name().to_owned());
                continue;
            }
        }
    }
    measured.php = php::measure(&site, seconds, is_wanted)?;
    for proxy in scale::PROXIES {
        if !is_wanted(proxy) {
            continue;
        }
        let own = folder.join(format!("{proxy:?}-scale"));
        match scale::measure(proxy, &Site { folder: &own, ..site }, seconds.max(3)) {
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
