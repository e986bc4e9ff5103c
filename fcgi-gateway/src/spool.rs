//! Request bodies of unknown length: kept in memory, then in a temporary file, until their length is known.
//!
//! A FastCGI application reads exactly CONTENT_LENGTH bytes, so a chunked body cannot be passed on
//! as it arrives: PHP would see no body at all, or wait for one that has ended.

use core::pin::pin;
use std::io::{Seek, SeekFrom, Write};

use bytes::Bytes;
use fcgi_proto::{Spool, SpoolConfig};
use http_body_util::BodyExt;

use crate::BoxError;
use crate::memory::{Memory, Reserved};

/// A body that has arrived in full.
#[derive(Debug)]
pub(crate) enum Spooled {
    /// In memory.
    Memory(Bytes),
    /// In an unnamed temporary file, positioned at its start, with its length.
    File(tokio::fs::File, u64),
}

/// Why a body was not taken.
#[derive(Debug)]
pub(crate) enum SpoolError {
    /// It is longer than the limit.
    TooLarge,
    /// The client broke off, or what it sent is not a body.
    Body(BoxError),
    /// The temporary file failed.
    File(std::io::Error),
}

/// Reads `body` to its end. Up to `in_memory` bytes stay in memory, and no more than there is: what is `reserved` already,
/// and then more of `memory`. The rest goes to a temporary file; more than `limit` are refused as soon as they are seen.
pub(crate) async fn spool<B>(
    body: B,
    in_memory: usize,
    limit: u64,
    memory: &Memory,
    mut reserved: Reserved,
) -> Result<Spooled, SpoolError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut spool = Spool::new(SpoolConfig::default().max_memory(in_memory).max_body(limit));
    let (mut file, mut received) = (None, 0_usize);
    while let Some(frame) =
        body.frame().await.transpose().map_err(|error| SpoolError::Body(error.into()))?
    {
        // Trailers have no place in CGI.
        let Ok(data) = frame.into_data() else { continue };
        received = received.saturating_add(data.len());
        if !reserved.grow_to(received.min(in_memory), memory) {
            spool.limit_memory(0);
        }
        if let Some(data) = spool.push(&data).map_err(|_| SpoolError::TooLarge)? {
            file = Some(append(file, data).await.map_err(SpoolError::File)?);
        }
    }
    match spool.finish() {
        fcgi_proto::Spooled::Memory(data) => Ok(Spooled::Memory(reserved.keep(data))),
        fcgi_proto::Spooled::File { rest, len } => {
            let file = append(file, rest).await.map_err(SpoolError::File)?;
            let file = rewind(file).await.map_err(SpoolError::File)?;
            Ok(Spooled::File(tokio::fs::File::from_std(file), len))
        }
    }
}

/// Writes off the async threads: the disk may be slow, and the file large.
async fn append(file: Option<std::fs::File>, data: Bytes) -> std::io::Result<std::fs::File> {
    blocking(move || {
        let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
        file.write_all(&data)?;
        Ok(file)
    })
    .await
}

async fn rewind(mut file: std::fs::File) -> std::io::Result<std::fs::File> {
    blocking(move || file.seek(SeekFrom::Start(0)).map(|_| file)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use tokio::io::AsyncReadExt;

    async fn spool_of(length: usize) -> Result<Spooled, SpoolError> {
        let memory = Memory::new(1 << 20);
        spool_in(&memory, length, 100, 1000).await
    }

    async fn spool_in(
        memory: &Memory,
        length: usize,
        in_memory: usize,
        limit: u64,
    ) -> Result<Spooled, SpoolError> {
        let body = Full::new(Bytes::from(vec![7; length]));
        spool(body, in_memory, limit, memory, Reserved::EMPTY).await
    }

    #[tokio::test]
    async fn all_of_them_share_the_memory() {
        let memory = Memory::new(100 * 1024);
        let spool = async |length| spool_in(&memory, length, usize::MAX, u64::MAX).await.unwrap();
        let first = spool(60_000).await;
        assert!(matches!(first, Spooled::Memory(_)));
        // What finds no room goes to a file, and takes none of it.
        assert!(matches!(spool(60_000).await, Spooled::File(_, 60_000)));
        let second = spool(30_000).await;
        assert!(matches!(second, Spooled::Memory(_)));
        assert!(matches!(spool(30_000).await, Spooled::File(_, 30_000)));
        drop((first, second));
        assert!(matches!(spool(100_000).await, Spooled::Memory(_)));
    }

    #[tokio::test]
    async fn small_bodies_stay_in_memory() {
        for length in [0, 1, 100] {
            let spooled = spool_of(length).await.unwrap();
            assert!(
                matches!(&spooled, Spooled::Memory(data) if data.len() == length),
                "{spooled:?}"
            );
        }
    }

    #[tokio::test]
    async fn larger_ones_go_to_a_file() {
        for length in [101, 1000] {
            let Spooled::File(mut file, found) = spool_of(length).await.unwrap() else {
                panic!("{length} bytes stayed in memory");
            };
            let mut read = Vec::new();
            file.read_to_end(&mut read).await.unwrap();
            assert_eq!((found, read), (length as u64, vec![7; length]));
        }
    }

    #[tokio::test]
    async fn the_limit_is_kept() {
        assert!(matches!(spool_of(1001).await, Err(SpoolError::TooLarge)));
    }
}
