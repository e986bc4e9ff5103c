use std::fmt::Write;

use super::CONCURRENCY;
use super::goals;
use super::measured::Measured;
use super::who::ALL;

const LEFT: f64 = 190.0;
const WIDTH: f64 = 900.0;
const BAR: f64 = 14.0;

/// Processor time for one request, a block for each concurrency; then the goals.
pub(super) fn render(measured: &Measured) -> String {
    let mut body = String::new();
    text(
        &mut body,
        12.0,
        20.0,
        "Processor time of a client for one small request, in microseconds; less is better",
    );
    let mut y = 34.0;
    for concurrency in CONCURRENCY {
        let cells = ALL.map(|who| {
            (who, measured.null(who, concurrency).map_or(0.0, |spent| spent.cpu_micros()))
        });
        let most = cells.iter().map(|(_, cpu)| *cpu).fold(1.0, f64::max);
        text(&mut body, 12.0, y + 12.0, &format!("{concurrency} at once"));
        y += 20.0;
        for (who, cpu) in cells {
            let length = cpu / most * (WIDTH - LEFT - 60.0);
            text(&mut body, 24.0, y + 11.0, who.name());
            bar(&mut body, y, length, if who.is_ours() { MET } else { "#9aa5b1" });
            text(&mut body, LEFT + length + 4.0, y + 11.0, &format!("{cpu:.1}"));
            y += BAR;
        }
        y += 8.0;
    }
    text(&mut body, 12.0, y + 12.0, "Goals, green where met");
    y += 20.0;
    for goal in goals::all(measured) {
        let fill = if goal.is_met() { MET } else { "#b3422f" };
        let sign = if goal.is_least { "at least" } else { "at most" };
        writeln!(body, "<circle cx=\"28\" cy=\"{:.0}\" r=\"5\" fill=\"{fill}\"/>", y + 7.0)
            .expect("a string takes everything");
        let line = format!("{} {sign} {:.2}: {:.2}", goal.title, goal.limit, goal.found);
        text(&mut body, 40.0, y + 11.0, &line);
        y += BAR + 2.0;
    }
    y += 8.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

const MET: &str = "#1b7f5c";

fn bar(out: &mut String, y: f64, length: f64, fill: &str) {
    let height = BAR - 2.0;
    writeln!(out, "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{fill}\"/>")
        .expect("a string takes everything");
}

fn text(out: &mut String, x: f64, y: f64, text: &str) {
    writeln!(out, "<text x=\"{x:.0}\" y=\"{y:.0}\" fill=\"#222\">{text}</text>")
        .expect("a string takes everything");
}
