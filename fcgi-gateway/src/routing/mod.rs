//! Where a request goes: to a script, a file, a redirect, the front controller, or nowhere.
//!
//! [`Rules::route`] is a pure function of the request's path and of a [`Lookup`], which answers what
//! a path below the document root is. No file is opened here and nothing is remembered.
//!
//! In this order:
//!
//! 1. The path is decoded, once, and cleaned by [`clean_path`]. What is malformed or leads above the
//!    root is a 400.
//! 2. The shortest part of it that ends in `.php` (in any case) before a `/` or the end **and is a
//!    file** is the script, and what follows is its PATH_INFO: `/a.php/b.php/c` runs `a.php` if that
//!    exists. So `/upload.jpg/x.php` never executes `upload.jpg`, and a folder called `x.php` is a folder.
//!    Behind the script may stand what no file name holds, such as `%2F` or Latin-1: it is decoded.
//! 3. Names that start with a dot are denied, except below `/.well-known/`.
//! 4. A file that is not the source of a script or a backup copy is sent as it is.
//! 5. A folder with an index goes to that index; without its final slash it is redirected there first.
//! 6. Everything else goes to the front controller when the root has one, missing `.php` files and
//!    paths that cannot be a file's included: applications answer old addresses and permalinks such as
//!    `/2009/hello.php` themselves. Without a front controller it is a 404, and the application is not
//!    asked.

mod location;
mod try_files;

use core::cell::OnceCell;
use core::fmt;

pub(crate) use self::location::percent_encode;
pub use self::try_files::TryFilesError;
use self::try_files::{Last, Step};

use fcgi_proto::cgi::script::{self, DEFAULT_SUFFIXES, PathError, clean_path};

use crate::deny;

/// What a path below the document root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file that may be read or run.
    File,
    /// A folder.
    Folder,
    /// Nothing is there.
    Missing,
    /// Something is there that must not be touched: a FIFO or another special file, a symbolic link
    /// against the policy, or a place that cannot be entered.
    Refused,
}

/// Answers what lies below the document root.
pub trait Lookup {
    /// What `path` is. It starts with `/`, is relative to the document root, and has neither empty
    /// nor dot segments; it has no final slash unless it is `/` itself.
    fn kind(&self, path: &str) -> Kind;
}

impl<F: Fn(&str) -> Kind> Lookup for F {
    fn kind(&self, path: &str) -> Kind {
        self(path)
    }
}

/// A script and the part of the path behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Script {
    /// The script's path below the document root, with its leading slash (SCRIPT_NAME).
    pub script_name: String,
    /// What followed it in the path, decoded: empty, or starting with a slash (PATH_INFO). Bytes, as it need not be text.
    pub path_info: Vec<u8>,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// To a script that exists.
    Script(Script),
    /// To the front controller: nothing exists under the path, and the script decides by REQUEST_URI.
    FrontController(Script),
    /// A file to send: its path below the document root.
    Static(String),
    /// To the same folder with a final slash (308): the value of `Location`, without the query.
    RedirectToSlash(String),
    /// Nothing there.
    NotFound,
    /// Something that is never shown. Answered like [`Route::NotFound`], so that probing for
    /// `.env` or a backup teaches nothing; the reason goes to the log.
    Denied(Denied),
    /// The path is not acceptable (400).
    BadRequest(PathError),
}

/// Why a path is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// A name in it starts with a dot.
    Hidden,
    /// It is the source of a script, or a backup copy.
    Source,
    /// The file system said so; see [`Kind::Refused`].
    Refused,
}

/// The settings of the routing.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Names tried in a folder, in this order. The first also is the front controller, when it is a script.
    index: Vec<String>,
    suffixes: Vec<String>,
    steps: Vec<Step>,
    last: Last,
}

impl Default for Rules {
    /// `index.php`, then `index.html`.
    fn default() -> Self {
        Self {
            index: vec!["index.php".into(), "index.html".into()],
            suffixes: DEFAULT_SUFFIXES.iter().map(|&suffix| suffix.to_owned()).collect(),
            steps: vec![Step::Itself, Step::Folder],
            last: Last::FrontController,
        }
    }
}

/// A suffix of scripts that is none: it needs a dot at its front and something behind it, and no slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuffixError(String);

