//! `fcgi call`: one request to a FastCGI application.

mod args;
mod body;
mod exit;
mod output;
mod tap;

use core::time::Duration;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use fcgi_tokio::{Client, Request};

pub(crate) use args::CallArgs;
use args::Content;
use exit::Failure;
use tap::Tap;

pub(crate) fn main(args: CallArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Failure::Output).and_then(|runtime| {
        let result = runtime.block_on(run(args));
        // A thread that still waits for standard input must not keep us.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(args: CallArgs) -> Result<(), Failure> {
    let began = Instant::now();
    let request = within(args.timeout, request(&args)).await?;
    let left = match args.timeout {
        Duration::ZERO => Duration::ZERO,
        limit => limit.saturating_sub(began.elapsed()).max(SHORTEST),
    };
    let timeouts = args.timeouts(left);
    let script = request.params().get("SCRIPT_FILENAME").map(Vec::from).unwrap_or_default();
    let tap = if args.trace { Some(Tap::start(&args.address, timeouts).await?) } else { None };
    let address = tap.as_ref().map_or(&args.address, Tap::address).clone();
    let client = Client::new(address).timeouts(timeouts);
    let answer = async {
        let response = client.execute(request).await?;
        output::copy(response, args.include).await
    };
    let status = match answer.await {
        Ok(status) => status,
        Err(failure) => return Err(failure.named(&args.address, &script)),
    };
    if let Some(tap) = tap {
        tap.finish().await;
    }
    match status {
        400.. => Err(Failure::status(status).named(&args.address, &script)),
        _ => Ok(()),
    }
}

/// Zero means no limit, so what is left of one is never zero.
const SHORTEST: Duration = Duration::from_millis(1);

/// Reading what is to be sent counts as well: whoever writes a pipe may never end.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    if limit.is_zero() {
        return work.await;
    }
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Slow(limit)),
    }
}

async fn request(args: &CallArgs) -> Result<Request, Failure> {
    let script = absolute(&args.script)?;
    let content = args.content();
    let method = args.method.as_deref().unwrap_or(if content.is_body() { "POST" } else { "GET" });
    let mut request = Request::new(method, script);
    request = match content {
        Content::None => request,
        Content::Query(fields) => request.query(pairs(fields)),
        Content::Form(fields) => request.form(pairs(fields)),
        Content::Data(source) => request
            .content_type("application/x-www-form-urlencoded")
            .body(body::open(source, false).await?),
        Content::Json(source) => request
            .content_type("application/json")
            .header("Accept", "application/json")
            .body(body::open(source, true).await?),
    };
    for (name, value) in &args.headers {
        request = request.header(name, value);
    }
    for (name, value) in &args.params {
        request = request.param(name, value);
    }
    Ok(request)
}

fn pairs(fields: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The path without `..`, which php-fpm refuses. Where it exists here the real path is meant, links followed; in a container
/// or on another host only the names can be taken.
fn without_parents(path: &Path) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path.to_owned();
    }
    path.canonicalize().unwrap_or_else(|_| {
        let mut clean = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => drop(clean.pop()),
                part => clean.push(part),
            }
        }
        clean
    })
}

/// The script as the application needs it. What follows `?` is the query and no part of the path.
fn absolute(script: &str) -> Result<Vec<u8>, Failure> {
    let (path, query) = match script.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (script, None),
    };
    let path = std::path::absolute(Path::new(path)).map_err(|error| Failure::Input {
        what: format!("the path of the script {path:?}"),
        error,
    })?;
    let mut script = without_parents(&path).into_os_string().into_encoded_bytes();
    if let Some(query) = query {
        script.push(b'?');
        script.extend_from_slice(query.as_bytes());
    }
    Ok(script)
}
