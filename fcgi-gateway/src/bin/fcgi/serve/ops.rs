//! What operators see: metrics, the access log, the developer's page.

use core::str::FromStr;
use std::io;

use fcgi_gateway::Builder;
use serde::{Deserialize, Deserializer, de};
use tokio::runtime::{self, Runtime};

use super::value;

/// Settings of running it: `[ops]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Operations")]
pub(crate) struct OpsArgs {
    /// Threads of the server itself, at most 256; PHP has its own processes [default: one per core]
    #[arg(long, value_name = "THREADS")]
    pub(crate) workers: Option<Threads>,
}

impl OpsArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(self, fallback: workers)
    }

    pub(crate) fn apply(&self, gateway: Builder) -> Builder {
        gateway
    }

    /// The runtime that `workers` asks for.
    pub(crate) fn runtime(&self) -> io::Result<Runtime> {
        match self.workers.map(|Threads(threads)| threads) {
            // One thread needs no scheduler that moves tasks between threads.
            Some(1) => runtime::Builder::new_current_thread().enable_all().build(),
            Some(threads) => {
                runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
            }
            None => runtime::Builder::new_multi_thread().enable_all().build(),
        }
    }
}

/// A number of threads that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threads(usize);

impl Threads {
    /// More than any machine has use for: the work of a gateway is small, and each thread takes memory.
    const MOST: usize = 256;
}

impl TryFrom<usize> for Threads {
    type Error = String;

    fn try_from(threads: usize) -> Result<Self, String> {
        match threads {
            1..=Self::MOST => Ok(Self(threads)),
            _ => Err(format!("expected a number of threads from 1 to {}", Self::MOST)),
        }
    }
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What is no number at all is out of range too.
        Self::try_from(text.parse().unwrap_or(0))
    }
}

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(usize::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
