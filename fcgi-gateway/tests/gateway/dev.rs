//! The developer's page of `fcgi serve --dev`: its stream, who may read it, and what a browser makes of it.

use std::net::SocketAddr;
use std::time::Instant;

use fcgi_test_support::http::{Exchange, Request};
use fcgi_test_support::{Chromium, PhpFpm, Scripts, free_port, wait_until};
use serde_json::Value;

use crate::support::{LIMIT, Serve};

/// Markup and script in a place where the page shows text.
const HOSTILE: &str =
    "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>";

fn scripts() -> Scripts {
    let scripts = Scripts::new();
    scripts.add(
        "hostile.php",
        format!("<?php error_log({HOSTILE:?}); error_log(\"two\\nlines\"); echo 'done';"),
    );
    scripts.add(
        "wait.php",
        "<?php echo 'begun'; ob_end_flush(); flush(); while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); }",
    );
    scripts.add("slow.php", "<?php usleep(700_000); echo str_repeat('x', 4000);");
    scripts
}

fn start(scripts: &Scripts, fpm: &PhpFpm) -> (Serve, SocketAddr) {
    let args = ["--fpm", fpm.address(), "--dev", "--dev-listen", "127.0.0.1:0"];
    let serve = Serve::start(scripts.root(), args);
    let page = page(&serve);
    (serve, page)
}

/// Where the page is, as the greeting says.
fn page(serve: &Serve) -> SocketAddr {
    let greeting = serve.greeting();
    let address = greeting.split_once("dev   http://").and_then(|(_, rest)| rest.split_once('/'));
    address.and_then(|(address, _)| address.parse().ok()).unwrap_or_else(|| panic!("{greeting}"))
}

/// A stream of events as it comes.
struct Stream {
    exchange: Exchange,
    bytes: Vec<u8>,
    opened: Instant,
}

impl Stream {
    fn open(page: SocketAddr) -> Self {
        let exchange = Request::get("/events").start(page);
        let response = exchange.response();
        assert_eq!(
            (response.status, response.header("content-type")),
            (200, Some("text/event-stream"))
        );
        Self { exchange, bytes: Vec::new(), opened: Instant::now() }
    }

    fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\n\n") {
                let event = String::from_utf8(self.bytes.drain(..end + 2).collect()).unwrap();
                // Else it is a comment.
                if let Some(event) = event.strip_prefix("event: ") {
                    let (name, data) = event.split_once("\ndata: ").unwrap();
                    return (name.to_owned(), serde_json::from_str(data).unwrap());
                }
            } else {
                let more = self.exchange.more();
                assert!(!more.is_empty(), "the stream has ended");
                self.bytes.extend_from_slice(more);
            }
            assert!(self.opened.elapsed() < LIMIT * 2, "what is awaited does not come");
        }
    }

    /// The next event of a kind that fits; those before it are passed over.
    fn find(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (found, data) = self.next();
            if found == name && fits(&data) {
                return data;
            }
        }
    }

    fn request(&mut self, target: &str) -> Value {
        self.find("request", |request| request["target"] == target && !request["end"].is_null())
    }
}

#[test]
fn requests_are_told_as_they_come() {
    let (scripts, fpm) = (scripts(), PhpFpm::start());
    let (serve, page) = start(&scripts, &fpm);
    serve.get("/zero.php?first");
    let mut stream = Stream::open(page);
    let (name, snapshot) = stream.next();
    assert_eq!(name, "snapshot", "what was before");
    assert_eq!(
        (&snapshot["requests"][0]["target"], &snapshot["skipped"]),
        (&"/zero.php?first".into(), &0.into())
    );
    assert_eq!(snapshot["site"], serve.greeting().split(' ').nth(1).unwrap());

    let mut answer = Request::get("/wait.php?api_token=hush").start(serve.address());
    assert!(!answer.more().is_empty());
    let waits = Instant::now();
    let shown = "/wait.php?api_token=***";
    // In whichever order: the pools are looked at from time to time, and told of only when they have changed.
    let (mut begun, mut busy) = (None, None);
    while begun.is_none() || busy.is_none() {
        match stream.next() {
            (name, data) if name == "request" && data["target"] == shown => begun = Some(data),
            (name, data) if name == "pools" && data[0]["in_flight"] == 1 => busy = Some(data),
            _ => {}
        }
    }
    let (begun, busy) = (begun.unwrap(), busy.unwrap());
    assert!(begun["end"].is_null(), "{begun}");
    assert_eq!((&busy[0]["addresses"][0], &busy[0]["waiting"]), (&fpm.address().into(), &0.into()));
    let waited = waits.elapsed();
    scripts.add("go", "");
    let sent = answer.finish();
    let end = stream.request(shown)["end"].take();
    assert_eq!(
        (&end["status"], &end["outcome"], &end["sent"]),
        (&200.into(), &"complete".into(), &sent.body.len().into())
    );
    let phase = |name: &str| end["phases"][name].as_u64().unwrap();
    assert!(u128::from(phase("body")) >= waited.as_micros(), "{waited:?} {end}");
    let sum = ["gateway", "queue", "connect", "first_byte", "body"].map(phase).iter().sum::<u64>();
    let total = end["total"].as_u64().unwrap();
    assert!(sum.abs_diff(total) < 10, "{sum} of {total}");

    serve.get("/hostile.php");
    stream.find("stderr", |line| line["line"].as_str().unwrap().contains(HOSTILE));
    let request = stream.request("/hostile.php");
    let lines = request["stderr"].as_array().unwrap();
    assert!(
        lines.len() >= 2 && lines.iter().all(|line| !line.as_str().unwrap().contains('\n')),
        "{lines:?}"
    );
    let id = serve.get("/greeter.php").header("x-request-id").unwrap().to_owned();
    assert_eq!(stream.request("/greeter.php")["id"], id);
    // The gateway's own answers have one phase.
    serve.get("/nothing.php/../%zz");
    let end = stream.request("/nothing.php/../%zz")["end"].take();
    assert_eq!((&end["status"], &end["upstream"]), (&400.into(), &Value::Null));
}

