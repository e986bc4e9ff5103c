//! What operators see: metrics, the access log, the developer's page.

use core::num::NonZeroUsize;
use std::io;

use fcgi_gateway::Builder;
use serde::Deserialize;
use tokio::runtime::{self, Runtime};

use super::value;

/// Settings of running it: `[ops]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Operations")]
pub(crate) struct OpsArgs {
    /// Threads of the server itself; PHP has its own processes [default: one per core]
    #[arg(long, value_name = "THREADS")]
    pub(crate) workers: Option<NonZeroUsize>,
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
        match self.workers.map(NonZeroUsize::get) {
            // One thread needs no scheduler that moves tasks between threads.
            Some(1) => runtime::Builder::new_current_thread().enable_all().build(),
            Some(threads) => {
                runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
            }
            None => runtime::Builder::new_multi_thread().enable_all().build(),
        }
    }
}
