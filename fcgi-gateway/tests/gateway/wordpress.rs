//! WordPress, installed through its own wizard.

use std::collections::BTreeMap;

use fcgi_test_support::WordPress;
use fcgi_test_support::http::{Request, Response};

use crate::support::Serve;

/// A browser: it keeps cookies.
struct Browser<'s> {
    serve: &'s Serve,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    fn send(&mut self, request: Request) -> Response {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header("Cookie", &cookies.join("; ")).send(self.serve.address());
        for cookie in response.all("set-cookie") {
            let pair = cookie.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        assert!(response.is_complete());
        response
    }

    #[track_caller]
    fn page(&mut self, target: &str) -> String {
        let response = self.send(Request::get(target));
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        response.text()
    }
}

#[test]
fn wordpress() {
    let site = WordPress::install();
    // With no option at all: it runs a php-fpm of its own.
    let serve = Serve::start(&site.root(), [""; 0]);
    let mut browser = Browser { serve: &serve, cookies: BTreeMap::new() };

    // Not installed yet: the front page sends one to the wizard.
    let response = browser.send(Request::get("/"));
    assert_eq!(response.status, 302);
    let installer = format!("http://{}/wp-admin/install.php", serve.address());
    assert_eq!(response.header("location"), Some(installer.as_str()));
    assert!(browser.page("/wp-admin/install.php").contains("WordPress"));
    let form = "weblog_title=Gateway&user_name=admin&admin_password=Pa55-word&admin_password2=Pa55-word&pw_weak=1\
        &admin_email=admin%40example.org&blog_public=0&language=";
    let installed = browser.send(Request::post("/wp-admin/install.php?step=2").form(form));
    assert_eq!(installed.status, 200, "{}", installed.text());
    assert!(installed.text().contains("wp-login.php"), "{}", installed.text());

    let front = browser.page("/");
    assert!(front.contains("Gateway") && front.contains("Hello world!"), "{front}");
    // What the page refers to is there.
    assert!(!browser.page("/wp-includes/js/wp-embed.min.js").is_empty());
    assert_eq!(browser.send(Request::get("/wp-config.php")).text(), "");
    // The wizard has found that permalinks work without index.php, and uses them.
    let response = browser.send(Request::get("/?p=1"));
    let permalink = response.header("location").unwrap_or_default().to_owned();
    let path = permalink.strip_prefix(&format!("http://{}", serve.address())).unwrap_or_default();
    assert!(
        response.status == 301 && path.ends_with("/hello-world/") && !path.contains("index.php"),
        "{permalink}"
    );
    assert!(browser.page(path).contains("Hello world!"));
    assert_eq!(browser.send(Request::get("/no-such-page/")).status, 404);
    assert_eq!(browser.send(Request::get("/wp-admin")).header("location"), Some("/wp-admin/"));

    // Without the cookie, admin asks for the password; with it, there is the dashboard.
    let response = browser.send(Request::get("/wp-admin/"));
    assert_eq!(response.status, 302);
    assert!(browser.page("/wp-login.php").contains("loginform"));
    let login = "log=admin&pwd=Pa55-word&wp-submit=Log+In&testcookie=1";
    let response = browser.send(Request::post("/wp-login.php").form(login));
    assert_eq!(response.status, 302, "{}", response.text());
    assert!(response.all("set-cookie").count() > 2);
    let admin = browser.page("/wp-admin/");
    assert!(admin.contains("Dashboard"), "{admin}");
    // The settings offer permalinks without index.php, as they know the server's name.
    let permalinks = browser.page("/wp-admin/options-permalink.php");
    assert!(!permalinks.contains("/index.php/%year%"), "{permalinks}");
    let rest = browser.page("/?rest_route=/wp/v2/posts");
    assert!(rest.starts_with('['), "{rest}");
}
