//! Which folder of a project is public, and which script answers what is no file.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// A document root, and why it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    /// Completes the sentence "this folder is public, as ...".
    pub(super) reason: String,
}

/// The document root of the project in `folder`.
///
/// In this order: what composer.json says; a folder with a usual name and a front controller in it; the folder itself, if
/// it has one; a folder with a less usual name and a front controller; a folder with a usual name and a start page; the
/// folder itself.
pub(super) fn root(folder: &Path) -> Root {
    let inner = |names: &[&str], has_index: fn(&Path) -> Option<&'static str>| {
        names.iter().find_map(|name| {
            let path = folder.join(name);
            let index = has_index(&path)?;
            Some(Root { path, reason: format!("{name}/{index} is there") })
        })
    };
    let itself = || {
        let script = front_controller(folder)?;
        Some(Root { path: folder.to_owned(), reason: format!("{script} is there") })
    };
    from_composer(folder)
        .or_else(|| inner(&USUAL_ROOTS, front_controller))
        .or_else(itself)
        .or_else(|| inner(&OTHER_ROOTS, front_controller))
        .or_else(|| inner(&USUAL_ROOTS, start_page))
        .unwrap_or_else(|| Root {
            path: folder.to_owned(),
            reason: "there is no index.php in it or in a folder such as public".to_owned(),
        })
}

/// The script of a document root that answers what is no file; `None` when there is none.
pub(super) fn front_controller(root: &Path) -> Option<&'static str> {
    FRONT_CONTROLLERS.into_iter().find(|name| root.join(name).is_file())
}

fn start_page(root: &Path) -> Option<&'static str> {
    ["index.html", "index.htm"].into_iter().find(|name| root.join(name).is_file())
}

/// Laravel and Symfony; Drupal, Yii and old Symfony; Drupal on Acquia; shared hosting; Magento and CakePHP, both of which have
/// an index.php beside it for servers that cannot be told better.
const USUAL_ROOTS: [&str; 6] = ["public", "web", "docroot", "public_html", "pub", "webroot"];

/// Nette; Apache's habits. A site whose own index.php is above such a folder is another one.
const OTHER_ROOTS: [&str; 3] = ["www", "htdocs", "html"];

/// What lies in a document root though nobody is to see it, as the whole project is public.
pub(super) fn project_in(root: &Path) -> Vec<&'static str> {
    let mut parts = vec!["vendor", "node_modules"];
    if front_controller(root).is_none() {
        // With one, the project may well be made for this: such files alone are never sent.
        parts.insert(0, "composer.json");
    }
    parts.retain(|part| root.join(part).exists());
    parts
}

/// Almost everybody; old Symfony; Silex and others while developing.
const FRONT_CONTROLLERS: [&str; 4] = ["index.php", "app.php", "index_dev.php", "app_dev.php"];

/// `extra.public-dir`, as Symfony reads it, or the `web-root` of Drupal's scaffold.
fn from_composer(folder: &Path) -> Option<Root> {
    let text = fs::read(folder.join("composer.json")).ok()?;
    let json = serde_json::from_slice::<serde_json::Value>(&text)
        .inspect_err(|error| tracing::warn!(%error, "composer.json is no JSON"))
        .ok()?;
    ["/extra/public-dir", "/extra/drupal-scaffold/locations/web-root"].iter().find_map(|pointer| {
        let name = json.pointer(pointer)?.as_str()?;
        let is_below = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let path = folder.join(name.trim_end_matches('/'));
        if !is_below || !path.is_dir() {
            tracing::warn!(
                folder = name,
                "composer.json names a public folder that is not there; guessing another"
            );
            return None;
        }
        let key = pointer.rsplit('/').next().unwrap_or_default();
        Some(Root { path, reason: format!("composer.json says so ({key})") })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn root_of(folder: &tempfile::TempDir) -> String {
        let root = root(folder.path()).path;
        root.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn roots() {
        for (files, expected) in [
            (&[][..], ""),
            (&["index.php", "wp-login.php"], ""),
            (&["public/index.php", "artisan"], "public"),
            (&["web/app.php"], "web"),
            (&["web/index.php", "public/style.css"], "web"),
            (&["docroot/index.php"], "docroot"),
            (&["public_html/index.php"], "public_html"),
            (&["public/index.php", "index.php"], "public"),
            (&["public/index.html", "index.php"], ""),
            (&["public/index.html"], "public"),
            (&["public/index.php/not-a-file"], ""),
            (&["pub/index.php", "index.php"], "pub"),
            (&["webroot/index.php", "index.php"], "webroot"),
            (&["www/index.php", "composer.json.dist"], "www"),
            (&["www/index.php", "index.php"], ""),
            (&["htdocs/index.php"], "htdocs"),
            (&["html/index.php"], "html"),
        ] {
            assert_eq!(root_of(&project(files)), expected, "{files:?}");
        }
    }

    #[test]
    fn projects_that_are_public_as_a_whole() {
        for (files, expected) in [
            (&["index.php", "composer.json"][..], &[][..]),
            (&["index.php", "vendor/autoload.php"], &["vendor"]),
            (&["composer.json", "node_modules/x/package.json"], &["composer.json", "node_modules"]),
        ] {
            assert_eq!(project_in(project(files).path()), expected, "{files:?}");
        }
    }

    #[test]
    fn composer_knows_better() {
        let folder = project(&["public/index.php", "site/www/index.php"]);
        let say = |json: &str| {
            fs::write(folder.path().join("composer.json"), json).unwrap();
            root_of(&folder)
        };
        assert_eq!(say(r#"{"extra": {"public-dir": "site/www/"}}"#), "site/www");
        let drupal = r#"{"extra": {"drupal-scaffold": {"locations": {"web-root": "./site/www"}}}}"#;
        assert_eq!(say(drupal), "site/www");
        for json in [
            "{}",
            "nonsense",
            r#"{"extra": {"public-dir": 1}}"#,
            r#"{"extra": {"public-dir": "gone"}}"#,
            r#"{"extra": {"public-dir": "../"}}"#,
            r#"{"extra": {"public-dir": "/etc"}}"#,
        ] {
            assert_eq!(say(json), "public", "{json}");
        }
    }

    #[test]
    fn front_controllers() {
        for (files, expected) in [
            (&["app.php", "app_dev.php"][..], Some("app.php")),
            (&["index_dev.php", "index.php"], Some("index.php")),
            (&["index.html"], None),
        ] {
            assert_eq!(front_controller(project(files).path()), expected, "{files:?}");
        }
    }
}
