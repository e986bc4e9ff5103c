//! Several sites in one `fcgi.toml`.

use fcgi_test_support::http::Request;
use fcgi_test_support::{PhpFpm, Scripts, wait_until};

use crate::support::{LIMIT, Serve, fcgi, run};

fn say(serve: &Serve, host: &str) -> (u16, String) {
    let response = Request::get("/x").header("Host", host).send(serve.address());
    (response.status, response.text())
}

fn sites() -> Scripts {
    let sites = Scripts::empty();
    for name in ["shop/public", "blog", "main"] {
        sites.add(
            &format!("{name}/index.php"),
            format!("<?php echo '{name} ', $_SERVER['STAGE'] ?? '';"),
        );
    }
    sites
}

const HOSTS: &str = "[[host]]\nnames = \"shop.example.org\"\nfolder = \"shop\"\nsite.param.STAGE = \"own\"\n\
    [[host]]\nnames = [\"blog.example.org\", \"*.blog.example.org\"]\nsite.root = \"blog\"\n";

#[test]
fn each_host_has_its_site() {
    let (sites, fpm) = (sites(), PhpFpm::start());
    let common =
        format!("[upstream]\nfpm = \"{}\"\n[site]\nparam.STAGE = \"common\"\n", fpm.address());
    let file = sites.add("fcgi.toml", format!("{common}{HOSTS}"));
    let launch = |args: &[&str]| {
        Serve::launch(
            fcgi().args(["serve", "--listen", "127.0.0.1:0", "--config", &file]).args(args),
        )
    };
    let serve = launch(&[]);
    assert!(serve.greeting().starts_with("serving 2 sites at http://"), "{}", serve.greeting());
    for (host, status, text) in [
        ("shop.example.org", 200, "shop/public own"),
        ("Shop.Example.ORG:8080", 200, "shop/public own"),
        ("blog.example.org", 200, "blog common"),
        ("a.b.blog.example.org", 200, "blog common"),
        ("example.org", 421, ""),
        ("127.0.0.1", 421, ""),
    ] {
        let (found, body) = say(&serve, host);
        assert_eq!(found, status, "{host}: {body}");
        assert!(body.starts_with(text), "{host}: {body}");
    }
    // A site for all others, once somebody says which.
    let serve = launch(&["--root", &sites.path("main")]);
    assert_eq!(say(&serve, "example.org"), (200, "main common".to_owned()));
    assert_eq!(say(&serve, "shop.example.org"), (200, "shop/public own".to_owned()));
}

