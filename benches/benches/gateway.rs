//! Puts our gateway and other web servers under the same load; see `src/live/gateway.rs`.
//!
//! ```text
//! cargo bench -p benches --bench gateway                all servers, one second for each cell
//! cargo bench -p benches --bench gateway -- 5           five seconds
//! cargo bench -p benches --bench gateway -- 1 nginx     those with this in their name; nothing is written
//! ```

use std::io::Result;
use std::path::Path;

use benches::live::{gateway, responder};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["responder", socket] => responder::run(Path::new(socket)),
        [] => gateway::run(1, None),
        [seconds] if seconds.parse::<u64>().is_ok() => {
            gateway::run(seconds.parse().unwrap_or(1), None)
        }
        [seconds, only] if seconds.parse::<u64>().is_ok() => {
            gateway::run(seconds.parse().unwrap_or(1), Some(only))
        }
        // Any other word is for another bench.
        _ => Ok(()),
    }
}
