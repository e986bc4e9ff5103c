//! Calls a script: `cargo run -p fcgi-tokio --example call -- unix:/run/php/php-fpm.sock /srv/greeter.php who=Swoole`.
//!
//! Without form fields it is a GET, and the script may carry a query: `/srv/greeter.php?who=Swoole`. The body goes to
//! standard output. A status of 400 and above is an error, as is a script that is not there.

use std::io::{self, Write};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(script)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: call ADDRESS SCRIPT [NAME=VALUE]...");
        return ExitCode::from(2);
    };
    let form = arguments.map(|field| match field.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (field, String::new()),
    });
    match fcgi_tokio::call(&address, script, form).await {
        Ok(body) => match io::stdout().write_all(&body) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("cannot write the answer: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("{error}"); // what happened, in which phase, at which address, and what to do
            ExitCode::FAILURE
        }
    }
}
