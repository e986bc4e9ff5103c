//! php-fpm killed, reloaded, stopped and full, under load: every request is answered, and none with another's answer.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use fcgi_gateway::Gateway;
use fcgi_test_support::http::{Connection, Request};
use fcgi_test_support::{PhpFpm, Scripts, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{LIMIT, Running};

const CLIENTS: usize = 8;

/// Clients that ask without a pause, and look at every answer.
struct Load {
    is_over: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<BTreeMap<u16, usize>>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (is_over, good) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = (0..CLIENTS).map(|client| {
            let (is_over, good) = (Arc::clone(&is_over), Arc::clone(&good));
            std::thread::spawn(move || run(address, client, &is_over, &good))
        });
        let clients = clients.collect();
        Self { is_over, good, clients }
    }

    /// Waits for so many more good answers.
    #[track_caller]
    fn wait_for_good(&self, more: usize) {
        let enough = self.good.load(Ordering::Relaxed) + more;
        assert!(wait_until(LIMIT, || self.good.load(Ordering::Relaxed) >= enough));
    }

    /// Ends it, and counts the answers by status.
    fn end(self) -> BTreeMap<u16, usize> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for client in self.clients {
            for (status, count) in client.join().expect("every answer was right") {
                *all.entry(status).or_default() += count;
            }
        }
        all
    }
}

fn run(
    address: SocketAddr,
    client: usize,
    is_over: &AtomicBool,
    good: &AtomicUsize,
) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    let mut connection = Connection::open(address);
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        // Some are posted, some are long.
        let id = format!("{client}-{number}");
        let padding = if number % 7 == 0 { 200_000 } else { 10 };
        let target = format!("/who.php?id={id}&padding={padding}");
        let request = if number % 3 == 0 {
            Request::post(&target).body(id.clone())
        } else {
            Request::get(&target)
        };
        let response = connection.send(&request);
        *statuses.entry(response.status).or_default() += 1;
        if response.status != 200 {
            assert!(matches!(response.status, 502..=504), "{response:?}");
            assert!(
                response.text().starts_with(&response.status.to_string()),
                "{}",
                response.text()
            );
            continue;
        }
        let text = response.text();
        let begin = format!("answer to {id} ");
        if response.is_complete() {
            let (is_right, end) = (text.starts_with(&begin), format!(" end of {id}"));
            assert!(is_right && text.ends_with(&end), "{id} got {:?}", text.get(..40));
            good.fetch_add(1, Ordering::Relaxed);
        } else {
            // A cut one is visibly cut, and as far as it goes it is the right one.
            let length = begin.len().min(text.len());
            assert_eq!(text.get(..length), begin.get(..length));
            connection = Connection::open(address);
        }
    }
    statuses
}

fn site(fpm: &PhpFpm, timeout: Duration) -> (Running, Scripts) {
    let scripts = Scripts::new();
    scripts.add(
        "who.php",
        "<?php $id = $_GET['id']; if ($_SERVER['REQUEST_METHOD'] === 'POST' && file_get_contents('php://input') !== $id) {
            exit('answer to nobody'); }
        usleep(1000); echo \"answer to $id \", str_repeat('.', (int) $_GET['padding']), \" end of $id\";",
    );
    let gateway = Gateway::builder(scripts.root()).fpm(fpm.address()).timeout(timeout);
    (Running::start(gateway), scripts)
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn workers_are_killed() {
    let fpm = PhpFpm::builder().workers(4).start();
    let (running, _scripts) = site(&fpm, LIMIT);
    let load = Load::start(running.address);
    for _ in 0..15 {
        load.wait_for_good(20);
        if let Some(pid) = fpm.worker_pids().first() {
            send(*pid, Signal::KILL);
        }
    }
    load.wait_for_good(100);
    let statuses = load.end();
    assert!(statuses.keys().all(|status| matches!(status, 200 | 502)), "{statuses:?}");
}

#[test]
fn it_is_reloaded_and_restarted() {
    let mut fpm = PhpFpm::builder().workers(4).start();
    let (running, _scripts) = site(&fpm, LIMIT);
    let load = Load::start(running.address);
    for _ in 0..3 {
        load.wait_for_good(50);
        fpm.reload();
    }
    load.wait_for_good(50);
    fpm.restart();
    load.wait_for_good(100);
    let statuses = load.end();
    assert!(statuses.keys().all(|status| matches!(status, 200 | 502)), "{statuses:?}");
}

#[test]
fn it_is_stopped_and_goes_on() {
    let fpm = PhpFpm::builder().workers(4).start();
    let (running, _scripts) = site(&fpm, Duration::from_secs(1));
    let load = Load::start(running.address);
    load.wait_for_good(50);
    let pids = [vec![fpm.master_pid()], fpm.worker_pids()].concat();
    for pid in &pids {
        send(*pid, Signal::STOP);
    }
    let stuck = || {
        running
            .events()
            .iter()
            .filter(|event| {
                matches!(event,
        fcgi_gateway::observe::Event::Ended(record) if record.status() == 504)
            })
            .count()
    };
    assert!(wait_until(LIMIT, || stuck() >= CLIENTS));
    for pid in &pids {
        send(*pid, Signal::CONT);
    }
    load.wait_for_good(100);
    let statuses = load.end();
    assert!(statuses.keys().all(|status| matches!(status, 200 | 502..=504)), "{statuses:?}");
}

#[test]
fn it_is_full() {
    // One worker, and a listen queue of one, so that most connects must wait.
    let fpm = PhpFpm::builder().workers(1).pool("listen.backlog", "1").start();
    let (running, _scripts) = site(&fpm, LIMIT);
    let load = Load::start(running.address);
    load.wait_for_good(300);
    let statuses = load.end();
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200], "{statuses:?}");
}
