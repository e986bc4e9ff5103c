//! The file `fcgi.toml`: the same settings as the flags, in one table for each group, and further sites by their hosts.
#![doc = concat!("```toml\n", include_str!("../../../../docs/fcgi.example.toml"), "\n```")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{HttpArgs, OpsArgs, ServeError, Settings, SiteArgs, UpstreamArgs, value};

/// What a file may say. Unknown keys are refused, with their line.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    site: SiteArgs,
    http: HttpArgs,
    upstream: UpstreamArgs,
    ops: OpsArgs,
    host: Vec<Host>,
}

/// A site that answers for some hosts only: `[[host]]` in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Host {
    #[serde(deserialize_with = "value::texts")]
    pub(super) names: Option<Vec<String>>,
    /// The project, whose public folder is guessed.
    pub(super) folder: Option<PathBuf>,
    pub(super) site: SiteArgs,
    pub(super) upstream: UpstreamArgs,
}

/// Everything that was said, on the command line and in the file.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) settings: Settings,
    pub(super) hosts: Vec<Host>,
    /// Whether somebody said what hosts without a site of their own get.
    pub(super) has_default: bool,
    /// The file, if there is one.
    pub(super) path: Option<PathBuf>,
}

impl Config {
    /// Reads the file named, else the one in the site's folder if it is there. What `flags` say goes before it.
    pub(super) fn load(
        flags: Settings,
        named: Option<&Path>,
        folder: Option<&Path>,
    ) -> Result<Self, ServeError> {
        let usual = folder.unwrap_or(Path::new(".")).join(NAME);
        let path = named.unwrap_or(&usual);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && is_missing(&error) => {
                return Ok(Self {
                    settings: flags,
                    hosts: Vec::new(),
                    has_default: true,
                    path: None,
                });
            }
            Err(error) => {
                let path = path.display();
                return Err(ServeError::Config(format!("cannot read {path}: {error}")));
            }
        };
        let mut file = File::parse(&text)
            .map_err(|error| ServeError::Config(format!("{}: {error}", path.display())))?;
        file.relative_to(path.parent().unwrap_or(Path::new("")));
        let File { site, http, upstream, ops, host: hosts } = file;
        let has_default = hosts.is_empty()
            || folder.is_some()
            || site.root.is_some()
            || flags.site.root.is_some();
        let settings = flags.or(Settings { site, http, upstream, ops });
        Ok(Self { settings, hosts, has_default, path: Some(path.to_owned()) })
    }
}

/// How the file is called.
pub(super) const NAME: &str = "fcgi.toml";

impl File {
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    fn relative_to(&mut self, folder: &Path) {
        self.site.relative_to(folder);
        self.upstream.relative_to(folder);
        self.ops.relative_to(folder);
        for host in &mut self.host {
            host.site.relative_to(folder);
            host.upstream.relative_to(folder);
            if let Some(project) = &mut host.folder {
                *project = folder.join(&project);
            }
        }
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
        for text in [
            "[http]\nlisten = \"127.0.0.1:1\"\nlistn = 2\n",
            "[[host]]\nnames = \"a.org\"\nroot = \"/x\"\n",
            "[site]\n\nroots = \"/x\"\n",
        ] {
            let error = File::parse(text).unwrap_err().to_string();
            assert!(error.contains("line 3") && error.contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn values_are_checked_as_those_of_flags() {
        for text in [
            "[upstream]\nfpm = \"nonsense\"",
            "[upstream]\ntimeout = -1",
            "[site]\nparam = [\"CONTENT_LENGTH=1\"]",
            "[site]\nresolve-root = \"perhaps\"",
            "[ops]\nworkers = 0",
        ] {
            let error = File::parse(text).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{text}: {error}");
        }
    }

    /// Every key of every group is in it, so that nothing is settable and undocumented.
    #[test]
    fn the_documented_example_is_read_and_complete() {
        let text = include_str!("../../../../docs/fcgi.example.toml");
        File::parse(text).unwrap();
        // The same with what is only shown, behind `#`, taken as said.
        let said: String = text
            .lines()
            .map(|line| {
                line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line)
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let file = File::parse(&said).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(file.host.len(), 2);
        let args = <super::super::ServeArgs as clap::Args>::augment_args(clap::Command::new("x"));
        for flag in args.get_arguments().filter_map(clap::Arg::get_long) {
            let is_key = said.lines().any(|line| {
                line.strip_prefix(flag).is_some_and(|rest| rest.trim_start().starts_with('='))
                    || line.strip_prefix("[site.").is_some_and(|rest| rest.starts_with(flag))
            });
            assert!(
                is_key || ["config", "check-config"].contains(&flag),
                "{flag} is not in the example"
            );
        }
    }
}
