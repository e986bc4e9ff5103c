//! What is never sent as a file: dotfiles, the source of scripts, and the copies editors leave behind.
//!
//! Names are judged without looking at the disk, so that an answer does not tell
//! whether such a file exists. The rules err on the side of refusing: a picture called
//! `logo.php.png` is refused too, as one mistake the other way round publishes a database password.

/// Whether a path passes through a name that starts with a dot.
///
/// `/.well-known/` at the top (RFC 8615) is public by definition; a dotfile inside it is not.
pub(crate) fn is_hidden(path: &str) -> bool {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .enumerate()
        .any(|(depth, segment)| segment.starts_with('.') && (depth > 0 || segment != ".well-known"))
}

/// Whether the last name of a path is the source of a script, a backup copy, or a file that
/// describes the application rather than belonging to its pages.
pub(crate) fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    // Some file systems and editors ignore trailing dots and blanks, so `x.inc.` is `x.inc`.
    let name = name.trim_end_matches(['.', ' ']).to_ascii_lowercase();
    let mut rests = name.match_indices('.').filter_map(|(dot, _)| name.get(dot..));
    let has_part = |rest: &str| ANYWHERE.iter().any(|part| rest.starts_with(part));
    if rests.any(has_part) || WHOLE.contains(&name.as_str()) {
        return true;
    }
    // Emacs saves `#file#` while it edits.
    if name.starts_with('#') && name.ends_with('#') {
        return true;
    }
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Extensions that PHP installations execute; also in the middle, as in `index.php.bak`,
/// `index.php~`, `index.php5` or `index.php::$DATA`. All begin with the dot.
const ANYWHERE: &[&str] = &[".php", ".phtml", ".phar", ".pht", ".inc."];

/// Included source, templates, data, logs and settings, and the endings under which editors and people keep old versions.
const ENDINGS: &[&str] = &[
    // Code and templates, as Drupal, Symfony, Smarty, Latte and TYPO3 name them.
    ".inc",
    ".module",
    ".install",
    ".engine",
    ".profile",
    ".theme",
    ".tpl",
    ".twig",
    ".latte",
    ".neon",
    ".typoscript",
    // Data and logs.
    ".sql",
    ".sql.gz",
    ".sql.bz2",
    ".sql.xz",
    ".sql.zip",
    ".sqlite",
    ".sqlite3",
    ".log",
    // Settings.
    ".ini",
    ".env",
    // Old versions.
    "~",
    ".bak",
    ".old",
    ".orig",
    ".save",
    ".swp",
    ".swo",
];

/// Files of tools that tell an application's libraries with their versions, or how it is set up; public only by accident.
const WHOLE: &[&str] = &[
    "artisan",
    "auth.json",
    "composer.json",
    "composer.lock",
    "error_log",
    "fcgi.toml",
    "phpunit.xml",
    "phpunit.xml.dist",
    "symfony.lock",
    "web.config",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotfiles_are_hidden_except_well_known() {
        for (path, hidden) in [
            ("/", false),
            ("/a/b.txt", false),
            ("/a..b/c...txt", false),
            ("/.env", true),
            ("/.git/config", true),
            ("/a/.htaccess", true),
            ("/.well-known/acme-challenge/x", false),
            ("/.well-known/.env", true),
            ("/a/.well-known/x", true),
            ("/.well-known2/x", true),
            ("/.WELL-KNOWN/x", true),
            ("/...", true),
        ] {
            assert_eq!(is_hidden(path), hidden, "{path}");
        }
    }

    #[test]
    fn sources_and_backups_are_refused() {
        for name in [
            "x.php",
            "x.PHP",
            "x.Php5",
            "x.php7",
            "x.phps",
            "x.phtml",
            "x.PHAR",
            "x.pht",
            "x.inc",
            "x.INC",
            "x.inc.bak",
            "x.php.bak",
            "x.php~",
            "x.php.",
            "x.php ",
            "x.php. .",
            "x.php%20",
            "x.php::$DATA",
            "x.php.txt",
            "wp-config.php.save",
            "#x.php#",
            "#notes#",
            "notes~",
            "dump.bak",
            "dump.BAK ",
            "a.orig",
            "a.old",
            "a.swp",
            "composer.json",
            "Composer.lock",
            "user.module",
            "page.tpl",
            "base.html.twig",
            "dump.SQL",
            "dump.sql.gz",
            "data.sqlite3",
            "laravel.log",
            "php.ini",
            "prod.env",
            "error_log",
            "web.config",
        ] {
            assert!(is_source(&format!("/dir/{name}")), "{name}");
        }
        for name in [
            "x.html",
            "php",
            "php.html",
            "x.ph",
            "phpinfo.txt",
            "include",
            "x.incx",
            "incoming.txt",
            "backup.zip",
            "composer.html",
            "package.json",
            "a.older",
            "catalog",
            "module.js",
            "template.html",
            "mysql.html",
            "blog",
            "#",
            "",
        ] {
            let refused = is_source(&format!("/x.php/{name}"));
            // `#` alone starts and ends with itself; nobody misses such a file.
            assert_eq!(refused, name == "#", "{name}");
        }
    }
}
