//! The body of a request, and its length: PHP reads exactly as much as CONTENT_LENGTH says.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;

use fcgi_tokio::Body;
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;

use super::args::Source;
use super::exit::Failure;

/// Opens what is to be sent; what is no JSON is refused when it should be.
pub(super) async fn open(source: &Source, is_json: bool) -> Result<Body, Failure> {
    let what = match source {
        Source::Text(_) => "the body".to_owned(),
        Source::File(path) => path.display().to_string(),
        Source::Stdin => "standard input".to_owned(),
    };
    let source = source.clone();
    // Reading a pipe takes as long as whoever writes it.
    let opened = spawn_blocking(move || Opened::new(source)?.checked(is_json)).await;
    match opened.map_err(io::Error::other).and_then(|opened| opened) {
        Ok(opened) => Ok(opened.into_body()),
        Err(error) => Err(Failure::Input { what, error }),
    }
}

/// What is to be sent, at hand and of known length.
enum Opened {
    Memory(Vec<u8>),
    /// From where it stands to its end.
    File(File, u64),
}

impl Opened {
    fn new(source: Source) -> io::Result<Self> {
        match source {
            Source::Text(text) => Ok(Self::Memory(text.into_bytes())),
            Source::File(path) => Self::from_file(File::open(Path::new(&path))?),
            Source::Stdin => Self::from_file(io::stdin().as_fd().try_clone_to_owned()?.into()),
        }
    }

    /// A file on disk is streamed; of a pipe or a terminal the length shows only at its end.
    fn from_file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Self::spool(file);
        }
        // Standard input may have been read in part by somebody else.
        let len = metadata.len().saturating_sub(file.stream_position()?);
        Ok(Self::File(file, len))
    }

    /// Keeps all of it, in memory and then in a temporary file that has no name.
    fn spool(mut reader: impl Read) -> io::Result<Self> {
        let mut memory = Vec::new();
        let len = (&mut reader).take(IN_MEMORY).read_to_end(&mut memory)? as u64;
        if len < IN_MEMORY {
            return Ok(Self::Memory(memory));
        }
        let mut file = tempfile::tempfile()?;
        io::Write::write_all(&mut file, &memory)?;
        let rest = io::copy(&mut reader, &mut file)?;
        file.rewind()?;
        Ok(Self::File(file, len + rest))
    }

    fn checked(mut self, is_json: bool) -> io::Result<Self> {
        if !is_json {
            return Ok(self);
        }
        match &mut self {
            Self::Memory(text) => check_json(text.as_slice())?,
            Self::File(file, len) => {
                let start = file.stream_position()?;
                check_json(BufReader::new(&mut *file).take(*len))?;
                file.seek(SeekFrom::Start(start))?;
            }
        }
        Ok(self)
    }

    fn into_body(self) -> Body {
        match self {
            Self::Memory(data) => data.into(),
            Self::File(file, len) => {
                Body::reader(tokio::fs::File::from_std(file).take(len), Some(len))
            }
        }
    }
}

/// Reads it through without keeping it.
fn check_json(text: impl Read) -> io::Result<()> {
    let checked = serde_json::from_reader::<_, serde::de::IgnoredAny>(text);
    match checked {
        Ok(_) => Ok(()),
        Err(error) if error.is_io() => Err(error.into()),
        Err(error) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is no JSON: {error}")))
        }
    }
}

const IN_MEMORY: u64 = 1024 * 1024;
