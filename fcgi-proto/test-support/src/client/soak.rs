//! Many requests of all kinds, many of them given up: no answer may reach another request.

use core::num::NonZeroU16;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Buf;
use fcgi_proto::pool::{Config, Snapshot};
use fcgi_proto::server::{self, Event};
use fcgi_proto::{Params, Request, RequestKey, Timeouts};

use super::peer::peer;
use super::{Pooled, Response};
use crate::wait_until;

/// The short form.
///
/// # Panics
/// When an answer goes astray, or none comes.
pub fn no_answer_goes_astray<A: Pooled>() {
    let figures = run::<A>(3000, 16, None);
    assert!(figures.answered > 1000 && figures.given_up > 300, "{figures:?}");
    assert!(figures.broken > 0, "{figures:?}");
}

/// The short form, with many requests on each connection.
///
/// # Panics
/// As above.
pub fn no_answer_goes_astray_on_shared_connections<A: Pooled>() {
    let figures = run::<A>(3000, 16, NonZeroU16::new(8));
    assert!(figures.answered > 1000 && figures.given_up > 300, "{figures:?}");
    assert_eq!(figures.broken, 0, "{figures:?}");
    // Given up or not, the connections stay.
    assert!(figures.pool.dials <= 100, "{figures:?}");
}

/// What came of the requests.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Answered whole, and by their own answer.
    pub answered: u64,
    /// Dropped before the answer was there, or amid it.
    pub given_up: u64,
    /// Failed, as the application broke off.
    pub broken: u64,
    /// The pool's figures at the end.
    pub pool: Snapshot,
    /// How long it took.
    pub took: Duration,
}

