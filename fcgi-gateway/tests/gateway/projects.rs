//! Projects as frameworks lay them out, served with no option at all.

use fcgi_test_support::http::{Request, Response};
use fcgi_test_support::{PhpFpm, Scripts};

use crate::support::{Serve, json};

/// A folder with these files and nothing else of note.
fn project(files: &[(&str, &str)]) -> Scripts {
    let project = Scripts::empty();
    for (name, content) in files {
        project.add(name, content);
    }
    project
}

fn laravel() -> Scripts {
    let project = project(&[
        ("artisan", "#!/usr/bin/env php\n"),
        ("composer.json", "{\"require\": {\"laravel/framework\": \"^12\"}}"),
        (".env", "APP_NAME=Fixture\nAPP_KEY=secret\n"),
        ("bootstrap/app.php", "<?php\n"),
        ("public/index.php", include_str!("../sites/laravel.php")),
        ("public/.htaccess", "RewriteEngine On\n"),
        ("public/robots.txt", "User-agent: *\n"),
        ("public/build/app.css", "body {}\n"),
        ("storage/app/public/photo.txt", "a photo"),
        ("storage/logs/laravel.log", "secret\n"),
    ]);
    // As `artisan storage:link` does.
    std::os::unix::fs::symlink("../storage/app/public", project.path("public/storage")).unwrap();
    project
}

/// An answer of the application itself, and none of the gateway.
#[track_caller]
fn is_apps_404(response: &Response) {
    let text = response.text();
    let is_apps = text.contains("could not be found") || text.contains("No route found");
    assert!(response.status == 404 && is_apps, "{} {text}", response.status);
}

#[track_caller]
fn is_hidden(serve: &Serve, targets: &[&str]) {
    for target in targets {
        let response = serve.get(target);
        let text = response.text();
        assert_eq!(response.status, 404, "{target}: {text}");
        assert!(!text.contains("secret") && !text.contains("require"), "{target}: {text}");
    }
}

#[test]
fn laravel_with_no_option() {
    let project = laravel();
    let mut serve = Serve::within(project.root());
    let greeting = serve.greeting();
    assert!(greeting.contains("public (guessed: public/index.php is there)"), "{greeting}");
    assert!(greeting.contains("pretty addresses go to index.php"), "{greeting}");
    assert_eq!(json(&serve.get("/"))["app"], "Fixture");
    for (target, base) in [("/posts/a%20b?x=1", ""), ("/index.php/posts/a%20b?x=1", "/index.php")] {
        let answer = json(&serve.get(target));
        let expected =
            serde_json::json!({"post": "a b", "query": {"x": "1"}, "method": "GET", "base": base});
        assert_eq!(answer, expected, "{target}");
    }
    let put = Request::new("PUT", "/posts/1").body("x").send(serve.address());
    assert_eq!(json(&put)["method"], "PUT");
    let moved = serve.get("/old");
    assert_eq!((moved.status, moved.header("location")), (301, Some("/posts/new")));
    is_apps_404(&serve.get("/nothing/here"));
    is_apps_404(&serve.get("/storage/none.txt"));
    let css = serve.get("/build/app.css");
    assert_eq!((css.header("content-type"), css.text().as_str()), (Some("text/css"), "body {}\n"));
    assert_eq!(serve.get("/storage/photo.txt").text(), "a photo");
    is_hidden(
        &serve,
        &[
            "/.env",
            "/.htaccess",
            "/composer.json",
            "/artisan",
            "/storage/logs/laravel.log",
            "/bootstrap/app.php",
        ],
    );
    for above in ["/../.env", "/%2e%2e/.env", "/build/../../.env"] {
        assert_eq!(serve.get(above).status, 400, "{above}");
    }
    serve.stop();
}

#[test]
fn symfony_with_no_option() {
    let project = project(&[
        ("composer.json", "{\"extra\": {\"public-dir\": \"htdocs/\"}, \"require\": {}}"),
        (".env", "APP_SECRET=secret\n"),
        ("bin/console", "<?php\n"),
        ("config/services.yaml", "secret: 1\n"),
        ("htdocs/index.php", include_str!("../sites/symfony.php")),
        ("htdocs/bundles/app.js", "1;\n"),
        ("public/index.php", "<?php echo 'not this one';"),
    ]);
    let serve = Serve::within(project.root());
    let greeting = serve.greeting();
    assert!(
        greeting.contains("htdocs (guessed: composer.json says so (public-dir))"),
        "{greeting}"
    );
    for target in ["/hello/a/b", "/index.php/hello/a/b", "/hello/a/b?c=d", "//hello/a/b"] {
        let text = serve.get(target).text();
        let expected = if target.starts_with("//") {
            "No route found"
        } else {
            "/hello/a/b in dev by index.php"
        };
        assert!(text.starts_with(expected), "{target}: {text}");
    }
    is_apps_404(&serve.get("/nothing"));
    assert_eq!(serve.get("/bundles/app.js").text(), "1;\n");
    is_hidden(&serve, &["/.env", "/composer.json", "/config/services.yaml", "/bin/console"]);
}

