//! Calls a PHP script: `cargo run -p fcgi-async-std --example smol_call -- unix:/run/php/php-fpm.sock /srv/app/index.php`,
//! and `name=value` for each field of a form.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(script)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: smol_call ADDRESS SCRIPT [NAME=VALUE]...");
        return ExitCode::from(2);
    };
    let fields: Vec<(String, String)> = arguments
        .filter_map(|field| field.split_once('=').map(|(name, value)| (name.into(), value.into())))
        .collect();
    match smol::block_on(fcgi_async_std::call(&address, script, fields)) {
        Ok(body) => {
            let written = std::io::stdout().write_all(&body);
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
