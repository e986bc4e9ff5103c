//! Which sites there will be: the settings, with the guesses for what they leave open.

use core::fmt;
use std::path::{Path, PathBuf};

use fcgi_gateway::{Builder, Gateway};
use fcgi_tokio::Address;

use super::config::{Config, Host};
use super::guess::{self, Root};
use super::ops::Ops;
use super::php::Choice;
use super::{ServeError, Settings};

/// One site to be.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Its hosts; empty for the one that gets all others.
    pub(super) names: Vec<String>,
    /// The document root; absolute, links not resolved.
    pub(super) root: PathBuf,
    /// Why it is this one, when it was guessed.
    reason: Option<String>,
    front_controller: Option<&'static str>,
    settings: Settings,
}

/// Who runs PHP for a site. Sites that want the same share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Given(Vec<Address>),
    Found(Choice, PathBuf),
}

/// The sites of a configuration, the one for all other hosts first.
pub(super) fn sites(config: &Config, folder: Option<&Path>) -> Result<Vec<Site>, ServeError> {
    let mut sites = Vec::new();
    if config.has_default {
        let folder = folder.map_or_else(|| config_folder(config), Path::to_owned);
        sites.push(Site::new(Vec::new(), config.settings.clone(), &folder)?);
    }
    for host in &config.hosts {
        sites.push(named(host, &config.settings)?);
    }
    Ok(sites)
}

/// Without a folder it is that of the file, as the file says where its site is; else the current one.
fn config_folder(config: &Config) -> PathBuf {
    let folder = config.path.as_deref().and_then(Path::parent);
    folder.filter(|folder| *folder != Path::new("")).unwrap_or(Path::new(".")).to_owned()
}

fn named(host: &Host, common: &Settings) -> Result<Site, ServeError> {
    let names = host.names.clone().unwrap_or_default();
    if names.is_empty() {
        return Err(ServeError::Config("a [[host]] has no names".to_owned()));
    }
    let mut settings = common.clone();
    if host.folder.is_some() {
        if host.site.root.is_some() {
            return Err(ServeError::Config(format!(
                "the [[host]] {} has a folder, whose public folder is guessed, and a site.root, which is that folder: say one",
                names.join(", ")
            )));
        }
        settings.site.root = None;
    }
    settings.site = host.site.clone().or(settings.site);
    settings.upstream = host.upstream.clone().or(settings.upstream);
    let folder = host.folder.clone().or_else(|| settings.site.root.clone());
    let Some(folder) = folder else {
        return Err(ServeError::Config(format!(
            "the [[host]] {} has neither a folder nor a site.root",
            names.join(", ")
        )));
    };
    Site::new(names, settings, &folder)
}

impl Site {
    fn new(names: Vec<String>, settings: Settings, folder: &Path) -> Result<Self, ServeError> {
        let (root, reason) = match &settings.site.root {
            Some(root) => (root.clone(), None),
            None => {
                check_folder(folder)?;
                let Root { path, reason } = guess::root(folder);
                (path, Some(reason))
            }
        };
        check_folder(&root)?;
        let root = std::path::absolute(&root).map_err(ServeError::Runtime)?;
        let front_controller = guess::front_controller(&root);
        Ok(Self { names, root, reason, front_controller, settings })
    }

    /// What of the settings is possible and yet hardly meant.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = self.settings.site.doubts(&self.root);
        doubts.append(&mut self.settings.upstream.doubts());
        let project = guess::project_in(&self.root);
        if !project.is_empty() {
            doubts.push(format!(
                "{} in {}: the whole project is public, so that anybody can fetch its files and run its scripts; --root says \
                 which folder is to be",
                project.join(" and "),
                self.root.display()
            ));
        }
        doubts
    }

    pub(super) fn wanted(&self) -> Wanted {
        match &self.settings.upstream.fpm {
            Some(addresses) => Wanted::Given(addresses.clone()),
            None => {
                let choice = self.settings.upstream.php.clone().unwrap_or_default();
                Wanted::Found(choice, self.root.clone())
            }
        }
    }

    /// Whether to ask a PHP that the settings name if it sees the site.
    pub(super) fn is_probed(&self) -> bool {
        self.settings.upstream.probe.unwrap_or(true)
    }

    /// The document root as PHP sees it. Links are resolved, unless that is another machine's matter.
    pub(super) fn root_for_php(&self) -> PathBuf {
        match &self.settings.site.fpm_root {
            Some(root) => root.clone(),
            None => self.root.canonicalize().unwrap_or_else(|_| self.root.clone()),
        }
    }

    pub(super) fn gateway(&self, php: &[Address], ops: &Ops) -> Result<Gateway, ServeError> {
        let gateway = php.iter().cloned().fold(Gateway::builder(&self.root), Builder::fpm);
        let gateway = ops.apply(self.apply(gateway)?);
        gateway.build().map_err(|error| ServeError::Site(error.to_string()))
    }

    fn apply(&self, gateway: Builder) -> Result<Builder, ServeError> {
        let Settings { site, http, upstream, ops } = &self.settings;
        let gateway = site.apply(gateway, self.front_controller)?;
        let gateway = http.apply_to_gateway(gateway);
        let gateway = upstream.apply(gateway);
        Ok(ops.apply(gateway))
    }
}

impl fmt::Display for Site {
    /// What is served, and why this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())?;
        if let Some(reason) = &self.reason {
            write!(f, " (guessed: {reason})")?;
        }
        match (&self.settings.site.try_files, &self.settings.site.index, self.front_controller) {
            (None, None, Some(script)) => write!(f, ", pretty addresses go to {script}"),
            (None, None, None) => f.write_str(", with no script for pretty addresses"),
            _ => Ok(()),
        }
    }
}

fn check_folder(folder: &Path) -> Result<(), ServeError> {
    match folder.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(ServeError::Site(format!(
            "{} is not a folder; FOLDER is the folder of the site",
            folder.display()
        ))),
        Err(error) => Err(ServeError::Site(format!(
            "cannot open the site's folder {}: {error}",
            folder.display()
        ))),
    }
}
