//! Calls a script: `cargo run -p fcgi-blocking --example blocking_call -- unix:/run/php/php-fpm.sock /srv/greeter.php who=Swoole`.
//!
//! Without form fields it is a GET, and the script may carry a query: `/srv/greeter.php?who=Swoole`. The body goes to
//! standard output as it comes, what the script writes to its error output behind it to ours.

use std::io::{self, Write};

use fcgi_blocking::{Client, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(script)) = (arguments.next(), arguments.next()) else {
        return Err("usage: call ADDRESS SCRIPT [NAME=VALUE]...".into());
    };
    let form: Vec<_> = arguments
        .map(|field| match field.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (field, String::new()),
        })
        .collect();
    let request =
        if form.is_empty() { Request::get(script) } else { Request::post(script).form(form) };
    let mut response = Client::new(address.parse()?).execute(request)?;
    if response.status() != 200 {
        eprintln!("status {}", response.status());
    }
    io::copy(response.body_mut(), &mut io::stdout().lock())?;
    io::stderr().write_all(response.body().stderr())?;
    Ok(())
}
