//! Where requests go: the routing rules against sites that exist only as tables.

use fcgi_gateway::routing::{Denied, Kind, Route, Rules, Script};
use fcgi_proto::cgi::script::PathError;

/// A site from a list of files (and, with a final `!`, things that must not be touched).
fn site(files: &'static [&'static str]) -> impl Fn(&str) -> Kind {
    move |path| {
        assert!(
            path.starts_with('/') && !path.contains("//") && (path == "/" || !path.ends_with('/')),
            "{path}"
        );
        if files.contains(&path) {
            Kind::File
        } else if files.iter().any(|file| file.strip_suffix('!') == Some(path)) {
            Kind::Refused
        } else if path == "/" || files.iter().any(|file| file.starts_with(&format!("{path}/"))) {
            Kind::Folder
        } else {
            Kind::Missing
        }
    }
}

const WORDPRESS: &[&str] = &[
    "/index.php",
    "/readme.html",
    "/wp-login.php",
    "/wp-admin/index.php",
    "/wp-admin/css/login.css",
    "/wp-content/uploads/cat.jpg",
    "/wp-content/uploads/cat photo.jpg",
    "/wp-config.php.bak",
    "/.htaccess",
    "/.git/hooks/x.php",
    "/.well-known/security.txt",
    "/dir.php/inner.php",
    "/dir.php/inner.txt",
    "/a.php",
    "/a.php.d/b.php",
    "/UPPER.PHP",
    "/static/index.html",
    "/pipe!",
    "/link.php!",
];

const PLAIN: &[&str] = &["/hello.php", "/a.txt", "/docs/index.html"];

fn script(script_name: &str, path_info: &str) -> Route {
    Route::Script(parts(script_name, path_info))
}

fn parts(script_name: &str, path_info: &str) -> Script {
    let mut script = Script::default();
    script.script_name = script_name.into();
    script.path_info = path_info.into();
    script
}

fn file(path: &str) -> Route {
    Route::Static(path.into())
}

fn redirect(location: &str) -> Route {
    Route::RedirectToSlash(location.into())
}

fn front() -> Route {
    Route::FrontController(parts("/index.php", ""))
}

#[track_caller]
fn check(
    rules: &Rules,
    files: &'static [&'static str],
    table: impl IntoIterator<Item = (&'static str, Route)>,
) {
    for (path, expected) in table {
        assert_eq!(rules.route(path, &site(files)), expected, "{path}");
    }
}

#[test]
fn scripts_and_their_path_info() {
    check(
        &Rules::default(),
        WORDPRESS,
        [
            ("/index.php", script("/index.php", "")),
            ("/wp-login.php", script("/wp-login.php", "")),
            ("/index.php/", script("/index.php", "/")),
            ("/index.php/AC%2FDC/%5C", script("/index.php", "/AC/DC/\\")),
            ("/index.php/%C3%BC/%2F", script("/index.php", "/ü//")),
            ("/a%2ephp/b%2Fc.php", script("/a.php", "/b/c.php")),
            ("/index.php/2024/hello%20world/", script("/index.php", "/2024/hello world/")),
            ("/index.php//a//b", script("/index.php", "/a/b")),
            ("//index.php", script("/index.php", "")),
            ("/a.php/x.php/c", script("/a.php", "/x.php/c")),
            ("/a.php/wp-login.php", script("/a.php", "/wp-login.php")),
            ("/a.php.d/b.php", script("/a.php.d/b.php", "")),
            ("/dir.php/inner.php", script("/dir.php/inner.php", "")),
            ("/%61.php", script("/a.php", "")),
            ("/a%2Ephp", script("/a.php", "")),
            ("/x/../a.php/y", script("/a.php", "/y")),
            ("/UPPER.PHP/x", script("/UPPER.PHP", "/x")),
            ("/wp-admin/", script("/wp-admin/index.php", "")),
            ("/", script("/index.php", "")),
            ("/index.php/.hidden", script("/index.php", "/.hidden")),
        ],
    );
}