impl Rules {
    /// Sets the names that are tried in a folder, in order. A script among them that lies in the
    /// document root is also the front controller, the first one winning.
    #[must_use]
    pub fn index<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.index = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the endings that make a file a script, compared without case. Default: `.php`.
    ///
    /// Files that usually are PHP's, such as `.phtml`, are neither sent nor run when they are not among them.
    ///
    /// # Errors
    ///
    /// [`SuffixError`] for one without a dot at its front.
    pub fn suffixes<S: Into<String>>(
        mut self,
        suffixes: impl IntoIterator<Item = S>,
    ) -> Result<Self, SuffixError> {
        self.suffixes = suffixes.into_iter().map(Into::into).collect();
        let is_suffix = |suffix: &str| {
            suffix.len() > 1 && suffix.starts_with('.') && !suffix.contains(['/', '\0'])
        };
        match self.suffixes.iter().find(|suffix| !is_suffix(suffix)) {
            Some(suffix) => Err(SuffixError(suffix.clone())),
            None => Ok(self),
        }
    }

    /// Sets what is tried for a path that is no script, in order, as nginx's and Caddy's `try_files`:
    ///
    /// - `{path}`: the file of this name;
    /// - `{path}/`: the index of the folder of this name;
    /// - `{path}.html`, `/cache{path}.html`: a file whose name is made of it; when it is a script, it is run;
    /// - in the end the path of the script that answers the rest, or `=404`, which is also meant when there is none.
    ///
    /// Default: `{path}`, `{path}/`, and the first script of the [index](Self::index). The query always stays as the client
    /// sent it.
    ///
    /// # Errors
    ///
    /// See [`TryFilesError`].
    ///
    /// ```
    /// use fcgi_gateway::routing::{Kind, Route, Rules};
    ///
    /// let rules = Rules::default().try_files(["{path}", "{path}.html", "/app.php"])?;
    /// let site = |path: &str| match path {
    ///     "/app.php" | "/about.html" => Kind::File,
    ///     _ => Kind::Missing,
    /// };
    /// assert_eq!(rules.route("/about", &site), Route::Static("/about.html".to_owned()));
    /// assert!(matches!(rules.route("/else", &site), Route::FrontController(_)));
    /// # Ok::<(), fcgi_gateway::routing::TryFilesError>(())
    /// ```
    pub fn try_files<S: AsRef<str>>(
        mut self,
        patterns: impl IntoIterator<Item = S>,
    ) -> Result<Self, TryFilesError> {
        (self.steps, self.last) = try_files::parse(patterns)?;
        Ok(self)
    }

    /// Decides where a request goes by the raw path of its target (still escaped, without the query).
    ///
    /// ```
    /// use fcgi_gateway::routing::{Kind, Route, Rules};
    ///
    /// let site = |path: &str| match path {
    ///     "/index.php" | "/style.css" => Kind::File,
    ///     "/" => Kind::Folder,
    ///     _ => Kind::Missing,
    /// };
    /// let rules = Rules::default();
    /// assert_eq!(rules.route("/style.css", &site), Route::Static("/style.css".to_owned()));
    /// assert!(matches!(rules.route("/index.php/a", &site), Route::Script(script) if script.path_info == b"/a"));
    /// assert!(matches!(rules.route("/hello-world/", &site), Route::FrontController(_)));
    /// ```
    pub fn route(&self, raw_path: &str, lookup: &impl Lookup) -> Route {
        let path = match clean_path(raw_path) {
            Ok(path) => path,
            Err(error) if error.names_no_file() => {
                return match self.script_before(raw_path, lookup) {
                    Some(script) if deny::is_hidden(&script.script_name) => {
                        Route::Denied(Denied::Hidden)
                    }
                    Some(script) => Route::Script(script),
                    None => self.last(lookup),
                };
            }
            Err(error) => return Route::BadRequest(error),
        };
        match self.find_script(&path, lookup) {
            Err(error) => Route::BadRequest(error),
            Ok(Some(script)) if deny::is_hidden(&script.script_name) => {
                Route::Denied(Denied::Hidden)
            }
            Ok(Some(script)) => Route::Script(script),
            Ok(None) if deny::is_hidden(&path) => Route::Denied(Denied::Hidden),
            Ok(None) => self.route_plain(&path, lookup),
        }
    }

