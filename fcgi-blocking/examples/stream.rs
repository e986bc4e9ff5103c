//! Shows a response as it comes: `cargo run -p fcgi-blocking --example blocking_stream -- 127.0.0.1:9000 "/srv/stream.php?lines=5"`.
//!
//! The body goes to standard output, what the script says on its error output to ours, in the order they came and while
//! the script still runs. Behind it stands where the time went.

use std::io::{self, Write};
use std::process::ExitCode;

use fcgi_blocking::{Chunk, Client, Request};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("blocking_stream: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(script)) = (arguments.next(), arguments.next()) else {
        return Err("usage: blocking_stream ADDRESS SCRIPT".into());
    };
    let client = Client::new(address.parse()?);
    let mut response = client.execute(Request::get(script))?;
    eprintln!("status {}", response.status());
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    while let Some(chunk) = response.output()? {
        match chunk {
            Chunk::Body(data) => {
                stdout.write_all(&data)?;
                stdout.flush()?;
            }
            Chunk::Stderr(data) => stderr.write_all(&data)?,
            _ => {}
        }
    }
    let timings = response.timings();
    eprintln!("first byte after {:?}, all after {:?}", timings.first_byte, timings.total);
    Ok(())
}
