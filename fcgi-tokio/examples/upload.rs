//! Uploads a file as a form does: `cargo run -p fcgi-tokio --example upload -- ADDRESS /srv/upload.php photo.jpg title=Sea`.
//!
//! The file is in `$_FILES["file"]` of the script, the fields are in `$_POST`. It is read while it is sent, however large
//! it is. `-` uploads what comes from standard input, whose length is not known: it is collected before it is sent, in
//! memory and then in a temporary file.

use std::path::Path;
use std::process::ExitCode;

use fcgi_tokio::{Body, Client, Multipart, Request};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("upload: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(script), Some(file)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: upload ADDRESS SCRIPT FILE|- [NAME=VALUE]...".into());
    };
    let body = match file.as_str() {
        "-" => Body::reader(tokio::io::stdin(), None),
        path => Body::open(path).await.map_err(|error| format!("cannot open {path}: {error}"))?,
    };
    let name = Path::new(&file).file_name().unwrap_or_default();
    let mut form = Multipart::new().file("file", name.as_encoded_bytes(), body);
    for field in arguments {
        let (name, value) = field.split_once('=').unwrap_or((&field, ""));
        form = form.text(name, value);
    }
    let client = Client::new(address.parse()?);
    let answer = client.call(Request::post(script).multipart(form)).await?;
    println!("{}", String::from_utf8_lossy(answer.body()));
    Ok(())
}