    fn route_plain(&self, path: &str, lookup: &impl Lookup) -> Route {
        let name = match path.strip_suffix('/') {
            None | Some("") => path,
            Some(name) => name,
        };
        // Asked once, and only if somebody wants to know.
        let found = OnceCell::new();
        let kind = || *found.get_or_init(|| lookup.kind(name));
        let is_folder_path = path.ends_with('/');
        let mut steps = self.steps.iter();
        let route = steps.find_map(|step| match step {
            Step::Itself => self.route_file(name, kind(), is_folder_path),
            Step::Folder => self.route_folder(path, name, kind(), lookup),
            Step::Around { .. } if is_folder_path => None,
            Step::Around { before, after } => {
                let name = [before, name, after].concat();
                let is_hidden = deny::is_hidden(&name);
                let kind = if is_hidden { Kind::Missing } else { lookup.kind(&name) };
                self.route_file(&name, kind, false)
            }
        });
        route.unwrap_or_else(|| self.last(lookup))
    }

    fn route_file(&self, name: &str, kind: Kind, is_folder_path: bool) -> Option<Route> {
        match kind {
            Kind::File if is_folder_path => None,
            Kind::File => Some(self.route_existing(name.to_owned())),
            Kind::Refused => Some(Route::Denied(Denied::Refused)),
            Kind::Folder | Kind::Missing => None,
        }
    }

    fn route_existing(&self, name: String) -> Route {
        if self.is_script(&name) {
            Route::Script(Script { script_name: name, path_info: Vec::new() })
        } else if deny::is_source(&name) {
            Route::Denied(Denied::Source)
        } else {
            Route::Static(name)
        }
    }

    fn route_folder(
        &self,
        path: &str,
        name: &str,
        kind: Kind,
        lookup: &impl Lookup,
    ) -> Option<Route> {
        match kind {
            Kind::Folder => {}
            Kind::Refused => return Some(Route::Denied(Denied::Refused)),
            Kind::File | Kind::Missing => return None,
        }
        let index = self.find_index(name, lookup)?;
        if path.ends_with('/') {
            Some(self.route_existing(index))
        } else {
            Some(Route::RedirectToSlash(percent_encode(name) + "/"))
        }
    }

    fn find_index(&self, folder: &str, lookup: &impl Lookup) -> Option<String> {
        let mut candidates = self.index.iter().map(|name| join(folder, name));
        candidates.find(|candidate| lookup.kind(candidate) == Kind::File)
    }

    /// What answers when nothing was found.
    fn last(&self, lookup: &impl Lookup) -> Route {
        let exists = |path: &String| lookup.kind(path) == Kind::File;
        let found = match &self.last {
            Last::NotFound => None,
            Last::File(path) => Some(path.clone()).filter(exists),
            Last::FrontController => {
                let scripts = self.index.iter().filter(|name| self.is_script(name));
                scripts.map(|name| join("/", name)).find(exists)
            }
        };
        match found.map(|path| self.route_existing(path)) {
            Some(Route::Script(script)) => Route::FrontController(script),
            Some(other) => other,
            None => Route::NotFound,
        }
    }

    /// The shortest prefix that is an existing script.
    fn find_script(&self, path: &str, lookup: &impl Lookup) -> Result<Option<Script>, PathError> {
        let found =
            script::split(path, &self.suffixes, |prefix| lookup.kind(prefix) == Kind::File)?;
        Ok(found.map(|split| Script {
            script_name: split.script_name.to_owned(),
            path_info: split.path_info.into(),
        }))
    }

    /// The script of a path that as a whole can be no file's, because an escaped slash or the like stands behind the script:
    /// such a PATH_INFO is the script's to understand. Segments are tried one by one, from the front, only while they could
    /// be names of files; dots behind the script stay as they are.
    fn script_before(&self, raw_path: &str, lookup: &impl Lookup) -> Option<Script> {
        let ends = raw_path.match_indices('/').map(|(at, _)| at).skip(1);
        for end in ends.take(script::MAX_CANDIDATES) {
            let (head, rest) = raw_path.split_at(end);
            let Ok(head) = clean_path(head) else { return None };
            if self.is_script(&head) && lookup.kind(&head) == Kind::File {
                let path_info = script::percent_decode(rest.as_bytes()).ok()?;
                let path_info = path_info.into_owned();
                return Some(Script { script_name: head.into_owned(), path_info });
            }
        }
        None
    }

    /// Whether a path that exists ends like a script.
    fn is_script(&self, path: &str) -> bool {
        matches!(
            script::split(path, &self.suffixes, |prefix| prefix.len() == path.len()),
            Ok(Some(_))
        )
    }
}

impl fmt::Display for SuffixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no ending of scripts; expected one such as .php", self.0)
    }
}

impl core::error::Error for SuffixError {}

fn join(folder: &str, name: &str) -> String {
    [folder.strip_suffix('/').unwrap_or(folder), "/", name].concat()
}
