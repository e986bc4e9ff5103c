//! What is promised of every client, one test each: names begin with the promise.

use std::io::{self, Read, Write};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fcgi_proto::cgi::HeadError;
use fcgi_proto::decode::{Decoder, Piece};
use fcgi_proto::pool::Config;
use fcgi_proto::scripted::Script;
use fcgi_proto::{Error, ErrorKind, Phase, RecordType, Request, Timeouts};

use super::peer::{HELLO, Peer, peer, read_request, until_closed};
use super::pools::{one, pool, run};
use super::scripts::{at_first, hello, meets};
use super::site::Site;
use super::{Adapter, Client, Pooled, Response, drain};
use crate::{PhpFpm, Scripted, Scripts, wait_until};

pub fn d1_eighty_callers_on_four_workers_all_finish<A: Pooled>() {
    let site = Site::with_workers(4);
    let config = Config::default().max_connections(8).queue_timeout(None);
    let pool = one::<A>(site.fpm.address(), config, Timeouts::default().with_queue(None));
    let started = Instant::now();
    run::<A>(&pool, 80, &site.scripts.path("sleep.php?ms=100"), "slept 100");
    let took = started.elapsed();
    // 20 rounds of 100 ms; the rest is for a slow machine.
    assert!(took < Duration::from_secs(10), "took {took:?}");
    // A quarter of the limit, once the others have lingered for a moment.
    let are_few = || A::snapshot(&pool).idle <= 2;
    assert!(wait_until(Duration::from_secs(60), are_few), "{:?}", A::snapshot(&pool));
}

pub fn d2_the_queue_is_bounded_in_length_and_time<A: Pooled>() {
    let begins = Script::new().await_request().stdout("A: b\n\nbusy").flush().await_close();
    let application = at_first(begins);
    let config = Config::default().max_connections(1).max_waiting(1);
    assert_eq!(Timeouts::default().queue(), Some(Duration::from_secs(5)));
    let limits = Timeouts::default().with_queue(Duration::from_millis(300));
    let pool = one::<A>(application.address(), config, limits);
    let busy = A::pool_execute(&pool, Request::get("/x.php")).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| A::pool_call(&pool, Request::get("/x.php")));
        let is_waiting = || A::snapshot(&pool).waiting == 1 || waiting.is_finished();
        assert!(wait_until(Duration::from_secs(60), is_waiting));
        if !waiting.is_finished() {
            let full = A::pool_call(&pool, Request::get("/x.php")).map(drop).unwrap_err();
            // It may have been its turn to wait by now.
            let kind = full.kind();
            assert!(
                matches!(kind, ErrorKind::PoolFull { limit: 1 } | ErrorKind::Timeout),
                "{full}"
            );
        }
        let error = waiting.join().expect("no panic").map(drop).unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Queue)));
        assert!(error.is_safe_to_retry() && !error.is_begun(), "{error}");
    });
    drop(busy);
    assert_eq!(A::pool_call(&pool, Request::get("/x.php")).unwrap().body(), "hey");
}

pub fn d3_a_restart_costs_one_dial_and_no_error<A: Pooled>() {
    let scripts = Scripts::new();
    let mut fpm = PhpFpm::builder().workers(2).start();
    let pool = pool::<A>(&fpm, Config::default());
    run::<A>(&pool, 1, &scripts.path("zero.php"), "0");
    fpm.restart();
    run::<A>(&pool, 1, &scripts.path("zero.php"), "0");
    assert_eq!(A::snapshot(&pool).dials, 2);
}

pub fn d3_what_was_begun_is_not_sent_again<A: Adapter>() {
    let application = at_first(Script::new().await_bytes(1));
    let client = Client::new(application.address());
    let request = Request::post("/x.php").body(vec![b'u'; 8 << 20]);
    let error = A::call(&client, request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reset, "{error}");
    assert!(error.is_begun() && !error.is_safe_to_retry(), "{error}");
    assert_eq!(application.connections(), 1);
}

fn timed_out<A: Adapter>(address: &str, timeouts: Timeouts) -> Error {
    let client = Client::new(address).timeouts(timeouts);
    let error = A::call(&client, Request::get("/x.php")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains(address), "{error}");
    error
}

