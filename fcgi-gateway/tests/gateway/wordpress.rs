//! WordPress, installed through its own wizard and used with and without a browser.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fcgi_test_support::http::{Request, Response};
use fcgi_test_support::{Chromium, WordPress, pattern};
use serde_json::Value;

use crate::support::Serve;

/// One site for everything, as installing it takes a while. It is served with no option at all, by a php-fpm of its own.
#[test]
fn wordpress() {
    let site = WordPress::install();
    // PHP's own limit is 2 MB. A site sets another like this, and PHP finds it by DOCUMENT_ROOT.
    fs::write(site.root().join(".user.ini"), "upload_max_filesize = 16M\npost_max_size = 20M\n")
        .unwrap();
    let serve = Serve::start(&site.root(), [""; 0]);
    let mut visitor = Visitor { serve: &serve, cookies: BTreeMap::new() };
    install(&mut visitor);
    pages(&mut visitor);
    log_in(&mut visitor);
    permalinks(&mut visitor);
    let nonce = rest(&mut visitor);
    upload(&mut visitor, &nonce);
    log_out(&mut visitor);
    in_chromium(&serve);
}

/// It keeps cookies, as a browser does.
struct Visitor<'s> {
    serve: &'s Serve,
    cookies: BTreeMap<String, String>,
}

impl Visitor<'_> {
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

    /// Where a page redirects to, without this site's address.
    #[track_caller]
    fn redirect(&mut self, status: u16, request: Request) -> String {
        let response = self.send(request);
        assert_eq!(response.status, status, "{}", response.text());
        let location = response.header("location").unwrap();
        let path = location.strip_prefix(&format!("http://{}", self.serve.address()));
        path.unwrap_or_else(|| panic!("{location} is elsewhere")).to_owned()
    }
}

fn install(visitor: &mut Visitor<'_>) {
    // The front page sends one to the wizard.
    assert_eq!(visitor.redirect(302, Request::get("/")), "/wp-admin/install.php");
    assert!(visitor.page("/wp-admin/install.php").contains("WordPress"));
    let form = "weblog_title=Gateway&user_name=admin&admin_password=Pa55-word&admin_password2=Pa55-word&pw_weak=1\
        &admin_email=admin%40example.org&blog_public=0&language=";
    let installed = visitor.send(Request::post("/wp-admin/install.php?step=2").form(form));
    assert_eq!(installed.status, 200, "{}", installed.text());
    assert!(installed.text().contains("wp-login.php"), "{}", installed.text());
}

fn pages(visitor: &mut Visitor<'_>) {
    let front = visitor.page("/");
    assert!(front.contains("Gateway") && front.contains("Hello world!"), "{front}");
    assert!(!visitor.page("/wp-includes/js/wp-embed.min.js").is_empty());
    assert_eq!(visitor.send(Request::get("/wp-config.php")).text(), "");
    assert_eq!(visitor.send(Request::get("/.user.ini")).status, 404);
    let missing = visitor.send(Request::get("/no-such-page/"));
    assert!(missing.status == 404 && missing.text().contains("Gateway"), "WordPress's own page");
    assert_eq!(visitor.send(Request::get("/wp-admin")).header("location"), Some("/wp-admin/"));
    assert!(visitor.page("/?feed=rss2").contains("<rss"));
}

fn log_in(visitor: &mut Visitor<'_>) {
    // Without the cookie, admin asks for the password, and remembers where one wanted to go.
    let login = visitor.redirect(302, Request::get("/wp-admin/edit.php"));
    assert!(login.starts_with("/wp-login.php?redirect_to=http%3A%2F%2F127.0.0.1%3A"), "{login}");
    assert!(visitor.page(&login).contains("loginform"));
    let wrong = "log=admin&pwd=wrong&wp-submit=Log+In&testcookie=1";
    let wrong = visitor.send(Request::post("/wp-login.php").form(wrong));
    assert!(wrong.status == 200 && wrong.text().contains("login_error"), "{}", wrong.text());
    let form = format!(
        "log=admin&pwd=Pa55-word&wp-submit=Log+In&testcookie=1&redirect_to=http%3A%2F%2F{}%2Fwp-admin%2Fedit.php",
        visitor.serve.address()
    );
    let response = visitor.send(Request::post("/wp-login.php").form(&form));
    assert_eq!(response.status, 302, "{}", response.text());
    assert!(response.header("location").unwrap().ends_with("/wp-admin/edit.php"));
    let cookies: Vec<_> = response.all("set-cookie").collect();
    // For the pages, for admin, and for the plugins.
    let session = cookies.iter().filter(|cookie| cookie.starts_with("wordpress_"));
    assert!(session.clone().count() >= 3, "{cookies:?}");
    assert!(session.clone().any(|cookie| cookie.contains("; path=/wp-admin")), "{cookies:?}");
    assert!(visitor.page("/wp-admin/edit.php").contains("Hello world!"));
    assert!(visitor.page("/wp-admin/").contains("Dashboard"));
}

