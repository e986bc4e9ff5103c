//! Callers, a pool, and applications that behave as php-fpm does, all in one thread and on one clock.

use core::cmp::Reverse;
use core::num::NonZeroU16;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use fcgi_proto::pool::{
    AcquireError, Action, Attempt, Config, ConnId, Grant, Lane, Pool, Released, WaiterId,
};

use crate::model::{Limits, Model};

pub(crate) const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// splitmix64
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.next() % of.len() as u64).expect("an index")]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting(WaiterId),
    Dialling(ConnId),
    Sent(ConnId, Attempt),
    Served,
    Failed,
    Cancelled,
}

#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) state: State,
    script: Duration,
    pub(crate) came: Duration,
    pub(crate) ended: Duration,
    attempts: u32,
    lane: Lane,
    /// Comes again as soon as it was served, so many times.
    pub(crate) again: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Come(Duration, u32),
    Cancel(usize),
    Dialled(usize, bool),
    /// The script of a caller's attempt writes its first byte, or ends.
    FirstByte(usize, u32),
    End(usize, u32),
    /// The pool is told that a peer has closed.
    Closed(u64),
    Stop(usize),
    Start(usize),
    Wake,
}

/// An application with so many workers, each of which serves one connection until that is closed.
#[derive(Clone, Debug)]
pub(crate) struct Fpm {
    pub(crate) workers: usize,
    pub(crate) backlog: usize,
    /// So many percent of the requests are the last of their worker; a quarter of that end their connection at once.
    pub(crate) recycles: u64,
    is_up: bool,
    accepted: Vec<ConnId>,
    listening: VecDeque<ConnId>,
}

impl Fpm {
    pub(crate) fn new(workers: usize, backlog: usize, recycles: u64) -> Self {
        let (accepted, listening) = (Vec::new(), VecDeque::new());
        Self { workers, backlog, recycles, is_up: true, accepted, listening }
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) random: Random,
    pub(crate) pool: Pool,
    pub(crate) model: Model,
    pub(crate) fpms: Vec<Fpm>,
    pub(crate) callers: Vec<Caller>,
    waiting: HashMap<WaiterId, usize>,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    /// Connections that a peer has closed, by the number of the event that tells.
    closed: BTreeMap<u64, ConnId>,
    serial: u64,
    /// How often, in percent, actions are left lying for another thread's call to come in between.
    pub(crate) lazy: u64,
    /// Times are multiples of this, so that things happen at once.
    pub(crate) grain: u64,
    /// How often a script writes something before its end.
    pub(crate) writes_early: u64,
    /// On so many threads callers are.
    pub(crate) lanes: u64,
}

impl World {
    pub(crate) fn new(seed: u64, limits: Limits, fpms: Vec<Fpm>) -> Self {
        let config = Config::default()
            .max_connections(limits.connections)
            .max_idle(limits.idle)
            .linger(limits.linger)
            .max_requests(limits.requests)
            .max_waiting(limits.waiting)
            .multiplex(NonZeroU16::new(limits.multiplex).expect("not 0"))
            .idle_timeout(limits.idle_timeout)
            .max_lifetime(limits.lifetime)
            .queue_timeout(limits.queue_timeout)
            .patience(limits.patience)
            .backoff(limits.backoff.0, limits.backoff.1)
            .seed(seed);
        Self {
            now: us(0),
            random: Random(seed),
            pool: Pool::new(config, fpms.len()),
            model: Model::new(limits, fpms.len()),
            fpms,
            callers: Vec::new(),
            waiting: HashMap::new(),
            events: BinaryHeap::new(),
            closed: BTreeMap::new(),
            serial: 0,
            lazy: 0,
            grain: 1,
            writes_early: 50,
            lanes: 1,
        }
    }

    fn after(&mut self, delay: Duration, event: Event) -> u64 {
        self.serial += 1;
        let at = u64::try_from((self.now + delay).as_micros()).expect("short");
        self.events.push(Reverse((us(at.next_multiple_of(self.grain)), self.serial, event)));
        self.serial
    }