pub fn d4_each_limit_fires_and_says_which_it_was<A: Adapter>() {
    let defaults = Timeouts::default();
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
    assert_eq!((seconds(defaults.connect()), seconds(defaults.first_byte())), (Some(3), Some(60)));
    assert_eq!((seconds(defaults.idle()), seconds(defaults.total())), (Some(60), None));

    let short = Duration::from_millis(50);
    let silent = Scripted::unix(|_| Script::new().await_close());
    let error = timed_out::<A>(silent.address(), Timeouts::NONE.with_first_byte(short));
    assert_eq!((error.phase(), error.limit()), (Some(Phase::FirstByte), Some(short)));
    assert!(error.is_begun() && error.bytes_received() == 0 && error.bytes_sent() > 0);

    let stalls =
        Scripted::unix(|_| Script::new().await_request().bytes(&HELLO[..20]).await_close());
    let error = timed_out::<A>(stalls.address(), Timeouts::NONE.with_idle(short));
    assert_eq!((error.phase(), error.bytes_received()), (Some(Phase::Idle), 20));

    // One byte now and then is progress, and only the limit on the whole stops it.
    let drip = |part: Script| part.stdout("x").flush().pause(Duration::from_millis(5));
    let drips = Script::new().await_request().stdout("A: b\n\n").repeat(u64::MAX, drip);
    let drips = Scripted::unix(move |_| drips.clone());
    let limits = Timeouts::NONE.with_idle(Duration::from_secs(60)).with_total(short * 4);
    assert_eq!(timed_out::<A>(drips.address(), limits).phase(), Some(Phase::Total));
}

pub fn d5_dropping_closes_the_connection<A: Adapter>() {
    let begins = Script::new().await_request().stdout("A: b\n\nsome").flush().await_close();
    let application = at_first(begins);
    let client = Client::new(application.address());
    drop(A::execute(&client, Request::get("/x.php")).unwrap());
    let _all = application.wait_over(0);
    assert_eq!(A::call(&client, Request::get("/x.php")).unwrap().body(), "hey");
}

pub fn d5_dropped_requests_leave_every_place_free<A: Pooled>() {
    let site = Site::with_workers(4);
    let pool = pool::<A>(&site.fpm, Config::default().max_connections(4));
    thread::scope(|scope| {
        for caller in 0..8_u64 {
            let (pool, site) = (&pool, &site);
            scope.spawn(move || {
                for round in 0..25 {
                    let script =
                        if round % 3 == 0 { "sleep.php?ms=5" } else { "big.php?size=300000" };
                    let after = Duration::from_micros((caller * 25 + round) * 97 % 20_000);
                    A::pool_cancel(pool, site.get::<A>(script), after);
                }
            });
        }
    });
    let is_free = || {
        let now = A::snapshot(&pool);
        (now.in_flight, now.waiting) == (0, 0) && now.connections == now.idle
    };
    assert!(wait_until(Duration::from_secs(60), is_free), "{:?}", A::snapshot(&pool));
    run::<A>(&pool, 20, &site.scripts.path("greeter.php?who=you"), "Hello you");
}

pub fn d6_gathering_keeps_the_order_and_survives_failures<A: Pooled>() {
    let site = Site::start();
    let pool = pool::<A>(&site.fpm, Config::default());
    let requests =
        || ["sleep.php?ms=300", "no-such.php", "zero.php"].map(|name| site.get::<A>(name)).into();
    let results = A::join_ordered(&pool, requests());
    let bodies = results.iter().map(|result| result.as_ref().ok().map(|answer| &answer.body()[..]));
    assert_eq!(bodies.collect::<Vec<_>>(), [Some(&b"slept 300"[..]), None, Some(b"0")]);
    let completed = A::as_completed(&pool, requests());
    assert_eq!(completed.len(), 3);
    let (last, result) = completed.last().expect("three");
    assert_eq!(*last, 0, "the slow one comes last");
    assert_eq!(result.as_ref().expect("an answer").body(), "slept 300");
    assert!(completed.iter().any(|(index, result)| *index == 1 && result.is_err()));
}

pub fn d7_the_head_and_each_piece_come_when_they_are_there<A: Adapter>() {
    let (say, said) = mpsc::channel::<Vec<u8>>();
    let said = Mutex::new(said);
    let peer: Peer = peer(move |mut stream| {
        read_request(&mut stream);
        for bytes in said.lock().expect("one connection").iter() {
            let _ = stream.write_all(&bytes);
        }
    });
    let record = |record_type: u8, text: &str| {
        let len = u8::try_from(text.len()).expect("short");
        say.send([&[1, record_type, 0, 1, 0, len, 0, 0], text.as_bytes()].concat()).expect("heard");
    };
    // Each comes though nothing follows it, not even the rest of the body.
    record(6, "Content-Length: 6\r\n\r\n");
    let mut response = A::execute(&peer.client(), Request::get("/x.php")).unwrap();
    for piece in ["one", "two"] {
        record(7, "also this\n");
        record(6, piece);
        assert_eq!(response.chunk().unwrap().unwrap(), piece);
    }
    assert_eq!(response.stderr(), b"also this\nalso this\n");
    record(3, "\0\0\0\0\0\0\0\0");
    assert_eq!(response.chunk().unwrap(), None);
}