#[test]
fn an_old_front_controller() {
    let project = project(&[
        ("web/app.php", include_str!("../sites/symfony.php")),
        ("web/start.html", "static"),
    ]);
    let serve = Serve::within(project.root());
    assert!(serve.greeting().contains("pretty addresses go to app.php"), "{}", serve.greeting());
    assert_eq!(serve.get("/hello/x").text(), "/hello/x in dev by app.php");
    assert_eq!(serve.get("/app.php/hello/x").text(), "/hello/x in dev by app.php");
    assert_eq!(serve.get("/").text(), "/ in dev by app.php");
    assert_eq!(serve.get("/start.html").text(), "static");
}

#[test]
fn a_plain_folder() {
    let project = project(&[
        ("hello.php", "<?php echo 'hello ', $_SERVER['PATH_INFO'] ?? 'you';"),
        ("sub/index.html", "a page"),
        ("composer.json", "{\"require\": {}}"),
        (".env", "secret"),
        ("storage/data.sql", "secret"),
        ("fcgi.toml", "[site.param]\nPASSWORD = \"secret\"\n"),
    ]);
    let serve = Serve::within(project.root());
    assert!(
        serve.greeting().contains("with no script for pretty addresses"),
        "{}",
        serve.greeting()
    );
    assert_eq!(serve.get("/hello.php").text(), "hello you");
    assert_eq!(serve.get("/hello.php/there").text(), "hello /there");
    assert_eq!(serve.get("/sub/").text(), "a page");
    let moved = serve.get("/sub?a=b");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/sub/?a=b")));
    for target in ["/", "/nothing", "/nothing.php", "/nothing/"] {
        assert_eq!(serve.get(target).status, 404, "{target}");
    }
    is_hidden(&serve, &["/.env", "/composer.json", "/fcgi.toml", "/storage/data.sql", "/storage/"]);
}

#[test]
fn variables_and_settings_of_php() {
    let project = project(&[(
        "index.php",
        "<?php echo json_encode([$_SERVER, ini_get('memory_limit'), ini_set('memory_limit', '1G'), ini_get('precision')]);",
    )]);
    project.add(
        "fcgi.toml",
        "[site.param]\nFROM_FILE = 1\nBOTH = \"file\"\nHTTP_X_SECRET = false\n[site.php-admin-value]\nmemory_limit = \"99M\"\n",
    );
    let fpm = PhpFpm::start();
    let serve = Serve::start(
        project.root(),
        [
            "--fpm",
            fpm.address(),
            "--param",
            "BOTH=flag",
            "--param",
            "SERVER_NAME=set",
            "--php-value",
            "precision=7",
        ],
    );
    let answer =
        Request::get("/").header("X-Secret", "1").header("X-Other", "2").send(serve.address());
    let answer = json(&answer);
    let server = &answer[0];
    assert_eq!(
        (&server["FROM_FILE"], &server["BOTH"], &server["SERVER_NAME"]),
        (&"1".into(), &"flag".into(), &"set".into())
    );
    assert_eq!(
        (&server["HTTP_X_SECRET"], &server["HTTP_X_OTHER"]),
        (&serde_json::Value::Null, &"2".into())
    );
    assert_eq!((&answer[1], &answer[2], &answer[3]), (&"99M".into(), &false.into(), &"7".into()));
}

/// PHP in a container sees the same files below another path: here a link to them stands in for its mount.
#[test]
fn another_root_on_the_side_of_php() {
    let project = project(&[(
        "public/index.php",
        "<?php echo $_SERVER['DOCUMENT_ROOT'], ' ', $_SERVER['SCRIPT_FILENAME'];",
    )]);
    let elsewhere = Scripts::empty();
    let mount = elsewhere.path("mounted");
    std::os::unix::fs::symlink(project.path("public"), &mount).unwrap();
    let fpm = PhpFpm::start();
    let start = |root: &str| {
        Serve::launch(
            crate::support::fcgi()
                .arg("serve")
                .arg(project.root())
                .args(["--listen", "127.0.0.1:0", "--fpm", fpm.address(), "--fpm-root", root])
                .env("FCGI_PROBE", "true"),
        )
    };
    let serve = start(&mount);
    serve.wait_for_log("sees the site's files");
    assert_eq!(serve.get("/a/b").text(), format!("{mount} {mount}/index.php"));
    let serve = start("/nowhere/html");
    serve.wait_for_log("does not see the folder /nowhere/html");
    serve.wait_for_log("--fpm-root");
}

#[test]
fn a_deployment_that_swaps_a_link() {
    let project = project(&[
        ("one/index.php", "<?php echo __DIR__;"),
        ("two/index.php", "<?php echo __DIR__;"),
        ("one/what.txt", "one"),
        ("two/what.txt", "two"),
    ]);
    let current = project.path("current");
    let fpm = PhpFpm::start();
    std::os::unix::fs::symlink("one", &current).unwrap();
    let start = |args: &[&str]| {
        Serve::start(project.root(), [&["--root", &current, "--fpm", fpm.address()], args].concat())
    };
    let (fixed, follows) = (start(&[]), start(&["--resolve-root"]));
    let ask = |serve: &Serve| (serve.get("/").text(), serve.get("/what.txt").text());
    let root = |name: &str| project.root().canonicalize().unwrap().join(name).display().to_string();
    let (one, two) = ((root("one"), "one".to_owned()), (root("two"), "two".to_owned()));
    assert_eq!((ask(&fixed), ask(&follows)), (one.clone(), one.clone()));
    let next = project.path("next");
    std::os::unix::fs::symlink("two", &next).unwrap();
    std::fs::rename(next, current).unwrap();
    assert_eq!((ask(&fixed), ask(&follows)), (one, two));
}
