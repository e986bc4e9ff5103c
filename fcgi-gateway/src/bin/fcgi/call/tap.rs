//! `--trace`: a relay between the client and the application that tells of every record.

use core::time::Duration;
use std::io;

use fcgi_proto::trace::Trace;
use fcgi_tokio::{Address, Error, Phase, Timeouts};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::exit::Failure;

/// A socket in front of the application, for one connection.
#[derive(Debug)]
pub(super) struct Tap {
    address: Address,
    task: JoinHandle<io::Result<()>>,
    _folder: TempDir,
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl Tap {
    /// Connects first, so that a failure is that of the application and not of the relay.
    pub(super) async fn start(address: &Address, timeouts: Timeouts) -> Result<Self, Failure> {
        let application = connect(address, timeouts.connect()).await?;
        let folder = tempfile::Builder::new().prefix("fcgi-").tempdir().map_err(Failure::Output)?;
        let path = folder.path().join("tap.sock");
        let listener = UnixListener::bind(&path).map_err(Failure::Output)?;
        let task = tokio::spawn(async move {
            let (client, _) = listener.accept().await?;
            relay(client, application).await
        });
        let path = path.to_string_lossy().into_owned();
        Ok(Self { address: Address::unix(path), task, _folder: folder })
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for the last records, which may come behind the answer.
    pub(super) async fn finish(self) {
        let _ = self.task.await;
    }
}

async fn connect(address: &Address, limit: Option<Duration>) -> Result<Box<dyn Socket>, Failure> {
    let connected = async {
        Ok::<Box<dyn Socket>, io::Error>(match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    };
    let limit = limit.unwrap_or(Duration::MAX);
    match tokio::time::timeout(limit, connected).await {
        Ok(result) => result.map_err(|error| Error::connect(address, error).into()),
        Err(_) => Err(Error::timeout(Phase::Connect, limit).to(address).into()),
    }
}

async fn relay(client: UnixStream, application: Box<dyn Socket>) -> io::Result<()> {
    let (from_client, to_client) = split(client);
    let (from_application, to_application) = split(application);
    tokio::select! {
        // The end of the answer is the end of everything; the client only closes after it.
        result = pass(from_application, to_client, '<') => result,
        result = pass(from_client, to_application, '>') => result,
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    sign: char,
) -> io::Result<()> {
    let mut trace = Trace::new();
    let mut buf = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buf).await?;
        let (data, _) = buf.split_at(count);
        trace.feed(data, |line| eprintln!("{sign} {line}"));
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(data).await?;
    }
}
