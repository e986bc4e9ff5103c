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
//!    Behind the script may stand what no file name holds, such as `%2F`: it is decoded.
//! 3. Names that start with a dot are denied, except below `/.well-known/`.
//! 4. A file that is not the source of a script or a backup copy is sent as it is.
//! 5. A folder with an index goes to that index; without its final slash it is redirected there first.
//! 6. Everything else goes to the front controller when the root has one, missing `.php` files and
//!    paths that cannot be a file's included: applications answer old addresses and permalinks such as
//!    `/2009/hello.php` themselves. Without a front controller it is a 404, and the application is not
//!    asked.

mod location;

pub(crate) use self::location::percent_encode;

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
    /// What followed it in the path: empty, or starting with a slash (PATH_INFO).
    pub path_info: String,
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
}

impl Default for Rules {
    /// `index.php`, then `index.html`.
    fn default() -> Self {
        Self { index: vec!["index.php".into(), "index.html".into()] }
    }
}

impl Rules {
    /// Sets the names that are tried in a folder, in order. A script among them that lies in the
    /// document root is also the front controller, the first one winning.
    #[must_use]
    pub fn index<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.index = names.into_iter().map(Into::into).collect();
        self
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
    /// assert!(matches!(rules.route("/index.php/a", &site), Route::Script(script) if script.path_info == "/a"));
    /// assert!(matches!(rules.route("/hello-world/", &site), Route::FrontController(_)));
    /// ```
    pub fn route(&self, raw_path: &str, lookup: &impl Lookup) -> Route {
        let path = match clean_path(raw_path) {
            Ok(path) => path,
            Err(error) if error.names_no_file() => {
                return match script_before(raw_path, lookup) {
                    Some(script) if deny::is_hidden(&script.script_name) => {
                        Route::Denied(Denied::Hidden)
                    }
                    Some(script) => Route::Script(script),
                    None => self.front_controller(lookup),
                };
            }
            Err(error) => return Route::BadRequest(error),
        };
        match find_script(&path, lookup) {
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
        match lookup.kind(name) {
            Kind::File if path.ends_with('/') => self.front_controller(lookup),
            Kind::File if deny::is_source(name) => Route::Denied(Denied::Source),
            Kind::File => Route::Static(name.to_owned()),
            Kind::Folder => self.route_folder(path, name, lookup),
            Kind::Refused => Route::Denied(Denied::Refused),
            Kind::Missing => self.front_controller(lookup),
        }
    }

    fn route_folder(&self, path: &str, name: &str, lookup: &impl Lookup) -> Route {
        let Some(index) = self.find_index(name, lookup) else {
            return self.front_controller(lookup);
        };
        if !path.ends_with('/') {
            return Route::RedirectToSlash(percent_encode(name) + "/");
        }
        if is_script(&index) {
            return Route::Script(Script { script_name: index, path_info: String::new() });
        }
        Route::Static(index)
    }

    fn find_index(&self, folder: &str, lookup: &impl Lookup) -> Option<String> {
        let mut candidates = self.index.iter().map(|name| join(folder, name));
        candidates.find(|candidate| lookup.kind(candidate) == Kind::File)
    }

    fn front_controller(&self, lookup: &impl Lookup) -> Route {
        let mut scripts =
            self.index.iter().filter(|name| is_script(name)).map(|name| join("/", name));
        match scripts.find(|path| lookup.kind(path) == Kind::File) {
            Some(script_name) => {
                Route::FrontController(Script { script_name, path_info: String::new() })
            }
            None => Route::NotFound,
        }
    }
}

/// The shortest prefix that is an existing script.
fn find_script(path: &str, lookup: &impl Lookup) -> Result<Option<Script>, PathError> {
    let found = script::split(path, DEFAULT_SUFFIXES, |prefix| lookup.kind(prefix) == Kind::File)?;
    Ok(found.map(|split| Script {
        script_name: split.script_name.to_owned(),
        path_info: split.path_info.to_owned(),
    }))
}

/// The script of a path that as a whole can be no file's, because an escaped slash or the like stands behind the script:
/// such a PATH_INFO is the script's to understand. Segments are tried one by one, from the front, only while they could
/// be names of files; dots behind the script stay as they are.
fn script_before(raw_path: &str, lookup: &impl Lookup) -> Option<Script> {
    let ends = raw_path.match_indices('/').map(|(at, _)| at).skip(1);
    for end in ends.take(script::MAX_CANDIDATES) {
        let (head, rest) = raw_path.split_at(end);
        let Ok(head) = clean_path(head) else { return None };
        if is_script(&head) && lookup.kind(&head) == Kind::File {
            let path_info = script::percent_decode(rest.as_bytes()).ok()?;
            let path_info = String::from_utf8(path_info.into_owned()).ok()?;
            return Some(Script { script_name: head.into_owned(), path_info });
        }
    }
    None
}

/// Whether a path that exists ends like a script.
fn is_script(path: &str) -> bool {
    matches!(
        script::split(path, DEFAULT_SUFFIXES, |prefix| prefix.len() == path.len()),
        Ok(Some(_))
    )
}

fn join(folder: &str, name: &str) -> String {
    [folder.strip_suffix('/').unwrap_or(folder), "/", name].concat()
}
