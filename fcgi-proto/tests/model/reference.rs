//! Both ends and the wires between them, as the specification and the documentation have them.

use fcgi_proto::Role;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use crate::application::Application;
use crate::client::Client;
use crate::ops::{End, Op, Outcome, Settings, Target, any_op, any_settings};
use crate::support::Seen;
use crate::wire::{self, Reader};

/// What the last operation did.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) outcome: Outcome,
    /// The request that it was about, counted from the first on that side.
    pub(crate) number: usize,
    /// The bytes of the payload that it offered.
    pub(crate) payload: Vec<u8>,
    /// The pairs of a request that it began.
    pub(crate) pairs: wire::Pairs,
    /// What was taken from the output of one end, and what a third party put behind it.
    pub(crate) carried: Vec<u8>,
    pub(crate) forged: Vec<u8>,
    /// The events at the end that was given something.
    pub(crate) seen: Vec<Seen>,
}

#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) settings: Settings,
    pub(crate) client: Client,
    pub(crate) application: Application,
    /// Where each direction stands amid its records, whoever has written them.
    to_client: Wire,
    to_application: Wire,
    pub(crate) ops: usize,
    pub(crate) last: Step,
}

#[derive(Clone, Debug, Default)]
struct Wire {
    reader: Reader,
    is_broken: bool,
    pub(crate) is_closed: bool,
}

impl Wire {
    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.is_broken = self.is_broken || self.reader.read(*byte).is_err();
        }
    }

    fn missing(&self) -> usize {
        if self.is_broken { 0 } else { self.reader.missing() }
    }
}

impl Step {
    fn of(payload: Vec<u8>) -> Self {
        Self {
            outcome: Outcome::None,
            number: 0,
            payload,
            pairs: Vec::new(),
            carried: Vec::new(),
            forged: Vec::new(),
            seen: Vec::new(),
        }
    }
}

impl ReferenceStateMachine for Reference {
    type State = Self;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Self> {
        any_settings().prop_map(|settings| Self::new(&settings)).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Op> {
        thread_local! {
            static ANY_OP: BoxedStrategy<Op> = any_op().boxed();
        }
        ANY_OP.with(Clone::clone)
    }

    fn apply(mut state: Self, op: &Op) -> Self {
        state.step(op);
        state
    }
}

impl Reference {
    fn new(settings: &Settings) -> Self {
        Self {
            client: Client::new(settings),
            application: Application::new(settings),
            to_client: Wire::default(),
            to_application: Wire::default(),
            ops: 0,
            last: Step::of(Vec::new()),
            settings: settings.clone(),
        }
    }

    fn step(&mut self, op: &Op) {
        self.ops += 1;
        self.last = Step::of(self.payload(op));
        let outcome = match *op {
            Op::Begin { role, params, len } => self.begin(role, params, len),
            Op::Send { back, kind, is_copied, .. } => {
                self.about(End::Client, back);
                self.client.send(self.last.number, kind, &self.last.payload, is_copied)
            }
            Op::Finish { back, kind } => {
                self.about(End::Client, back);
                self.client.finish(self.last.number, kind)
            }
            Op::Abort { back } => {
                self.about(End::Client, back);
                self.client.abort(self.last.number)
            }
            Op::Hold { back, len, is_release } => {
                self.about(End::Client, back);
                self.client.hold(self.last.number, len, is_release)
            }
            Op::GetValues => {
                let mut block = Vec::new();
                wire::put_pair(&mut block, b"FCGI_MPXS_CONNS", b"");
                self.client.get_values(&block)
            }
            Op::Answer { back, kind, is_copied, .. } => {
                self.about(End::Application, back);
                self.application.answer(self.last.number, kind, &self.last.payload, is_copied)
            }
            Op::End { back, app_status } => {
                self.about(End::Application, back);
                self.application.end(self.last.number, app_status)
            }
            Op::Refuse { back, refusal } => {
                self.about(End::Application, back);
                self.application.refuse(self.last.number, refusal)
            }
            Op::Carry { to, len, .. } => self.carry(to, len),
            Op::Forge { to, kind, target, ref content, padding, .. } => {
                let mut forged = Vec::new();
                let id = self.id_of(to, target);
                wire::put(&mut forged, kind, id, content, padding.into());
                self.forge(to, forged)
            }
            Op::ForgeRequest { id, role, flags, .. } => {
                let mut forged = Vec::new();
                wire::put(&mut forged, wire::BEGIN, id, &[0, role, flags, 0, 0, 0, 0, 0], 0);
                wire::put(&mut forged, wire::PARAMS, id, b"\x01\x01A1", 3);
                wire::put(&mut forged, wire::PARAMS, id, b"", 0);
                self.forge(End::Application, forged)
            }
            Op::Garbage { to, ref bytes } => self.forge(to, bytes.clone()),
            Op::HangUp { on } => self.hang_up(on),
        };
        self.last.outcome = outcome;
    }

