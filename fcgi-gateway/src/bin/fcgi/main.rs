//! `fcgi`: a FastCGI client, an HTTP server in front of FastCGI, and a demonstration of both sides.

mod call;
mod demo;
mod memory;
mod serve;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// FastCGI on the command line: call scripts, serve PHP sites, see the protocol at work
///
/// Without a command it runs `fcgi demo`.
#[derive(Debug, Parser)]
#[command(version, name = "fcgi")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Call(Box<call::CallArgs>),
    Serve(Box<serve::ServeArgs>),
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command.unwrap_or_else(|| Command::Demo(demo::DemoArgs::default())) {
        Command::Call(args) => call::main(*args),
        Command::Serve(args) => {
            log("info");
            memory::keep_some();
            end(serve::main(&args))
        }
        Command::Demo(args) => {
            log("warn");
            end(demo::main(args))
        }
    }
}

/// Messages go to standard error; `RUST_LOG` overrides how many.
fn log(default: &str) {
    let (filter, mistake) = match std::env::var(EnvFilter::DEFAULT_ENV).as_deref() {
        Ok("") | Err(_) => (EnvFilter::new(default), None),
        Ok(said) => match EnvFilter::try_new(said) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(default), Some(format!("{said:?}: {error}"))),
        },
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    if let Some(mistake) = mistake {
        tracing::warn!("RUST_LOG is not understood and {default} is used; {mistake}");
    }
}

fn end<E: core::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fcgi: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    /// Names of flags that clash, and other mistakes that clap would only tell of at run time.
    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