    /// A caller comes at a time, with a script that takes so long, and comes again so often.
    pub(crate) fn come(&mut self, at: Duration, script: Duration, again: u32) {
        self.after(at, Event::Come(script, again));
    }

    pub(crate) fn stop(&mut self, upstream: usize, at: Duration, down: Duration) {
        self.after(at, Event::Stop(upstream));
        self.after(at + down, Event::Start(upstream));
    }

    pub(crate) fn cancel(&mut self, caller: usize, at: Duration) {
        self.after(at, Event::Cancel(caller));
    }

    /// Runs until nothing is left to happen but the pool's own deadlines.
    pub(crate) fn run(&mut self) {
        let mut steps = 0;
        loop {
            let timeout = self.pool.poll_timeout(self.now);
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let Some(at) = event.into_iter().chain(timeout).min() else { break };
            let at = at.max(self.now);
            self.model.check_nothing_missed(self.now, at);
            self.now = at;
            let event = match event {
                Some(due) if due <= at => self
                    .events
                    .pop()
                    .map_or((0, Event::Wake), |Reverse((_, id, event))| (id, event)),
                _ => (0, Event::Wake),
            };
            self.handle(event.0, event.1);
            if event.1 == Event::Wake || !self.random.percent(self.lazy) {
                self.carry_out();
            }
            steps += 1;
            assert!(steps < 1_000_000, "it never ends");
        }
        self.carry_out();
        for caller in &self.callers {
            let is_over = matches!(caller.state, State::Served | State::Failed | State::Cancelled);
            assert!(is_over, "forgotten: {caller:?}");
        }
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.pool.poll_action(self.now) {
            match action {
                Action::Close(conn) => {
                    let Some(closed) = self.model.conns.remove(&conn) else {
                        assert!(self.lazy > 0, "closed twice");
                        continue;
                    };
                    assert_eq!(closed.in_flight, 0, "closed in use");
                    self.hang_up(conn, closed.upstream);
                }
                Action::Grant(waiter, grant) => {
                    let caller = self.leave_queue(waiter);
                    self.take(caller, grant);
                }
                Action::Fail(waiter, _) => {
                    let caller = self.leave_queue(waiter);
                    self.finish(caller, State::Failed);
                }
                other => panic!("{other:?}"),
            }
        }
        self.model.check(&self.pool, self.now);
    }

    fn leave_queue(&mut self, waiter: WaiterId) -> usize {
        let place = self.model.waiters.iter().position(|(waiting, _)| *waiting == waiter);
        let place = place.expect("only one that waits is told");
        // One whose connection broke before it heard of its turn has another turn.
        let may_be_late = self.lazy > 0 || self.model.limits.multiplex > 1;
        assert!(place == 0 || may_be_late, "out of turn");
        self.model.waiters.remove(place);
        self.waiting.remove(&waiter).expect("a caller of that name")
    }

    fn finish(&mut self, caller: usize, state: State) {
        let caller = &mut self.callers[caller];
        caller.state = state;
        caller.ended = self.now;
        if state == State::Served && caller.again > 0 {
            let (script, again) = (caller.script, caller.again - 1);
            self.after(us(1), Event::Come(script, again));
        }
    }

