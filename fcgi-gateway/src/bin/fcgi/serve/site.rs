//! What is served, and by which rules.

use core::str::FromStr;
use std::path::{Path, PathBuf};

use fcgi_gateway::routing::Rules;
use fcgi_gateway::{Builder, Symlinks};
use fcgi_proto::cgi::PhpSettings;
use serde::Deserialize;

use super::error::ServeError;
use super::value::{self, Entry, FromEntry};

/// Settings of one site: `[site]` in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Site")]
pub(crate) struct SiteArgs {
    /// Document root, the folder that is public [default: guessed]
    #[arg(long, value_name = "DIR", env = "FCGI_ROOT", hide_env_values = true)]
    pub(crate) root: Option<PathBuf>,

    /// Resolve links in the document root's path with every request, for deployments that swap a link
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_name = "BOOL", hide_possible_values = true, hide_short_help = true)]
    pub(crate) resolve_root: Option<bool>,

    /// Links to follow below the document root: owner (of root, or whose owner has what they lead to), always or never
    /// [default: owner]
    #[arg(long, value_name = "WHICH", hide_short_help = true)]
    #[serde(deserialize_with = "value::text")]
    pub(crate) symlinks: Option<Links>,

    /// Name to try in a folder; the first script among them is the front controller. Repeatable
    /// [default: index.php, index.html]
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "value::some_texts")]
    pub(crate) index: Option<Vec<String>>,

    /// What to try for an address, in order: {path}, {path}/, {path}.html, and in the end /a/script or =404. Repeatable
    /// [default: {path}, {path}/, the front controller]
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    #[serde(deserialize_with = "value::some_texts")]
    pub(crate) try_files: Option<Vec<String>>,

    /// Ending of scripts, and where an address is split into script and PATH_INFO. Repeatable [default: .php]
    #[arg(long, value_name = "ENDING", hide_short_help = true)]
    #[serde(deserialize_with = "value::some_texts")]
    pub(crate) split: Option<Vec<String>>,

    /// Variable for PHP (in $_SERVER) in place of what it would be; NAME alone leaves it out. Repeatable
    #[arg(long, value_name = "NAME=VALUE", hide_short_help = true)]
    #[serde(deserialize_with = "value::entries")]
    pub(crate) param: Option<Vec<Change>>,

    /// Setting of php.ini that scripts may change. PHP-FPM keeps it for other sites of its pool. Repeatable
    #[arg(long, value_name = "NAME=VALUE", hide_short_help = true)]
    #[serde(deserialize_with = "value::entries")]
    pub(crate) php_value: Option<Vec<Setting>>,

    /// Setting of php.ini that scripts may not change. Repeatable
    #[arg(long, value_name = "NAME=VALUE", hide_short_help = true)]
    #[serde(deserialize_with = "value::entries")]
    pub(crate) php_admin_value: Option<Vec<Setting>>,

    /// Where PHP sees the document root, when it runs in another container [default: where we see it]
    #[arg(long, value_name = "DIR")]
    pub(crate) fpm_root: Option<PathBuf>,
}

impl SiteArgs {
    /// What is not set here is taken from `fallback`; variables and PHP's settings add up.
    pub(crate) fn or(mut self, mut fallback: Self) -> Self {
        self.param = both(fallback.param.take(), self.param);
        self.php_value = both(fallback.php_value.take(), self.php_value);
        self.php_admin_value = both(fallback.php_admin_value.take(), self.php_admin_value);
        value::or_else!(
            self, fallback: root, resolve_root, symlinks, index, try_files, split, param, php_value, php_admin_value, fpm_root
        )
    }