    /// Bytes that no other operation has and that differ from place to place.
    fn payload(&self, op: &Op) -> Vec<u8> {
        let (Op::Send { len, .. } | Op::Answer { len, .. }) = *op else {
            return Vec::new();
        };
        let seed = u32::try_from(self.ops).expect("few").wrapping_mul(0x9e37_79b1);
        (0_u32..)
            .map(|at| at.wrapping_mul(0x85eb_ca6b).wrapping_add(seed).to_be_bytes()[0])
            .take(len)
            .collect()
    }

    fn begin(&mut self, role: Role, params: usize, len: usize) -> Outcome {
        let number = self.ops.to_string().into_bytes();
        self.last.pairs = vec![(b"NUMBER".to_vec(), number)];
        self.last.pairs.resize(params, (b"PADDING".to_vec(), vec![b'x'; len]));
        let mut block = Vec::new();
        for (name, value) in &self.last.pairs {
            wire::put_pair(&mut block, name, value);
        }
        self.client.begin(role, &block)
    }

    fn ids(&self, end: End) -> &[u16] {
        match end {
            End::Client => &self.client.ids,
            End::Application => &self.application.ids,
        }
    }

    /// Notes which request this is about; one that does not exist when there is none.
    fn about(&mut self, end: End, back: usize) {
        let count = self.ids(end).len();
        self.last.number = count.checked_sub(1).map_or(0, |last| last - back % count);
    }

    fn id_of(&self, end: End, target: Target) -> u16 {
        match target {
            Target::Id(id) => id,
            Target::Recent(back) => {
                let ids = self.ids(end);
                ids.len().checked_sub(1).map_or(1, |last| ids[last - back % ids.len()])
            }
        }
    }

    fn wire(&mut self, to: End) -> &mut Wire {
        match to {
            End::Client => &mut self.to_client,
            End::Application => &mut self.to_application,
        }
    }

    /// Takes so much from the output of the other end.
    fn take(&mut self, to: End, len: usize) {
        let out = match to {
            End::Client => &mut self.application.out,
            End::Application => &mut self.client.out,
        };
        let taken: Vec<u8> = out.drain(..out.len().min(len)).collect();
        self.wire(to).pass(&taken);
        self.last.carried.extend(taken);
    }

    fn give(&mut self, to: End) {
        let wire = [&self.last.carried[..], &self.last.forged].concat();
        match to {
            End::Client => self.client.receive(&wire, &mut self.last.seen),
            End::Application => self.application.receive(&wire, &mut self.last.seen),
        }
    }

    fn carry(&mut self, to: End, len: usize) -> Outcome {
        if self.wire(to).is_closed {
            return Outcome::Closing;
        }
        self.take(to, len);
        self.give(to);
        Outcome::Done
    }

    fn forge(&mut self, to: End, forged: Vec<u8>) -> Outcome {
        if self.wire(to).is_closed {
            return Outcome::Closing;
        }
        loop {
            let before = self.last.carried.len();
            let missing = self.wire(to).missing();
            self.take(to, missing);
            if self.last.carried.len() == before {
                break;
            }
        }
        self.wire(to).pass(&forged);
        self.last.forged = forged;
        self.give(to);
        Outcome::Done
    }

    /// What is on its way is not lost by closing; what was not taken yet never comes.
    fn hang_up(&mut self, on: End) -> Outcome {
        if self.wire(on).is_closed || on == End::Application && !self.application.unread.is_empty()
        {
            return Outcome::Closing;
        }
        self.wire(on).is_closed = true;
        match on {
            End::Client => self.client.hang_up(&mut self.last.seen),
            End::Application => self.application.hang_up(&mut self.last.seen),
        }
        Outcome::Done
    }
}
