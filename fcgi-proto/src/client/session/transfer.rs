//! Between the connection and the queues of its requests.

use core::time::Duration;
use std::io;

use bytes::Bytes;

use super::Received;
use super::state::{Failure, State};
use crate::client::Event;
use crate::client::values::multiplexes;
use crate::wakes::Wakes;
use crate::{Outgoing, ProtocolError, RequestKey};

impl State {
    /// Takes pieces of bodies, in turn, as far as the output has room.
    pub(super) fn collect(&mut self, wakes: &mut Wakes) {
        while !self.conn.is_blocked() && self.write_error.is_none() {
            let Some(key) = self.backlog.pop_front() else { return };
            self.send_piece(key, wakes);
        }
    }

    /// The request has more to send, or nothing more comes of its body.
    pub(super) fn queue_to_send(&mut self, key: RequestKey, wakes: &mut Wakes) {
        let Some(open) = self.calls.get_mut(&key) else { return };
        if !core::mem::replace(&mut open.body.is_queued, true) {
            self.backlog.push_back(key);
        }
        self.collect(wakes);
        self.tell_driver(wakes);
    }

    fn send_piece(&mut self, key: RequestKey, wakes: &mut Wakes) {
        let Some(open) = self.calls.get_mut(&key) else { return };
        open.body.is_queued = false;
        if !open.is_live || !open.exchange.is_sending() {
            open.body.clear();
            wakes.extend(open.waker());
            return;
        }
        let most = if self.backlog.is_empty() { PIECE_ALONE } else { PIECE };
        let before = self.conn.outgoing_len();
        let sent = match open.body.pop(most) {
            Some(data) => open.exchange.send_body(&mut self.conn, data),
            None if open.body.is_whole => open.exchange.finish_body(&mut self.conn),
            None => return,
        };
        let added = self.conn.outgoing_len() - before;
        open.unsent += added;
        self.unsent.push(Some(key), added);
        if let Err(error) = sent {
            let error = open.exchange.failed(error);
            return self.fail(key, error, wakes);
        }
        if open.body.held() > 0 || open.body.is_whole && open.exchange.is_sending() {
            open.body.is_queued = true;
            self.backlog.push_back(key);
        }
        if open.body.held() < self.settings.body_window {
            wakes.extend(open.waker());
        }
    }

    /// Lets `write` take output, and counts for whom it did.
    pub(super) fn write<R>(
        &mut self,
        now: Duration,
        wakes: &mut Wakes,
        write: impl FnOnce(&mut Outgoing<'_>) -> R,
    ) -> R {
        let before = self.conn.outgoing_len();
        let result = write(&mut self.conn.outgoing());
        let mut count = before - self.conn.outgoing_len();
        while let Some((key, part)) = self.unsent.pop(count).filter(|_| count > 0) {
            count -= part;
            if let Some(open) = key.and_then(|key| self.calls.get_mut(&key)) {
                wakes.extend(open.on_written(part, now));
            }
        }
        self.collect(wakes);
        result
    }

    pub(super) fn on_write_error(&mut self, error: io::Error, wakes: &mut Wakes) {
        self.write_error = Some(error);
        for open in self.calls.values_mut() {
            open.exchange.handle_write_error();
            open.body.clear();
            wakes.extend(open.waker());
        }
    }

    pub(super) fn on_read(&mut self, data: &Bytes, now: Duration, wakes: &mut Wakes) {
        if data.is_empty() {
            return self.on_eof(wakes);
        }
        self.excuse(now);
        let mut rest: &[u8] = data;
        loop {
            match self.conn.poll_event(&mut rest) {
                Ok(Some(event)) => self.on_event(event, data, now, wakes),
                Ok(None) => break,
                Err(error) => return self.fail_all(&Failure::Protocol(error), wakes),
            }
        }
        self.note_pause(wakes);
    }

    fn on_eof(&mut self, wakes: &mut Wakes) {
        self.is_ending = true;
        if let Err(error) = self.conn.handle_eof() {
            self.fail_all(&Failure::Protocol(error), wakes);
        } else if self.live > 0 {
            // Cannot be: a connection with something open does not end well.
            let error = ProtocolError::UnexpectedEof { open_requests: self.live, in_record: false };
            self.fail_all(&Failure::Protocol(error), wakes);
        }
    }

    fn on_event(&mut self, event: Event<'_>, data: &Bytes, now: Duration, wakes: &mut Wakes) {
        let (key, len) = match &event {
            Event::Stdout { key, data } | Event::Stderr { key, data } => (*key, data.len()),
            Event::End { key, .. } => (*key, 8),
            Event::Values(values) => {
                self.is_multiplexed |= multiplexes(values);
                self.values = Some(values.clone());
                return;
            }
            Event::UnknownType { .. } => return,
        };
        let is_end = matches!(event, Event::End { .. });
        let Some(open) = self.calls.get_mut(&key).filter(|open| open.is_live) else {
            self.given_up -= usize::from(is_end && self.given_up > 0);
            return;
        };
        let clock = open.clock(now);
        open.exchange.handle_read(len + HEADER, clock);
        if open.exchange.check_time(clock).is_some() {
            // The limit on the whole exchange, which holds while bytes flow, too.
            return self.time_out(key, now, wakes);
        }
        match open.exchange.handle_event(event) {
            Ok(Some(output)) => {
                let received = Received::to_keep(output, data);
                self.conn.hold(key, received.body_len());
                self.on_received(key, received, wakes);
            }
            Ok(None) => {}
            Err(error) => {
                let error = open.exchange.failed(error);
                self.fail(key, error, wakes);
            }
        }
    }

    fn on_received(&mut self, key: RequestKey, received: Received, wakes: &mut Wakes) {
        let Some(open) = self.calls.get_mut(&key) else { return };
        if let Received::End(end) = received {
            open.is_live = false;
            open.body.clear();
            self.live -= 1;
            // What is left of its body would come as strays, which only those who multiplex are known to skip.
            self.is_ending |= !self.is_multiplexed && !end.is_body_sent;
        }
        open.push(received);
        wakes.extend(open.waker());
    }
}

/// What one request may send before it is another's turn.
const PIECE: usize = 16 * 1024;
/// The same where nobody else waits: a whole record, whoever comes next waiting for no more.
const PIECE_ALONE: usize = crate::wire::MAX_CONTENT as usize;
/// Of a record.
const HEADER: usize = 8;