    fn acquire(&mut self, caller: usize) {
        match self.pool.acquire_from(self.callers[caller].lane, self.now) {
            Ok(Grant::Wait(waiter)) => {
                self.model.waiters.push((waiter, self.now));
                self.waiting.insert(waiter, caller);
                self.callers[caller].state = State::Waiting(waiter);
            }
            Ok(grant) => {
                assert_eq!(self.pool.snapshot().waiting, 0, "overtaken");
                self.take(caller, grant);
            }
            Err(AcquireError::QueueFull { limit }) => {
                assert_eq!(limit, self.model.limits.waiting);
                assert!(self.model.waiters.len() >= limit, "not full");
                self.finish(caller, State::Failed);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn take(&mut self, caller: usize, grant: Grant) {
        let lane = self.callers[caller].lane;
        match grant {
            Grant::Dial { conn, upstream } => {
                self.model.dial(conn, upstream, lane, self.now);
                self.callers[caller].state = State::Dialling(conn);
                let delay = us(self.random.below(300));
                let fpm = &self.fpms[upstream];
                let is_ok = fpm.is_up && fpm.listening.len() < fpm.backlog;
                self.after(delay, Event::Dialled(caller, is_ok));
            }
            Grant::Reuse { conn, upstream } => {
                let is_idle = self.model.conns.get(&conn).is_some_and(|conn| conn.in_flight == 0);
                self.model.reuse(conn, upstream, lane, self.now);
                self.send(caller, conn, is_idle);
            }
            Grant::Wait(_) => panic!("granted to wait"),
        }
    }

    fn send(&mut self, caller: usize, conn: ConnId, is_reused: bool) {
        let found = &mut self.callers[caller];
        found.attempts += 1;
        let number = found.attempts;
        let attempt = Attempt {
            is_reused,
            has_response: false,
            is_replayable: true,
            is_idempotent: false,
            number,
        };
        found.state = State::Sent(conn, attempt);
        if self.closed.values().any(|closed| *closed == conn) {
            // Stale: the peer has closed it, which the pool is told now.
            return self.break_off(conn);
        }
        let upstream = self.model.conns[&conn].upstream;
        if self.model.limits.multiplex > 1 || self.fpms[upstream].accepted.contains(&conn) {
            self.work(caller);
        }
    }

    /// A worker takes up the request of a caller.
    fn work(&mut self, caller: usize) {
        let found = &self.callers[caller];
        let (number, script) = (found.attempts, found.script);
        if self.random.percent(self.writes_early) {
            let early = us(self.random.below(u64::try_from(script.as_micros()).expect("short")));
            self.after(early, Event::FirstByte(caller, number));
        }
        self.after(script, Event::End(caller, number));
    }

    /// Free workers take connections from the listen queue.
    fn accept(&mut self, upstream: usize) {
        loop {
            let fpm = &mut self.fpms[upstream];
            if !fpm.is_up || fpm.accepted.len() == fpm.workers {
                return;
            }
            let Some(conn) = fpm.listening.pop_front() else { return };
            fpm.accepted.push(conn);
            let is_of = |caller: &Caller| matches!(caller.state, State::Sent(on, _) if on == conn);
            if let Some(caller) = self.callers.iter().position(is_of) {
                self.work(caller);
            }
        }
    }

    /// Our side closes.
    fn hang_up(&mut self, conn: ConnId, upstream: usize) {
        let fpm = &mut self.fpms[upstream];
        fpm.accepted.retain(|on| *on != conn);
        fpm.listening.retain(|on| *on != conn);
        self.accept(upstream);
    }

    /// The peer closes; the pool hears of it a little later.
    fn peer_closes(&mut self, conn: ConnId, upstream: usize) {
        let delay = us(self.random.below(2000));
        let serial = self.after(delay, Event::Closed(0));
        self.closed.insert(serial, conn);
        self.hang_up(conn, upstream);
    }

    /// It is noticed that a connection is closed, and its callers retry or fail.
    fn break_off(&mut self, conn: ConnId) {
        self.closed.retain(|_, closed| *closed != conn);
        let Some(gone) = self.model.conns.remove(&conn) else { return };
        self.pool.handle_closed(conn, self.now);
        self.hang_up(conn, gone.upstream);
        let is_of = |caller: &Caller| match caller.state {
            State::Sent(on, _) | State::Dialling(on) => on == conn,
            _ => false,
        };
        let callers = self.callers.iter().enumerate().filter(|(_, caller)| is_of(caller));
        for caller in Vec::from_iter(callers.map(|(index, _)| index)) {
            match self.callers[caller].state {
                State::Sent(_, attempt) if attempt.may_retry() => {
                    self.callers[caller].state = State::Failed;
                    self.acquire(caller);
                }
                _ => self.finish(caller, State::Failed),
            }
        }
    }

    fn release(&mut self, conn: ConnId, is_reusable: bool) {
        let upstream = self.model.conns[&conn].upstream;
        let was_open = self.model.conns[&conn].is_open;
        let is_in_use = self.model.released(conn, is_reusable, self.now);
        let released = self.pool.release(conn, is_reusable, self.now);
        if released == Released::Close {
            assert!(!is_in_use, "closed in use");
            self.model.conns.remove(&conn);
            self.hang_up(conn, upstream);
        } else {
            assert!(was_open, "a dial given up is gone");
        }
    }

    fn handle(&mut self, serial: u64, event: Event) {
        match event {
            Event::Wake => {}
            Event::Come(script, again) => {
                let (came, ended) = (self.now, self.now);
                let state = State::Failed;
                let number = self.random.below(self.lanes);
                let lane = Lane::new(usize::try_from(number).expect("few"));
                self.callers.push(Caller { state, script, came, ended, attempts: 0, lane, again });
                self.acquire(self.callers.len() - 1);
            }
            Event::Cancel(caller) => self.give_up(caller),
            Event::Dialled(caller, is_ok) => self.on_dialled(caller, is_ok),
            Event::FirstByte(caller, number) => {
                let found = &mut self.callers[caller];
                if let State::Sent(conn, attempt) = &mut found.state {
                    if attempt.number == number {
                        attempt.has_response = true;
                        let conn = *conn;
                        self.model.first_byte(conn);
                        self.pool.handle_first_byte(conn);
                    }
                }
            }
            Event::End(caller, number) => {
                let State::Sent(conn, attempt) = self.callers[caller].state else { return };
                if attempt.number == number {
                    let upstream = self.model.conns[&conn].upstream;
                    self.finish(caller, State::Served);
                    let is_reusable = !self.random.percent(self.fpms[upstream].recycles / 4);
                    self.release(conn, is_reusable);
                    let is_kept = self.model.conns.contains_key(&conn);
                    if is_kept && self.random.percent(self.fpms[upstream].recycles) {
                        self.peer_closes(conn, upstream);
                    }
                }
            }
            Event::Closed(_) => {
                if let Some(conn) = self.closed.remove(&serial) {
                    self.break_off(conn);
                }
            }
            Event::Stop(upstream) => {
                self.fpms[upstream].is_up = false;
                let fpm = &self.fpms[upstream];
                let conns = Vec::from_iter(fpm.accepted.iter().chain(&fpm.listening).copied());
                for conn in conns {
                    self.peer_closes(conn, upstream);
                }
            }
            Event::Start(upstream) => self.fpms[upstream].is_up = true,
        }
    }

    fn on_dialled(&mut self, caller: usize, is_ok: bool) {
        let State::Dialling(conn) = self.callers[caller].state else { return };
        let Some(found) = self.model.conns.get(&conn) else { return };
        let upstream = found.upstream;
        if is_ok {
            self.model.connected(conn, self.now);
            self.pool.handle_connected(conn, self.now);
            let fpm = &mut self.fpms[upstream];
            let is_up = fpm.is_up;
            if is_up {
                fpm.listening.push_back(conn);
            }
            self.send(caller, conn, false);
            if is_up {
                self.accept(upstream);
            } else {
                self.break_off(conn);
            }
        } else {
            self.model.connect_error(conn, self.now);
            self.pool.handle_connect_error(conn, self.now);
            self.finish(caller, State::Failed);
        }
    }

    fn give_up(&mut self, caller: usize) {
        let Some(found) = self.callers.get(caller) else { return };
        match found.state {
            State::Waiting(waiter) => {
                self.pool.cancel(waiter);
                self.model.waiters.retain(|(waiting, _)| *waiting != waiter);
                self.waiting.remove(&waiter);
            }
            State::Dialling(conn) | State::Sent(conn, _) => {
                self.callers[caller].state = State::Cancelled;
                self.release(conn, false);
            }
            _ => return,
        }
        self.finish(caller, State::Cancelled);
    }
}
