use std::fmt::Write;

use super::Figures;
use crate::{Group, Who};

const WIDTH: f64 = 900.0;
/// Where the bars begin, and how long a factor of ten is.
const LEFT: f64 = 340.0;
const DECADE: f64 = 90.0;
const BAR: f64 = 11.0;
const GAP: f64 = 12.0;
const TOP: f64 = 56.0;
/// The left end of the axis, in nanoseconds. The axis is logarithmic.
const START: f64 = 1.0;

/// Bars of nanoseconds, a block for each group.
pub(super) fn render(groups: &[Group], times: &Figures) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for group in groups {
        let middle = y + f64::from(u32::try_from(group.cases.len()).unwrap_or(0)) * BAR / 2.0;
        text(&mut body, LEFT - 8.0, middle + 4.0, "end", group.title);
        for case in &group.cases {
            if let Some(&time) = times.get(&(group.id, case.who)) {
                let length = (time / START).log10().max(0.0) * DECADE;
                rect(&mut body, (LEFT, y), (length, BAR - 1.0), color(case.who));
                text(&mut body, LEFT + length + 4.0, y + 9.0, "start", &format!("{time:.0}"));
            }
            y += BAR;
        }
        y += GAP;
    }
    let mut head = String::new();
    text(&mut head, 12.0, 20.0, "start", "Nanoseconds for one run, logarithmic; less is better");
    let mut x = 12.0;
    for who in [Who::Floor, Who::Ours, Who::OursWithIo, Who::FastcgiClient, Who::TokioFastcgi] {
        rect(&mut head, (x, 30.0), (10.0, 10.0), color(who));
        text(&mut head, x + 14.0, 39.0, "start", who.id());
        x += 130.0;
    }
    let style = "font-family=\"sans-serif\" font-size=\"11\"";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" {style}>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{head}{body}</svg>\n"
    )
}

const fn color(who: Who) -> &'static str {
    match who {
        Who::Floor => "#9aa5b1",
        Who::Ours => "#1b7f5c",
        Who::OursWithIo => "#6cbf9f",
        Who::FastcgiClient => "#c2571a",
        Who::TokioFastcgi => "#7a4fb5",
    }
}

fn rect(out: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
    writeln!(
        out,
        "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{height:.0}\" fill=\"{fill}\"/>"
    )
    .expect("a string takes everything");
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    writeln!(
        out,
        "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" fill=\"#222\">{text}</text>"
    )
    .expect("a string takes everything");
}
