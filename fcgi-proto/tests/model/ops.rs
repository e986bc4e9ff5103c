//! What may happen next, and what comes of a call.

use fcgi_proto::Role;
use fcgi_proto::server::Refusal;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::wire;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) keep_conn: bool,
    pub(crate) client_requests: u16,
    pub(crate) server_requests: u16,
    pub(crate) client_cap: usize,
    pub(crate) server_cap: usize,
    pub(crate) max_free: u32,
    pub(crate) max_params: usize,
    pub(crate) max_param_count: usize,
    pub(crate) max_values: u16,
    pub(crate) request_window: usize,
    pub(crate) connection_window: usize,
    /// So many were begun on this connection before, so that ids come round.
    pub(crate) requests_before: u16,
}

impl Settings {
    /// Whether the first of the requests before is still open, in the way of its id.
    pub(crate) fn has_old_request(&self) -> bool {
        self.requests_before > 0 && self.client_requests > 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Application,
}

/// Whom a hostile record is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// A request that the receiver has heard of, counted back from the latest; it may have ended.
    Recent(usize),
    Id(u16),
}

/// A request is named by how many came after it on the same side; those that have ended can be named as well.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Begin {
        role: Role,
        params: usize,
        len: usize,
    },
    Send {
        back: usize,
        kind: u8,
        len: usize,
        is_copied: bool,
    },
    Finish {
        back: usize,
        kind: u8,
    },
    Abort {
        back: usize,
    },
    GetValues,
    Hold {
        back: usize,
        len: usize,
        is_release: bool,
    },
    Answer {
        back: usize,
        kind: u8,
        len: usize,
        is_copied: bool,
    },
    End {
        back: usize,
        app_status: u32,
    },
    Refuse {
        back: usize,
        refusal: Refusal,
    },
    /// Takes output from the other end and gives it to this one, cut into pieces.
    Carry {
        to: End,
        len: usize,
        cuts: Vec<usize>,
    },
    /// A record that the other end did not send, behind the one that is on its way.
    Forge {
        to: End,
        kind: u8,
        target: Target,
        content: Vec<u8>,
        padding: u8,
        cuts: Vec<usize>,
    },
    /// A whole request up to the end of its parameters, likewise.
    ForgeRequest {
        id: u16,
        role: u8,
        flags: u8,
        cuts: Vec<usize>,
    },
    /// Bytes that are no record.
    Garbage {
        to: End,
        bytes: Vec<u8>,
    },
    HangUp {
        on: End,
    },
}

/// What a call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing was called.
    None,
    Done,
    Began(u16),
    Closing,
    TooMany,
    Blocked,
    Finished,
    /// There is no handle for this request.
    Gone,
}

pub(crate) fn any_settings() -> impl Strategy<Value = Settings> {
    let limits = (1_u16..4, 1_u16..5, 50_usize..2000, 50_usize..2000);
    let before = prop_oneof![80 => Just(0_u16), 1 => 65_531_u16..];
    (prop::bool::weighted(0.9), limits, 3_u32..12, 60_usize..300, before).prop_map(
        |(keep_conn, limits, max_free, max_params, before)| Settings {
            keep_conn,
            client_requests: limits.0,
            server_requests: limits.1,
            client_cap: limits.2,
            server_cap: limits.3,
            max_free,
            max_params,
            max_param_count: 3,
            max_values: 60,
            request_window: 500,
            connection_window: 700,
            requests_before: if keep_conn { before } else { 0 },
        },
    )
}

fn any_len() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0_usize..60, 8 => 900_usize..1200, 1 => 65_500_usize..65_600]
}

fn any_end() -> impl Strategy<Value = End> {
    select(&[End::Client, End::Application][..])
}

fn any_cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![usize::MAX]), vec(1_usize..20, 1..4), vec(1_usize..900, 1..4)]
}

