//! One pool for several runtimes.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fcgi_test_support::{PhpFpm, Scripts};
use fcgi_tokio::server;
use fcgi_tokio::{Address, Listener, Pool, PoolConfig, Request, Server};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn several_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn address(fpm: &PhpFpm) -> Address {
    fpm.address().parse().expect("an address")
}

#[test]
fn a_kept_connection_goes_from_runtime_to_runtime() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    let pool = Pool::new([address(&fpm)], PoolConfig::default());
    let request = || Request::get(scripts.path("zero.php"));
    // Each on a thread of its own, some from one thread to several and back.
    let runtimes = [one_thread(), several_threads(), one_thread(), one_thread(), several_threads()];
    for (number, runtime) in runtimes.iter().cycle().take(11).enumerate() {
        let call = || runtime.block_on(pool.call(request()));
        let answer = thread::scope(|scope| scope.spawn(call).join().expect("no panic"));
        assert_eq!(answer.expect("an answer").body(), "0", "request {number}");
    }
    let metrics = pool.metrics().pool;
    assert_eq!((metrics.dials, metrics.reuses), (1, 10));
}

#[test]
fn a_pool_outlives_the_runtime_it_was_first_used_in() {
    let scripts = Scripts::new();
    let fpm = PhpFpm::builder().workers(1).start();
    // The wait of an idle connection begins in one runtime, and passes in another.
    let config = PoolConfig::default().idle_timeout(Duration::from_millis(200));
    let pool = Pool::new([address(&fpm)], config);
    let request = || Request::get(scripts.path("zero.php"));
    let first = one_thread();
    first.block_on(pool.call(request())).expect("an answer");
    drop(first);
    one_thread().block_on(async {
        pool.call(request()).await.expect("an answer");
        let closed = async {
            while pool.metrics().pool.connections > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), closed).await.expect("closed in time");
    });
}

/// Our own server, which multiplexes, on a thread of its own.
fn application() -> (Address, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let address = Address::unix(folder.path().join("app.sock").to_str().expect("UTF-8"));
    let runtime = one_thread();
    let listener = runtime.block_on(Listener::bind(address.clone())).expect("a socket");
    thread::spawn(move || {
        let handler = async |mut request: server::Request| {
            request.stdout.write("Content-Type: text/plain\r\n\r\n").await?;
            let name = request.params.get("SCRIPT_FILENAME").unwrap_or_default().to_vec();
            request.stdout.write(name).await?;
            Ok::<_, server::OutputError>(0)
        };
        runtime.block_on(Server::new(handler).serve(listener))
    });
    (address, folder)
}

#[test]
fn each_thread_has_a_shared_connection_of_its_own() {
    let (address, _folder) = application();
    let config = PoolConfig::default().multiplex(NonZeroU16::new(64).expect("not 0"));
    let pool = Pool::new([address], config);
    // This one's connection ends with its runtime.
    one_thread().block_on(pool.call(Request::get("/first"))).expect("an answer");
    let all = Arc::new(Barrier::new(3));
    let threads = (0..3).map(|number| {
        let (pool, all) = (pool.clone(), Arc::clone(&all));
        thread::spawn(move || {
            one_thread().block_on(async {
                all.wait().await;
                for count in 0..200 {
                    let path = format!("/{number}/{count}");
                    let answer = pool.call(Request::get(&path)).await.expect("an answer");
                    assert_eq!(answer.body(), &path, "of another thread");
                }
                // A connection is driven where it was dialled, and others may be using it.
                all.wait().await;
            });
        })
    });
    for thread in Vec::from_iter(threads) {
        thread.join().expect("no panic");
    }
    let dials = pool.metrics().pool.dials;
    assert!((4..=8).contains(&dials), "{dials} dials, one of them for the runtime that is gone");
}