/// With index.php in the address, without it, and with a query alone.
fn permalinks(visitor: &mut Visitor<'_>) {
    // The wizard has found that addresses work without index.php, and uses them.
    let path = visitor.redirect(301, Request::get("/?p=1"));
    assert!(path.ends_with("/hello-world/") && !path.contains("index.php"), "{path}");
    assert!(visitor.page(&path).contains("Hello world!"));
    // The settings offer them, as they know the server's name.
    let settings = visitor.page("/wp-admin/options-permalink.php");
    assert!(!settings.contains("/index.php/%year%"), "{settings}");

    choose_permalinks(visitor, "/index.php/%25year%25/%25postname%25/");
    let path = visitor.redirect(301, Request::get("/?p=1"));
    assert!(path.starts_with("/index.php/2") && path.ends_with("/hello-world/"), "{path}");
    assert!(visitor.page(&path).contains("Hello world!"));
    assert!(visitor.page("/index.php/feed/").contains("<rss"));
    // An address without its final slash is WordPress's to redirect.
    assert_eq!(visitor.redirect(301, Request::get(path.trim_end_matches('/'))), path);

    choose_permalinks(visitor, "");
    assert!(visitor.page("/?p=1").contains("Hello world!"));

    choose_permalinks(visitor, "/%25postname%25/");
    assert_eq!(visitor.redirect(301, Request::get("/?p=1")), "/hello-world/");
    assert!(visitor.page("/hello-world/?replytocom=1").contains("Hello world!"));
    assert!(visitor.page("/feed/").contains("<rss"));
}

