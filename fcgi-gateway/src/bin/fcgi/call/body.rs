//! The body of a request, and its length: PHP reads exactly as much as CONTENT_LENGTH says.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;

use fcgi_tokio::Body;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::args::Source;
use super::exit::Failure;

pub(super) async fn open(source: &Source) -> Result<Body, Failure> {
    let (what, file) = match source {
        Source::Text(text) => return Ok(text.clone().into()),
        Source::File(path) => (path.display().to_string(), File::open(path)),
        Source::Stdin => {
            let descriptor = io::stdin().as_fd().try_clone_to_owned();
            ("standard input".to_owned(), descriptor.map(File::from))
        }
    };
    let body = match file {
        Ok(file) => from_file(file).await,
        Err(error) => Err(error),
    };
    body.map_err(|error| Failure::Input { what, error })
}

/// A file on disk is streamed; of a pipe or a terminal the length shows only at its end.
async fn from_file(mut file: File) -> io::Result<Body> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return spool(tokio::fs::File::from_std(file)).await;
    }
    // Standard input may have been read in part by somebody else.
    let len = metadata.len().saturating_sub(file.stream_position()?);
    Ok(Body::reader(tokio::fs::File::from_std(file).take(len), Some(len)))
}

/// Keeps all of it, in memory and then in a temporary file that has no name.
async fn spool(mut reader: impl AsyncRead + Unpin + Send) -> io::Result<Body> {
    let mut memory = Vec::new();
    (&mut reader).take(IN_MEMORY).read_to_end(&mut memory).await?;
    let len = memory.len() as u64;
    if len < IN_MEMORY {
        return Ok(memory.into());
    }
    let mut file = tokio::fs::File::from_std(tempfile::tempfile()?);
    file.write_all(&memory).await?;
    let rest = tokio::io::copy(&mut reader, &mut file).await?;
    file.rewind().await?;
    Ok(Body::reader(file, Some(len + rest)))
}

const IN_MEMORY: u64 = 1024 * 1024;