#[test]
fn path_info_need_not_be_text() {
    let route = Rules::default().route("/a.php/caf%E9", &site(WORDPRESS));
    let Route::Script(found) = route else { panic!("{route:?}") };
    assert_eq!((&*found.script_name, &*found.path_info), ("/a.php", &b"/caf\xe9"[..]));
}

#[test]
fn files_that_are_no_scripts_never_run() {
    check(
        &Rules::default(),
        WORDPRESS,
        [
            ("/wp-content/uploads/cat.jpg/x.php", front()),
            ("/wp-content/uploads/cat.jpg/.php", Route::Denied(Denied::Hidden)),
            ("/wp-content/uploads/cat.jpg%00.php", Route::BadRequest(PathError::ControlCharacter)),
            ("/wp-content/uploads/cat.jpg%0a.php", Route::BadRequest(PathError::ControlCharacter)),
            ("/index.php%0a/x", Route::BadRequest(PathError::ControlCharacter)),
        ],
    );
    check(&Rules::default(), PLAIN, [("/a.txt/x.php", Route::NotFound)]);
}

#[test]
fn files_are_sent() {
    check(
        &Rules::default(),
        WORDPRESS,
        [
            ("/readme.html", file("/readme.html")),
            ("/wp-content/uploads/cat%20photo.jpg", file("/wp-content/uploads/cat photo.jpg")),
            ("//wp-content//uploads/./cat.jpg", file("/wp-content/uploads/cat.jpg")),
            ("/dir.php/inner.txt", file("/dir.php/inner.txt")),
            ("/.well-known/security.txt", file("/.well-known/security.txt")),
            ("/static/", file("/static/index.html")),
            // A file is no folder.
            ("/readme.html/", front()),
        ],
    );
}

#[test]
fn folders_get_their_slash() {
    check(
        &Rules::default(),
        WORDPRESS,
        [
            ("/wp-admin", redirect("/wp-admin/")),
            ("/static", redirect("/static/")),
            // Never to another host, whatever stands in the path.
            ("//wp-admin", redirect("/wp-admin/")),
            // Without an index there is nothing to redirect to.
            ("/wp-content", front()),
            ("/wp-content/", front()),
            ("/dir.php", front()),
            ("/dir.php/", front()),
        ],
    );
    let odd: &[&str] = &["/ü%\"/index.html"];
    check(&Rules::default(), odd, [("/%C3%BC%25%22", redirect("/%C3%BC%25%22/"))]);
}

#[test]
fn the_front_controller_gets_the_rest() {
    check(
        &Rules::default(),
        WORDPRESS,
        [
            ("/2024/01/hello-world/", front()),
            ("/wp-json/wp/v2/posts", front()),
            ("/%ff%fe", front()),
            ("/missing.php", front()),
            ("/missing.php/info", front()),
            ("/missing.css", front()),
            ("/.well-known/carddav", front()),
            // These are no file's name, but the front controller may know them.
            ("/%2Fwp-admin", front()),
            ("/AC%2FDC", front()),
            ("/%5Cevil.example", front()),
            ("/wp-login.php%2fx", front()),
        ],
    );
}

#[test]
fn without_a_front_controller_the_rest_is_not_found() {
    check(
        &Rules::default(),
        PLAIN,
        [
            ("/", Route::NotFound),
            ("/missing", Route::NotFound),
            ("/missing.php", Route::NotFound),
            ("/hello.php5", Route::NotFound),
            ("/docs/missing", Route::NotFound),
            ("/hello.php/x", script("/hello.php", "/x")),
            ("/docs", redirect("/docs/")),
            ("/docs/", file("/docs/index.html")),
        ],
    );
}

