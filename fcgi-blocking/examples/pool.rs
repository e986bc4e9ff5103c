//! Sends many requests over kept connections: `cargo run -p fcgi-blocking --example blocking_pool -- 127.0.0.1:9000 /srv/index.php 100`.
//!
//! Eight are under way at once, each in a thread; the others wait for their turn. A connection is kept only while nobody else could use its
//! worker of php-fpm. At the end stands what the pool has counted.

use std::process::ExitCode;

use fcgi_blocking::{Pool, PoolConfig, Request};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("blocking_pool: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(script), Some(count)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: blocking_pool ADDRESS SCRIPT COUNT".into());
    };
    let count = count.parse::<usize>().map_err(|error| format!("COUNT is no number: {error}"))?;
    let pool = Pool::new([address.parse()?], PoolConfig::default().max_connections(8));
    let (mut bytes, mut failed) = (0, 0);
    for (number, result) in pool.as_completed((0..count).map(|_| Request::get(&script))) {
        match result {
            Ok(answer) => bytes += answer.body().len(),
            Err(error) => {
                failed += 1;
                eprintln!("request {number}: {error}");
            }
        }
    }
    println!("{} answers of {bytes} bytes, {failed} failures", count - failed);
    println!("{:#?}", pool.metrics());
    if failed > 0 { Err(format!("{failed} requests failed").into()) } else { Ok(()) }
}