#[test]
fn a_file_is_checked_without_serving_it() {
    let sites = sites();
    let check = |text: &str| {
        let file = sites.add("check.toml", text);
        let output = run(["serve", "--check-config", "--config", &file]);
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), format!("{stdout}{stderr}"))
    };
    let (code, text) = check(&format!("[site]\nroot = \"main\"\n{HOSTS}"));
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "check.toml is fine",
        "any other host: ",
        "main",
        "shop.example.org: ",
        "shop/public (guessed",
        "PHP: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (text, part) in [
        ("[site]\nrot = 1\n", "line 2"),
        ("[site]\nroot = \"gone\"\n", "cannot open the site's folder"),
        ("[site]\nroot = \"main\"\ntry-files = [\"=403\"]\n", "cannot try \"=403\""),
        ("[site]\nroot = \"main\"\nsplit = \"php\"\n", "no ending of scripts"),
        ("[site]\nroot = \"main\"\nphp-value = [\"a b=1\"]\n", "a b"),
        ("[site]\nroot = \"main\"\n[http]\ntls-cert = \"gone.pem\"\n", "belong together"),
        (
            "[site]\nroot = \"main\"\n[http]\ntls-cert = \"gone.pem\"\ntls-key = \"gone.key\"\n",
            "gone.pem",
        ),
        ("[site]\nroot = \"main\"\n[http]\ntrusted-proxy = [\"10.0.0.0/33\"]\n", "10.0.0.0/33"),
        ("[site]\nroot = \"main\"\n[http]\nlisten = \"127.0.0.1:99999\"\n", "expected HOST:PORT"),
        ("[site]\nroot = \"main\"\n[ops]\nops-listen = \"here\"\n", "expected HOST:PORT"),
        (
            "[site]\nroot = \"main\"\n[ops]\naccess-log = \"gone/access.log\"\n",
            "cannot write the access log",
        ),
        ("[site]\nroot = \"main\"\n[ops]\naccess-log = \"main\"\n", "cannot write the access log"),
        ("[http]\nmax-clients = 0\n", "expected a whole number above 0"),
        ("[http]\nmax-headers = \"many\"\n", "expected a whole number"),
        ("[http]\nmax-resets = -1\n", "expected a whole number"),
        (
            "[[host]]\nnames = \"a.org\"\nfolder = \"shop\"\nsite.root = \"main\"\n",
            "a.org has a folder",
        ),
        ("[http]\nmax_body = 1\n", "did you mean `max-body`?"),
        ("[[host]]\nfolder = \"main\"\n", "has no names"),
        ("[[host]]\nnames = \"a.org\"\n", "neither a folder nor a site.root"),
        ("[[host]]\nnames = \"a org\"\nfolder = \"main\"\n", "is no host"),
        ("[[host]]\nnames = [\"a.org\", \"A.org\"]\nfolder = \"main\"\n", "two sites"),
    ] {
        let (code, said) = check(text);
        assert!(code == Some(1) && said.contains(part), "{text}: {said}");
    }
    let output = run(["serve", "--check-config", "--config", "/nowhere/fcgi.toml"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_is_hardly_meant_is_doubted() {
    let site = Scripts::empty();
    for name in ["index.php", "vendor/autoload.php"] {
        site.add(name, "<?php");
    }
    let file = site.add(
        "fcgi.toml",
        "[site]\nroot = \".\"\nindex = \"main.php\"\ntry-files = [\"{path}\", \"/gone.php?$args\"]\n\
         [upstream]\nmax-connections = 4\nmax-idle = 5\n",
    );
    let output = run(["serve", "--check-config", "--config", &file]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for doubt in
        ["index names main.php", "has no /gone.php", "max-idle is 5", "the whole project is public"]
    {
        assert!(
            said.lines().any(|line| line.contains("doubtful: ") && line.contains(doubt)),
            "{doubt}: {said}"
        );
    }
    // The same is in the log of a server.
    let serve = Serve::launch(fcgi().args(["serve", "--listen", "127.0.0.1:0", "--config", &file]));
    serve.wait_for_log("the whole project is public");
}

#[test]
fn what_to_try_and_what_is_a_script() {
    let site = Scripts::empty();
    for (name, content) in [
        ("about.html", "about"),
        ("front.php", "<?php echo 'front ', $_SERVER['QUERY_STRING'];"),
        ("page.php", "<?php echo 'page';"),
        ("run.php5", "<?php echo 'five ', $_SERVER['PATH_INFO'] ?? '';"),
    ] {
        site.add(name, content);
    }
    let fpm = PhpFpm::start();
    let serve = Serve::start(
        site.root(),
        [
            "--fpm",
            fpm.address(),
            "--try-files",
            "{path}",
            "--try-files",
            "{path}.html",
            "--try-files",
            "$uri.php",
            "--try-files",
            "/front.php?$args",
        ],
    );
    for (target, text) in
        [("/about", "about"), ("/page", "page"), ("/else?a=b", "front a=b"), ("/", "front ")]
    {
        assert_eq!(serve.get(target).text(), text, "{target}");
    }
    assert_eq!(serve.get("/run.php5").status, 404, "neither run nor shown");
    let serve = Serve::start(
        site.root(),
        ["--fpm", fpm.address(), "--split", ".php5", "--param", "REDIRECT_STATUS=200"],
    );
    // PHP-FPM itself allows the endings .php and .phar only; that it was asked is what counts.
    let response = serve.get("/run.php5/more");
    assert_eq!((response.status, response.text().trim()), (403, "Access denied."));
    assert_eq!(serve.get("/page.php").status, 404);
}

/// The script is told the same host, so another site would answer under a name that is not its own.
#[test]
fn a_site_is_chosen_by_the_host_that_a_trusted_proxy_names() {
    let (sites, fpm) = (sites(), PhpFpm::start());
    let settings = |http: &str| {
        let upstream = format!("[upstream]\nfpm = \"{}\"\n{http}", fpm.address());
        let file = sites.add("fcgi.toml", format!("{upstream}{HOSTS}"));
        Serve::launch(fcgi().args(["serve", "--listen", "127.0.0.1:0", "--config", &file]))
    };
    let ask = |serve: &Serve, host: &str, forwarded: &str| {
        let request = Request::get("/x").header("Host", host).header("X-Forwarded-For", "1.2.3.4");
        let response = request.header("X-Forwarded-Host", forwarded).send(serve.address());
        (response.status, response.text())
    };
    let serve = settings("[http]\ntrusted-proxy = [\"127.0.0.0/8\"]\n");
    let shop = (200, "shop/public own".to_owned());
    assert_eq!(ask(&serve, "inner", "shop.example.org"), shop);
    assert_eq!(ask(&serve, "blog.example.org", "Shop.example.org:8443"), shop);
    assert_eq!(ask(&serve, "shop.example.org", "elsewhere").0, 421);
    assert_eq!(ask(&serve, "shop.example.org", "a b").0, 400);
    // Nobody else is believed.
    let serve = settings("");
    assert_eq!(ask(&serve, "inner", "shop.example.org").0, 421);
    assert_eq!(ask(&serve, "shop.example.org", "blog.example.org"), shop);
}

#[test]
fn what_no_site_answers_is_in_the_log_and_the_figures() {
    let (sites, fpm) = (sites(), PhpFpm::start());
    let text = format!(
        "[upstream]\nfpm = \"{}\"\n[http]\nmax-uri = 100\nmax-headers = 9\n",
        fpm.address()
    );
    let file = sites.add("fcgi.toml", format!("{text}{HOSTS}"));
    let log = sites.path("access.log");
    let mut serve = Serve::launch(fcgi().args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        &file,
        "--access-log",
        &log,
        "--ops-listen",
        "127.0.0.1:0",
    ]));
    assert_eq!(say(&serve, "elsewhere").0, 421);
    assert_eq!(serve.get(&format!("/{}", "x".repeat(100))).status, 414);
    let many =
        (0..9).fold(Request::get("/many"), |request, nth| request.header(&format!("X-{nth}"), "1"));
    assert_eq!(many.send(serve.address()).status, 431);
    let line = serve.wait_for_log("/metrics");
    let ops = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let ops = ops.and_then(|address| address.parse().ok()).expect("an address");
    let figures = || Request::get("/metrics").send(ops).text();
    for status in [421, 414, 431] {
        let counted = format!("fcgi_requests_total{{method=\"GET\",status=\"{status}\"}} 1\n");
        assert!(wait_until(LIMIT, || figures().contains(&counted)), "{status}: {}", figures());
    }
    serve.stop();
    let lines = std::fs::read_to_string(&log).expect("a log");
    for (target, status) in
        [("/x HTTP/1.1\"", 421), ("x HTTP/1.1\"", 414), ("/many HTTP/1.1\"", 431)]
    {
        assert!(lines.contains(&format!("{target} {status} ")), "{status}: {lines}");
    }
}

/// Forgotten proxies would make every client the proxy.
#[test]
fn a_reload_with_proxies_that_cannot_be_read_changes_nothing() {
    let (sites, fpm) = (Scripts::empty(), PhpFpm::start());
    sites.add("site/index.php", "<?php echo $_SERVER['REMOTE_ADDR'];");
    let settings = |network: &str| {
        let upstream = format!("[upstream]\nfpm = \"{}\"\n", fpm.address());
        let http = format!("[http]\ntrusted-proxy = [\"{network}\"]\n");
        sites.add("fcgi.toml", format!("{upstream}[site]\nroot = \"site\"\n{http}"))
    };
    let file = settings("127.0.0.0/8");
    let serve =
        Serve::launch(fcgi().args(["serve", "--listen", "127.0.0.1:0", "--config", file.as_ref()]));
    let client =
        || Request::get("/").header("X-Forwarded-For", "203.0.113.9").send(serve.address()).text();
    assert_eq!(client(), "203.0.113.9");
    settings("127.0.0.0/88\"]\nmax-head = \"16K\"\n#");
    serve.signal(rustix::process::Signal::HUP);
    serve.wait_for_log("everything stays as it was: trusted-proxy 127.0.0.0/88");
    assert_eq!(client(), "203.0.113.9");
    serve.wait_for_log("only a restart brings it: max-head");
}
