//! The file `fcgi.toml`: the same settings as the flags, in one table for each group.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{HttpArgs, OpsArgs, ServeError, Settings, SiteArgs, UpstreamArgs};

/// What a file may say. Unknown keys are refused, with their line.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    site: SiteArgs,
    http: HttpArgs,
    upstream: UpstreamArgs,
    ops: OpsArgs,
}

impl File {
    /// The file named, else the one in the site's folder, else nothing.
    pub(super) fn load(named: Option<&Path>, folder: &Path) -> Result<Self, ServeError> {
        let usual = folder.join("fcgi.toml");
        let path = named.unwrap_or(&usual);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && is_missing(&error) => return Ok(Self::default()),
            Err(error) => {
                let path = path.display();
                return Err(ServeError::Config(format!("cannot read {path}: {error}")));
            }
        };
        let mut file = Self::parse(&text)
            .map_err(|error| ServeError::Config(format!("{}: {error}", path.display())))?;
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        file.site.relative_to(&folder);
        Ok(file)
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    pub(super) fn into_settings(self) -> Settings {
        let Self { site, http, upstream, ops } = self;
        Settings { site, http, upstream, ops }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = File::parse("[http]\nlisten = \"127.0.0.1:1\"\nlistn = 2\n").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("line 3") && error.contains("listn"), "{error}");
    }

    #[test]
    fn values_are_checked_as_those_of_flags() {
        for text in ["[upstream]\nfpm = \"nonsense\"", "[upstream]\ntimeout = -1"] {
            let error = File::parse(text).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{error}");
        }
    }
}