/// Sends so many requests from so many threads, several at once on a connection if they are to share it. Where they are
/// not, the application breaks some connections off amid an answer.
///
/// # Panics
/// When an answer is not that of its request, when a request fails without reason, when the pool loses a place.
pub fn run<A: Pooled>(requests: u64, callers: u64, shared: Option<NonZeroU16>) -> Figures {
    let application = peer(|stream| {
        let _ = serve(stream);
    });
    let config = Config::default().max_connections(8).queue_timeout(None).max_waiting(10_000);
    let config = match shared {
        Some(at_once) => config.multiplex(at_once),
        None => config,
    };
    let address = application.address.parse().expect("an address");
    let limits = Timeouts::default().with_queue(None).with_total(Duration::from_secs(120));
    let pool = A::pool(vec![address], config, limits);
    let [answered, given_up, broken] = [const { AtomicU64::new(0) }; 3];
    let started = Instant::now();
    thread::scope(|scope| {
        for caller in 0..callers {
            let (pool, answered, given_up, broken) = (&pool, &answered, &given_up, &broken);
            scope.spawn(move || {
                let mut dice = Dice(caller.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
                for nth in (caller..requests).step_by(usize::try_from(callers).expect("few")) {
                    let count = match one::<A>(pool, nth, shared.is_some(), &mut dice) {
                        Outcome::Answered => answered,
                        Outcome::GivenUp => given_up,
                        Outcome::Broken => broken,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let took = started.elapsed();
    let is_free = || {
        let now = A::snapshot(&pool);
        (now.in_flight, now.waiting) == (0, 0)
    };
    assert!(wait_until(Duration::from_secs(60), is_free), "{:?}", A::snapshot(&pool));
    let [answered, given_up, broken] = [answered, given_up, broken].map(AtomicU64::into_inner);
    assert_eq!(answered + given_up + broken, requests);
    Figures { answered, given_up, broken, pool: A::snapshot(&pool), took }
}

enum Outcome {
    Answered,
    GivenUp,
    Broken,
}

fn one<A: Pooled>(pool: &A::Pool, nth: u64, is_shared: bool, dice: &mut Dice) -> Outcome {
    let size = match dice.below(20) {
        0 => dice.below(300_000),
        1..5 => dice.below(20_000),
        _ => dice.below(200),
    };
    let is_broken_off = !is_shared && dice.below(100) == 0;
    let name = if is_broken_off { "break" } else { "size" };
    let request = Request::post(format!("/x.php?id={nth}&{name}={size}"));
    let request = match dice.below(3) {
        0 => request
            .body(A::Body::from(vec![b'b'; usize::try_from(dice.below(100_000)).expect("small")])),
        _ => request.body(A::Body::default()),
    };
    let text = format!("{nth};");
    match dice.below(8) {
        0 => {
            A::pool_cancel(pool, request, Duration::from_micros(dice.below(3000)));
            Outcome::GivenUp
        }
        1 => {
            if let Ok(mut response) = A::pool_execute(pool, request) {
                if let Ok(Some(chunk)) = response.chunk() {
                    check(&chunk, &text);
                }
            }
            Outcome::GivenUp
        }
        _ => match A::pool_call(pool, request) {
            Ok(answer) => {
                assert!(!is_broken_off, "request {nth} was answered whole");
                let len = text.len() * usize::try_from(size).expect("small").div_ceil(text.len());
                assert_eq!(answer.body().len(), len, "request {nth}");
                check(answer.body(), &text);
                Outcome::Answered
            }
            Err(error) => {
                assert!(is_broken_off, "request {nth}: {error}");
                Outcome::Broken
            }
        },
    }
}

/// That this is the text again and again, from its beginning.
fn check(body: &[u8], text: &str) {
    let is_right = body.iter().eq(text.as_bytes().iter().cycle().take(body.len()));
    let begin = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
    assert!(is_right, "an answer that begins with {begin:?} reached the request of {text:?}");
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }
}

/// An application that answers each request with its number, again and again.
fn serve(mut stream: UnixStream) -> std::io::Result<()> {
    let mut conn = server::Connection::new(server::Config::default());
    let mut buf = vec![0; 64 * 1024];
    let mut begun: Vec<(RequestKey, Params)> = Vec::new();
    loop {
        let count = stream.read(&mut buf)?;
        let mut input = &buf[..count];
        if count == 0 {
            return Ok(());
        }
        let mut finished = Vec::new();
        loop {
            while let Some(event) = conn.poll_event(&mut input).map_err(std::io::Error::other)? {
                match event {
                    Event::Request { key, params, .. } => begun.push((key, params)),
                    Event::StdinEnd { key } => finished.push(key),
                    Event::Aborted { key } => {
                        begun.retain(|(begun, _)| *begun != key);
                        if let Some(response) = conn.response(key) {
                            response.end(1);
                        }
                    }
                    _ => {}
                }
            }
            if input.is_empty() {
                break;
            }
            flush(&mut conn, &mut stream)?;
        }
        for key in finished {
            let Some(at) = begun.iter().position(|(begun, _)| *begun == key) else { continue };
            let (_, params) = begun.swap_remove(at);
            if !answer(&mut conn, &mut stream, key, &params)? {
                return Ok(());
            }
        }
        flush(&mut conn, &mut stream)?;
        if conn.is_closing() {
            return Ok(());
        }
    }
}

/// Whether the connection goes on.
fn answer(
    conn: &mut server::Connection,
    stream: &mut UnixStream,
    key: RequestKey,
    params: &Params,
) -> std::io::Result<bool> {
    let query = params.get_str("QUERY_STRING").unwrap_or_default();
    let field =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let text = format!("{};", field("id").expect("a number"));
    let size: usize = field("size").or(field("break")).expect("a size").parse().expect("a number");
    let body = text.repeat(size.div_ceil(text.len()));
    let mut all = b"Content-Type: text/plain\r\n\r\n".to_vec();
    all.extend_from_slice(body.as_bytes());
    let is_broken = field("break").is_some();
    if is_broken {
        all.truncate(all.len() / 2);
    }
    for piece in all.chunks(8000) {
        loop {
            let Some(mut response) = conn.response(key) else { return Ok(true) };
            if response.stdout_slice(piece).is_ok() {
                break;
            }
            flush(conn, stream)?;
        }
    }
    if is_broken {
        flush(conn, stream)?;
        return Ok(false);
    }
    if let Some(response) = conn.response(key) {
        response.end(0);
    }
    Ok(true)
}

fn flush(conn: &mut server::Connection, stream: &mut UnixStream) -> std::io::Result<()> {
    while conn.has_outgoing() {
        let mut out = conn.outgoing();
        let count = stream.write(out.chunk())?;
        out.advance(count);
    }
    Ok(())
}