pub fn d8_a_hundred_mib_cross_a_hundred_mib<A: Adapter>() {
    const SIZE: u64 = 100 << 20;
    // Answers at once, and reads only when it has.
    let peer = peer(|mut stream| {
        let _ = stream.write_all(b"\x01\x06\0\x01\0\x06\0\0A: b\n\n");
        let mut record = b"\x01\x06\0\x01\x80\0\0\0".to_vec();
        record.resize(8 + 32 * 1024, b'd');
        let mut from = stream.try_clone().expect("a second handle");
        let reader = thread::spawn(move || {
            let mut some = vec![0; 64 * 1024];
            let mut count = 0;
            while let Ok(more @ 1..) = from.read(&mut some) {
                count += more as u64;
                if count >= SIZE && some[..more].ends_with(b"\x01\x05\0\x01\0\0\0\0") {
                    return;
                }
            }
        });
        for _ in 0..SIZE / (32 * 1024) {
            let _ = stream.write_all(&record);
        }
        reader.join().expect("no panic");
        let _ = stream.write_all(b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
        until_closed(stream);
    });
    let body = A::reader(io::repeat(b'u').take(SIZE), Some(SIZE));
    let mut response = A::execute(&peer.client(), Request::post("/x.php").body(body)).unwrap();
    let (count, result) = drain(&mut response);
    result.unwrap();
    assert_eq!(count, SIZE);
    assert!(response.end().expect("it came").is_body_sent);
}

pub fn d9_a_head_is_bounded_and_may_be_cut_anywhere<A: Adapter>() {
    let head = |len: usize| format!("X-Long: {}\r\n\r\n", "v".repeat(len));
    let fields: String = (0..70).map(|i| format!("X-{i}: {}\r\n", "v".repeat(4000))).collect();
    for text in [head(300_000), fields] {
        let error = meets::<A>(Script::new().await_request().stdout(text).end()).unwrap_err();
        let ErrorKind::Head(HeadError::TooLarge { limit, .. }) = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(limit, 256 * 1024);
    }
    let text = "Status: 200 OK\r\nA: b\r\n\r\nhey";
    for at in 1..text.len() {
        let (one, two) = text.split_at(at);
        let cut = Script::new().await_request().stdout(one.to_owned()).flush();
        assert_eq!(meets::<A>(cut.stdout(two.to_owned()).end()).unwrap(), "hey");
    }
}

pub fn d10_other_protocols_are_recognised<A: Adapter>() {
    for (bytes, name) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP"),
        (b"\x15\x03\x01\0\x02\x02\x46", "TLS"),
        (b"-ERR unknown command\r\n", "Redis"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
    ] {
        // It is told by its first bytes, though the connection stays open.
        let error =
            meets::<A>(Script::new().await_bytes(1).bytes(bytes).await_close()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotFastCgi(_)), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(meets::<A>(Script::new()).unwrap_err().kind(), ErrorKind::Reset);
}

pub fn d11_nobody_is_asked_for_values_unless_told_to<A: Adapter>() {
    let application = Scripted::unix(|_| hello().await_close());
    let client = Client::new(application.address());
    for nth in 0..3 {
        let request = Request::post("/x.php").body("a body");
        assert_eq!(A::call(&client, request).unwrap().body(), "hey");
        let types = record_types(&application.wait_over(nth));
        assert_eq!(types.first(), Some(&RecordType::BeginRequest), "{types:?}");
        assert!(!types.contains(&RecordType::GetValues), "{types:?}");
    }
}

fn record_types(bytes: &[u8]) -> Vec<RecordType> {
    let (mut decoder, mut input, mut types) = (Decoder::new(), bytes, Vec::new());
    while let Some(piece) = decoder.poll(&mut input).expect("a client sends records") {
        if let Piece::Body { header, .. } | Piece::Content { header, offset: 0, .. } = piece {
            types.push(header.record_type);
        }
    }
    types
}