fn choose_permalinks(visitor: &mut Visitor<'_>, encoded: &str) {
    let settings = visitor.page("/wp-admin/options-permalink.php");
    let nonce = between(&settings, r#"name="_wpnonce" value=""#, "\"");
    let form = format!(
        "_wpnonce={nonce}&selection=custom&permalink_structure={encoded}&category_base=&tag_base="
    );
    let path = visitor.redirect(302, Request::post("/wp-admin/options-permalink.php").form(&form));
    // WordPress makes its new rules when it shows this page.
    assert!(path.contains("settings-updated=true"), "{path}");
    visitor.page(&path);
}

/// Gives the token for more such requests.
fn rest(visitor: &mut Visitor<'_>) -> String {
    let index: Value = serde_json::from_str(&visitor.page("/wp-json/")).unwrap();
    assert_eq!(index["name"], "Gateway");
    let posts: Value = serde_json::from_str(&visitor.page("/?rest_route=/wp/v2/posts")).unwrap();
    assert_eq!(posts[0]["slug"], "hello-world");
    let anonymous =
        Request::post("/wp-json/wp/v2/posts").form("title=x").send(visitor.serve.address());
    assert_eq!(anonymous.status, 401);

    let nonce = visitor.page("/wp-admin/admin-ajax.php?action=rest-nonce");
    let mut call = |method: &str, target: &str, body: &str| {
        let request = Request::new(method, target).header("X-WP-Nonce", &nonce);
        let request = match body {
            "" => request,
            body => request.header("Content-Type", "application/json").body(body),
        };
        let response = visitor.send(request);
        let value: Value = serde_json::from_slice(&response.body).unwrap();
        (response.status, value)
    };
    let post = r#"{"title": "Gr\u00fc\u00dfe", "content": "Hi", "status": "publish"}"#;
    let (status, made) = call("POST", "/wp-json/wp/v2/posts", post);
    assert_eq!((status, &made["title"]["raw"]), (201, &"Grüße".into()), "{made}");
    let own = format!("/wp-json/wp/v2/posts/{}", made["id"]);
    let (status, changed) = call("PUT", &own, r#"{"content": "Changed"}"#);
    assert_eq!((status, &changed["content"]["raw"]), (200, &"Changed".into()), "{changed}");
    let (status, gone) = call("DELETE", &format!("{own}?force=true"), "");
    assert_eq!((status, &gone["deleted"]), (200, &true.into()), "{gone}");
    assert_eq!(call("GET", &own, "").0, 404);
    nonce
}

/// Files go up as the media page sends them and as applications do, and come back as they were.
fn upload(visitor: &mut Visitor<'_>, nonce: &str) {
    // WordPress looks into it to see whether it is what it is called.
    let file = [b"PK\x03\x04\x14\0\0\0\x08\0", &pattern(5 << 20)[..]].concat();
    let page = visitor.page("/wp-admin/media-new.php");
    let form_nonce = between(&page, r#""_wpnonce":""#, "\"");
    let mut body = Vec::new();
    for (name, value) in
        [("name", "data.zip"), ("action", "upload-attachment"), ("_wpnonce", form_nonce)]
    {
        let part =
            format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(
        b"--xyz\r\nContent-Disposition: form-data; name=\"async-upload\"; filename=\"data.zip\"\r\n\
        Content-Type: application/zip\r\n\r\n",
    );
    body.extend_from_slice(&file);
    body.extend_from_slice(b"\r\n--xyz--\r\n");
    let form = Request::post("/wp-admin/async-upload.php")
        .header("Content-Type", "multipart/form-data; boundary=xyz")
        .body(body);
    // Of known length, and in chunks.
    for request in [form.clone(), form.chunked(100_000)] {
        let response = visitor.send(request);
        let answer: Value = serde_json::from_slice(&response.body)
            .unwrap_or_else(|_| panic!("{} {}", response.status, response.text()));
        assert_eq!(answer["success"], true, "{answer}");
        is_there(visitor, &answer["data"]["url"], &file);
    }
    let raw = Request::post("/wp-json/wp/v2/media")
        .header("X-WP-Nonce", nonce)
        .header("Content-Type", "application/zip")
        .header("Content-Disposition", "attachment; filename=raw.zip")
        .body(file.clone());
    let response = visitor.send(raw);
    assert_eq!(response.status, 201, "{}", response.text());
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    is_there(visitor, &answer["source_url"], &file);
}

#[track_caller]
fn is_there(visitor: &mut Visitor<'_>, url: &Value, file: &[u8]) {
    let url = url.as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", visitor.serve.address())).unwrap();
    let response = visitor.send(Request::get(path));
    assert!(response.status == 200 && response.body == file, "{url}: {}", response.body.len());
    let part = visitor.send(Request::get(path).header("Range", "bytes=1000-1999"));
    assert!(part.status == 206 && part.body == file[1000..2000], "{url}: {}", part.status);
}

fn log_out(visitor: &mut Visitor<'_>) {
    let page = visitor.page("/wp-admin/");
    let nonce = between(&page, "action=logout&#038;_wpnonce=", "'");
    let target = format!("/wp-login.php?action=logout&_wpnonce={nonce}");
    let path = visitor.redirect(302, Request::get(&target));
    assert!(path.starts_with("/wp-login.php?loggedout=true"), "{path}");
    assert!(visitor.redirect(302, Request::get("/wp-admin/")).starts_with("/wp-login.php"));
}

#[track_caller]
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text.split_once(before).map(|(_, rest)| rest);
    let found = rest.and_then(|rest| rest.split_once(after));
    found.unwrap_or_else(|| panic!("{before:?} is not in {text}")).0
}

/// No page of the site or of its administration misses anything.
///
/// With `SCREENSHOTS` set to a folder, pictures of the pages are kept there.
fn in_chromium(serve: &Serve) {
    let site = format!("http://{}", serve.address());
    let mut chromium = Chromium::start();
    for page in ["/", "/hello-world/"] {
        chromium.open(&format!("{site}{page}"));
        nothing_failed(&mut chromium, &site, page);
    }
    chromium.open(&format!("{site}/wp-admin/"));
    chromium.leave(
        "document.getElementById('user_login').value = 'admin'; \
         document.getElementById('user_pass').value = 'Pa55-word'; \
         document.getElementById('wp-submit').click()",
    );
    nothing_failed(&mut chromium, &site, "/wp-admin/");
    for page in ADMIN_PAGES {
        chromium.open(&format!("{site}/wp-admin/{page}"));
        nothing_failed(&mut chromium, &site, &format!("/wp-admin/{page}"));
    }
}

const ADMIN_PAGES: [&str; 7] = [
    "edit.php",
    "post-new.php",
    "upload.php",
    "themes.php",
    "profile.php",
    "options-general.php",
    "options-permalink.php",
];

fn nothing_failed(chromium: &mut Chromium, site: &str, page: &str) {
    if let Some(folder) = std::env::var_os("SCREENSHOTS") {
        chromium.screenshot(&Path::new(&folder).join(page.replace('/', "_") + ".png"));
    }
    let shown = chromium.evaluate("location.pathname");
    assert_eq!(shown, page, "another page is shown");
    assert!(chromium.evaluate("document.styleSheets.length").as_u64() > Some(0), "{page}");
    // Pictures of users are elsewhere, and there is no elsewhere in a test.
    let mut failed = chromium.failed();
    failed.retain(|failed| failed.url.starts_with(site) || failed.url.is_empty());
    assert!(failed.is_empty(), "{page}: {failed:#?}");
}
