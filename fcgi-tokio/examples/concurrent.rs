//! Calls scripts at the same time: `cargo run -p fcgi-tokio --example concurrent -- 127.0.0.1:9000 /srv/a.php /srv/b.php`.
//!
//! Each has a connection of its own, so it takes as long as the slowest of them, given enough workers. The answers are
//! printed as they come.

use std::process::ExitCode;
use std::time::Instant;

use fcgi_tokio::{Client, Request};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("concurrent: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(address) = arguments.next() else {
        return Err("usage: concurrent ADDRESS SCRIPT...".into());
    };
    let client = Client::new(address.parse()?);
    let started = Instant::now();
    let mut calls = JoinSet::new();
    for script in arguments {
        let client = client.clone();
        calls.spawn(async move { (client.call(Request::get(&script)).await, script) });
    }
    let mut failed = 0;
    while let Some(call) = calls.join_next().await {
        match call? {
            (Ok(answer), script) => {
                println!("{script}: {}", String::from_utf8_lossy(answer.body()));
            }
            (Err(error), script) => {
                failed += 1;
                eprintln!("{script}: {error}");
            }
        }
    }
    eprintln!("{:.1} s", started.elapsed().as_secs_f64());
    if failed > 0 { Err(format!("{failed} failed").into()) } else { Ok(()) }
}
