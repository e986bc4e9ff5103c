//! What is served, and by which rules.

use std::path::{Path, PathBuf};

use fcgi_gateway::Builder;
use fcgi_gateway::routing::Rules;
use serde::Deserialize;

use super::value;

/// Settings of one site: `[site]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Site")]
pub(crate) struct SiteArgs {
    /// Document root, the folder that is public [default: guessed]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Name to try in a folder; the first script among them is the front controller
    ///
    /// May be given several times. Default: index.php, then index.html.
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "value::texts")]
    pub(crate) index: Option<Vec<String>>,
}

impl SiteArgs {
    /// What is not set here is taken from `fallback`.
    pub(crate) fn or(self, fallback: Self) -> Self {
        value::or_else!(self, fallback: root, index)
    }

    /// Paths of a file start from its folder.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        if let Some(root) = &mut self.root {
            *root = folder.join(&root);
        }
    }

    pub(crate) fn apply(&self, gateway: Builder) -> Builder {
        match &self.index {
            Some(names) => gateway.rules(Rules::default().index(names)),
            None => gateway,
        }
    }
}