    /// Paths of a file start from its folder.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        if let Some(root) = &mut self.root {
            *root = folder.join(&root);
        }
    }

    /// `front_controller` is what was found, where no names are set.
    pub(crate) fn apply(
        &self,
        gateway: Builder,
        front_controller: Option<&str>,
    ) -> Result<Builder, ServeError> {
        let mut gateway = gateway
            .rules(self.rules(front_controller)?)
            .follow_root(self.resolve_root.unwrap_or(false))
            .symlinks(self.symlinks.unwrap_or_default().0)
            .php_settings(self.php_settings()?);
        if let Some(root) = &self.fpm_root {
            gateway = gateway.application_root(root);
        }
        for Change { name, value } in self.param.iter().flatten() {
            gateway = match value {
                Some(value) => gateway.param(name, value),
                None => gateway.unset_param(name),
            };
        }
        Ok(gateway)
    }

    fn rules(&self, front_controller: Option<&str>) -> Result<Rules, ServeError> {
        let mut rules = match (&self.index, front_controller) {
            (Some(names), _) => Rules::default().index(names),
            (None, Some(script)) if script != USUAL_INDEX[0] => {
                Rules::default().index([&USUAL_INDEX[..], &[script]].concat())
            }
            (None, _) => Rules::default().index(USUAL_INDEX),
        };
        let said = |error: &dyn core::fmt::Display| ServeError::Site(error.to_string());
        if let Some(endings) = &self.split {
            rules = rules.suffixes(endings).map_err(|error| said(&error))?;
        }
        if let Some(patterns) = &self.try_files {
            rules = rules.try_files(patterns).map_err(|error| said(&error))?;
        }
        Ok(rules)
    }

    /// What is not in the document root, though it is to answer.
    pub(super) fn doubts(&self, root: &Path) -> Vec<String> {
        let is_there = |name: &str| root.join(name.trim_start_matches('/')).exists();
        let mut doubts = Vec::new();
        if let Some(names) =
            self.index.as_ref().filter(|names| !names.iter().any(|name| is_there(name)))
        {
            doubts.push(format!(
                "{} has none of the index names {}",
                root.display(),
                names.join(", ")
            ));
        }
        let scripts = self.try_files.iter().flatten().filter_map(|pattern| {
            // Before a query and without variables it is a path.
            let path = pattern.split('?').next()?;
            (path.starts_with('/') && !path.contains(['{', '$'])).then_some(path)
        });
        for script in scripts.filter(|script| !is_there(script)) {
            doubts.push(format!("{} has no {script}, which try-files ends with", root.display()));
        }
        doubts
    }

    fn php_settings(&self) -> Result<PhpSettings, ServeError> {
        let mut settings = PhpSettings::new();
        let said = |name: &str, error| ServeError::Site(format!("php setting {name:?}: {error}"));
        for Setting { name, value } in self.php_value.iter().flatten() {
            settings = settings.value(name, value).map_err(|error| said(name, error))?;
        }
        for Setting { name, value } in self.php_admin_value.iter().flatten() {
            settings = settings.admin_value(name, value).map_err(|error| said(name, error))?;
        }
        Ok(settings)
    }
}

const USUAL_INDEX: [&str; 2] = ["index.php", "index.html"];

fn both<T>(first: Option<Vec<T>>, second: Option<Vec<T>>) -> Option<Vec<T>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.into_iter().chain(second).collect()),
        (first, second) => first.or(second),
    }
}

/// Which links are followed, by its name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Links(Symlinks);

impl FromStr for Links {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "owner" => Ok(Self(Symlinks::OwnerMatch)),
            "always" => Ok(Self(Symlinks::Always)),
            "never" => Ok(Self(Symlinks::Never)),
            _ => Err("expected owner, always or never"),
        }
    }
}

/// A variable with another value, or without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    name: String,
    value: Option<String>,
}

impl Change {
    fn new(name: &str, value: Option<String>) -> Result<Self, String> {
        if name == "CONTENT_LENGTH" {
            return Err("CONTENT_LENGTH is the length of the body and cannot be another".to_owned());
        }
        let is_name_byte = |byte: u8| byte.is_ascii_graphic() && byte != b'=';
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(format!(
                "{name:?} is no name of a variable; expected NAME=VALUE, or NAME to leave it out"
            ));
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) => Self::new(name, Some(value.to_owned())),
            None => Self::new(text, None),
        }
    }
}

impl FromEntry for Change {
    fn from_entry(name: &str, value: Entry) -> Result<Self, String> {
        match value {
            Entry::Bool(false) => Self::new(name, None),
            value => Self::new(name, Some(value.to_string())),
        }
    }
}

/// A setting of php.ini.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    name: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
        Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

impl FromEntry for Setting {
    fn from_entry(name: &str, value: Entry) -> Result<Self, String> {
        Ok(Self { name: name.to_owned(), value: value.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        let change = |name: &str, value: Option<&str>| {
            Ok(Change { name: name.to_owned(), value: value.map(str::to_owned) })
        };
        assert_eq!("A=b=c".parse::<Change>(), change("A", Some("b=c")));
        assert_eq!("A=".parse::<Change>(), change("A", Some("")));
        assert_eq!("A".parse::<Change>(), change("A", None));
        for text in ["", "=x", "A B=x", "CONTENT_LENGTH=1", "CONTENT_LENGTH"] {
            assert!(text.parse::<Change>().is_err(), "{text}");
        }
    }

    #[test]
    fn those_nearer_come_last_and_so_count() {
        let site = |text: &str| SiteArgs {
            param: Some(vec![text.parse().unwrap()]),
            ..SiteArgs::default()
        };
        let both = site("A=flag").or(site("A=file")).param.unwrap();
        assert_eq!(both, ["A=file".parse().unwrap(), "A=flag".parse().unwrap()]);
        assert_eq!(SiteArgs::default().or(site("A=file")).param.unwrap().len(), 1);
    }

    #[test]
    fn what_php_could_not_read_is_refused() {
        for text in ["a b=1", "x=1\n2"] {
            let site =
                SiteArgs { php_value: Some(vec![text.parse().unwrap()]), ..SiteArgs::default() };
            assert!(site.php_settings().is_err(), "{text}");
        }
        assert!("novalue".parse::<Setting>().is_err());
    }
}
