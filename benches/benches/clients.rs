//! Lets our clients, `fastcgi-client` and a minimal one do the same work over real sockets; see `src/live/clients/mod.rs`.
//!
//! ```text
//! cargo bench -p benches --bench clients              everything, one second for each cell
//! cargo bench -p benches --bench clients -- 3         three seconds for each cell
//! cargo bench -p benches --bench clients -- 1 tokio   those with this in their name; nothing is written
//! ```

use std::io::Result;
use std::path::Path;

use benches::live::clients::{self, Counting};
use benches::live::responder;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let seconds = |text: &str| text.parse::<u64>().ok();
    match args[..] {
        ["responder", socket] => responder::run(Path::new(socket)),
        ["child", ref job @ ..] => clients::child(job),
        [] => clients::run(1, None),
        [time] if seconds(time).is_some() => clients::run(seconds(time).unwrap_or(1), None),
        [time, only] if seconds(time).is_some() => {
            clients::run(seconds(time).unwrap_or(1), Some(only))
        }
        // Any other word is for another bench.
        _ => Ok(()),
    }
}
