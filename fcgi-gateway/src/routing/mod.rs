//! Where a request goes: to a script, a file, a redirect, the front controller, or nowhere.
//!
//! [`Rules::route`] is a pure function of the request's path and of a [`Lookup`], which answers what
//! a path below the document root is. No file is opened here and nothing is remembered.
//!
//! In this order:
//!
//! 1. The path is decoded and checked ([`RequestPath`]); what is malformed or contains `..` is a 400.
//! 2. The shortest part of it that ends in `.php` (in any case) before a `/` or the end **and is a
//!    file** is the script, and what follows is its PATH_INFO: `/a.php/b.php/c` runs `a.php` if that
//!    exists. So `/upload.jpg/x.php` never executes `upload.jpg`, and a folder called `x.php` is a folder.
//! 3. Names that start with a dot are denied, except below `/.well-known/`.
//! 4. A file that is not the source of a script or a backup copy is sent as it is.
//! 5. A folder with an index goes to that index; without its final slash it is redirected there first.
//! 6. Everything else goes to the front controller when the root has one, missing `.php` files
//!    included: applications answer old addresses and permalinks such as `/2009/hello.php` themselves.
//!    Without a front controller it is a 404, and the application is not asked.

mod path;

pub(crate) use path::percent_encode;
pub use path::{PathError, RequestPath};

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
    fn kind(&self, path: &[u8]) -> Kind;
}

impl<F: Fn(&[u8]) -> Kind> Lookup for F {
    fn kind(&self, path: &[u8]) -> Kind {
        self(path)
    }
}

/// A script and the part of the path behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Script {
    /// The script's path below the document root, with its leading slash (SCRIPT_NAME).
    pub script_name: Vec<u8>,
    /// What followed it in the path: empty, or starting with a slash (PATH_INFO).
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
    Static(Vec<u8>),
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
    /// let site = |path: &[u8]| match path {
    ///     b"/index.php" | b"/style.css" => Kind::File,
    ///     b"/" => Kind::Folder,
    ///     _ => Kind::Missing,
    /// };
    /// let rules = Rules::default();
    /// assert_eq!(rules.route("/style.css", &site), Route::Static(b"/style.css".to_vec()));
    /// assert!(matches!(rules.route("/index.php/a", &site), Route::Script(script) if script.path_info == b"/a"));
    /// assert!(matches!(rules.route("/hello-world/", &site), Route::FrontController(_)));
    /// ```
    pub fn route(&self, raw_path: &str, lookup: &impl Lookup) -> Route {
        let path = match RequestPath::decode(raw_path) {
            Ok(path) => path,
            Err(error) => return Route::BadRequest(error),
        };
        if let Some(script) = self.find_script(path.as_bytes(), lookup) {
            return if deny::is_hidden(&script.script_name) {
                Route::Denied(Denied::Hidden)
            } else {
                Route::Script(script)
            };
        }
        if deny::is_hidden(path.as_bytes()) {
            return Route::Denied(Denied::Hidden);
        }
        self.route_plain(&path, lookup)
    }

    /// The shortest prefix that is an existing script.
    fn find_script(&self, path: &[u8], lookup: &impl Lookup) -> Option<Script> {
        script_ends(path)
            .map(|end| path.split_at(end))
            .find(|(script_name, _)| lookup.kind(script_name) == Kind::File)
            .map(|(script_name, path_info)| Script {
                script_name: script_name.to_vec(),
                path_info: path_info.to_vec(),
            })
    }

    fn route_plain(&self, path: &RequestPath, lookup: &impl Lookup) -> Route {
        let bytes = path.as_bytes();
        let name = match bytes {
            [rest @ .., b'/'] if !rest.is_empty() => rest,
            whole => whole,
        };
        match lookup.kind(name) {
            Kind::File if path.is_folder() => self.front_controller(lookup),
            Kind::File if deny::is_source(name) => Route::Denied(Denied::Source),
            Kind::File => Route::Static(name.to_vec()),
            Kind::Folder => self.route_folder(path, name, lookup),
            Kind::Refused => Route::Denied(Denied::Refused),
            Kind::Missing => self.front_controller(lookup),
        }
    }

    fn route_folder(&self, path: &RequestPath, name: &[u8], lookup: &impl Lookup) -> Route {
        let Some(index) = self.find_index(name, lookup) else {
            return self.front_controller(lookup);
        };
        if !path.is_folder() {
            let mut location = percent_encode(name);
            location.push('/');
            return Route::RedirectToSlash(location);
        }
        if ends_like_script(&index) {
            return Route::Script(Script { script_name: index, path_info: Vec::new() });
        }
        Route::Static(index)
    }

    fn find_index(&self, folder: &[u8], lookup: &impl Lookup) -> Option<Vec<u8>> {
        self.index
            .iter()
            .map(|name| join(folder, name))
            .find(|candidate| lookup.kind(candidate) == Kind::File)
    }

    fn front_controller(&self, lookup: &impl Lookup) -> Route {
        let scripts = self.index.iter().filter(|name| ends_like_script(name.as_bytes()));
        match scripts.map(|name| join(b"/", name)).find(|path| lookup.kind(path) == Kind::File) {
            Some(script_name) => Route::FrontController(Script { script_name, path_info: Vec::new() }),
            None => Route::NotFound,
        }
    }
}

fn join(folder: &[u8], name: &str) -> Vec<u8> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    [folder, b"/", name.as_bytes()].concat()
}

/// The extension of scripts, compared in ASCII and without case. Other letters that fold to these
/// in Unicode are other letters.
const SUFFIX: &[u8] = b".php";

fn ends_like_script(path: &[u8]) -> bool {
    path.last_chunk::<4>().is_some_and(|end| end.eq_ignore_ascii_case(SUFFIX))
}

/// Where a script may end in a path: after `.php` at the end of a segment.
fn script_ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = (1..path.len()).filter(|&at| path.get(at) == Some(&b'/'));
    slashes
        .chain([path.len()])
        .filter(|&end| path.get(..end).is_some_and(ends_like_script))
}