pub(crate) fn any_op() -> impl Strategy<Value = Op> {
    let back = || 0_usize..5;
    let role = select(&[Role::Responder, Role::Responder, Role::Filter, Role::Authorizer][..]);
    let input = || prop_oneof![3 => Just(wire::STDIN), 1 => Just(wire::DATA)];
    let output = prop_oneof![3 => Just(wire::STDOUT), 1 => Just(wire::STDERR)];
    let refusal = select(&[Refusal::CantMultiplex, Refusal::Overloaded, Refusal::UnknownRole][..]);
    let carried = prop_oneof![3 => 0_usize..40, 3 => 0_usize..2000, 2 => Just(usize::MAX)];
    let begin = (role, 1_usize..4, 0_usize..60);
    prop_oneof![
        60 => begin.prop_map(|(role, params, len)| Op::Begin { role, params, len }),
        2 => Just(Op::Begin { role: Role::Other(9), params: 4, len: 1 }),
        40 => (back(), input(), any_len(), any::<bool>())
            .prop_map(|(back, kind, len, is_copied)| Op::Send { back, kind, len, is_copied }),
        40 => (back(), input()).prop_map(|(back, kind)| Op::Finish { back, kind }),
        15 => back().prop_map(|back| Op::Abort { back }),
        8 => Just(Op::GetValues),
        20 => (back(), 0_usize..600, any::<bool>())
            .prop_map(|(back, len, is_release)| Op::Hold { back, len, is_release }),
        60 => (back(), output, any_len(), any::<bool>())
            .prop_map(|(back, kind, len, is_copied)| Op::Answer { back, kind, len, is_copied }),
        50 => (back(), any::<u32>()).prop_map(|(back, app_status)| Op::End { back, app_status }),
        6 => (back(), refusal).prop_map(|(back, refusal)| Op::Refuse { back, refusal }),
        200 => (any_end(), carried, any_cuts())
            .prop_map(|(to, len, cuts)| Op::Carry { to, len, cuts }),
        60 => any_forgery(),
        12 => (1000_u16..1002, prop_oneof![9 => 1_u8..4, 1 => any::<u8>()], prop_oneof![9 => Just(1_u8), 1 => any::<u8>()], any_cuts())
            .prop_map(|(id, role, flags, cuts)| Op::ForgeRequest { id, role, flags, cuts }),
        1 => (any_end(), vec(any::<u8>(), 1..12)).prop_map(|(to, bytes)| Op::Garbage { to, bytes }),
        3 => any_end().prop_map(|on| Op::HangUp { on }),
    ]
}

/// What a peer may send that was not asked to: mostly such as must be borne.
fn any_forgery() -> impl Strategy<Value = Op> {
    let kind = |to| match to {
        End::Client => prop_oneof![
            8 => Just(wire::STDOUT),
            4 => Just(wire::STDERR),
            6 => Just(wire::END),
            3 => Just(wire::RESULT),
            1 => Just(wire::UNKNOWN),
            1 => any::<u8>(),
        ]
        .boxed(),
        End::Application => prop_oneof![
            4 => Just(wire::BEGIN),
            4 => Just(wire::PARAMS),
            8 => Just(wire::STDIN),
            2 => Just(wire::DATA),
            3 => Just(wire::ABORT),
            4 => Just(wire::GET_VALUES),
            2 => Just(99),
            1 => any::<u8>(),
        ]
        .boxed(),
    };
    let whom = (any_end(), any_target()).prop_flat_map(move |(to, target)| {
        kind(to).prop_flat_map(move |kind| {
            (Just((to, kind)), content_of(kind), target_of(to, kind, target))
        })
    });
    (whom, prop_oneof![Just(0_u8), any::<u8>()], any_cuts()).prop_map(
        |(((to, kind), content, target), padding, cuts)| Op::Forge {
            to,
            kind,
            target,
            content,
            padding,
            cuts,
        },
    )
}

fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        20 => (0_usize..6).prop_map(Target::Recent),
        3 => (1000_u16..1003).prop_map(Target::Id),
        1 => (0_u16..4).prop_map(Target::Id),
    ]
}

/// An id that does not end the connection at once, most of the time.
fn target_of(to: End, kind: u8, target: Target) -> impl Strategy<Value = Target> {
    let usual = match (to, kind) {
        (_, wire::RESULT | wire::GET_VALUES | wire::UNKNOWN) => Just(Target::Id(0)).boxed(),
        (End::Application, wire::BEGIN) => (1000_u16..1003).prop_map(Target::Id).boxed(),
        (_, 12..) => prop_oneof![Just(target), Just(Target::Id(0))].boxed(),
        _ => Just(target).boxed(),
    };
    prop_oneof![15 => usual, 1 => Just(target)]
}

fn content_of(kind: u8) -> BoxedStrategy<Vec<u8>> {
    let text = vec(any::<u8>(), 0..40);
    match kind {
        wire::BEGIN => {
            let role = prop_oneof![4 => Just(1_u8), 1 => 0_u8..5];
            let flags = prop_oneof![8 => Just(1_u8), 1 => any::<u8>()];
            let body = (role, flags).prop_map(|(role, flags)| vec![0, role, flags, 0, 0, 0, 0, 0]);
            prop_oneof![40 => body, 1 => text].boxed()
        }
        wire::END | wire::UNKNOWN => prop_oneof![40 => vec(any::<u8>(), 8), 1 => text].boxed(),
        wire::PARAMS | wire::GET_VALUES | wire::RESULT => {
            let name = select(&["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS", "X"][..]);
            let pairs = vec((name, "[0-9]{0,9}"), 0..4).prop_map(crate::support::pairs);
            prop_oneof![6 => pairs, 3 => Just(Vec::new()), 1 => text].boxed()
        }
        wire::ABORT => prop_oneof![8 => Just(Vec::new()), 1 => text].boxed(),
        _ => {
            // Larger than any buffer here, now and then.
            let large = (3000_usize..6000).prop_map(|len| vec![b'!'; len]);
            prop_oneof![12 => text, 4 => Just(Vec::new()), 1 => large].boxed()
        }
    }
}
