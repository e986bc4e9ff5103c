//! Several addresses, names that stand for others tomorrow, and the pages when none answers.

use core::time::Duration;
use std::collections::HashSet;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex};

use fcgi_gateway::upstream::{Addresses, HealthCheck, Resolve};
use fcgi_gateway::{Builder, Gateway};
use fcgi_test_support::http::{Connection, Request};
use fcgi_test_support::{PhpFpm, Scripts, wait_until};
use fcgi_tokio::PoolConfig;

use crate::support::{Application, LIMIT, Running};

/// An application that says who it is.
fn named(name: &'static str) -> Application {
    Application::start(move |mut request: fcgi_tokio::server::Request| async move {
        request.stdout.write(format!("Content-Type: text/plain\r\n\r\n{name}")).await?;
        Ok::<_, std::io::Error>(0)
    })
}

/// Everybody who answers some requests.
fn who_answers(running: &Running) -> HashSet<String> {
    (0..40).map(|_| running.get("/").text()).collect()
}

fn set<const N: usize>(names: [&str; N]) -> HashSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn requests_are_spread_and_go_around_what_is_down() {
    let (one, two) = (named("one"), named("two"));
    let running = Running::start(Gateway::to_application(one.address()).fpm(two.address()));
    assert_eq!(who_answers(&running), set(["one", "two"]));
    drop(one);
    // An upload that is streamed goes around it as well.
    let upload = Request::post("/").body(vec![b'x'; 100_000]);
    for _ in 0..20 {
        assert_eq!(upload.send(running.address).text(), "two");
    }
    assert_eq!(who_answers(&running), set(["two"]));
    drop(two);
    assert_eq!(running.get("/").status, 502);
}

/// Names as a test wants them.
#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<Vec<IpAddr>>>);

impl Names {
    fn set<const N: usize>(&self, hosts: [u8; N]) {
        *self.0.lock().unwrap() = hosts.map(|last| IpAddr::from([127, 0, 0, last])).to_vec();
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> Addresses<'a> {
        assert_eq!(host, "php.test");
        let found = self.0.lock().unwrap().clone();
        Box::pin(async move {
            if found.is_empty() { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(found) }
        })
    }
}

/// Applications on one port of several hosts, as the pods behind a headless service are.
struct Pods {
    names: Names,
    port: u16,
    runtime: tokio::runtime::Runtime,
}

impl Pods {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self {
            names: Names::default(),
            port: fcgi_test_support::free_port(),
            runtime: runtime.unwrap(),
        }
    }

    /// A pod on 127.0.0.`last`, which answers with that.
    fn start(&self, last: u8) -> tokio::task::JoinHandle<std::io::Result<()>> {
        let address = format!("127.0.0.{last}:{}", self.port);
        let listener =
            self.runtime.block_on(fcgi_tokio::Listener::bind(&address)).expect("a free port");
        self.runtime.spawn(fcgi_tokio::serve(
            listener,
            move |mut request: fcgi_tokio::server::Request| async move {
                request.stdout.write(format!("Content-Type: text/plain\r\n\r\n{last}")).await?;
                Ok::<_, std::io::Error>(0)
            },
        ))
    }

    fn gateway(&self) -> Builder {
        Gateway::to_application(format!("php.test:{}", self.port).as_str())
            .resolver(self.names.clone())
            .resolve_interval(Duration::from_millis(500))
    }
}

#[test]
fn a_headless_service_scales_out_and_in() {
    let pods = Pods::new();
    let first = pods.start(1);
    pods.names.set([1]);
    let running = Running::start(pods.gateway());
    assert_eq!(who_answers(&running), set(["1"]));

    let _others = (pods.start(2), pods.start(3));
    pods.names.set([1, 2, 3]);
    assert!(wait_until(LIMIT, || who_answers(&running) == set(["1", "2", "3"])));

    // Out of the service first, then gone: nobody notices.
    pods.names.set([2, 3]);
    assert!(wait_until(LIMIT, || who_answers(&running) == set(["2", "3"])));
    first.abort();
    assert_eq!(who_answers(&running), set(["2", "3"]));

    // While the name server is down, what is known stays.
    pods.names.set([]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(who_answers(&running), set(["2", "3"]));
}

#[test]
fn a_name_that_was_never_found_is_a_bad_gateway() {
    let running = Running::start(Gateway::to_application("no-such-host.invalid:9000"));
    assert_eq!(running.get("/").status, 502);
}

#[test]
fn who_fails_the_health_check_is_left_out() {
    let (good, bad) = (named("good"), TcpListener::bind("127.0.0.1:0").unwrap());
    // Accepts, by the system alone, and never says a word.
    let silent = bad.local_addr().unwrap().to_string();
    let check = HealthCheck::new("/ping")
        .interval(Duration::from_millis(100))
        .timeout(Duration::from_millis(500))
        .failures(2);
    let gateway = Gateway::to_application(good.address()).fpm(silent.as_str());
    let running = Running::start(gateway.health_check(check).timeout(Duration::from_secs(1)));
    // The first request starts it all.
    running.get("/");
    assert!(wait_until(LIMIT, || running.gateway.addresses().len() == 1));
    assert_eq!(who_answers(&running), set(["good"]));
}

#[test]
fn php_fpm_answers_health_checks_and_loses_no_worker_to_them() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::builder().workers(1).start());
    let check = HealthCheck::new("/ping").interval(Duration::from_millis(100)).failures(1);
    let gateway = Gateway::builder(scripts.root()).fpm(fpm.address()).health_check(check);
    let running = Running::start(gateway);
    running.get("/greeter.php");
    assert!(wait_until(LIMIT, || fpm.access_log().matches("/ping").count() >= 3));
    assert_eq!(running.get("/greeter.php?who=you").text(), "Hello you");
    assert_eq!(running.gateway.addresses().len(), 1);
}