#[test]
fn the_last_requests_are_kept_and_a_slow_page_catches_up() {
    let (scripts, fpm) = (scripts(), PhpFpm::start());
    let (serve, page) = start(&scripts, &fpm);
    let mut stream = Stream::open(page);
    assert_eq!(stream.next().0, "snapshot");
    // More than sockets and queues hold, while nobody reads.
    let long = "x".repeat(3000);
    let mut connection = fcgi_test_support::http::Connection::open(serve.address());
    for number in 0..4000 {
        let answer = connection.send(&Request::get(&format!("/none-{number}.css?{long}")));
        assert_eq!(answer.status, 404);
    }
    let snapshot = stream.find("snapshot", |_| true);
    assert!(snapshot["skipped"].as_u64().unwrap() > 0);
    let mut later = Stream::open(page);
    let requests = later.next().1["requests"].take();
    let requests = requests.as_array().unwrap();
    assert_eq!(requests.len(), 200);
    for (request, number) in requests.iter().zip(3800..) {
        let target = request["target"].as_str().unwrap();
        assert!(target.starts_with(&format!("/none-{number}.css?x")), "{target}");
        assert!(target.len() < 2010 && target.ends_with('…'), "{}", target.len());
    }
}

#[test]
fn it_is_for_itself_and_those_who_open_it() {
    let (scripts, fpm) = (scripts(), PhpFpm::start());
    let (mut serve, page) = start(&scripts, &fpm);
    let ask =
        |path: &str, name: &str, value: &str| Request::get(path).header(name, value).send(page);
    for path in ["/", "/page.js", "/events"] {
        assert_eq!(ask(path, "Host", "evil.example").status, 403, "{path}");
        assert_eq!(ask(path, "Origin", "http://evil.example").status, 403, "{path}");
        assert_eq!(ask(path, "Sec-Fetch-Site", "cross-site").status, 403, "{path}");
    }
    assert_eq!(Request::post("/").send(page).status, 405);
    assert_eq!(ask("/other", "Accept", "*/*").status, 404);
    let html = ask("/", "Sec-Fetch-Site", "none");
    let policy = html.header("content-security-policy").unwrap();
    assert!(
        html.status == 200 && policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(Request::new("HEAD", "/events").send(page).status, 200);

    // Only so many at once.
    let streams = Vec::from_iter((0..16).map(|_| Stream::open(page)));
    assert_eq!(ask("/events", "Accept", "*/*").status, 503);
    drop(streams);
    let reopened =
        wait_until(LIMIT, || Request::get("/events").start(page).response().status == 200);
    assert!(reopened, "closed pages make room");

    // An open page holds up neither a reload nor the end.
    let mut stream = Stream::open(page);
    serve.signal(rustix::process::Signal::HUP);
    serve.wait_for_log("the settings were read again");
    serve.get("/zero.php?reloaded");
    stream.request("/zero.php?reloaded");
    serve.stop();
    assert!(!serve.log().contains("did not end within"), "{}", serve.log());
}

#[test]
fn an_application_that_cannot_be_reached() {
    let scripts = scripts();
    let nowhere = format!("127.0.0.1:{}", free_port());
    let args = ["--fpm", &nowhere, "--dev", "--dev-listen", "127.0.0.1:0"];
    let serve = Serve::start(scripts.root(), args);
    let mut stream = Stream::open(page(&serve));
    assert_eq!(serve.get("/zero.php").status, 502);
    let end = stream.request("/zero.php")["end"].take();
    let failure = end["failure"].as_str().unwrap();
    assert!(failure.contains(&nowhere) && failure.contains("is php-fpm running"), "{failure}");
    // Another one, as the figures may have come before the request's end.
    let failed = Stream::open(page(&serve)).find("pools", |pools| pools[0]["failed_dials"] != 0);
    assert_eq!(
        (&failed[0]["addresses"][0], &failed[0]["connections"]),
        (&nowhere.into(), &0.into())
    );
}

#[test]
fn only_in_development() {
    let scripts = scripts();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let nowhere = format!("127.0.0.1:{}", free_port());
    let serve = Serve::start(scripts.root(), ["--fpm", &nowhere, "--dev-listen", &taken]);
    assert!(!serve.greeting().contains("dev "), "{}", serve.greeting());
    let output = crate::support::run([
        "serve",
        scripts.root().to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--fpm",
        &nowhere,
        "--dev",
        "--dev-listen",
        &taken,
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && stderr.contains("--dev-listen chooses another"),
        "{stderr}"
    );
}

/// What a script in the page gives, once that is not null.
fn wait_for(chromium: &mut Chromium, script: &str) -> Value {
    let mut value = Value::Null;
    let found = wait_until(LIMIT, || {
        value = chromium.evaluate(script);
        !value.is_null() && value != Value::Bool(false)
    });
    let page = chromium.evaluate("document.body.innerText");
    assert!(found, "{script} in\n{}", page.as_str().unwrap_or_default());
    value
}

#[test]
fn in_chromium() {
    let (scripts, fpm) = (scripts(), PhpFpm::start());
    let (serve, page) = start(&scripts, &fpm);
    let mut chromium = Chromium::start();
    serve.get("/greeter.php?before");
    chromium.open(&format!("http://{page}/"));
    wait_for(
        &mut chromium,
        "document.querySelector('#state.live') && document.body.innerText.includes('/greeter.php?before')",
    );
    // As hostile as it gets, in PHP's messages and in the address, where hyper takes no `<`.
    serve.get("/hostile.php");
    serve.get("/none.css?'{alert(1)}'&token=hush");
    serve.get("/slow.php");
    wait_for(
        &mut chromium,
        "document.querySelectorAll('#requests tbody:not(.running)').length == 4",
    );
    let rows = chromium.evaluate(
        "[...document.querySelectorAll('#requests tbody')].map(part => [part.className,
            ...['method', 'target', 'status', 'time'].map(name => part.querySelector('td.' + name).innerText),
            part.querySelector('.stderr')?.innerText ?? ''])",
    );
    let cell = |row: usize, column: usize| rows[row][column].as_str().unwrap();
    assert_eq!((cell(0, 2), cell(0, 3)), ("/slow.php", "200"), "the newest first");
    assert!(cell(0, 0).contains("slow") && cell(1, 0).contains("client"), "{rows}");
    assert_eq!((cell(1, 1), cell(1, 2)), ("GET", "/none.css?'{alert(1)}'&token=***"));
    assert!(cell(2, 5).contains(HOSTILE) && cell(2, 5).contains("two"), "{rows}");
    assert!(cell(0, 4).ends_with(" ms") || cell(0, 4).ends_with(" s"), "{rows}");
    assert_eq!(chromium.evaluate("document.images.length + document.scripts.length"), 1);
    // The slow one waits for its first byte most of the time, and is drawn so.
    let wait = chromium.evaluate(
        "(() => { const bar = document.querySelector('#requests tbody.slow .bar');
            return bar.querySelector('.first_byte').offsetWidth / bar.offsetWidth })()",
    );
    assert!(wait.as_f64().is_some_and(|part| part > 0.2), "{wait}");
    wait_for(&mut chromium, "document.querySelector('#pools .pool')?.innerText.includes('idle')");

    let shown =
        "[...document.querySelectorAll('#requests tbody')].filter(part => !part.hidden).length";
    let set = |chromium: &mut Chromium, text: &str| {
        chromium.evaluate(&format!(
            "(() => {{ const input = document.getElementById('filter'); input.value = {text:?};
                input.dispatchEvent(new Event('input')) }})()"
        ));
        chromium.evaluate(shown)
    };
    assert_eq!(set(&mut chromium, "onerror"), 1);
    assert_eq!(set(&mut chromium, "get 200"), 3);
    assert_eq!(set(&mut chromium, "there is no such"), 0);
    assert_eq!(set(&mut chromium, ""), 4);
    chromium.evaluate("document.querySelector('#only-slow').click()");
    assert_eq!(chromium.evaluate(shown), 1);
    chromium.evaluate("document.querySelector('#only-slow').click()");
    chromium.evaluate("document.querySelector('tbody.slow button').click()");
    wait_for(&mut chromium, "document.querySelector('.details')?.innerText.includes('first byte')");

    chromium.evaluate("document.querySelector('#pause').click()");
    serve.get("/zero.php?paused");
    wait_for(
        &mut chromium,
        "document.querySelector('#note').innerText.includes('One request has come')",
    );
    assert_eq!(chromium.evaluate(shown), 4);
    chromium.evaluate("document.querySelector('#pause').click()");
    wait_for(
        &mut chromium,
        &format!("{shown} == 5 && document.querySelector('tbody.slow .details') && true"),
    );
    chromium.evaluate("document.querySelector('#clear').click()");
    assert_eq!(chromium.evaluate(shown), 0);
    serve.get("/zero.php?again");
    wait_for(&mut chromium, &format!("{shown} == 1"));
    assert!(
        chromium
            .evaluate("document.title")
            .as_str()
            .is_some_and(|title| title.starts_with("Requests"))
    );
    let failed = chromium.failed();
    assert!(failed.is_empty(), "{failed:?}");
}
