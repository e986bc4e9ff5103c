use std::fmt::Write;

use super::{Figures, Measured};
use crate::{Group, Who};

/// The goal for ours over the floor.
const GOAL: f64 = 1.25;

const INTRODUCTION: &str = "\
# Speed

Written by `cargo bench -p benches`; what each side does is said at the top of each file in `src/`. The floor is a \
minimal loop over the same bytes, for the head the crate httparse. Goal: within 1.25 times the floor (marked otherwise).

![bar chart](results.svg)

";

pub(super) fn render(groups: &[Group], measured: &Measured) -> String {
    let mut out = String::from(INTRODUCTION);
    times(&mut out, groups, &measured.times);
    instructions(&mut out, groups, &measured.instructions);
    allocations(&mut out, groups, &measured.allocations);
    out
}

fn times(out: &mut String, groups: &[Group], times: &Figures) {
    out.push_str("## Time\n\nNanoseconds, medians of one run. *With IO* is ours behind the reads that a peer is behind.\n\n");
    out.push_str("| work | floor | ours | ours / floor | ours, with IO | fastcgi-client | tokio-fastcgi | peer / ours |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for group in groups {
        let of = |who| times.get(&(group.id, who)).copied();
        let (floor, ours, with_io) = (of(Who::Floor), of(Who::Ours), of(Who::OursWithIo));
        let peers = [of(Who::FastcgiClient), of(Who::TokioFastcgi)];
        let columns = [
            group.title.to_owned(),
            cell(floor),
            cell(ours),
            to_floor(ours, floor),
            cell(with_io),
            cell(peers[0]),
            cell(peers[1]),
            ratio(peers[0].or(peers[1]), with_io.or(ours))
                .map_or_else(String::new, |r| format!("{r:.1}")),
        ];
        row(out, &columns);
    }
}

fn instructions(out: &mut String, groups: &[Group], counts: &Figures) {
    out.push_str("\n## Instructions\n\nCounted by `valgrind --tool=callgrind`, so nearly the same every time; for one run, and for one record of it.\n\n");
    if counts.is_empty() {
        out.push_str("Not counted: valgrind is not installed.\n");
        return;
    }
    out.push_str("| work | records | floor | ours | ours / floor | floor per record | ours per record | fastcgi-client | tokio-fastcgi |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for group in groups {
        let of = |who| counts.get(&(group.id, who)).copied();
        let (floor, ours) = (of(Who::Floor), of(Who::Ours));
        let records = (group.records > 0).then(|| f64::from(group.records));
        let columns = [
            group.title.to_owned(),
            cell(records),
            cell(floor),
            cell(ours),
            to_floor(ours, floor),
            cell(ratio(floor, records)),
            cell(ratio(ours, records)),
            cell(of(Who::FastcgiClient)),
            cell(of(Who::TokioFastcgi)),
        ];
        row(out, &columns);
    }
}

fn allocations(out: &mut String, groups: &[Group], counts: &Figures) {
    out.push_str("\n## Allocations\n\nIn one run of a warm connection.\n\n");
    out.push_str(
        "| work | floor | ours | fastcgi-client | tokio-fastcgi |\n|---|--:|--:|--:|--:|\n",
    );
    for group in groups {
        let of = |who| cell(counts.get(&(group.id, who)).copied());
        let columns = [
            group.title.to_owned(),
            of(Who::Floor),
            of(Who::Ours),
            of(Who::FastcgiClient),
            of(Who::TokioFastcgi),
        ];
        row(out, &columns);
    }
}

fn row(out: &mut String, columns: &[String]) {
    writeln!(out, "| {} |", columns.join(" | ")).expect("a string takes everything");
}

fn ratio(number: Option<f64>, to: Option<f64>) -> Option<f64> {
    Some(number? / to?)
}

fn to_floor(ours: Option<f64>, floor: Option<f64>) -> String {
    match ratio(ours, floor) {
        Some(ratio) if ratio > GOAL => format!("**{ratio:.2}**, above"),
        Some(ratio) => format!("{ratio:.2}"),
        None => String::new(),
    }
}

/// A figure with three digits or more, thousands set apart.
fn cell(figure: Option<f64>) -> String {
    let Some(figure) = figure else {
        return String::new();
    };
    if figure < 100.0 && figure.fract() != 0.0 {
        return format!("{figure:.1}");
    }
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
