//! From a block of 25 encoded pairs to their values.
//!
//! - Visit: checks the block and looks at each pair once. Floor: one loop. Ours: `Params::parse` of a buffer that is
//!   given back after, as a server does, then `iter`.
//! - Look-up: checks the block, then asks for 10 names one after the other, where of several pairs the last counts.
//!   Floor: one loop to check, then one for each name. Ours: `parse`, then `get`.
//! - `tokio-fastcgi` reads parameters only together with a whole request; see the application's groups.

use std::hint::black_box;

use fcgi_proto::Params;

use crate::{Case, Group, Who, Work, data, floor, warm};

pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            id: "params-visit",
            title: "parse 25 parameters, visit each",
            records: 0,
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(visit)) },
                Case { who: Who::Ours, make: || warm(Ours::new(visit_ours)) },
            ],
        },
        Group {
            id: "params-get",
            title: "parse 25 parameters, look up 10",
            records: 0,
            cases: vec![
                Case { who: Who::Floor, make: || warm(Floor::new(get)) },
                Case { who: Who::Ours, make: || warm(Ours::new(get_ours)) },
            ],
        },
    ]
}

struct Floor {
    encoded: Vec<u8>,
    then: fn(&[u8]),
}

impl Floor {
    fn new(then: fn(&[u8])) -> Self {
        Self { encoded: data::encoded_pairs(), then }
    }
}

impl Work for Floor {
    fn run(&mut self) {
        (self.then)(black_box(&self.encoded));
    }
}

fn visit(mut input: &[u8]) {
    while let Some(pair) = floor::take_pair(&mut input) {
        black_box(pair);
    }
}

fn get(encoded: &[u8]) {
    let mut input = encoded;
    let mut count = 0;
    while floor::take_pair(&mut input).is_some() {
        count += 1;
    }
    black_box(count);
    for wanted in black_box(data::WANTED) {
        let mut input = encoded;
        let mut last = None;
        while let Some((name, value)) = floor::take_pair(&mut input) {
            if name == wanted.as_bytes() {
                last = Some(value);
            }
        }
        black_box(last);
    }
}

struct Ours {
    encoded: Vec<u8>,
    then: fn(&Params),
    next: Vec<u8>,
    done: Option<Params>,
}

impl Ours {
    fn new(then: fn(&Params)) -> Self {
        Self { encoded: data::encoded_pairs(), then, next: Vec::new(), done: None }
    }
}

impl Work for Ours {
    fn prepare(&mut self) {
        self.next = self.encoded.clone();
        self.done = None;
    }

    fn run(&mut self) {
        let encoded = black_box(std::mem::take(&mut self.next));
        let params = Params::parse(encoded).expect("valid pairs");
        (self.then)(&params);
        self.done = Some(params);
    }
}

fn visit_ours(params: &Params) {
    for pair in params {
        black_box(pair);
    }
}

fn get_ours(params: &Params) {
    for wanted in black_box(data::WANTED) {
        black_box(params.get(wanted));
    }
}
