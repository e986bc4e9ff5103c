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
    #[serde(deserialize_with = "value::some_texts")]
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
            Err(error) => return Err(unreadable(path, named.is_some(), &error)),
        };
        let mut file = File::parse(&text).map_err(|error| {
            ServeError::Config(format!("{}: {}", path.display(), nearer(&error)))
        })?;
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

fn unreadable(path: &Path, is_named: bool, error: &io::Error) -> ServeError {
    let forbidden = error.kind() == io::ErrorKind::PermissionDenied;
    let advice = match path.parent().filter(|_| forbidden && !is_named) {
        Some(folder) => format!(
            ", where settings may be: the user of this process needs rights to read and enter {}",
            folder.display()
        ),
        None => String::new(),
    };
    ServeError::Config(format!("cannot read {}: {error}{advice}", path.display()))
}

/// Instead of all keys that there are, the one that was meant.
fn nearer(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let Some((before, keys)) = text.split_once(", expected one of ") else { return text };
    let Some((_, unknown)) = error.message().split_once("unknown field `") else { return text };
    let unknown = unknown.split('`').next().unwrap_or_default();
    let likeness = |key: &str| strsim::normalized_damerau_levenshtein(unknown, key);
    let near =
        keys.split('`').skip(1).step_by(2).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match near.filter(|key| likeness(key) > 0.5) {
        Some(key) => format!("{before}; did you mean `{key}`?"),
        None => text,
    }
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
    fn the_key_that_was_meant_is_named() {
        let error = |text: &str| nearer(&File::parse(text).unwrap_err());
        let meant = error("[http]\nmax_body = 1\n");
        assert!(meant.ends_with("did you mean `max-body`?"), "{meant}");
        assert!(error("[upstreem]\n").ends_with("did you mean `upstream`?"));
        assert!(error("[http]\nzzz = 1\n").contains("expected one of"));
    }

    #[test]
    fn values_of_another_kind_are_refused_in_words() {
        for (text, message) in [
            ("[upstream]\ntimeout = \"60s\"", "\"60s\": expected a number of seconds"),
            ("[upstream]\ntimeout = true", "expected a number of seconds"),
            ("[ops]\nworkers = \"two\"", "expected a number of threads"),
            ("[http]\nmax-body = -1", "expected a size such as"),
            ("[upstream]\nmax-connections = 0", "a whole number above 0"),
            ("[upstream]\nfpm = []", "an empty list; leave the key out"),
            ("[site]\nindex = []", "an empty list; leave the key out"),
            ("[http]\nlisten = \":8080\"", "0.0.0.0:8080 for others too"),
        ] {
            let error = File::parse(text).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains("line 2"), "{text}: {error}");
        }
        assert!(File::parse("[upstream]\nsendfile = \"/srv\"\ntimeout = 0.5").is_ok());
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