#[test]
fn sixteen_clients_on_four_workers_are_all_served() {
    const CLIENTS: usize = 16;
    const REQUESTS: usize = 40;
    let (scripts, fpm) = (Scripts::new(), PhpFpm::builder().workers(4).start());
    // As many as there are workers may idle, which starves clients behind other servers.
    let pool = PoolConfig::default().max_connections(16).max_idle(16);
    let running = Running::start(Gateway::builder(scripts.root()).fpm(fpm.address()).pool(pool));
    let address = running.address;
    let clients = (0..CLIENTS).map(|client| {
        std::thread::spawn(move || {
            let mut connection = Connection::open(address);
            for request in 0..REQUESTS {
                let target = format!("/greeter.php?who={client}-{request}");
                let response = connection.send(&Request::get(&target));
                assert_eq!(response.text(), format!("Hello {client}-{request}"));
            }
        })
    });
    for client in Vec::from_iter(clients) {
        client.join().unwrap();
    }
    let records = running.records(CLIENTS * REQUESTS);
    let slowest = records.iter().map(|record| record.total()).max();
    assert!(slowest < Some(Duration::from_secs(5)), "somebody waited {slowest:?}");
    // Another program that uses the same php-fpm finds a worker, too.
    let other = Running::start(Gateway::builder(scripts.root()).fpm(fpm.address()));
    assert_eq!(other.get("/greeter.php?who=other").text(), "Hello other");
}

#[test]
fn no_place_in_time_is_service_unavailable() {
    let (scripts, fpm) = (Scripts::new(), PhpFpm::builder().workers(1).start());
    let pool = PoolConfig::default().max_connections(1).queue_timeout(Duration::from_millis(100));
    let running = Running::start(Gateway::builder(scripts.root()).fpm(fpm.address()).pool(pool));
    let busy = Request::get("/sleep.php?first=1&ms=1500").start(running.address);
    let response = running.get("/greeter.php");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    drop(busy);
}

#[test]
fn developers_are_told_the_cause_and_what_to_do() {
    let nowhere = format!("127.0.0.1:{}", fcgi_test_support::free_port());
    let page = |is_on: bool, accept: &str| {
        let gateway = Gateway::to_application(nowhere.as_str()).development(is_on);
        let running = Running::start(gateway);
        Request::get("/").header("Accept", accept).send(running.address)
    };
    for accept in ["text/html", "application/json", "*/*"] {
        let public = page(false, accept);
        assert_eq!(public.status, 502);
        assert!(!public.text().contains("127.0.0.1"), "{}", public.text());
        let private = page(true, accept);
        for words in ["cannot connect to 127.0.0.1", "s php-fpm running and listening there?"] {
            assert!(private.text().contains(words), "{words}: {}", private.text());
        }
        let id = private.header("x-request-id").unwrap();
        assert!(private.text().contains(id), "{}", private.text());
    }
    assert_eq!(page(true, "text/html").header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn developers_see_the_last_words_of_a_script() {
    let application = Application::start(async |mut request: fcgi_tokio::server::Request| {
        request.stderr.write("PHP Fatal error: out of <memory>\n").await?;
        request.stdout.write("no head at all").await?;
        Ok::<_, std::io::Error>(0)
    });
    let gateway = Gateway::to_application(application.address()).development(true);
    let running = Running::start(gateway);
    let response = Request::get("/").header("Accept", "text/html").send(running.address);
    assert_eq!(response.status, 502);
    assert!(
        response.text().contains("PHP Fatal error: out of &lt;memory&gt;"),
        "{}",
        response.text()
    );
}
