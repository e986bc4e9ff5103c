//! `fcgi demo`: a FastCGI application behind a gateway, to see in a browser what passes between them.

mod app;
mod form;
mod multipart;
mod page;
mod record;
mod sha256;

use core::fmt;
use core::time::Duration;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use fcgi_gateway::Gateway;
use fcgi_gateway::server::{Config, Server};
use fcgi_tokio::Address;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use app::App;
use record::{Book, Recorder};

/// Show FastCGI at work, in a browser and without PHP
///
/// Starts a small FastCGI application on a Unix socket and a gateway in front of it. Its page shows the request as the
/// application got it, takes forms and files, streams, and lists the records that were exchanged.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Stop it with Ctrl-C or SIGTERM.")]
pub(crate) struct DemoArgs {
    /// Where to listen for HTTP; port 0 takes a free one [default: 127.0.0.1:8000, or a free port]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

pub(crate) fn main(args: DemoArgs) -> Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(DemoError::System)?.block_on(run(args))
}

async fn run(args: DemoArgs) -> Result<(), DemoError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DemoError::System)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DemoError::System)?;
    let server = listen(args.listen).await?.config(Config::default().drain_time(DRAIN_TIME));
    let (folder, application) = application().map_err(DemoError::System)?;
    let gateway = gateway(folder.path())?;
    let (stop, stopped) = oneshot::channel::<()>();
    let local = server.local_addr().map_err(DemoError::System)?;
    let running = server.run(gateway, async { drop(stopped.await) });
    announce(&local.to_string());
    let signalled = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let _ = stop.send(());
        // What ends is the server, once it has drained.
        core::future::pending::<()>().await;
    };
    tokio::select! {
        () = running => {}
        () = signalled => {}
        () = serve(application) => {}
    }
    // Here, so that a failure is told.
    folder.close().map_err(DemoError::System)
}

async fn listen(address: Option<String>) -> Result<Server, DemoError> {
    let Some(address) = address else {
        // Nobody asked for this port, so another does as well.
        return match Server::bind(DEFAULT).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => bind(ANY_PORT).await,
            Ok(server) => Ok(server),
            Err(_) => bind(ANY_PORT).await,
        };
    };
    bind(&address).await
}

async fn bind(address: &str) -> Result<Server, DemoError> {
    let error = |source| DemoError::Listen { address: address.to_owned(), source };
    Server::bind(address).await.map_err(error)
}

/// A listening socket in a folder that only we may enter.
fn application() -> io::Result<(TempDir, UnixListener)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("fcgi-demo-");
    // The path of a socket has at most 107 bytes, which leaves no room for a very long temporary folder.
    let folder = if std::env::temp_dir().as_os_str().len() <= LONGEST_FOLDER {
        builder.tempdir()?
    } else {
        builder.tempdir_in("/tmp")?
    };
    let listener = UnixListener::bind(folder.path().join(SOCKET))?;
    Ok((folder, listener))
}

fn gateway(folder: &Path) -> Result<Gateway, DemoError> {
    let address = Address::unix(folder.join(SOCKET).to_string_lossy());
    let gateway = Gateway::to_application(address).build();
    gateway.map_err(|error| DemoError::System(io::Error::other(error)))
}

/// Serves the application: each connection with a recorder around it.
async fn serve(listener: UnixListener) {
    let book = Arc::new(Book::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let recorder = Recorder::new(stream, Arc::clone(&book));
                    let app = App::new(Arc::clone(&book), recorder.current());
                    connections.spawn(app.into_server().serve_connection(recorder));
                }
                Err(error) => {
                    tracing::error!(%error, "the demo application cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The address first and alone on its line, for programs; then what a person wants to know.
fn announce(local: &str) {
    let mut stdout = io::stdout().lock();
    // Whoever started us may have closed our output; that is no reason not to serve.
    let _ = writeln!(stdout, "http://{local}/");
    let _ =
        writeln!(stdout, "A FastCGI application behind a gateway; open the address in a browser.");
    let _ = writeln!(stdout, "Ctrl-C stops both.");
    let _ = stdout.flush();
}

const DEFAULT: &str = "127.0.0.1:8000";
const ANY_PORT: &str = "127.0.0.1:0";
const SOCKET: &str = "app.sock";
const LONGEST_FOLDER: usize = 60;
/// Streams are short; whoever stops the demo does not want to wait for more.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Why the demo ended before its time.
#[derive(Debug)]
pub(crate) enum DemoError {
    Listen { address: String, source: io::Error },
    System(io::Error),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}")?;
                if source.kind() == io::ErrorKind::AddrInUse {
                    f.write_str("; port 0 takes a free one")?;
                }
                Ok(())
            }
            Self::System(error) => write!(f, "the demo cannot run: {error}"),
        }
    }
}