#[test]
fn what_is_never_shown() {
    check(
        &Rules::default(),
        WORDPRESS,
        [
            ("/.htaccess", Route::Denied(Denied::Hidden)),
            ("/.env", Route::Denied(Denied::Hidden)),
            ("/%2eenv", Route::Denied(Denied::Hidden)),
            ("/.git/config", Route::Denied(Denied::Hidden)),
            ("/.git/hooks/x.php", Route::Denied(Denied::Hidden)),
            ("/wp-content/.DS_Store", Route::Denied(Denied::Hidden)),
            ("/.well-known/.env", Route::Denied(Denied::Hidden)),
            ("/wp-config.php.bak", Route::Denied(Denied::Source)),
            ("/pipe", Route::Denied(Denied::Refused)),
            ("/link.php", Route::Denied(Denied::Refused)),
        ],
    );
    let sources: &[&str] = &[
        "/x.php5",
        "/x.phtml",
        "/x.PHAR",
        "/x.inc",
        "/x.php~",
        "/x.php.",
        "/x.php ",
        "/lib/Db.INC",
        "/composer.json",
        "/x.php::$DATA",
        "/backup.sql~",
    ];
    for path in sources {
        let escaped = path.replace(' ', "%20");
        assert_eq!(
            Rules::default().route(&escaped, &site(sources)),
            Route::Denied(Denied::Source),
            "{path}"
        );
    }
    // Letters that only Unicode takes for the same are others: this is no script, and no file of that name exists.
    check(&Rules::default(), WORDPRESS, [("/a.%D1%80hp", front())]);
}

#[test]
fn malformed_paths() {
    check(
        &Rules::default(),
        WORDPRESS,
        [
            ("*", Route::BadRequest(PathError::NotAbsolute)),
            ("", Route::BadRequest(PathError::NotAbsolute)),
            ("/../etc/passwd", Route::BadRequest(PathError::AboveRoot)),
            ("/%2e%2e%2fetc/passwd", Route::BadRequest(PathError::AboveRoot)),
            ("/index.php/../../etc/passwd", Route::BadRequest(PathError::AboveRoot)),
            ("/%252e%252e/etc/passwd", front()),
            ("/100%", Route::BadRequest(PathError::BadEscape)),
        ],
    );
}

#[test]
fn other_indexes() {
    let files: &[&str] = &["/app.php", "/home.htm", "/a/home.htm", "/index.php"];
    let rules = Rules::default().index(["home.htm", "app.php"]);
    check(
        &rules,
        files,
        [
            ("/", file("/home.htm")),
            ("/a/", file("/a/home.htm")),
            ("/x", Route::FrontController(parts("/app.php", ""))),
        ],
    );
    let nothing = Rules::default().index::<&str>([]);
    check(
        &nothing,
        files,
        [("/", Route::NotFound), ("/a", Route::NotFound), ("/x", Route::NotFound)],
    );
}

/// Both kinds of WordPress: with the script in the address, and without.
#[test]
fn permalinks_of_both_kinds() {
    let site = |path: &str| match path {
        "/" | "/wp-admin" | "/2025" => Kind::Folder,
        "/index.php" | "/wp-admin/index.php" => Kind::File,
        _ => Kind::Missing,
    };
    let rules = Rules::default();
    for (path, expected) in [
        ("/index.php/2025/01/hello/", ("script", "/index.php", "/2025/01/hello/")),
        ("/2025/01/hello/", ("front", "/index.php", "")),
        ("/2025/", ("front", "/index.php", "")),
        ("/2025", ("front", "/index.php", "")),
        ("/wp-admin/", ("script", "/wp-admin/index.php", "")),
        ("/wp-admin/none.php", ("front", "/index.php", "")),
    ] {
        let found = match rules.route(path, &site) {
            Route::Script(script) => ("script", script),
            Route::FrontController(script) => ("front", script),
            other => panic!("{path}: {other:?}"),
        };
        let (kind, name, info) = expected;
        assert_eq!(found, (kind, parts(name, info)), "{path}");
    }
}
